"""What a user or a machine does wrong: one clear message, nothing lost."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from passivbot.errors import ConfigError, ExchangeError, PassivbotError, ResourceError
from passivbot.market.download.request import CoinChoice, Request, parse_coins, parse_request, update_request
from passivbot.market.spans import Span
from passivbot.market.store import Store
from passivbot.times import DAY_MS, MINUTE_MS
from tests.disks import mount, unmount
from tests.download.harness import assert_equals_truth, fetch, ms, request, stored, truth, venue_of
from tests.needs import lacking

BEGIN = ms("2025-03-01")
NOW = ms("2025-06-01")


def parsed(
    exchange: str = "binance", coins: str = "BTC", begin: str = "2025-03-01", end: str = "now"
) -> Request:
    return parse_request([exchange], coins, begin, end, now_ms=NOW)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"exchange": "binanse"}, "--exchange is 'binanse'; allowed is binanceusdm"),
        ({"exchange": "defx"}, "defx closed its API"),
        ({"exchange": ","}, "--exchange names no exchange"),
        ({"begin": "yesterday"}, "--from is 'yesterday'; allowed is a date"),
        ({"end": "2025-13-01"}, "--to is '2025-13-01'; allowed is a date"),
        ({"begin": "2025-05-02", "end": "2025-05-01"}, "ends before --from"),
        ({"begin": "2031-01-01"}, "lies in the future"),
        ({"coins": "top:0"}, "--coins is 'top:0'; allowed is top: and a number"),
        ({"coins": "top:ten"}, "allowed is top: and a number"),
        ({"coins": " , "}, "--coins is ' , '"),
        ({"coins": "approved.json"}, "--coins is 'approved.json'; allowed is a file of coins that exists"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(wrong: dict[str, str], message: str) -> None:
    with pytest.raises(PassivbotError) as caught:
        parsed(**wrong)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_nearest_exchange_is_named() -> None:
    with pytest.raises(ExchangeError, match="the nearest is bybit"):
        parsed("bibyt")


@pytest.mark.parametrize(
    ("end", "wanted"),
    [
        ("2025-03-01", "2025-03-02"),
        ("2025-03", "2025-04-01"),
        ("2025", "2026-01-01"),
        ("2025-03-01T12:30", "2025-03-01T12:30"),
    ],
)
def test_an_end_is_the_whole_day_month_or_year(end: str, wanted: str) -> None:
    assert parsed(begin="2025-03-01", end=end).end_ms == ms(wanted)


def test_exchanges_by_alias_and_coins_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "approved.json"
    file.write_text('{"long": ["BTC", "1000SHIBUSDT"], "short": ["ETH"]}')
    asked = parse_request(["binance,gateio", "kucoin"], str(file), "2025", "now", now_ms=NOW)
    assert asked.exchanges == ("binanceusdm", "gate", "kucoinfutures")
    assert asked.coins == CoinChoice(("BTC", "ETH", "SHIB"), strict=False)
    assert asked.end_ms is None
    assert parse_coins("top:50") == CoinChoice(top=50)
    assert parse_coins("ALL") == CoinChoice(everything=True)


def test_an_unknown_coin_names_the_nearest_and_fetches_nothing(tmp_path: Path) -> None:
    candles = {"BTC": truth("bybit", BEGIN, 60), "MATIC": truth("bybit", BEGIN, 60, coin_number=1)}
    venue = venue_of(["bybit"], candles)
    with pytest.raises(ExchangeError, match=r"bybit: no perpetual market of MATIK; the nearest is MATIC"):
        fetch(venue, request(["bybit"], ["BTC", "MATIK"], BEGIN, BEGIN + 3_600_000), tmp_path / "s")
    assert venue.counts["bybit", "candles"] == 0
    assert Store.open(tmp_path / "s").coins("bybit") == ()


def test_an_unknown_coin_of_a_file_is_said_and_the_others_are_fetched(tmp_path: Path) -> None:
    rows = truth("bybit", BEGIN, 60)
    asked = Request(("bybit",), CoinChoice(("BTC", "NOPE"), strict=False), BEGIN, BEGIN + 3_600_000)
    got = fetch(venue_of(["bybit"], {"BTC": rows}), asked, tmp_path / "s")
    assert_equals_truth(got, "bybit", "BTC", rows, Span(BEGIN, BEGIN + 3_600_000))
    assert any("bybit NOPE: left out: no perpetual market of NOPE" in note for note in got.heard.notes)


def test_a_market_without_rules_hides_no_other(tmp_path: Path) -> None:
    """Announced, not yet traded: its steps are not published."""
    rows = {coin: truth("okx", BEGIN, 60, coin_number=i) for i, coin in enumerate(("BTC", "NEW"))}
    venue = venue_of(["okx"], rows)

    def bare(body: dict[str, Any]) -> dict[str, Any]:
        for market in body["data"]:
            if market["instId"] == "NEW-USDT-SWAP":
                market |= {"tickSz": "", "lotSz": "", "minSz": "", "state": "preopen"}
        return body

    met = venue.faults.add("markets", "edit", edit=bare, times=10)
    got = fetch(venue, request(["okx"], ["BTC"], BEGIN, BEGIN + 3_600_000), tmp_path / "s")
    assert met.met >= 1
    assert_equals_truth(got, "okx", "BTC", rows["BTC"], Span(BEGIN, BEGIN + 3_600_000))
    assert list(got.store.markets("okx").by_coin) == ["BTC"]


def test_a_coin_that_one_exchange_lacks_is_fetched_from_the_other(tmp_path: Path) -> None:
    rows = truth("bybit", BEGIN, 60)
    venue = venue_of(["binanceusdm", "bybit"], {"BTC": rows, "ETH": rows})
    other = venue.publics["binanceusdm"]
    other.listed = lambda: iter([venue.source.market("BTC")])  # type: ignore[method-assign]
    asked = request(["binanceusdm", "bybit"], ["ETH"], BEGIN, BEGIN + 3_600_000)
    got = fetch(venue, asked, tmp_path / "s")
    assert "binance ETH: not listed there, left out" in got.heard.notes
    assert_equals_truth(got, "bybit", "ETH", rows, Span(BEGIN, BEGIN + 3_600_000))


def test_a_range_before_the_listing_is_empty_and_known_to_be(tmp_path: Path) -> None:
    rows = truth("bybit", BEGIN, 60)
    venue = venue_of(["bybit"], {"BTC": rows})
    span = Span(BEGIN - 400 * DAY_MS, BEGIN - 100 * DAY_MS)
    got = fetch(venue, request(["bybit"], ["BTC"], *span), tmp_path / "s")
    assert got.report.missing == ()
    assert got.store.missing("bybit", "BTC", *span) == ()
    assert len(stored(got.store, "bybit", "BTC")) == 0
    said = "bybit BTC: the exchange has no candles in 2024-01-26 … 2024-11-20; listed at 2025-03-01 00:00"
    assert said in got.heard.notes


def test_a_range_that_begins_before_the_listing_says_where_candles_begin(tmp_path: Path) -> None:
    rows = truth("bybit", BEGIN, 600)
    asked = request(["bybit"], ["BTC"], BEGIN - 50 * DAY_MS, BEGIN + 3_600_000)
    got = fetch(venue_of(["bybit"], {"BTC": rows}), asked, tmp_path / "s")
    assert "bybit BTC: candles begin at 2025-03-01 00:00; listed at 2025-03-01 00:00" in got.heard.notes


def test_a_start_is_needed_where_the_store_has_nothing(tmp_path: Path) -> None:
    venue = venue_of(["bybit"], {"BTC": truth("bybit", BEGIN, 60)})
    with pytest.raises(ConfigError, match="--from is needed"):
        fetch(venue, request(["bybit"], ["BTC"], None, None), tmp_path / "s")


def test_an_empty_store_can_t_be_brought_up_to_date(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s", create=True)
    with pytest.raises(ConfigError, match="the store is empty; name --exchange, --coins and --from"):
        update_request(store, None, None, "", "now", now_ms=NOW)


def test_a_store_is_brought_up_to_date_with_the_coins_each_exchange_has(tmp_path: Path) -> None:
    candles = {coin: truth("bybit", BEGIN, 600, coin_number=i) for i, coin in enumerate(("BTC", "ETH"))}
    early = Span(BEGIN, BEGIN + 300 * MINUTE_MS)
    both = ["binanceusdm", "bybit"]
    fetch(venue_of(both, candles), request(["bybit"], ["BTC"], *early), tmp_path / "s")
    fetch(venue_of(both, candles), request(["binanceusdm"], ["ETH"], *early), tmp_path / "s")
    store = Store.open(tmp_path / "s")
    asked = update_request(store, None, None, "", "now", now_ms=NOW)
    got = fetch(venue_of(both, candles), asked, tmp_path / "s")
    assert (store.coins("bybit"), store.coins("binance")) == (("BTC",), ("ETH",))
    assert got.report.added == 600
    assert [note for note in got.heard.notes if "not listed" in note] == []


def test_a_damaged_file_of_the_store_is_one_market_s_trouble(tmp_path: Path) -> None:
    rows = {coin: truth("bybit", BEGIN, 2 * 1440, coin_number=i) for i, coin in enumerate(("BTC", "ETH"))}
    first = request(["bybit"], ["BTC", "ETH"], BEGIN, BEGIN + DAY_MS)
    fetch(venue_of(["bybit"], rows), first, tmp_path / "s")
    (path,) = Store(tmp_path / "s").files("bybit", "BTC")
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)
    span = Span(BEGIN, BEGIN + 2 * DAY_MS)
    got = fetch(venue_of(["bybit"], rows), request(["bybit"], ["BTC", "ETH"], *span), tmp_path / "s")
    ((exchange, coin, _, why),) = got.report.missing
    assert (exchange, coin) == ("bybit", "BTC")
    assert "2025-03.parquet: is damaged" in why
    assert "passivbot data repair" in why
    assert_equals_truth(got, "bybit", "ETH", rows["ETH"], span)
    assert path.read_bytes() == bytes(content)


def test_a_full_disk_is_said_and_what_came_stays(tmp_path: Path) -> None:
    """A disk of half a megabyte; afterwards, with room, the download goes on where it stopped."""
    rows = {coin: truth("bybit", BEGIN, 20 * 1440, coin_number=i) for i, coin in enumerate("ABCD")}
    disk = tmp_path / "disk"
    disk.mkdir()
    mount(disk, "-t", "tmpfs", "-o", "size=700k", "tmpfs")
    try:
        span = Span(BEGIN, BEGIN + 20 * DAY_MS)
        with pytest.raises(ResourceError, match="the disk is full"):
            fetch(venue_of(["bybit"], rows), request(["bybit"], list(rows), *span), disk / "s")
        store = Store.open(disk / "s")
        kept = sum(len(stored(store, "bybit", coin)) for coin in store.coins("bybit"))
        assert kept > 0
        mount(disk, "-o", "remount,size=64m")
        got = fetch(venue_of(["bybit"], rows), request(["bybit"], list(rows), *span), disk / "s")
        assert got.report.added == 4 * 20 * 1440 - kept
        for coin, candles in rows.items():
            assert_equals_truth(got, "bybit", coin, candles, span)
    finally:
        unmount(disk)


def test_without_a_network_it_says_so_soon(tmp_path: Path) -> None:
    """The program itself, in a network namespace with nothing in it."""
    words = ["data", "download", "--exchange", "binance,okx", "--coins", "BTC", "--from", "2025"]
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "passivbot", *words, "--store", str(tmp_path / "s")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "unshare" in done.stderr and "permitted" in done.stderr:
        lacking("needs the right to make a network namespace")
    assert done.returncode == 2, done.stderr
    assert "error: binance and okx can't be reached, nothing was changed" in done.stderr
    assert "Traceback" not in done.stderr
