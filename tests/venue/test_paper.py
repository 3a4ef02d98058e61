"""Paper trading: the bot as a process over recorded candles, and in this one along a market that goes on."""

import asyncio
import csv
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from passivbot.cli.main import main
from passivbot.config import Config
from passivbot.config.values import date_ms
from passivbot.errors import ConfigError
from passivbot.exchanges import connect
from passivbot.exchanges.errors import ExchangeFault
from passivbot.exchanges.types import Failure
from passivbot.live.source import Fixed
from passivbot.market.listings import Market
from passivbot.market.store import Store
from passivbot.market.synthetic import generate, write_folder
from passivbot.ops.run import Settings
from passivbot.times import DAY_MS, MINUTE_MS
from passivbot.venue import MarketSource, Venue, paper
from passivbot.venue.paper import Following, follow, replay


def config() -> Config:
    """A long grid that trades much."""
    data = Config().to_dict()
    data["bot"]["long"] |= {
        "ema_span_0": 10.0,
        "ema_span_1": 20.0,
        "entry_initial_ema_dist": -0.001,
        "entry_initial_qty_pct": 0.05,
        "entry_grid_spacing_pct": 0.003,
        "close_grid_markup_start": 0.003,
        "close_grid_markup_end": 0.001,
        "close_trailing_grid_ratio": 0.0,
        "entry_trailing_grid_ratio": 0.0,
        "filter_log_range_ema_span": 10.0,
        "filter_volume_ema_span": 10.0,
        "n_positions": 2.0,
        "total_wallet_exposure_limit": 1.0,
    }
    data["bot"]["short"] |= {"n_positions": 0.0, "total_wallet_exposure_limit": 0.0}
    data["live"] |= {
        "approved_coins": {"long": ["BTC", "ETH"], "short": []},
        "minimum_coin_age_days": 0.0,
        "max_warmup_minutes": 60.0,
        "execution_delay_seconds": 0.0,
    }
    return Config.from_dict(data)


def market(minutes: int = 600) -> MarketSource:
    tables, rules = generate({"BTC": "calm", "ETH": "trend"}, seed=11, minutes=minutes)
    return MarketSource.from_tables(tables, rules)


def quiet(folder: Path) -> Settings:
    return Settings(root=folder, port=None, console=None)


def test_the_command_replays_the_demo_candles(tmp_path: Path) -> None:
    file = tmp_path / "grid.json"
    file.write_text(json.dumps(config().to_dict()))
    demo = Path(__file__).resolve().parents[2] / "passivbot" / "market" / "demo_candles"
    command = [sys.executable, "-m", "passivbot", "paper", str(file), "--candles", str(demo)]
    options = ["--coins", "BTC,ETH", "--minutes", "60", "--out", str(tmp_path / "run"), "--exchange", "bybit"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "run" / "fills.csv").open() as rows:
        fills = list(csv.DictReader(rows))
    assert fills
    assert f"60 minutes, {len(fills)} fills" in done.stdout
    last = float(fills[-1]["balance_after"])
    assert f"→ {last:.2f}" in done.stdout


def test_a_replay_says_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paper, "_PROGRESS_S", 0.0)
    file = tmp_path / "grid.json"
    file.write_text(json.dumps(config().to_dict()))
    command = ["paper", str(file), "--candles", "demo", "--coins", "BTC,ETH", "--minutes", "20"]
    assert main([*command, "--exchange", "bybit", "--out", str(tmp_path / "run")]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if " of 20 minutes (" in line]
    assert len(lines) == 20
    assert "10 of 20 minutes (50%)" in lines[9]
    assert "equity" in lines[9]


