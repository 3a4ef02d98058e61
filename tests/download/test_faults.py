"""What exchanges do wrong: after each fault the store has the venue's candles, or says what is missing."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from passivbot.exchanges.registry import NAMES
from passivbot.market.download.pace import Patience
from passivbot.market.spans import Span
from passivbot.times import DAY_MS, MINUTE_MS
from passivbot.venue import Venue
from tests.download.harness import (
    assert_equals_truth,
    fetch,
    fetch_in,
    ms,
    request,
    stored,
    truth,
    venue_of,
    without,
)

BEGIN = ms("2025-03-01")


@pytest.fixture(autouse=True)
def short_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some exchanges say that it was too much and not for how long; tests do not wait ten seconds then."""
    monkeypatch.setattr("passivbot.exchanges.errors.DEFAULT_RETRY_AFTER_S", 0.05)


SPAN = Span(BEGIN, BEGIN + 2 * DAY_MS)

# Fault → its settings; each meets the second page of candles and some after it.
PAGE_FAULTS: dict[str, dict[str, Any]] = {
    "429": {"kind": "limit", "seconds": 0.05, "times": 2},
    "503": {"kind": "status", "status": 503, "times": 3},
    "500 as a page": {"kind": "status", "status": 502, "body": b"<html>Bad Gateway</html>"},
    "dropped": {"kind": "drop", "times": 2},
    "cut in the middle": {"kind": "cut"},
    "truncated": {"kind": "truncate", "keep": 37},
    "empty": {"kind": "truncate", "keep": 0},
    "doubled rows": {"kind": "repeat"},
    "backwards": {"kind": "reverse"},
}


@pytest.mark.parametrize("fault", PAGE_FAULTS)
@pytest.mark.parametrize("exchange", NAMES)
def test_after_a_fault_of_a_page_the_store_equals_the_venue(
    exchange: str, fault: str, tmp_path: Path
) -> None:
    rows = without(truth(exchange, BEGIN, 2 * 1440), BEGIN + 1700 * MINUTE_MS, 9)
    venue = venue_of([exchange], {"BTC": rows})
    met = venue.faults.add("candles", skip=1, **PAGE_FAULTS[fault])
    got = fetch(venue, request([exchange], ["BTC"], *SPAN, archives=False), tmp_path / "s")
    assert met.met == met.times
    assert got.report.missing == ()
    assert_equals_truth(got, exchange, "BTC", rows, SPAN)


@pytest.mark.parametrize("operation", ["markets", "time"])
@pytest.mark.parametrize("kind", ["drop", "status", "limit"])
def test_first_contact_survives_a_fault(operation: str, kind: Any, tmp_path: Path) -> None:
    rows = truth("binanceusdm", BEGIN, 1440)
    venue = venue_of(["binanceusdm"], {"BTC": rows})
    met = venue.faults.add(operation, kind, seconds=0.05)
    span = Span(BEGIN, BEGIN + DAY_MS)
    got = fetch(venue, request(["binanceusdm"], ["BTC"], *span, archives=False), tmp_path / "s")
    assert met.met == 1
    assert_equals_truth(got, "binanceusdm", "BTC", rows, span)


def _stale(venue: Venue, exchange: str) -> None:
    """Let the venue send the first page again in place of the third."""
    first: list[Any] = []

    def remember(body: Any) -> Any:
        first.append(body)
        return body

    venue.faults.add("candles", "edit", edit=remember, skip=1)
    venue.faults.add("candles", "edit", edit=lambda body: first[0], skip=2)


@pytest.mark.parametrize("exchange", ["binanceusdm", "bybit"])
def test_a_page_sent_again_in_place_of_the_next_is_no_hole(exchange: str, tmp_path: Path) -> None:
    rows = truth(exchange, BEGIN, 4 * 1440)
    venue = venue_of([exchange], {"BTC": rows})
    _stale(venue, exchange)
    span = Span(BEGIN, BEGIN + 4 * DAY_MS)
    got = fetch(venue, request([exchange], ["BTC"], *span, archives=False), tmp_path / "s")
    assert len(venue.faults.done) == 2
    assert_equals_truth(got, exchange, "BTC", rows, span)


@pytest.mark.parametrize("skew_ms", [-20_000, 20_000, 3_600_000, -3_600_000])
def test_a_wrong_clock_neither_stores_the_running_minute_nor_loses_one(skew_ms: int, tmp_path: Path) -> None:
    """The venue's clock differs from its candles': up to what both know, the store is right."""
    rows = truth("bybit", BEGIN, 1440)
    venue = venue_of(["bybit"], {"BTC": rows}, now_ms=BEGIN + 1200 * MINUTE_MS)
    venue.skew_ms += skew_ms
    got = fetch(venue, request(["bybit"], ["BTC"], BEGIN, None), tmp_path / "s")
    inside = stored(got.store, "bybit", "BTC")
    said_ms = venue.wall_ms() // MINUTE_MS * MINUTE_MS
    assert inside[-1, 0] + MINUTE_MS <= min(said_ms, venue.clock.now_ms + MINUTE_MS)
    again = venue_of(["bybit"], {"BTC": rows})
    later = fetch(again, request(["bybit"], ["BTC"], BEGIN, BEGIN + DAY_MS), tmp_path / "s")
    assert len(stored(later.store, "bybit", "BTC")) == 1440
    assert later.report.missing == ()


