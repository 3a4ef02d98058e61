"""The reader of pages against an exchange that answers wrongly now and then."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passivbot.market.clean import Floats
from passivbot.market.download.pages import Page, Pager
from passivbot.market.spans import Span, minus, union
from passivbot.times import DAY_MS, MINUTE_MS

BEGIN = 1_740_787_200_000
SIZE = 40
LIES = ("nothing", "head", "tail", "twice", "backwards", "stale", "torn", "later")


def candles(minutes: Sequence[int]) -> Floats:
    stamps = BEGIN + np.array(sorted(minutes), dtype=np.float64) * MINUTE_MS
    price = 100.0 + (stamps / MINUTE_MS) % 17
    return np.stack((stamps, price, price + 1, price - 1, price, stamps % 7 + 1), axis=1)


class Exchange:
    """Gives pages of known candles; the calls named in ``lies`` are answered wrongly."""

    def __init__(self, minutes: Sequence[int], lies: dict[int, str]) -> None:
        self.rows = candles(minutes) if minutes else np.empty((0, 6))
        self.lies = lies
        self.calls = 0
        self.before: Floats = np.empty((0, 6))

    async def ask(self, interval: str, since_ms: int, count: int) -> Floats:
        self.calls += 1
        lie = self.lies.get(self.calls)
        if interval == "1d":
            days = np.unique(self.rows[:, 0] // DAY_MS) * DAY_MS
            days = days[days >= since_ms][:count]
            return np.zeros((0, 6)) if lie else np.stack([days, *[np.ones(days.size)] * 5], axis=1)
        right = self.rows[self.rows[:, 0] >= since_ms][:count]
        answer = self._lied(right, lie)
        self.before = right
        return answer

    def _lied(self, rows: Floats, lie: str | None) -> Floats:
        half = len(rows) // 2
        if lie == "nothing":
            return rows[:0]
        if lie == "head":
            return rows[:half]
        if lie == "tail":
            return rows[half:]
        if lie == "twice":
            return np.concatenate((rows, rows))
        if lie == "backwards":
            return rows[::-1]
        if lie == "stale":
            return self.before
        if lie == "torn":
            # One minute in two versions: neither is to be believed.
            return np.concatenate((rows, rows[:1] * [1, 2, 2, 2, 2, 1]))
        if lie == "later":
            return self.rows[-3:]
        return rows


def read(pager: Pager, span: Span) -> list[Page]:
    async def run() -> list[Page]:
        return [page async for page in pager.pages(span)]

    return asyncio.run(run())


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    """Up to 300 minutes with holes; no two calls in a row are lies, since two equal lies are believed."""
    whole = draw(st.integers(0, 300))
    holes = draw(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 90)), max_size=4))
    minutes = [m for m in range(whole) if not any(b <= m < b + n for b, n in holes)]
    at = draw(st.lists(st.integers(1, 60), max_size=12, unique=True))
    spread = [call for i, call in enumerate(sorted(at)) if i == 0 or call - sorted(at)[i - 1] > 1]
    return Exchange(minutes, {call: draw(st.sampled_from(LIES)) for call in spread})


@settings(max_examples=150, deadline=None)
@given(exchanges(), st.integers(-100, 50), st.integers(60, 400))
def test_whatever_an_exchange_answers_wrongly_the_candles_are_right(
    exchange: Exchange, begin: int, end: int
) -> None:
    span = Span(BEGIN + begin * MINUTE_MS, BEGIN + end * MINUTE_MS)
    pages = read(Pager(exchange.ask, SIZE, span.end_ms, SIZE), span)
    rows = np.concatenate([page.rows for page in pages])
    inside = (exchange.rows[:, 0] >= span.begin_ms) & (exchange.rows[:, 0] < span.end_ms)
    np.testing.assert_array_equal(rows, exchange.rows[inside])
    assert union(page.span for page in pages) == (span,)
    for page in pages:
        assert ((page.rows[:, 0] >= page.span.begin_ms) & (page.rows[:, 0] < page.span.end_ms)).all()


@settings(max_examples=60, deadline=None)
@given(exchanges(), st.integers(0, 400))
def test_of_unsettled_minutes_only_those_with_a_candle_count_as_fetched(
    exchange: Exchange, settled: int
) -> None:
    span = Span(BEGIN, BEGIN + 400 * MINUTE_MS)
    settled_ms = BEGIN + settled * MINUTE_MS
    pages = read(Pager(exchange.ask, SIZE, settled_ms, SIZE), span)
    fetched = union(page.span for page in pages)
    stamps = exchange.rows[:, 0].astype(int)
    there = union(Span(t, t + MINUTE_MS) for t in stamps.tolist())
    late = Span(max(settled_ms, span.begin_ms), span.end_ms)
    assert minus(span, fetched) == union(left for left in minus(late, there))


@pytest.mark.parametrize("missing", [0, 1, 39])
def test_a_hole_is_asked_for_twice_and_a_whole_page_once(missing: int) -> None:
    minutes = [m for m in range(SIZE) if m >= missing]
    exchange = Exchange(minutes, {})
    read(Pager(exchange.ask, SIZE, 2**60, SIZE), Span(BEGIN, BEGIN + SIZE * MINUTE_MS))
    assert exchange.calls == (2 if missing else 1)


def test_years_before_the_listing_cost_a_few_questions() -> None:
    """Three years with pages of 40 candles: 28 pages of days, not 40,000 of minutes."""
    exchange = Exchange(range(100), {})
    span = Span(BEGIN - 1100 * DAY_MS, BEGIN + 100 * MINUTE_MS)
    pages = read(Pager(exchange.ask, SIZE, 2**60, SIZE), span)
    assert sum(len(page.rows) for page in pages) == 100
    assert exchange.calls < 70


def test_candles_that_stay_senseless_are_counted() -> None:
    exchange = Exchange(range(SIZE), {})
    exchange.rows[3, 2] = 1.0  # high below low
    exchange.rows[7, 4] = np.nan
    exchange.rows[9, 5] = -1.0
    pager = Pager(exchange.ask, SIZE, 2**60, SIZE)
    pages = read(pager, Span(BEGIN, BEGIN + SIZE * MINUTE_MS))
    assert sum(len(page.rows) for page in pages) == SIZE - 3
    assert pager.senseless == 3
