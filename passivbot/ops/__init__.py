"""What a bot needs to be run by somebody: keys, logs, metrics, alerts, health."""
