"""Whole downloads, exchange by exchange: what is in the store afterwards is what the venue has."""

from pathlib import Path

import numpy as np
import pytest

from passivbot.exchanges.registry import NAMES
from passivbot.market.download.request import CoinChoice, Request
from passivbot.market.month import read_facts
from passivbot.market.spans import Span
from passivbot.market.store import exchange_name
from passivbot.times import DAY_MS, MINUTE_MS
from tests.download.harness import (
    assert_equals_truth,
    fetch,
    ms,
    request,
    rules_at,
    stored,
    truth,
    venue_of,
    without,
)

BEGIN = ms("2025-03-01")
KEPT = {"gate": 10_000, "hyperliquid": 5000}


@pytest.mark.parametrize("exchange", NAMES)
def test_the_store_has_the_venue_s_candles_from_the_listing_on(exchange: str, tmp_path: Path) -> None:
    """Three days from before the listing to the last finished minute, with a hole that the venue has too."""
    rows = without(truth(exchange, BEGIN, 3 * 1440), BEGIN + 1500 * MINUTE_MS, 77)
    venue = venue_of([exchange], {"BTC": rows})
    span = Span(BEGIN - 5 * DAY_MS, BEGIN + 3 * DAY_MS)
    got = fetch(venue, request([exchange], ["BTC"], *span), tmp_path / "store")
    assert got.report.missing == ()
    assert got.report.added == len(rows)
    assert got.heard.planned_minutes >= got.heard.done_minutes > 3 * 1440
    assert_equals_truth(got, exchange, "BTC", rows, span)
    # What it knows of the hole and of the time before is that there is nothing, not that it was never asked.
    assert got.store.coverage(exchange_name(exchange), "BTC").listed_ms == BEGIN


@pytest.mark.parametrize("exchange", NAMES)
def test_a_listing_long_after_the_start_is_found(exchange: str, tmp_path: Path) -> None:
    """Five months before it; each exchange has another way to page its daily candles."""
    rows = truth(exchange, BEGIN, 300)
    venue = venue_of([exchange], {"BTC": rows})
    span = Span(BEGIN - 151 * DAY_MS, BEGIN + 300 * MINUTE_MS)
    got = fetch(venue, request([exchange], ["BTC"], *span, archives=False), tmp_path / "store")
    assert got.report.missing == ()
    assert_equals_truth(got, exchange, "BTC", rows, span)
    assert venue.counts[exchange, "candles"] < 25


@pytest.mark.parametrize("exchange", KEPT)
def test_what_an_exchange_keeps_no_more_is_missing_not_absent(exchange: str, tmp_path: Path) -> None:
    """Twelve days of which the API has the last ones; nothing is claimed of the days before."""
    rows = truth(exchange, BEGIN, 12 * 1440)
    venue = venue_of([exchange], {"BTC": rows})
    span = Span(BEGIN, BEGIN + 12 * DAY_MS)
    got = fetch(venue, request([exchange], ["BTC"], *span), tmp_path / "store")
    oldest = span.end_ms - KEPT[exchange] * MINUTE_MS
    ((*_, missing, why),) = got.report.missing
    assert missing == Span(BEGIN, oldest)
    assert f"keeps only the last {KEPT[exchange]} minutes" in why
    assert_equals_truth(got, exchange, "BTC", rows, Span(oldest, span.end_ms))


@pytest.mark.parametrize("exchange", NAMES)
def test_market_rules_come_with_the_candles(exchange: str, tmp_path: Path) -> None:
    venue = venue_of([exchange], {"BTC": truth(exchange, BEGIN, 120)}, maker_fee=0.0003)
    got = fetch(venue, request([exchange], ["BTC"], BEGIN, BEGIN + 60 * MINUTE_MS), tmp_path / "store")
    markets = got.store.markets(exchange)
    market, rules = markets.by_coin["BTC"], rules_at(exchange)
    assert len(markets.date) == 10
    assert (market.qty_step, market.c_mult) == (rules.qty_step, rules.c_mult)
    assert market.rules.min_qty == rules.min_qty
    assert market.price_step in (0.1, 1.0)  # hyperliquid's follows from the price: five significant digits
    assert market.active
    if exchange in ("bitget", "kucoinfutures"):
        assert market.maker_fee == 0.0003
    if exchange in ("binanceusdm", "bybit", "okx", "gate", "kucoinfutures"):
        assert market.listing_ms == BEGIN
    if exchange in ("binanceusdm", "bybit", "bitget"):
        assert market.min_cost == 5.0


