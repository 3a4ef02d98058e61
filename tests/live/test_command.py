"""``passivbot live``: from a name and an account to orders at the exchange, and what is left on the disk."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from passivbot.cli.main import main
from passivbot.config import Config
from passivbot.engine import MarketRules
from passivbot.errors import LiveError
from passivbot.live.source import FileSource, Source
from passivbot.live.start import Order, open_source, trade
from passivbot.live.strategy import Strategy, trailing_grid
from passivbot.ops.keys import Keys
from passivbot.ops.run import Settings
from passivbot.ops.status import bot_folder
from passivbot.planner import Mode
from passivbot.venue import Venue
from passivbot.venue.account import ApiKey
from tests.live.rig import ACCOUNT, BOTH, EAGER, START_MS, Rig, VenueClock, config_of, rig, walk_source

WRITES = {"create", "cancel", "set_leverage", "set_margin_mode", "set_position_mode"}


@dataclass
class Stage:
    """A venue, and what a bot needs to trade there."""

    venue: Venue
    name: str
    key: ApiKey
    root: Path

    def order(self, source: Source, **changes: Any) -> Order:
        """What is asked for, at the venue."""

        def session(trace: aiohttp.TraceConfig) -> aiohttp.ClientSession:
            return self.venue.session(trace_configs=[trace])

        made = Order(
            ACCOUNT,
            source,
            Settings(root=self.root, console=None, level=3),
            policy=EAGER,
            session=session,
            clock=VenueClock(self.venue),
            follow=False,
            rate_limit_ms=1,
        )
        return replace(made, **changes)

    def keys(self) -> Keys:
        """The account's keys."""
        entry = {"exchange": self.name, "key": self.key.key, "secret": self.key.secret}
        return Keys(ACCOUNT, entry, "the test")


async def on_stage(name: str, folder: Path, act: Callable[[Stage], Awaitable[None]]) -> None:
    source = walk_source()
    async with Venue(source, [name], start_ms=START_MS + 200 * 60_000, balance=10_000.0) as venue:
        await act(Stage(venue, name, venue.account(name).new_key(), folder / "live"))


def written(folder: Path, config: Config) -> Path:
    path = folder / "my.json"
    path.write_text(json.dumps(config.to_dict()))
    return path


def test_what_in_the_file_is_left_out_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    document = config_of().to_dict()
    document["bot"]["long"]["risk_we_excess_allowance_pct"] = 0.3
    (tmp_path / "my.json").write_text(json.dumps(document))
    assert main(["live", "my.json", "--account", "nobody", "--dry-run"]) == 2
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first.startswith("warning: my.json: bot.long: this trades otherwise here than there")
    assert "no keys of the account nobody" in last


