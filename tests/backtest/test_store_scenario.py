"""Runs on a store: the same as on a folder of its candles; exchanges, period, coins, and what is lacking."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from passivbot.backtest import Scenario, run_backtest
from passivbot.backtest.from_store import prepare_from_store
from passivbot.cli.main import main
from passivbot.config import Config, load_config
from passivbot.engine import MarketRules
from passivbot.errors import CandleError, ConfigError
from passivbot.market import generate, write_folder
from passivbot.market.listings import Market
from passivbot.market.spans import Span
from passivbot.market.store import Store
from passivbot.times import MINUTE_MS

from .conftest import DAY_MS, REGIMES, START_MS

MINUTES = 6 * 1440
END_MS = START_MS + MINUTES * MINUTE_MS


@pytest.fixture(scope="module")
def made() -> tuple[dict[str, pa.Table], dict[str, MarketRules]]:
    return generate(REGIMES, seed=11, minutes=MINUTES)


@pytest.fixture
def store(made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The candles of ``candles``, as Binance has them, at the usual place."""
    monkeypatch.chdir(tmp_path)
    opened = Store.open("candles", create=True)
    for coin, table in made[0].items():
        fetched = [Span(START_MS - DAY_MS, END_MS)] if coin == "SOL" else None
        opened.write("binance", coin, table, source="test", spans=fetched, date="2025-04-01")
    markets = {
        coin: Market(symbol=f"{coin}/USDT:USDT", maker_fee=0.0002, **dataclasses.asdict(rules))
        for coin, rules in made[1].items()
    }
    opened.write_markets("binance", markets, "2025-04-01")
    return opened


def load(write_config: Any, **sections: Any) -> Config:
    backtest = {"exchanges": ["binance"], "start_date": "2025-03-03", "end_date": "2025-03-08"}
    live = {"minimum_coin_age_days": 0}
    sections["backtest"] = backtest | sections.get("backtest", {})
    sections["live"] = live | sections.get("live", {})
    return load_config(write_config(**sections)).config


def test_a_store_runs_as_a_folder_with_its_candles(store: Store, made: Any, write_config: Any) -> None:
    folder = write_folder("folder", *made, maker_fee=0.0002)
    config = load(write_config)
    one, two = Scenario.prepare(config), Scenario.prepare(config, folder.path)
    assert one.candles == str(store.root.resolve())
    assert one.digest == two.digest
    assert one.describe()["sources"] == {coin: ["binance", 1.0] for coin in ("BTC", "ETH", "SOL")}
    assert "sources" not in two.describe()
    assert run_backtest(one).differences(run_backtest(two).metrics) == []


def test_btc_collateral_takes_its_price_from_the_store(store: Store, made: Any, write_config: Any) -> None:
    folder = write_folder("folder", *made, maker_fee=0.0002)
    config = load(write_config, backtest={"use_btc_collateral": True})
    one, two = Scenario.prepare(config, coins=["ETH"]), Scenario.prepare(config, folder.path, coins=["ETH"])
    assert one.btc_usd is not None
    assert one.digest == two.digest
    assert "BTC/USD: closes of binance" in one.notes


def test_a_recorded_run_on_a_store_is_repeated(store: Store, write_config: Any, tmp_path: Path) -> None:
    config = load(write_config, backtest={"start_date": "2025-03-04"})
    scenario = Scenario.prepare(config)
    facts = json.loads(json.dumps(scenario.describe()))
    again = Scenario.replay(config, facts)
    assert again.describe() | {"notes": []} == facts | {"notes": []}
    moved = store.root.rename(tmp_path / "elsewhere")
    with pytest.raises(CandleError, match="are gone; name them with --candles"):
        Scenario.replay(config, facts)
    assert Scenario.replay(config, facts, moved).digest == facts["digest"]
    # A venue that corrects a candle makes other candles.
    other = Store.open(moved)
    table = other.read("binance", "BTC", END_MS - 3 * DAY_MS, END_MS - 3 * DAY_MS + 60_000)
    close = pa.array([table.column("high")[0].as_py()])
    other.write("binance", "BTC", table.set_column(4, "close", close), source="test")
    with pytest.raises(CandleError, match="are not the candles of the recorded run"):
        Scenario.replay(config, facts, moved)


