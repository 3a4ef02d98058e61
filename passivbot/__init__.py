"""What a trader touches: configuration, candles, backtest, study. Never imports ``ray``."""
