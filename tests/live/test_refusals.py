"""What an exchange refuses for long: told once, asked again each minute, and quiet meanwhile."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from passivbot.exchanges import ExchangeFault
from passivbot.exchanges.types import Failure
from passivbot.live.journal import Journal
from passivbot.live.run import Restarts, supervise
from passivbot.live.watch import Report, Watch
from passivbot.venue.orders import CoinSettings
from tests.live.rig import ACCOUNT, BOTH, Rig, config_of, rig

both = pytest.mark.parametrize("name", BOTH)


async def still(r: Rig, most: int = 8) -> Report:
    """Run cycles in one minute until the bot sees nothing to do before the next."""
    for _ in range(most):
        report = await r.look()
        if isinstance(report, Report) and report.outcome == "ok" and not report.again:
            return report
    raise AssertionError(f"it finds no rest: {report}; {r.told[-5:]}")


def asked(r: Rig, operation: str) -> int:
    """How often the venue was asked for something."""
    return r.venue.counts[r.name, operation]


def said(r: Rig) -> list[str]:
    """Which guards spoke, as often as the journal has it."""
    return [guard for _, guard, _ in r.journal.trips()]


def hold(r: Rig, coin: str, qty: float) -> None:
    """Let the account hold something long that the bot takes over."""
    r.core.create(client_id="", coin=coin, side="buy", qty=qty, price=None, position_side="long")


@both
async def test_a_market_that_takes_not_even_closes_is_tried_once_a_minute(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        hold(r, "DOGE", 2000.0)
        r.core.refuse_reason["DOGE"] = "inactive"
        await r.start()
        markets = asked(r, "markets")
        await still(r)
        for _ in range(3):
            created = asked(r, "create")
            await still(r)
            assert asked(r, "create") == created, "nothing is sent again within the minute"
            r.venue.advance()
            await still(r)
            assert asked(r, "create") > created
        assert asked(r, "markets") > markets, "whether it is traded at all"
        assert said(r).count("market") <= 2
        r.core.refuse_reason.clear()
        r.venue.advance()
        await r.settle()
        assert any(o.coin == "DOGE" and o.closes for o in r.core.open_orders)


@both
async def test_without_margin_entries_wait_and_closes_do_not(name: str, tmp_path: Path) -> None:
    """Somebody's position on another coin binds nearly all of the account."""
    config = config_of(("DOGE",), live__leverage=1.0)
    async with rig(name, tmp_path, config=config) as r:
        r.core.settings["BTC"] = CoinSettings(leverage=1.0)
        hold(r, "BTC", 0.16)
        await r.start()
        await still(r)
        assert "margin" in {guard for guard, _ in r.told}
        resting = r.resting()
        created = asked(r, "create")
        for _ in range(3):
            await still(r)
        assert asked(r, "create") == created, "nothing is sent again within the minute"
        # An entry fills: its close is placed in the same minute.
        entry = next(o for o in r.core.open_orders if not o.closes)
        r.core.fill(entry.id)
        await still(r)
        closes = [o for o in r.core.open_orders if o.closes and o.position_side == entry.position_side]
        assert closes
        assert resting
        r.check_books()
        r.venue.advance()
        again = asked(r, "create")
        await still(r)
        assert asked(r, "create") > again, "a minute later it is tried once more"


@both
async def test_what_somebody_elses_orders_close_is_not_closed_again_and_again(
    name: str, tmp_path: Path
) -> None:
    async with rig(name, tmp_path) as r:
        hold(r, "DOGE", 2000.0)
        r.core.refuse_reason["DOGE"] = "reduce_only"
        await r.start()
        await still(r)
        created = asked(r, "create")
        for _ in range(3):
            await still(r)
        assert asked(r, "create") == created
        assert "refused" in {guard for guard, _ in r.told}
        r.core.refuse_reason.clear()
        r.venue.advance()
        await r.settle()
        r.check()


def without_doge(body: Any) -> Any:
    """A list of Binance's markets that one is gone from."""
    return {**body, "symbols": [row for row in body["symbols"] if row["baseAsset"] != "DOGE"]}


