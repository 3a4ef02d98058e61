"""What a bot counts, in the form that Prometheus asks for."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

_WHOLE_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0)
_OWN_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)


class Metrics:
    """The figures of one bot, in a registry of their own.

    Parameters
    ----------
    account, name
        Account and live configuration (or file); they stand once, in ``passivbot_bot_info``, since each bot
        is a target of its own.
    """

    def __init__(self, account: str, name: str) -> None:
        own = self.registry = CollectorRegistry()
        Info("passivbot_bot", "Account and live configuration of this bot.", registry=own).info(
            {"account": account, "name": name}
        )
        self.cycles = Counter(
            "passivbot_cycles", "Cycles, by outcome: ok or the error's class.", ["outcome"], registry=own
        )
        self.cycle_seconds = Histogram(
            "passivbot_cycle_seconds",
            "A cycle, with all waiting for the exchange.",
            registry=own,
            buckets=_WHOLE_SECONDS,
        )
        self.own_seconds = Histogram(
            "passivbot_cycle_own_seconds",
            "Planning and reconciliation of a cycle, without the network.",
            registry=own,
            buckets=_OWN_SECONDS,
        )
        self.last_cycle = Gauge(
            "passivbot_last_cycle_timestamp_seconds", "End of the last cycle, Unix time.", registry=own
        )
        self.orders = Counter(
            "passivbot_orders",
            "Orders sent: action is create or cancel.",
            ["action", "outcome"],
            registry=own,
        )
        self.open_orders = Gauge("passivbot_open_orders", "Open orders of the bot.", registry=own)
        self.fills = Counter("passivbot_fills", "Fills seen.", ["coin", "side"], registry=own)
        self.realised_profit = Gauge(
            "passivbot_realised_profit", "Realised profit since the bot started, quote coin.", registry=own
        )
        self.balance = Gauge("passivbot_balance", "Balance of the last plan, quote coin.", registry=own)
        self.exposure = Gauge(
            "passivbot_exposure", "Cost of a position ÷ balance.", ["coin", "side"], registry=own
        )
        self.total_exposure = Gauge(
            "passivbot_total_exposure", "Sum of exposures ÷ balance.", ["side"], registry=own
        )
        self.guard_trips = Counter(
            "passivbot_guard_trips",
            "Times that a guard stopped or held back something.",
            ["guard"],
            registry=own,
        )
        self.exchange_errors = Counter(
            "passivbot_exchange_errors", "Errors of the exchange, by class.", ["kind"], registry=own
        )
        self.requests = Gauge(
            "passivbot_requests", "Requests to the exchange since the loop began.", registry=own
        )
        self.websocket_up = Gauge(
            "passivbot_websocket_up", "1 while a websocket is alive.", ["stream"], registry=own
        )
        self.restarts = Counter("passivbot_restarts", "Restarts of the loop after a failure.", registry=own)
        self.version = Gauge(
            "passivbot_configuration_version", "Version of the live configuration in use.", registry=own
        )
        self.alerts = Counter(
            "passivbot_alerts",
            "Alerts: sent, failed, held back by the rate limit, or dropped.",
            ["outcome"],
            registry=own,
        )

    def text(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self.registry)