def test_a_candle_that_makes_no_sense_is_asked_for_again(tmp_path: Path) -> None:
    """High below low in one answer; the next one is right."""
    rows = truth("binanceusdm", BEGIN, 1440)
    venue = venue_of(["binanceusdm"], {"BTC": rows})

    def spoil(body: Any) -> Any:
        body[10][2], body[10][3] = "1", "2"
        body[11][4] = "NaN"
        return body

    met = venue.faults.add("candles", "edit", edit=spoil, skip=1)
    span = Span(BEGIN, BEGIN + DAY_MS)
    got = fetch(venue, request(["binanceusdm"], ["BTC"], *span, archives=False), tmp_path / "s")
    assert met.met == 1
    assert_equals_truth(got, "binanceusdm", "BTC", rows, span)


def test_a_candle_that_never_makes_sense_is_left_out_and_said(tmp_path: Path) -> None:
    rows = truth("binanceusdm", BEGIN, 300)
    bad = rows.copy()
    bad[10, 2], bad[10, 3] = 1.0, 2.0
    venue = venue_of(["binanceusdm"], {"BTC": bad})
    span = Span(BEGIN, BEGIN + 300 * MINUTE_MS)
    got = fetch(venue, request(["binanceusdm"], ["BTC"], *span, archives=False), tmp_path / "s")
    assert len(stored(got.store, "binanceusdm", "BTC")) == 299
    assert "binance BTC: candles that made no sense, left out: 1" in got.heard.notes


def test_silence_is_kept_by_all_and_as_long_as_asked(tmp_path: Path) -> None:
    """429 with Retry-After: nothing is asked until it is over, by no coin."""
    candles = {f"C{i}": truth("binanceusdm", BEGIN, 2 * 1440, coin_number=i) for i in range(4)}
    venue = venue_of(["binanceusdm"], candles)
    venue.faults.add("candles", "limit", skip=6, seconds=2.0)
    wanted = request(["binanceusdm"], list(candles), *SPAN, archives=False)
    got = fetch(venue, wanted, tmp_path / "s", patience=Patience(0.02, 0.1, 5.0, 20.0))
    assert got.report.missing == ()
    for coin, rows in candles.items():
        assert_equals_truth(got, "binanceusdm", coin, rows, SPAN)
    lines = list(venue.log)
    limited = next(i for i, line in enumerate(lines) if line.fault == "limit")
    after = [line.wall_s - lines[limited].wall_s for line in lines[limited + 1 :]]
    # The three other coins may each have had a question on its way; no further one is sent.
    assert len([gap for gap in after if gap < 1.9]) <= 3
    assert any("waits 2.0 s: " in note for note in got.heard.notes)


def test_a_ban_that_is_too_long_is_not_waited_for(tmp_path: Path) -> None:
    """418 for a quarter of an hour: what was fetched stays, what lacks is said, with the exchange's words."""
    rows = truth("binanceusdm", BEGIN, 2 * 1440)
    venue = venue_of(["binanceusdm"], {"BTC": rows})
    venue.faults.add("candles", "limit", skip=3, seconds=900.0)
    began = time.monotonic()
    got = fetch(venue, request(["binanceusdm"], ["BTC"], *SPAN, archives=False), tmp_path / "s")
    assert time.monotonic() - began < 20
    (missing,) = got.report.missing
    assert missing.span.end_ms == SPAN.end_ms
    assert "-1003" in missing.why
    there = Span(SPAN.begin_ms, missing.span.begin_ms)
    assert there.minutes >= 499
    assert_equals_truth(got, "binanceusdm", "BTC", rows[: there.minutes], there)


def test_an_exchange_that_breaks_off_leaves_what_came_and_says_the_rest(tmp_path: Path) -> None:
    rows = truth("bybit", BEGIN, 4 * 1440)
    venue = venue_of(["bybit"], {"BTC": rows})
    venue.faults.add("candles", "drop", skip=3, times=10**6)
    span = Span(BEGIN, BEGIN + 4 * DAY_MS)
    patience = Patience(0.01, 0.05, 0.5, 5.0)
    got = fetch(venue, request(["bybit"], ["BTC"], *span), tmp_path / "s", patience=patience)
    (missing,) = got.report.missing
    there = Span(BEGIN, missing.span.begin_ms)
    assert there.minutes == 2000
    assert_equals_truth(got, "bybit", "BTC", rows[:2000], there)
    again = fetch(venue_of(["bybit"], {"BTC": rows}), request(["bybit"], ["BTC"], *span), tmp_path / "s")
    assert again.report.added == 4 * 1440 - 2000
    assert_equals_truth(again, "bybit", "BTC", rows, span)


