"""Limits of the bot that a configuration of v7 has no key for."""

from dataclasses import dataclass

from passivbot.planner import Mode


@dataclass(frozen=True)
class Policy:
    """How careful the bot is.

    Parameters
    ----------
    price_tolerance, qty_tolerance
        A resting order whose price and quantity differ by no more than these fractions is left as it is.
    ladder
        Most orders in one list of entries or closes of a coin and side.
    open_orders
        Most resting orders of the bot in the account.
    requests_per_minute
        Most requests to the exchange within 60 seconds.
    creates_per_minute
        Most orders of one coin and side placed within 60 seconds of market time.
    snapshot_seconds
        A snapshot older than this places no order.
    candle_lag_minutes
        A coin whose candles are older gets no entry.
    exposure_slack
        Fraction by which positions and resting entries together may exceed a limit: rounding needs some.
    max_exposure
        Cap of the whole account, long and short together, as a multiple of the balance; None: what the
        configuration allows.
    balance_jump
        A balance that differs by more than this fraction from the last one, without fills that explain it,
        is not believed until it was read ``balance_reads`` times.
    mode
        Forced on every coin and side, before what the configuration forces; None: nothing is.
    loss_stop
        Loss of equity since its peak, as a fraction, after which no entry is placed any more; None: off.
    permissions_hours
        How often the key's permissions are read again.
    fills_minutes
        How often fills are read although nothing seems to have changed.
    unknown_seconds
        An order that the exchange does not know so long after it was sent never arrived, or is gone.
    failures
        Cycles that may fail in a row before the loop is restarted.
    backoff_seconds
        Pause after a failed cycle, doubled each time up to sixteenfold.
    """

    price_tolerance: float = 0.0002
    qty_tolerance: float = 0.01
    ladder: int = 30
    open_orders: int = 180
    requests_per_minute: int = 1000
    creates_per_minute: int = 60
    snapshot_seconds: float = 20.0
    candle_lag_minutes: int = 3
    exposure_slack: float = 0.02
    max_exposure: float | None = None
    balance_jump: float = 0.25
    balance_reads: int = 3
    mode: Mode | None = None
    loss_stop: float | None = None
    permissions_hours: float = 6.0
    fills_minutes: float = 5.0
    unknown_seconds: float = 10.0
    failures: int = 10
    backoff_seconds: float = 2.0