@pytest.mark.parametrize("exchange", ["binanceusdm", "bybit"])
def test_an_earlier_range_is_filled_and_a_later_one_added(exchange: str, tmp_path: Path) -> None:
    rows = truth(exchange, BEGIN, 6 * 1440)
    middle = Span(BEGIN + 2 * DAY_MS, BEGIN + 3 * DAY_MS)
    whole = Span(BEGIN, BEGIN + 6 * DAY_MS)
    first = fetch(venue_of([exchange], {"BTC": rows}), request([exchange], ["BTC"], *middle), tmp_path / "s")
    assert first.report.added == 1440
    venue = venue_of([exchange], {"BTC": rows})
    second = fetch(venue, request([exchange], ["BTC"], *whole), tmp_path / "s")
    assert second.report.added == 5 * 1440
    assert second.heard.planned_minutes == 5 * 1440
    assert_equals_truth(second, exchange, "BTC", rows, whole)
    venue = venue_of([exchange], {"BTC": rows})
    third = fetch(venue, request([exchange], ["BTC"], *whole), tmp_path / "s")
    assert third.report.added == third.heard.planned_minutes == 0
    assert venue.counts[exchange, "candles"] == venue.counts[exchange, "archive"] == 0


def test_without_a_start_the_store_is_brought_up_to_date(tmp_path: Path) -> None:
    rows = truth("bybit", BEGIN, 3 * 1440)
    fetch(
        venue_of(["bybit"], {"BTC": rows}),
        request(["bybit"], ["BTC"], BEGIN + DAY_MS, BEGIN + 2 * DAY_MS),
        tmp_path / "s",
    )
    later = fetch(venue_of(["bybit"], {"BTC": rows}), request(["bybit"], ["BTC"], None, None), tmp_path / "s")
    assert later.report.added == 1440
    assert_equals_truth(later, "bybit", "BTC", rows, Span(BEGIN + DAY_MS, BEGIN + 3 * DAY_MS))


def test_the_running_minute_is_never_stored(tmp_path: Path) -> None:
    """Market time stands in the middle of the candles: the minute it is in has begun, and no more."""
    rows = truth("bybit", BEGIN, 600)
    venue = venue_of(["bybit"], {"BTC": rows}, now_ms=BEGIN + 500 * MINUTE_MS)
    got = fetch(venue, request(["bybit"], ["BTC"], BEGIN, None), tmp_path / "s")
    assert got.report.added == 500
    assert_equals_truth(got, "bybit", "BTC", rows, Span(BEGIN, BEGIN + 500 * MINUTE_MS))


def test_a_late_candle_is_missing_not_absent(tmp_path: Path) -> None:
    """The last three minutes are not there yet: nothing says they never will be."""
    rows = truth("bybit", BEGIN, 600)
    venue = venue_of(["bybit"], {"BTC": rows[:-3]}, now_ms=BEGIN + 600 * MINUTE_MS)
    got = fetch(venue, request(["bybit"], ["BTC"], BEGIN, None), tmp_path / "s")
    late = Span(BEGIN + 597 * MINUTE_MS, BEGIN + 600 * MINUTE_MS)
    assert got.report.missing == ()
    assert got.store.missing("bybit", "BTC", BEGIN, late.end_ms) == (late,)
    assert "bybit BTC: not there yet: 2025-03-01 09:57 … 2025-03-01 09:59" in got.heard.notes
    asked = request(["bybit"], ["BTC"], BEGIN, late.end_ms)
    asked_for = fetch(venue_of(["bybit"], {"BTC": rows[:-3]}, now_ms=late.end_ms), asked, tmp_path / "s")
    assert [(m.span, m.why) for m in asked_for.report.missing] == [(late, "not there yet")]
    again = fetch(venue_of(["bybit"], {"BTC": rows}), request(["bybit"], ["BTC"], None, None), tmp_path / "s")
    assert again.report.missing == ()
    assert again.report.added == 3