async def test_a_market_that_is_gone_keeps_the_bot_neither_busy_nor_forgetful(tmp_path: Path) -> None:
    """Its orders stay in the journal, and are looked up if it comes back."""
    async with rig("binanceusdm", tmp_path) as r:
        await r.start()
        await r.settle()
        r.venue.faults.add("markets", "edit", edit=without_doge, times=10**6)
        for order in [o for o in r.core.open_orders if o.coin == "DOGE"]:
            r.core.cancel(order_id=order.id)
        assert r.bot is not None
        r.bot._due_ms["markets"] = 0
        await still(r)
        assert "DOGE" not in r.bot.parts.exchange.markets
        for _ in range(4):
            await still(r)
        fills = asked(r, "fills")
        for _ in range(3):
            assert not (await still(r, 1)).again
        assert asked(r, "fills") == fills
        assert {intent.coin for intent in r.journal.live()} == {"BTC", "DOGE"}
        r.venue.faults.clear()
        r.bot._due_ms["markets"] = 0
        r.venue.advance()
        await r.settle()
        assert any(o.coin == "DOGE" for o in r.core.open_orders)
        r.check()


@both
@pytest.mark.parametrize("balance", [0.0, -50.0])
async def test_an_account_that_is_empty_is_believed_once(name: str, balance: float, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        await r.start()
        await r.settle()
        r.core.balance = balance
        for _ in range(4):
            await r.look()
        assert [text for guard, text in r.told if guard == "balance"][-1].endswith("believed")
        told = len(r.told)
        await r.start()
        for _ in range(3):
            assert not (await still(r, 1)).again
        assert not [text for guard, text in r.told[told:] if guard == "balance"]
        assert not [o for o in r.core.open_orders if not o.closes]


@both
async def test_a_rate_limit_on_cancels_ends_the_cycle(name: str, tmp_path: Path) -> None:
    """Not even the positions are asked for that are else looked at after cancels."""
    async with rig(name, tmp_path) as r:
        await r.start()
        await r.settle()
        assert r.source is not None
        r.source.change(config_of(bot__long__entry_grid_spacing_pct=0.006))
        r.venue.faults.add("cancel", "limit", seconds=1.0, skip=2)
        positions = asked(r, "positions")
        await r.look()
        assert not r.venue.faults.waiting
        assert asked(r, "positions") == positions + 1
        await r.settle()
        r.check()


async def test_a_stream_waits_too_when_its_key_meets_a_rate_limit(tmp_path: Path) -> None:
    async with rig("binanceusdm", tmp_path) as r:
        await r.start()
        limit = r.venue.faults.add("stream_key", "limit", seconds=600.0, times=10**6)
        watching = r.exchange
        assert watching is not None

        async def follow() -> None:
            async for hint in watching.watch():
                lost.append(hint.text)

        lost: list[str] = []
        task = asyncio.create_task(follow())
        while len(lost) < 2:  # that of orders and that of positions
            await asyncio.sleep(0.02)
        await asyncio.sleep(1.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert limit.met <= len(lost) == 2


async def test_a_ban_is_waited_out_before_the_next_try(tmp_path: Path) -> None:
    class Now:
        def __init__(self) -> None:
            self.waited: list[float] = []

        def now_ms(self) -> int:
            return 1_000_000

        async def wait(self, seconds: float, wake: asyncio.Event) -> None:
            self.waited.append(seconds)

    journal, clock = Journal(tmp_path / "journal.sqlite", ACCOUNT), Now()

    async def life() -> None:
        if len(clock.waited) < 2:
            raise ExchangeFault(Failure.RATE_LIMIT, "banned", 7200.0 - len(clock.waited))

    await supervise(life, Restarts(journal, 3), Watch(journal), clock, asyncio.Event())
    assert clock.waited == [7200.0, 7199.0]
    journal.close()


def test_the_same_words_with_another_time_are_the_same(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite", ACCOUNT)
    watch = Watch(journal)
    for time in (1795673632868, 1795673632973):
        watch.tell("market", f'{{"retMsg":"This contract is not live","time":{time}}}')
    watch.tell("balance", "the balance went from 1000 to 10")
    watch.tell("balance", "the balance went from 1000 to 20")
    assert [guard for _, guard, _ in journal.trips()] == ["market", "balance", "balance"]
    journal.close()