def test_longer_bars_of_a_store(store: Store, made: Any, write_config: Any) -> None:
    folder = write_folder("folder", *made, maker_fee=0.0002)
    config = load(write_config, backtest={"candle_interval_minutes": 15})
    assert Scenario.prepare(config).digest == Scenario.prepare(config, folder.path).digest


def test_what_is_lacking_names_the_command(store: Store, write_config: Any) -> None:
    config = load(write_config, backtest={"end_date": "2025-03-12"})
    with pytest.raises(CandleError) as caught:
        Scenario.prepare(config)
    assert str(caught.value) == (
        "candles: lacks candles of the period: BTC 2025-03-09 00:00 … 2025-03-12 00:00; "
        "ETH 2025-03-09 00:00 … 2025-03-12 00:00; SOL 2025-03-09 00:00 … 2025-03-12 00:00; "
        "`passivbot data download --exchange binance --coins BTC,ETH,SOL --from 2025-03-09 --to 2025-03-12` "
        "brings them, --candles candles runs on what is there"
    )
    scenario = Scenario.prepare(config, store.root)
    assert scenario.panel.last_ms == END_MS - MINUTE_MS
    assert any(note.startswith("not in the store: BTC 2025-03-09") for note in scenario.notes)


def test_a_start_before_the_store_is_lacking_and_one_before_the_listing_is_not(
    store: Store, write_config: Any
) -> None:
    config = load(write_config, backtest={"start_date": "2025-03-01"})
    with pytest.raises(CandleError, match="BTC 2025-03-01 … 2025-03-02; ETH 2025-03-01 … 2025-03-02; `pass"):
        Scenario.prepare(config, coins=["BTC", "ETH"])
    # SOL is known to have no candle before its first one.
    assert Scenario.prepare(config, coins=["SOL"]).panel.first_ms > START_MS
    markets = dict(store.markets("binance").by_coin)
    for coin in ("BTC", "ETH"):
        markets[coin] = dataclasses.replace(markets[coin], listing_ms=START_MS)
    store.write_markets("binance", markets, "2025-04-02")
    assert Scenario.prepare(config, coins=["BTC", "ETH"]).panel.first_ms == START_MS


def test_a_delisted_market_keeps_its_rules(store: Store, write_config: Any) -> None:
    config = load(write_config)
    before = Scenario.prepare(config)
    listed = dict(store.markets("binance").by_coin)
    del listed["ETH"]
    store.write_markets("binance", listed, "2025-04-02")
    found = Scenario.prepare(config)
    assert found.markets == before.markets
    assert found.maker_fee == before.maker_fee
    assert "not listed any more, market rules as they were last: ETH (binance 2025-04-01)" in found.notes
    assert not any("assumed" in note for note in found.notes)


def test_a_period_before_the_listing_says_so(store: Store, write_config: Any) -> None:
    markets = dict(store.markets("binance").by_coin)
    for coin in ("BTC", "ETH"):
        markets[coin] = dataclasses.replace(markets[coin], listing_ms=START_MS)
    store.write_markets("binance", markets, "2025-04-02")
    config = load(write_config, backtest={"start_date": "2024-01-01", "end_date": "2024-02-01"})
    with pytest.raises(CandleError) as caught:
        Scenario.prepare(config)
    assert str(caught.value) == (
        "candles: BTC (and 2 more coins): first traded 2025-03-03 00:00, after the period, "
        "2024-01-01 00:00 … 2024-02-01 00:00; the store's run from 2025-03-03 00:00 to 2025-03-08 23:59"
    )


def test_a_period_that_was_never_fetched_says_what_there_is_and_what_brings_it(
    store: Store, write_config: Any
) -> None:
    config = load(write_config, backtest={"start_date": "2024-01-01", "end_date": "2024-02-01"})
    with pytest.raises(CandleError) as caught:
        Scenario.prepare(config, store.root, coins=["BTC", "ETH"])
    assert str(caught.value).endswith(
        ": BTC (and 1 more coin): no candles in the window, 2024-01-01 00:00 … 2024-02-01 00:00; the store's "
        "run from 2025-03-03 00:00 to 2025-03-08 23:59; `passivbot data download --exchange binance --coins "
        "BTC,ETH --from 2024-01-01 --to 2024-02-01` brings more"
    )