@pytest.mark.parametrize("name", BOTH)
async def test_a_dry_run_plans_and_sends_nothing(name: str, tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        source = open_source(str(written(tmp_path, config_of())), stage.root)
        await trade(stage.order(source, dry_run=True, cycles=2), stage.keys())
        assert {seen.operation for seen in stage.venue.log} & WRITES == set()
        assert not stage.venue.core().orders
        log = (bot_folder(ACCOUNT, stage.root) / "bot.log").read_text()
        assert log.count("would place") >= 24

    await on_stage(name, tmp_path, act)


@pytest.mark.parametrize("name", BOTH)
async def test_a_run_trades_tells_and_keeps_no_key(name: str, tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        source = open_source(str(written(tmp_path, config_of())), stage.root)
        await trade(stage.order(source, cycles=3), stage.keys())
        assert stage.venue.core().open_orders
        folder = bot_folder(ACCOUNT, stage.root)
        status = json.loads((folder / "status.json").read_text())
        assert status["open_orders"] == len(stage.venue.core().open_orders)
        assert status["balance"] == 10_000.0
        for path in tmp_path.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert stage.key.secret.encode() not in content, path
                assert stage.key.key.encode() not in content, path
        environment = "\0".join(f"{key}={value}" for key, value in os.environ.items())
        assert stage.key.secret not in environment

    await on_stage(name, tmp_path, act)


async def test_a_failing_exchange_leaves_no_key_in_the_log(tmp_path: Path) -> None:
    """Errors quote requests; the signed ones have the key in them."""

    async def act(stage: Stage) -> None:
        source = open_source(str(written(tmp_path, config_of())), stage.root)
        for operation in ("balance", "positions", "create"):
            stage.venue.faults.add(operation, "drop", times=4)
            stage.venue.faults.add(operation, "status", status=502, body={}, times=1)
        order = stage.order(source, cycles=6, policy=replace(EAGER, failures=50))
        with pytest.raises(Exception, match=r"."):
            await trade(replace(order, source=_NoRestarts(source)), stage.keys())
        for path in tmp_path.rglob("*"):
            if path.is_file():
                assert stage.key.secret.encode() not in path.read_bytes(), path

    await on_stage("binanceusdm", tmp_path, act)


class _NoRestarts:
    """A source whose configuration allows no restart."""

    version = None

    def __init__(self, source: Source) -> None:
        data = source.now.to_dict()
        data["live"]["max_n_restarts_per_day"] = 0
        self.now, self.label = Config.from_dict(data), source.label

    def poll(self, tell: Callable[[str, str], None]) -> Config | None:
        return None


async def test_a_changed_file_is_taken_over_and_a_broken_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("passivbot.live.source._LOOK_SECONDS", 0.0)
    path = written(tmp_path, config_of())
    async with rig("bybit", tmp_path) as r:
        bot = await r.start()
        await r.settle()
        bot.parts.source = FileSource(path)
        path.write_text("{")
        await r.settle()
        assert "configuration" in dict(r.told)
        assert bot.config.bot.long.n_positions == 2
        changed = config_of(coins=("BTC",)).to_dict()
        changed["bot"]["long"]["risk_we_excess_allowance_pct"] = 0.3
        path.write_text(json.dumps(changed))
        await r.settle()
        # What the file asks for and the bot does not do is told.
        assert "risk_we_excess_allowance_pct" in dict(r.told)["configuration"]
        assert {order.coin for order in r.core.open_orders} == {"BTC"}
        r.check()


async def test_modes_are_taken_over_between_cycles(tmp_path: Path) -> None:
    """Normal → graceful stop → take profits only → panic, on real orders at the venue."""
    async with rig("bybit", tmp_path) as r:
        await r.start()
        r.core.create(client_id="", coin="BTC", side="buy", qty=0.02, price=None, position_side="long")
        await r.settle()
        assert r.source is not None
        for mode, entries in (("graceful_stop", {"BTC"}), ("tp_only", set())):
            r.source.change(config_of(live__forced_mode_long=mode, live__forced_mode_short=mode))
            await r.settle()
            assert {o.coin for o in r.core.open_orders if not o.closes} == entries
            assert {o.coin for o in r.core.open_orders if o.closes} == {"BTC"}
        before = r.resting()
        r.source.change(config_of(live__forced_mode_long="manual", live__forced_mode_short="manual"))
        await r.settle()
        assert r.resting() == before
        r.source.change(config_of(live__forced_mode_long="panic", live__forced_mode_short="panic"))
        for _ in range(4):
            await r.look()
        assert not r.core.positions
        assert not r.core.open_orders


@pytest.mark.parametrize("name", BOTH)
async def test_panic_by_hand_closes_all_that_is_the_bots(name: str, tmp_path: Path) -> None:
    """Whatever the configuration forces; the next start without it trades on."""
    config = config_of(coins=("DOGE",), live__forced_mode_long="n")
    async with rig(name, tmp_path, config=config) as r:
        for coin, qty in (("BTC", 0.001), ("DOGE", 2000.0)):
            r.core.create(client_id="", coin=coin, side="buy", qty=qty, price=None, position_side="long")
        await r.start()
        await r.settle()
        assert {o.closes for o in r.core.open_orders} == {True, False}
        r.policy = replace(EAGER, mode=Mode.PANIC)
        await r.start()
        await r.settle()
        assert set(r.core.positions) == {("BTC", "long")}, "somebody else's"
        assert not r.core.open_orders
        r.policy = EAGER
        await r.start()
        await r.settle()
        assert any(not o.closes for o in r.core.open_orders)
        r.check_books()


def test_a_mode_by_hand_is_one_of_four(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(written(tmp_path, config_of()))
    command = ["live", path, "--account", "no_such_account", "--dir", str(tmp_path), "--mode"]
    assert main([*command, "normal"]) == 2
    assert "'panic', 'tp_only', 'graceful_stop', 'manual'" in capsys.readouterr().err
    assert main([*command, "panic"]) == 2
    assert "no_such_account" in capsys.readouterr().err


async def test_a_coin_that_is_no_longer_approved_is_wound_down(tmp_path: Path) -> None:
    async with rig("binanceusdm", tmp_path) as r:
        await held_by_the_bot(r)
        assert r.source is not None
        held = {coin for coin, _ in r.core.positions}
        coin = min(held)
        other = "DOGE" if coin == "BTC" else "BTC"
        r.source.change(config_of(coins=(other,)))
        await r.settle()
        assert any(o.closes for o in r.core.open_orders if o.coin == coin)
        before = {key: value for key, value in r.resting().items() if key[0] == coin}
        r.source.change(config_of(coins=(other,), live__auto_gs=False))
        for _ in range(4):
            await r.look()
        assert {key: value for key, value in r.resting().items() if key[0] == coin} == before


async def held_by_the_bot(r: Rig) -> None:
    """Trade until the bot holds something."""
    await r.start()
    await r.settle()
    for _ in range(60):
        if r.core.positions:
            return
        await r.minutes(1)
    raise AssertionError("nothing was entered")


def test_strategies_of_other_packages_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    from passivbot.live import strategy

    point = EntryPoint("mine", f"{__name__}:my_strategy", strategy.GROUP)
    monkeypatch.setattr(strategy, "entry_points", lambda group: [point])
    assert strategy.find("mine") is my_strategy
    with pytest.raises(LiveError, match="allowed is mine, trailing_grid"):
        strategy.find("other")
    broken = EntryPoint("broken", f"{__name__}:not_there", strategy.GROUP)
    monkeypatch.setattr(strategy, "entry_points", lambda group: [broken])
    with pytest.raises(LiveError, match="can't be loaded"):
        strategy.find("broken")


def my_strategy(config: Config, markets: dict[str, MarketRules], *, first_ms: int, kept: int) -> Strategy:
    """A strategy of another package."""
    return trailing_grid(config, markets, first_ms=first_ms, kept=kept)


def test_what_can_not_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["live", "nothing", "--account", "x_01", "--dir", str(tmp_path)]) == 2
    assert (
        "NAME is 'nothing'; allowed is a configuration file, or a live configuration"
        in capsys.readouterr().err
    )
    path = written(tmp_path, config_of())
    assert main(["live", str(path), "--account", "no_such_account", "--dir", str(tmp_path)]) == 2
    assert "no_such_account" in capsys.readouterr().err


async def test_cancelling_the_loop_leaves_the_journal_whole(tmp_path: Path) -> None:
    async with rig("bybit", tmp_path) as r:
        bot = await r.start()
        for _ in range(5):
            task = asyncio.create_task(bot.cycle())
            await asyncio.sleep(0.03)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            r.venue.advance()
        await r.start()
        await r.settle()
        r.cycles += 10
        r.check()