def test_one_exchange_that_can_t_be_reached_does_not_stop_the_others(tmp_path: Path) -> None:
    rows = truth("bybit", BEGIN, 1440)
    venue = venue_of(["binanceusdm", "bybit"], {"BTC": rows})
    venue.faults.add("markets", "drop", exchange="binanceusdm", times=10**6)
    span = Span(BEGIN, BEGIN + DAY_MS)
    got = fetch(venue, request(["binanceusdm", "bybit"], ["BTC"], *span), tmp_path / "s")
    assert_equals_truth(got, "bybit", "BTC", rows, span)
    assert [(m.exchange, m.span) for m in got.report.missing] == [("binance", span)]
    assert got.report.unreached == ("binance",)
    assert not got.report.complete
    assert any(note.startswith("binance: can't be reached, left out") for note in got.heard.notes)


ARCHIVE_FAULTS: dict[str, dict[str, Any]] = {
    "503": {"kind": "status", "status": 503, "times": 2},
    "429": {"kind": "status", "status": 429, "times": 2},
    "dropped": {"kind": "drop"},
    "cut": {"kind": "cut"},
    "another file": {"kind": "edit", "edit": lambda body: body + b"x"},
    "never there": {"kind": "status", "status": 404, "times": 10**6},
    "always damaged": {"kind": "cut", "times": 10**6},
    "always refused": {"kind": "status", "status": 400, "times": 10**6},
}


@pytest.mark.parametrize("fault", ARCHIVE_FAULTS)
def test_after_a_fault_of_the_archive_the_store_equals_the_venue(fault: str, tmp_path: Path) -> None:
    """A month's file and a day's."""
    span = Span(ms("2025-03-24"), ms("2025-04-02"))
    rows = truth("binanceusdm", span.begin_ms, span.minutes)
    venue = venue_of(["binanceusdm"], {"BTC": rows})
    met = venue.faults.add("archive", **ARCHIVE_FAULTS[fault])
    got = fetch(venue, request(["binanceusdm"], ["BTC"], *span), tmp_path / "s")
    assert met.met >= 1
    assert got.report.missing == ()
    assert_equals_truth(got, "binanceusdm", "BTC", rows, span)
    if fault.startswith("always"):
        assert any(": archive: " in note for note in got.heard.notes)


def test_an_archive_that_is_down_is_not_asked_for_each_file(tmp_path: Path) -> None:
    """Two coins, sixteen files: the first of them finds out."""
    rows = {coin: truth("binanceusdm", BEGIN, 8 * 1440, coin_number=i) for i, coin in enumerate("AB")}
    venue = venue_of(["binanceusdm"], rows)
    venue.faults.add("archive", "drop", times=10**6)
    span = Span(BEGIN, BEGIN + 8 * DAY_MS)
    patience = Patience(0.02, 0.1, 0.5, 1.0)
    wanted = request(["binanceusdm"], ["A", "B"], *span)
    got = fetch(venue, wanted, tmp_path / "s", patience=patience)
    for coin in "AB":
        assert_equals_truth(got, "binanceusdm", coin, rows[coin], span)
    # Each file by itself would be asked for some fifteen times within this patience.
    assert venue.counts["binanceusdm", "archive"] < 80
    assert any(note.startswith("binance: archive: ") for note in got.heard.notes)


def test_a_file_without_some_days_is_completed(tmp_path: Path) -> None:
    """A month's file that lacks three days, as Binance has published some: its days and the API have them."""
    rows = truth("binanceusdm", BEGIN, 31 * 1440)
    venue = venue_of(["binanceusdm"], {"BTC": rows})
    whole = venue.source

    class Gapped(type(whole)):  # type: ignore[misc]
        def candles(self, coin: str, start_ms: int, end_ms: int) -> Any:
            found = super().candles(coin, start_ms, end_ms)
            month = end_ms - start_ms == 31 * DAY_MS
            return without(found, BEGIN + 26 * DAY_MS, 3 * 1440 + 500) if month else found

    gapped = Gapped([*whole.markets.values()], {"BTC": rows})
    venue.publics["binanceusdm"].source = gapped
    span = Span(BEGIN, BEGIN + 31 * DAY_MS)
    got = fetch(venue, request(["binanceusdm"], ["BTC"], *span), tmp_path / "s")
    assert_equals_truth(got, "binanceusdm", "BTC", rows, span)
    assert [line.path for line in venue.seen("archive") if "/daily/" in line.path] != []
    assert venue.counts["binanceusdm", "candles"] > 1


def test_a_cancelled_download_keeps_what_came(tmp_path: Path) -> None:
    """Ctrl-C: what was read is written on the way out."""
    rows = truth("bybit", BEGIN, 6 * 1440)
    venue = venue_of(["bybit"], {"BTC": rows})
    venue.faults.add("candles", "delay", skip=5, seconds=30.0)
    span = Span(BEGIN, BEGIN + 6 * DAY_MS)

    async def run() -> None:
        task = asyncio.create_task(fetch_in(venue, request(["bybit"], ["BTC"], *span), tmp_path / "s"))
        while venue.counts["bybit", "candles"] < 5:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    again = venue_of(["bybit"], {"BTC": rows})
    got = fetch(again, request(["bybit"], ["BTC"], *span), tmp_path / "s")
    assert got.report.added < 6 * 1440
    assert_equals_truth(got, "bybit", "BTC", rows, span)
