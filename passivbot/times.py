"""Times are milliseconds since 1970, UTC; here is how many make a day, and how a person reads them."""

from datetime import UTC, datetime

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


def utc(ms: int) -> str:
    """Return a time as a person reads it, to the minute; what no calendar has, as the number."""
    try:
        return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M}"
    except (OverflowError, ValueError, OSError):
        return f"timestamp {ms}"


def day(ms: int) -> str:
    """Return the day of a time, ``YYYY-MM-DD``."""
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%d}"


def duration(seconds: float | None) -> str:
    """Return seconds as a person reads them; None: nobody knows."""
    if seconds is None:
        return "unknown time"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
