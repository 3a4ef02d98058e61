"""``passivbot data download`` as a person types it, against a venue."""

import json
from pathlib import Path

import pytest

from passivbot.cli.main import main
from passivbot.market.spans import Span
from passivbot.market.store import Store
from passivbot.times import DAY_MS
from tests.download.harness import ms, stored, truth, typed, venue_of

BEGIN = ms("2025-03-01")


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PASSIVBOT_STORE", raising=False)


def test_candles_and_rules_come_into_the_store(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {coin: truth("bybit", BEGIN, 1440, coin_number=i) for i, coin in enumerate(("BTC", "ETH"))}
    venue = venue_of(["binanceusdm", "bybit"], rows)
    words = "data download --exchange binance,bybit --coins BTC,ETH --from 2025-03-01 --to 2025-03-01"
    assert typed(venue, words, monkeypatch) == 0
    out = capsys.readouterr().out
    assert out.startswith("candles: 5,760 candles added; 4 markets, ")
    store = Store.open("candles")
    assert store.exchanges == ("binance", "bybit")
    for exchange in store.exchanges:
        assert store.coins(exchange) == ("BTC", "ETH")
        assert len(stored(store, exchange, "ETH", Span(BEGIN, BEGIN + DAY_MS))) == 1440
        assert sorted(store.markets(exchange).by_coin) == ["BTC", "ETH"]


def test_again_without_options_it_brings_all_up_to_date(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {"BTC": truth("bybit", BEGIN, 2 * 1440)}
    first = "data download -e bybit -s BTC --from 2025-03-01 --to 2025-03-01 --store there"
    assert typed(venue_of(["bybit"], rows), first, monkeypatch) == 0
    assert typed(venue_of(["bybit"], rows), "data download --store there", monkeypatch) == 0
    assert "there: 1,440 candles added; 1 market, " in capsys.readouterr().out


def test_what_lacks_is_listed_and_the_exit_code_is_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {"BTC": truth("gate", BEGIN, 12 * 1440)}
    words = "data download -e gateio -s BTC --from 2025-03-01"
    assert typed(venue_of(["gate"], rows), words, monkeypatch) == 1
    captured = capsys.readouterr()
    why = "the exchange keeps only the last 10000 minutes and publishes no file of it"
    assert f"missing: gateio BTC 2025-03-01 00:00 … 2025-03-06 01:19: {why}" in captured.out


def test_coins_of_a_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Path("approved.json").write_text(json.dumps({"long": ["BTC"], "short": ["ETHUSDT", "NOPE"]}))
    rows = {coin: truth("bybit", BEGIN, 60, coin_number=i) for i, coin in enumerate(("BTC", "ETH", "SOL"))}
    words = "data download -e bybit -s approved.json --from 2025-03-01 --to 2025-03-01T01:00"
    assert typed(venue_of(["bybit"], rows), words, monkeypatch) == 0
    assert Store.open().coins("bybit") == ("BTC", "ETH")
    assert "bybit NOPE: left out: no perpetual market of NOPE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-e binanse -s BTC --from 2025", "error: the command line: --exchange is 'binanse'; allowed is"),
        ("-e bybit -s BTC --from 2025-04 --to 2025-03", "error: the command line: --to 2025-03 (before"),
        ("-e bybit", "there is no store; `passivbot data download`"),
    ],
)
def test_wrong_options_are_errors_of_the_user(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "download", *words.split()]) == 2
    assert message in capsys.readouterr().err
    assert not Path("candles").exists()


def test_an_unknown_coin_leaves_the_store_without_candles(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    venue = venue_of(["bybit"], {"MATIC": truth("bybit", BEGIN, 60)})
    assert typed(venue, "data download -e bybit -s MATIK --from 2025-03-01", monkeypatch) == 2
    assert "the nearest is MATIC; nothing was fetched" in capsys.readouterr().err
    assert Store.open().coins("bybit") == ()