def test_warmup_before_the_start_is_included_and_may_be_short(store: Store, write_config: Any) -> None:
    scenario = Scenario.prepare(load(write_config, backtest={"start_date": "2025-03-05"}), coins=["BTC"])
    assert scenario.requested_start_ms == START_MS + 2 * DAY_MS
    assert scenario.panel.first_ms == START_MS + 2 * DAY_MS - 600 * MINUTE_MS
    assert Scenario.prepare(load(write_config), coins=["BTC"]).panel.first_ms == START_MS


def test_an_open_end_is_two_days_ago_or_the_last_candle(store: Store, write_config: Any) -> None:
    config = load(write_config, backtest={"end_date": "now"})
    now = START_MS + 5 * DAY_MS + 1000 * MINUTE_MS
    found = prepare_from_store(config, store, coins=None, insist=True, now_ms=now)
    assert found.panel.last_ms == START_MS + 3 * DAY_MS
    assert not any("up to date" in note for note in found.notes)
    found = prepare_from_store(config, store, coins=None, insist=True, now_ms=now + 100 * DAY_MS)
    assert found.panel.last_ms == END_MS - MINUTE_MS
    assert (
        "candles end 2025-03-08 23:59; `passivbot data download` brings the store up to date" in found.notes
    )


def test_age_of_a_coin(store: Store, write_config: Any) -> None:
    config = load(write_config, live={"minimum_coin_age_days": 1.0})
    scenario = Scenario.prepare(config)
    first = store.coverage("binance", "SOL").first_ms
    assert scenario.coin_start_ms == {"SOL": first + DAY_MS}
    assert scenario.panel.first_valid[2] == (first + DAY_MS - START_MS) // MINUTE_MS
    assert "age unknown, taken as old enough: BTC, ETH" in scenario.notes
    assert "too young before: SOL from 2025-03-05 12:00" in scenario.notes
    scenario = Scenario.prepare(load(write_config, live={"minimum_coin_age_days": 30.0}))
    assert "SOL is left out: it is old enough only from 2025-04-03 12:00 on" in scenario.notes


def test_exchanges_are_combined(store: Store, made: Any, write_config: Any) -> None:
    later = made[0]["SOL"]
    store.write("bybit", "SOL", later, source="test")
    store.write("bybit", "ETH", made[0]["ETH"].slice(0, 5000), source="test")
    early = generate({"X": "calm", "Y": "calm", "SOL": "calm"}, seed=5, minutes=MINUTES)[0]["SOL"]
    store.write("bybit", "SOL", early, source="test")
    step = MarketRules(10.0, 0.001, 10.0, 5.0, 1.0)
    store.write_markets(
        "bybit", {"SOL": Market(symbol="S", maker_fee=0.1, **dataclasses.asdict(step))}, "2025-04-01"
    )
    config = load(write_config, backtest={"exchanges": ["binance", "bybit", "gateio"]})
    scenario = Scenario.prepare(config)
    sources = scenario.describe()["sources"]
    assert {coin: source[0] for coin, source in sources.items()} == {
        "BTC": "binance",
        "ETH": "binance",
        "SOL": "bybit",
    }
    assert scenario.markets["SOL"] == step
    assert scenario.maker_fee == 0.0002
    assert "candles has no candles of gateio: not compared" in scenario.notes
    assert "candles: BTC, ETH from binance; SOL from bybit" in scenario.notes
    assert not any("on bybit: not compared" in note for note in scenario.notes)  # it lists no BTC
    listed = dict(store.markets("bybit").by_coin)
    store.write_markets("bybit", {**listed, "BTC": listed["SOL"]}, "2025-04-02")
    assert "candles has no candles of BTC on bybit: not compared" in Scenario.prepare(config).notes
    assert "market rules as of binance 2025-04-01, bybit 2025-04-01" in scenario.notes
    assert Scenario.replay(config, scenario.describe()).digest == scenario.digest
    with pytest.raises(ConfigError, match=r"backtest.combine_ohlcvs is false with 3 exchanges"):
        Scenario.prepare(
            load(write_config, backtest={"exchanges": ["binance", "bybit", "okx"], "combine_ohlcvs": False})
        )