def test_a_long_outage_costs_few_questions(tmp_path: Path) -> None:
    """Forty days without a candle in the middle; the daily candles tell how far to go."""
    rows = without(truth("bybit", BEGIN, 44 * 1440), BEGIN + 2 * DAY_MS, 40 * 1440)
    venue = venue_of(["bybit"], {"BTC": rows})
    span = Span(BEGIN, BEGIN + 44 * DAY_MS)
    got = fetch(venue, request(["bybit"], ["BTC"], *span), tmp_path / "s")
    assert_equals_truth(got, "bybit", "BTC", rows, span)
    assert venue.counts["bybit", "candles"] < 20


def test_many_coins_of_several_exchanges(tmp_path: Path) -> None:
    candles = {f"C{i}": truth("bybit", BEGIN, 1440, coin_number=i) for i in range(4)}
    venue = venue_of(["binanceusdm", "bybit"], candles)
    span = Span(BEGIN, BEGIN + DAY_MS)
    got = fetch(venue, request(["binanceusdm", "bybit"], list(candles), *span), tmp_path / "s")
    assert got.report.markets == 8
    for exchange in ("binanceusdm", "bybit"):
        for coin, rows in candles.items():
            assert_equals_truth(got, exchange, coin, rows, span)


def test_the_most_traded_coins_are_chosen(tmp_path: Path) -> None:
    candles = {f"C{i}": truth("bybit", BEGIN, 1440, coin_number=i) for i in range(4)}
    turnover = {coin: float((rows[:, 5] * rows[:, 4]).sum()) for coin, rows in candles.items()}
    wanted = sorted(turnover, key=lambda coin: -turnover[coin])[:2]
    venue = venue_of(["binanceusdm", "bybit"], candles)
    asked = Request(("binanceusdm", "bybit"), CoinChoice(top=2), BEGIN, BEGIN + DAY_MS)
    got = fetch(venue, asked, tmp_path / "s")
    assert sorted(wanted) == list(got.store.coins("binance")) == list(got.store.coins("bybit"))


@pytest.mark.parametrize("exchange", NAMES)
def test_what_was_traded_is_understood_on_every_exchange(exchange: str, tmp_path: Path) -> None:
    """The cheaper coin of the two is traded a hundred times as much, in money."""
    rows = {coin: truth(exchange, BEGIN, 1440, coin_number=i) for i, coin in enumerate(("AAA", "ZZZ"))}
    cost = {coin: float((r[:, 5] * r[:, 4]).sum()) for coin, r in rows.items()}
    step = rules_at(exchange).qty_step * rules_at(exchange).c_mult
    rows["ZZZ"][:, 5] = np.ceil(rows["ZZZ"][:, 5] * 100 * cost["AAA"] / cost["ZZZ"] / step) * step
    wanted = Request((exchange,), CoinChoice(top=1), BEGIN, BEGIN + 60 * MINUTE_MS)
    got = fetch(venue_of([exchange], rows), wanted, tmp_path / "s")
    assert got.store.coins(exchange) == ("ZZZ",)


@pytest.mark.parametrize("exchange", ["binanceusdm", "gate"])
def test_published_files_come_first_and_the_api_does_the_rest(exchange: str, tmp_path: Path) -> None:
    """The end of a month, a month, three days: months by their files, the rest by the API or by days."""
    span = Span(ms("2025-03-22"), ms("2025-05-04"))
    rows = truth(exchange, span.begin_ms, span.minutes)
    venue = venue_of([exchange], {"BTC": rows})
    got = fetch(venue, request([exchange], ["BTC"], *span), tmp_path / "s")
    assert got.report.missing == ()
    assert_equals_truth(got, exchange, "BTC", rows, span)
    sources = {
        path.stem: {part.source for part in read_facts(path).fetched}
        for path in got.store.files(exchange_name(exchange), "BTC")
    }
    assert sources["2025-03"] == sources["2025-04"] == {"archive"}
    assert sources["2025-05"] == ({"archive"} if exchange == "binanceusdm" else {"api"})
    assert venue.counts[exchange, "candles"] < 8


def test_files_and_api_give_the_same_bytes(tmp_path: Path) -> None:
    """But for the word that says where they came from."""
    span = Span(ms("2025-03-22"), ms("2025-04-03"))
    rows = without(truth("binanceusdm", span.begin_ms, span.minutes), BEGIN + 25 * DAY_MS, 300)
    tables = []
    for name, archives in (("files", True), ("api", False)):
        venue = venue_of(["binanceusdm"], {"BTC": rows})
        got = fetch(venue, request(["binanceusdm"], ["BTC"], *span, archives=archives), tmp_path / name)
        assert (venue.counts["binanceusdm", "archive"] > 0) is archives
        tables.append(stored(got.store, "binanceusdm", "BTC"))
        assert_equals_truth(got, "binanceusdm", "BTC", rows, span)
    np.testing.assert_array_equal(*tables)