def test_the_candles_of_a_store_are_replayed_by_the_markets_it_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables, rules = generate({"BTC": "calm", "ETH": "trend"}, seed=11, minutes=300)
    store = Store.open(tmp_path / "store", create=True)
    for coin, table in tables.items():
        store.write("bitget", coin, table, source="a test")
    file = tmp_path / "grid.json"
    file.write_text(json.dumps(config().to_dict()))
    command = ["paper", str(file), "--candles", str(store.root), "--exchange", "bitget"]
    options = ["--minutes", "20", "--out", str(tmp_path / "run")]
    assert main([*command, *options]) == 0
    assert "knows no market rules of BTC, ETH on bitget: assumed: " in capsys.readouterr().err
    assert main([*command[:-1], "okx", *options]) == 2
    assert capsys.readouterr().err == (
        f"error: {store.root}: has no candles of okx; --exchange chooses among bitget\n"
    )
    listed = {
        coin: Market(
            symbol=f"{coin}/USDT:USDT",
            qty_step=rule.qty_step,
            price_step=rule.price_step,
            min_qty=rule.min_qty,
            min_cost=rule.min_cost,
            maker_fee=0.0001,
        )
        for coin, rule in rules.items()
    }
    store.write_markets("bitget", listed)
    assert main([*command, *options]) == 0
    assert "20 minutes" in capsys.readouterr().out
    with (tmp_path / "run" / "fills.csv").open() as rows:
        fills = [row for row in csv.DictReader(rows) if row["maker"] == "True"]
    assert fills
    for row in fills:
        cost = float(row["qty"]) * float(row["price"])
        assert float(row["fee"]) == pytest.approx(cost * 0.0001), "the fee that the store knows"


@pytest.mark.parametrize("listed", [None, "2020-01-01", "2025-02-20"])
def test_a_coins_age_is_what_is_stated_not_that_of_its_candles(listed: str | None, tmp_path: Path) -> None:
    """As in a backtest: a recording that begins a week ago is no young coin."""
    tables, rules = generate({"BTC": "calm"}, seed=11, minutes=300)
    listing = None if listed is None else date_ms(listed)
    write_folder(tmp_path / "folder", tables, rules)
    store = Store.open(tmp_path / "store", create=True)
    store.write("bybit", "BTC", tables["BTC"], source="a test")
    if listing is not None:
        path = tmp_path / "folder" / "markets.json"
        document = json.loads(path.read_text())
        document["BTC"]["listing_date"] = listed
        path.write_text(json.dumps(document))
        rule = rules["BTC"]
        store.write_markets(
            "bybit",
            {
                "BTC": Market(
                    symbol="BTCUSDT",
                    qty_step=rule.qty_step,
                    price_step=rule.price_step,
                    min_qty=rule.min_qty,
                    min_cost=rule.min_cost,
                    listing_ms=listing,
                )
            },
        )
    for source in (
        MarketSource.from_folder(tmp_path / "folder"),
        MarketSource.from_store(store, "bybit", ["BTC"]),
    ):
        days = (source.first_ms - source.market("BTC").listed_ms) / DAY_MS
        assert days > 1000 if listed != "2025-02-20" else days == pytest.approx(10, abs=2)


def test_what_a_user_gets_wrong_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "grid.json"
    file.write_text(json.dumps(config().to_dict()))
    demo = Path(__file__).resolve().parents[2] / "passivbot" / "market" / "demo_candles"
    run = ["--out", str(tmp_path / "run")]
    for options, message in (
        (["--candles", str(tmp_path / "none")], "there is no such candle folder"),
        (["--exchange", "bynance"], "the nearest is binance"),
        (["--exchange", "defx"], "removed it in March 2026"),
        (["--candles", str(demo), "--coins", "XYZ"], "XYZ"),
        (["--candles", str(demo), "--coins", "BTC", "--start", "yesterday"], "ISO date"),
        (["--candles", str(demo), "--coins", "BTC", "--start", "2030-01-01"], "the candles end before"),
    ):
        assert main(["paper", str(file), *options, *run]) == 2, options
        said = capsys.readouterr().err
        assert message in said
        assert len(said.strip().splitlines()) == 1, said
        assert not (tmp_path / "run").exists(), "what did not begin leaves nothing"


