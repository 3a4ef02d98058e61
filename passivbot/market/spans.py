"""Stretches of time: what was fetched, what is missing. Half open, in UTC milliseconds."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from passivbot.market.clean import Ints
from passivbot.times import DAY_MS, MINUTE_MS, utc


class Span(NamedTuple):
    """The minutes from ``begin_ms`` to before ``end_ms``."""

    begin_ms: int
    end_ms: int

    @property
    def minutes(self) -> int:
        """Number of minutes."""
        return (self.end_ms - self.begin_ms) // MINUTE_MS

    def __str__(self) -> str:
        """As a person reads it: days where it is whole days."""
        if self.begin_ms % DAY_MS == 0 == self.end_ms % DAY_MS:
            first, last = utc(self.begin_ms)[:10], utc(self.end_ms - DAY_MS)[:10]
            return first if first == last else f"{first} … {last}"
        first, last = utc(self.begin_ms), utc(self.end_ms - MINUTE_MS)
        return first if first == last else f"{first} … {last}"


def union(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the spans in order, those that touch or overlap joined and empty ones left out."""
    joined: list[Span] = []
    for span in sorted(span for span in spans if span.end_ms > span.begin_ms):
        if joined and span.begin_ms <= joined[-1].end_ms:
            joined[-1] = Span(joined[-1].begin_ms, max(joined[-1].end_ms, span.end_ms))
        else:
            joined.append(span)
    return tuple(joined)


def minus(span: Span, spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return what of a span lies in none of the others, in order."""
    left: list[Span] = []
    begin = span.begin_ms
    for other in union(spans):
        if other.begin_ms >= span.end_ms:
            break
        if other.begin_ms > begin:
            left.append(Span(begin, other.begin_ms))
        begin = max(begin, other.end_ms)
    if begin < span.end_ms:
        left.append(Span(begin, span.end_ms))
    return tuple(left)


def within(span: Span, spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return what of a span lies in one of the others, in order."""
    cut = (Span(max(span.begin_ms, s.begin_ms), min(span.end_ms, s.end_ms)) for s in spans)
    return union(cut)


def runs(timestamp: Ints) -> tuple[Span, ...]:
    """Return the unbroken stretches of ascending minutes, int64 (n,)."""
    if not timestamp.size:
        return ()
    cuts = (timestamp[1:] - timestamp[:-1] != MINUTE_MS).nonzero()[0]
    begins = (int(timestamp[0]), *map(int, timestamp[cuts + 1]))
    ends = (*map(int, timestamp[cuts]), int(timestamp[-1]))
    return tuple(Span(begin, end + MINUTE_MS) for begin, end in zip(begins, ends, strict=True))


def month_of(timestamp_ms: int) -> str:
    """Return the month of a time, ``YYYY-MM``, UTC."""
    return f"{datetime.fromtimestamp(timestamp_ms // 1000, UTC):%Y-%m}"


def month_span(month: str) -> Span:
    """Return the minutes of a month ``YYYY-MM``; ValueError if it is none."""
    begin = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    after = (begin.replace(day=28).timestamp() + 4 * 86_400) * 1000
    end = datetime.fromtimestamp(after // 1000, UTC).replace(day=1, hour=0, minute=0, second=0)
    return Span(int(begin.timestamp()) * 1000, int(end.timestamp()) * 1000)


def months(span: Span) -> tuple[str, ...]:
    """Return the months that a span touches, ascending."""
    found: list[str] = []
    begin = span.begin_ms
    while begin < span.end_ms:
        found.append(month_of(begin))
        begin = month_span(found[-1]).end_ms
    return tuple(found)