def test_a_delisted_market_ends_where_its_trading_ended(tmp_path: Path) -> None:
    """Binance still lists it while it settles: the API answers, and has nothing after the end."""
    rows = truth("binanceusdm", BEGIN, 2 * 1440)
    venue = venue_of(["binanceusdm"], {"BTC": rows}, now_ms=BEGIN + 60 * DAY_MS, active=False)
    span = Span(BEGIN, BEGIN + 59 * DAY_MS)
    got = fetch(venue, request(["binanceusdm"], ["BTC"], *span), tmp_path / "s")
    assert got.report.missing == ()
    assert_equals_truth(got, "binanceusdm", "BTC", rows, span)
    assert "binance BTC: delisted: candles end where its trading ended" in got.heard.notes
    assert got.store.markets("binance").by_coin["BTC"].active is False


def test_of_a_market_that_is_gone_trades_are_joined(tmp_path: Path) -> None:
    """Bybit's API does not list it any more; its archive has the trades of each day."""
    rows = truth("bybit", BEGIN, 3 * 1440)
    quiet = np.arange(100, 130)
    rows[quiet, 5] = 0.0
    rows[quiet, 1:5] = rows[quiet[0] - 1, 4]
    rows[quiet[-1] + 1, 1] = rows[quiet[0] - 1, 4]
    rows[:, 2] = rows[:, [1, 2, 4]].max(axis=1)
    rows[:, 3] = rows[:, [1, 3, 4]].min(axis=1)
    other = truth("bybit", BEGIN, 100 * 1440, coin_number=1)
    venue = venue_of(["bybit"], {"BTC": rows, "ETH": other})
    venue.source.change("BTC", active=False)
    span = Span(BEGIN - 2 * DAY_MS, BEGIN + 100 * DAY_MS)
    got = fetch(venue, request(["bybit"], ["BTC"], *span), tmp_path / "s")
    inside = stored(got.store, "bybit", "BTC")
    np.testing.assert_array_equal(inside[:, :5], rows[:, :5])
    np.testing.assert_allclose(inside[:, 5], rows[:, 5], rtol=1e-12)
    assert any("not listed any more; published files of it go from 2025-03-01" in n for n in got.heard.notes)
    # Files come two days late: only there may something still come.
    assert [m.span for m in got.report.missing] == [Span(BEGIN + 98 * DAY_MS, span.end_ms)]


def test_a_market_that_is_gone_on_one_exchange_alone_is_taken_from_its_files(tmp_path: Path) -> None:
    rows = truth("bybit", BEGIN, 5 * 1440)
    venue = venue_of(["bybit", "okx"], {"BTC": rows, "ETH": rows})
    bybit = venue.publics["bybit"]
    bybit.listed = lambda: iter([venue.source.market("ETH")])  # type: ignore[method-assign]
    span = Span(BEGIN, BEGIN + 2 * DAY_MS)
    got = fetch(venue, request(["bybit", "okx"], ["BTC"], *span), tmp_path / "s")
    assert got.report.missing == ()
    for exchange in ("bybit", "okx"):
        np.testing.assert_array_equal(stored(got.store, exchange, "BTC")[:, 4], rows[: 2 * 1440, 4])


def test_of_a_market_that_is_gone_months_are_taken(tmp_path: Path) -> None:
    rows = truth("binanceusdm", BEGIN, 40 * 1440)
    other = truth("binanceusdm", BEGIN, 100 * 1440, coin_number=1)
    venue = venue_of(["binanceusdm"], {"BTC": rows, "ETH": other})
    # Gone from the list, and the files stay: the archive still knows the market.
    venue.publics["binanceusdm"].listed = lambda: iter([venue.source.market("ETH")])  # type: ignore[method-assign]
    span = Span(BEGIN, BEGIN + 61 * DAY_MS)
    got = fetch(venue, request(["binanceusdm"], ["BTC"], *span), tmp_path / "s")
    assert got.report.missing == ()
    assert_equals_truth(got, "binanceusdm", "BTC", rows, span)