def test_an_exchange_that_does_not_answer_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone:
        async def __aenter__(self) -> None:
            raise ExchangeFault(Failure.RETRY, "no route to host")

        async def __aexit__(self, *_: object) -> None:
            raise AssertionError

    monkeypatch.setattr("passivbot.exchanges.connect", lambda name: Gone())
    file = tmp_path / "grid.json"
    file.write_text(json.dumps(config().to_dict()))
    assert main(["paper", str(file), "--exchange", "bybit", "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err == "error: bybit: its market can't be read: no route to host\n"
    assert not (tmp_path / "run").exists()


def test_candles_that_end_within_the_warm_up_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the warm-up takes"):
        asyncio.run(replay(Fixed(config()), market(40), "binanceusdm", quiet(tmp_path), balance=10_000.0))


def test_contracts_of_several_coins_need_an_exchange_that_counts_them(tmp_path: Path) -> None:
    source = market()
    source.change("BTC", rules=replace(source.market("BTC").rules, c_mult=0.01))
    with pytest.raises(ConfigError, match=r"a contract of BTC has 0\.01 coins .* choose --exchange okx"):
        asyncio.run(replay(Fixed(config()), source, "bybit", quiet(tmp_path), balance=10_000.0))


def test_a_candle_that_does_not_come_is_told_and_time_goes_on() -> None:
    """The exchange fails for one coin: its orders can't fill in that minute, the others can."""

    async def run() -> None:
        source = market()
        start = source.first_ms + 300 * MINUTE_MS
        known = {coin: source.candles(coin, source.first_ms, start) for coin in source.coins}
        async with Venue(source, ["bybit"], private=False, start_ms=start) as outer:
            inner = Venue(MarketSource(list(source.markets.values()), known), ["bybit"], start_ms=start)
            notes: list[str] = []
            async with connect("bybit", session=outer.session(), rate_limit_ms=1) as outside:
                world = OutsideClock(outer, asyncio.Event(), 10)
                clock = Following(inner, outside, world, notes.append)
                outer.faults.add(
                    "candles", "status", times=99, fits=lambda call: call.query["symbol"] == "ETHUSDT"
                )
                await clock.wait(61.5, asyncio.Event())
                assert clock.now_ms() == outer.clock.now_ms == start + MINUTE_MS
                assert inner.source.candle("BTC", start) is not None
                assert inner.source.candle("ETH", start) is None
                assert notes[-1].startswith("no candle of the minute yet: ETH")
                outer.faults.clear()
                await clock.wait(61.5, asyncio.Event())
                for minute in (start, start + MINUTE_MS):
                    assert inner.source.candle("ETH", minute) is not None, "what came late is known"

    asyncio.run(run())


@pytest.mark.parametrize("name", ["okx", "bybit"])
def test_a_coin_that_nobody_trades_stands_still_and_goes_on(name: str) -> None:
    """Where pages are spans of time, one within a long pause is empty: what comes after it is found."""
    pause = 400

    async def run() -> None:
        source = market(minutes=900)
        start = source.first_ms + 300 * MINUTE_MS
        rows = source.candles("ETH", 0, 2**60)
        quiet_until = start + pause * MINUTE_MS
        traded = (rows[:, 0] < start) | (rows[:, 0] >= quiet_until)
        known = {"BTC": source.candles("BTC", 0, 2**60), "ETH": rows[traded]}
        listed = list(source.markets.values())
        outer_source = MarketSource(listed, known)
        async with Venue(outer_source, [name], private=False, start_ms=start) as outer:
            begun = {coin: table[table[:, 0] < start] for coin, table in known.items()}
            inner = Venue(MarketSource(listed, begun), [name], start_ms=start)
            notes: list[str] = []
            async with connect(name, session=outer.session(), rate_limit_ms=1) as outside:
                world = OutsideClock(outer, asyncio.Event(), 1000)
                clock = Following(inner, outside, world, notes.append)
                last = inner.source.last_price("ETH", start)
                await clock.wait(61.5, asyncio.Event())
                still = inner.source.candle("ETH", start)
                assert still is not None
                assert still[1:].tolist() == [last, last, last, last, 0.0]
                assert notes == [], "a minute without trade is nothing to tell"
                outer.advance(pause - 3)
                await clock.wait(61.5, asyncio.Event())
                assert inner.source.newest_ms("ETH") == quiet_until - 2 * MINUTE_MS
                assert [note.partition(" since")[0] for note in notes] == ["ETH: no candle"]
                outer.advance(2)
                await clock.wait(61.5, asyncio.Event())
                now = clock.now_ms()
                assert now == quiet_until + 2 * MINUTE_MS
                for coin in ("BTC", "ETH"):
                    there = outer_source.candles(coin, quiet_until, now)
                    np.testing.assert_allclose(
                        inner.source.candles(coin, quiet_until, now)[:, 2:], there[:, 2:], rtol=1e-12
                    )

    asyncio.run(run())


def test_a_candle_that_comes_after_its_minute_counts_all_the_same() -> None:
    async def run() -> None:
        source = market()
        start = source.first_ms + 300 * MINUTE_MS
        listed = list(source.markets.values())
        begun = {coin: source.candles(coin, source.first_ms, start) for coin in source.coins}
        async with Venue(source, ["bybit"], private=False, start_ms=start) as outer:
            whole = source.candles("ETH", source.first_ms, 2**60)
            source.append("ETH", begun["ETH"])  # the rest is not published yet
            inner = Venue(MarketSource(listed, begun), ["bybit"], start_ms=start)
            notes: list[str] = []
            async with connect("bybit", session=outer.session(), rate_limit_ms=1) as outside:
                clock = Following(inner, outside, OutsideClock(outer, asyncio.Event(), 10), notes.append)
                await clock.wait(61.5, asyncio.Event())
                await clock.wait(61.5, asyncio.Event())
                assert notes == []
                source.append("ETH", whole[whole[:, 0] >= start])
                await clock.wait(61.5, asyncio.Event())
        known = inner.source.candles("ETH", start, clock.now_ms())
        np.testing.assert_allclose(known[:, 2:], whole[300:303, 2:], rtol=1e-12)
        assert len(notes) == 1
        assert notes[0].startswith("ETH: candles came late")

    asyncio.run(run())


def test_a_coin_without_any_candle_begins_at_its_price_or_is_left_out(tmp_path: Path) -> None:
    async def run(prices: set[str]) -> tuple[Any, list[str]]:
        source = market()
        async with Venue(
            source, ["bybit"], private=False, start_ms=source.first_ms + 300 * MINUTE_MS
        ) as outer:
            stop = asyncio.Event()
            async with connect("bybit", session=outer.session(), rate_limit_ms=1) as outside:
                outside.candles = bare(outside.candles)  # type: ignore[method-assign]
                outside.tickers = only(outside.tickers, prices)  # type: ignore[method-assign]
                notes: list[str] = []
                done = await follow(
                    Fixed(config()),
                    ["BTC", "ETH"],
                    outside,
                    quiet(tmp_path / "-".join(sorted(prices))),
                    OutsideClock(outer, stop, 5),
                    balance=10_000.0,
                    tell=notes.append,
                    stop=stop,
                )
        return done, notes[1:]

    def bare(ask: Any) -> Any:
        async def candles(coin: str, since: int | None = None, limit: int | None = None) -> Any:
            return np.empty((0, 6)) if coin == "ETH" else await ask(coin, since, limit)

        return candles

    def only(ask: Any, coins: set[str]) -> Any:
        async def tickers(wanted: Any = None) -> Any:
            return {coin: price for coin, price in (await ask(wanted)).items() if coin in coins}

        return tickers

    done, notes = asyncio.run(run({"ETH"}))
    assert done.minutes >= 4
    assert {fill.coin for fill in done.fills} <= {"BTC"}
    assert notes == ["ETH: bybit has no candles of it for the warm-up; its averages begin now"]
    log = (tmp_path / "ETH" / "bots" / paper.ACCOUNT / "bot.log").read_text()
    assert re.search(r'"not entered: ETH long: its averages need \d+ more minutes of candles"', log)
    told = json.loads((tmp_path / "ETH" / "bots" / paper.ACCOUNT / "status.json").read_text())["idle"]
    assert [text.partition(" need")[0] for text in told] == ["ETH long: its averages"]
    done, notes = asyncio.run(run(set()))
    assert done.minutes >= 4
    assert notes == ["ETH: bybit has neither candles of it nor a price; it is left out"]


def test_an_end_that_is_asked_for_does_not_wait_for_candles() -> None:
    async def run() -> None:
        source = market()
        start = source.first_ms + 300 * MINUTE_MS
        known = {coin: source.candles(coin, source.first_ms, start) for coin in source.coins}
        async with Venue(source, ["bybit"], private=False, start_ms=start) as outer:
            inner = Venue(MarketSource(list(source.markets.values()), known), ["bybit"], start_ms=start)
            async with connect("bybit", session=outer.session(), rate_limit_ms=1) as outside:
                stop = asyncio.Event()
                clock = Following(inner, outside, OutsideClock(outer, stop, 1), lambda text: None, stop)
                fault = outer.faults.add("candles", "status", times=99)
                await clock.wait(61.5, asyncio.Event())
                assert stop.is_set()
                assert fault.met == len(source.coins), "each was asked once"
                assert inner.source.newest_ms("BTC") < start, "and is not taken for untraded"

    asyncio.run(run())


class OutsideClock:
    """Real time, as far as the test goes: waiting lets the outer market's time pass."""

    def __init__(self, venue: Venue, stop: asyncio.Event, minutes: int) -> None:
        self.venue, self.stop = venue, stop
        self.until = venue.clock.now_ms + minutes * MINUTE_MS

    def now_ms(self) -> int:
        return self.venue.clock.now_ms

    async def wait(self, seconds: float, wake: asyncio.Event) -> None:
        await asyncio.sleep(0)
        if seconds >= 5.0:
            self.venue.advance()
        if self.venue.clock.now_ms >= self.until:
            self.stop.set()


@pytest.mark.parametrize("name", ["bybit", "okx"])
def test_a_market_that_goes_on_gives_the_fills_of_its_recording(name: str, tmp_path: Path) -> None:
    """Following an exchange minute by minute and replaying the same minutes later are the same trades."""
    minutes = 30

    async def run() -> tuple[Any, Any]:
        source = market()
        async with Venue(source, [name], private=False, start_ms=source.first_ms + 300 * MINUTE_MS) as outer:
            stop = asyncio.Event()
            began = outer.clock.now_ms
            outer.faults.add("candles", "status", times=2)
            async with connect(name, session=outer.session(), rate_limit_ms=1) as outside:
                notes: list[str] = []
                along = await follow(
                    Fixed(config()),
                    ["BTC", "ETH"],
                    outside,
                    quiet(tmp_path / "along"),
                    OutsideClock(outer, stop, minutes),
                    balance=10_000.0,
                    tell=notes.append,
                    stop=stop,
                )
            assert notes[0] == f"warm-up: 60 minutes of BTC, ETH are read from {name}"
            assert [note[-11:] for note in notes[1:]] == ["tried again"] * 2
            assert {line.kind for line in outer.log} == {"public"}
        again = await replay(
            Fixed(config()),
            market(),
            name,
            quiet(tmp_path / "again"),
            balance=10_000.0,
            start_ms=began,
            minutes=minutes,
        )
        return along, again

    along, again = asyncio.run(run())
    assert along.minutes >= minutes - 1
    assert len(again.fills) > 3
    pairs = [(f.coin, f.side, f.qty, f.price, f.time_ms) for f in again.fills]
    followed = [(f.coin, f.side, f.qty, f.price, f.time_ms) for f in along.fills]
    assert followed == pairs[: len(followed)]
    assert len(followed) >= len(pairs) - 4, "the last minute may not have been traded"


def test_a_market_that_goes_on_keeps_what_is_needed_and_no_more() -> None:
    market_of = market(minutes=100)
    last = market_of.newest_ms("BTC")
    for minute in range(1, 51):
        market_of.append("BTC", np.array([[last + minute * MINUTE_MS, 1.0, 2.0, 0.5, 1.5, 3.0]]), most=60)
    rows = market_of.candles("BTC", 0, last + 100 * MINUTE_MS)
    assert len(rows) == 61
    assert rows[-1, 0] == last + 50 * MINUTE_MS
    assert np.all(np.diff(rows[:, 0]) == MINUTE_MS)
    assert market_of.newest_ms("ETH") == last