def test_a_coin_with_too_large_a_hole_is_left_out(store: Store, made: Any, write_config: Any) -> None:
    table = made[0]["ETH"]
    held = pa.concat_tables([table.slice(0, 1000), table.slice(1200)])
    store.write("binance", "ETH", held, source="test", spans=[Span(START_MS, END_MS)])
    scenario = Scenario.prepare(load(write_config))
    assert scenario.coins == ("BTC", "SOL")
    assert any(
        note.startswith("ETH is left out: it has no usable candles: binance: a hole of 200 minutes")
        for note in scenario.notes
    )
    with pytest.raises(CandleError, match=r"ETH: it has no usable candles: .* leave it out of --coins"):
        Scenario.prepare(load(write_config), coins=["ETH", "BTC"])


@pytest.mark.parametrize(
    ("sections", "coins", "expected"),
    [
        (
            {"exchanges": ["binnance"]},
            None,
            "backtest.exchanges: unknown exchange 'binnance'; the nearest is binance",
        ),
        ({"exchanges": ["okx"]}, None, "has no candles of okx; it has binance: --backtest.exchanges binance"),
        ({"exchanges": []}, None, "backtest.exchanges is empty"),
        (
            {},
            ["SOLL"],
            "has no candles of SOLL on binance; the nearest is SOL; `passivbot data download --exch",
        ),
        ({"end_date": "2025-03-02"}, None, "end_date '2025-03-02' .* is not after backtest.start_date"),
        ({"end_date": "2025-03-03"}, None, "is not after backtest.start_date '2025-03-03'"),
        (
            {"start_date": "2025-03-20", "end_date": "2025-03-25"},
            None,
            "lacks candles of the period: BTC 2025-03-20",
        ),
    ],
)
def test_bad_input(store: Store, write_config: Any, sections: Any, coins: Any, expected: str) -> None:
    with pytest.raises((CandleError, ConfigError), match=expected):
        Scenario.prepare(load(write_config, backtest=sections), coins=coins)


def test_approved_coins_that_were_never_fetched_are_lacking(store: Store, write_config: Any) -> None:
    config = load(write_config, live={"approved_coins": ["BTC", "XMR"]})
    scenario = Scenario.prepare(config)
    assert scenario.coins == ("BTC",)
    assert "XMR is left out: not listed on binance" in scenario.notes
    (store.root / "binance/.markets/2025-04-01.json").unlink()
    with pytest.raises(CandleError, match=r"of the period: XMR .* --coins XMR --from 2025-03-03"):
        Scenario.prepare(config)
    scenario = Scenario.prepare(config, store.root)
    assert scenario.coins == ("BTC",)
    assert "XMR is left out: no candles in the window" in scenario.notes
    # Several for the same reason are one line.
    config = load(write_config, live={"approved_coins": ["BTC", "XMR", "ZEC", "DOT"]})
    notes = Scenario.prepare(config, store.root).notes
    assert "DOT, XMR, ZEC are left out: no candles in the window" in notes


def test_commands_use_the_store(
    store: Store, write_config: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load(write_config)
    path = str(tmp_path / "config.json")
    assert main(["backtest", path, "--out", "one", "-dp"]) == 0
    assert "demo" not in capsys.readouterr().err
    assert main(["backtest", "one/config.json", "--out", "two", "-dp"]) == 0
    assert "repeated to the bit" in capsys.readouterr().out
    assert main(["backtest", path, "--out", "three", "-dp", "--candles", "demo"]) == 0
    assert "embedded demo candles" in capsys.readouterr().err
    Path("demo").symlink_to(store.root.resolve(), target_is_directory=True)
    assert main(["backtest", path, "--out", "four", "-dp", "--candles", "demo"]) == 0
    assert "embedded demo candles" not in capsys.readouterr().err
    assert main(["backtest", path, "--backtest.end_date", "2026-01-01"]) == 2
    assert "`passivbot data download --exchange binance" in capsys.readouterr().err


def test_a_store_that_the_environment_names_has_to_be_there(
    write_config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSIVBOT_STORE", str(tmp_path / "none"))
    with pytest.raises(CandleError, match="none: there is no store; `passivbot data download`"):
        Scenario.prepare(load(write_config))
