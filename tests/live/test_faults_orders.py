"""Faults of placing and cancelling: numbers as in the list of docs/live.md."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from passivbot.exchanges.types import Failure
from passivbot.live.ids import order_type
from passivbot.venue.wire import Call
from tests.live.rig import BOTH, EAGER, Rig, config_of, counts, falling_source, rig

pytestmark = pytest.mark.parametrize("name", BOTH)


async def traded(r: Rig, minutes: int = 3) -> None:
    """Start, and trade for some minutes."""
    await r.start()
    await r.settle()
    await r.minutes(minutes)


async def test_fault_01_create_accepted_reply_lost(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        r.venue.faults.add("create", "lost", times=2)
        await r.start()
        await r.settle()
        assert len(r.venue.faults.done) == 1
        r.check()
        await r.minutes(2)
        r.check()


async def test_an_order_that_is_not_told_everywhere_yet_is_not_placed_twice(
    name: str, tmp_path: Path
) -> None:
    """Taken a moment ago, and neither the list nor the lookup knows it: exchanges have several machines."""
    async with rig(name, tmp_path, policy=replace(EAGER, unknown_seconds=60.0)) as r:
        await r.start()
        await r.settle()
        placed = set(r.core.orders)
        r.venue.faults.add("open_orders", "truncate", keep=0, times=3)
        r.venue.faults.add("order", "error", name="no_order", times=1000)
        for _ in range(3):
            await r.look()
        assert set(r.core.orders) == placed
        r.venue.faults.clear()
        await r.settle()
        assert set(r.core.orders) == placed
        r.check()


async def test_fault_02_503_may_have_been_executed(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        r.venue.faults.add("create", "unknown", times=2)
        r.venue.faults.add("cancel", "unknown", times=2)
        await traded(r)
        await r.until_met()
        r.check()


async def test_fault_03_crash_between_send_and_acknowledgement(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        bot = await r.start()
        r.venue.faults.add("create", "late", seconds=5.0)
        task = asyncio.create_task(bot.cycle())
        while not r.venue.core().open_orders:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        placed = len(r.core.open_orders)
        assert placed
        assert all(intent.state == "intended" for intent in r.journal.live())
        await r.start()
        await r.settle()
        r.check()


async def test_fault_04_batch_partly_rejected_and_reordered(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        r.core.refuse_reason["DOGE"] = "funds"
        r.venue.faults.add("create", "reverse", times=3)
        await r.start()
        await r.look()
        assert {order.coin for order in r.core.open_orders} == {"BTC"}
        assert {i.coin for i in r.journal.live() if i.state == "open"} == {"BTC"}
        assert "margin" in counts(r.told)
        r.core.refuse_reason.clear()
        r.venue.faults.clear()
        r.venue.advance(2)
        await r.settle()
        r.check()
        assert {order.coin for order in r.core.open_orders} == {"BTC", "DOGE"}


async def test_fault_05_duplicate_id_means_already_there(name: str, tmp_path: Path) -> None:
    """The order rests, but the bot takes it for unsent: sending it again is refused as a duplicate."""
    async with rig(name, tmp_path) as r:
        r.venue.faults.add("create", "lost", times=3)
        await r.start()
        await r.look()
        before = r.resting()
        unsure = [i for i in r.journal.live() if i.state == "unknown"]
        assert unsure
        r.journal.settle(((i.id, "refused", "", "as if it had never been sent") for i in unsure), 0)
        r.venue.faults.clear()
        r.venue.faults.add("open_orders", "truncate", keep=0)
        await r.settle()
        assert r.core.open_orders
        for order, times in before.items():
            assert r.resting().get(order, 0) <= times
        r.check()


def at_the_same_moment(r: Rig, act: Callable[[], object]) -> Callable[[Call], bool]:
    """A condition that lets something happen at the exchange just before the request arrives."""

    def fits(call: Call) -> bool:
        act()
        return True

    return fits


@pytest.mark.parametrize("part", [None, 0.5])
async def test_fault_06_and_07_cancel_meets_a_fill(name: str, part: float | None, tmp_path: Path) -> None:
    """An order fills, wholly (6) or in part (7), while its cancel is on the way."""
    async with rig(name, tmp_path) as r:
        await traded(r)

        def fill() -> None:
            order = next(o for o in r.core.open_orders if "entry" in str(order_type(o.client_id[-28:])))
            step = r.venue.source.market(order.coin).rules.qty_step
            qty = None if part is None else max(step, round(order.qty * part / step) * step)
            r.core.fill(order.id, qty)

        r.venue.faults.add("cancel", "delay", seconds=0.0, fits=at_the_same_moment(r, fill))
        executed = len(r.core.executions)
        await r.until_met()
        assert len(r.core.executions) > executed
        r.check()


async def test_fault_08_rate_limit_stops_all_sending(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        await r.start()
        r.venue.faults.add("create", "limit", seconds=2.0, status=429)
        await r.look()
        limited = [seen for seen in r.venue.log if seen.fault == "limit"]
        assert len(limited) == 1
        began = time.monotonic()
        while r.bot is not None and r.bot.parts.pace.wait_seconds() > 0:
            report = await r.bot.cycle()
            assert report.outcome == "paced"
            await asyncio.sleep(0.1)
        assert time.monotonic() - began < 4.0
        await r.settle()
        after = [seen for seen in r.venue.log if seen.wall_s > limited[0].wall_s + 0.2]
        assert after
        # Requests that were on the way already are let be; after them there is silence.
        wait = 1.5 if name == "binanceusdm" else 0.5
        assert min(seen.wall_s for seen in after) >= limited[0].wall_s + wait
        r.check()


async def test_fault_09_rate_limit_storm_while_paging_history(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        for n in range(130):
            side, qty = ("buy", 0.01) if n % 2 == 0 else ("sell", 0.01)
            r.core.create(
                client_id="",
                coin="BTC",
                side=side,
                qty=qty,
                price=None,
                position_side="long",
                reduce_only=n % 2 == 1,
            )
        r.venue.faults.add("fills", "limit", times=2, seconds=0.2)
        await r.start()
        await r.settle()
        assert len(r.journal.fills()) == 130
        r.check()


async def test_fault_14_truncated_list_of_open_orders(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        await traded(r)
        before = len(r.core.open_orders)
        for keep in (0, 3):
            r.venue.faults.add("open_orders", "truncate", keep=keep)
            report = await r.look()
            assert len(r.core.open_orders) == before, report
        await r.settle()
        r.check()


async def test_fault_28_post_only_would_cross(name: str, tmp_path: Path) -> None:
    """The price falls while the first orders are on the way: entries of longs would trade at once."""
    source = falling_source(at=200, by=0.97)
    config = config_of(live__time_in_force="post_only")
    async with rig(name, tmp_path, config=config, source=source, start_minute=200) as r:
        await r.start()
        r.venue.faults.add("create", "delay", seconds=0.0, fits=at_the_same_moment(r, r.venue.clock.advance))
        await r.look()
        assert not r.venue.faults.waiting
        assert r.core.open_orders
        assert not r.core.executions
        sent = {intent.side for intent in r.journal.live()}
        resting = {order.position_side for order in r.core.open_orders}
        assert "short" in resting
        await r.settle()
        assert not r.failed
        assert all(order.post_only for order in r.core.open_orders)
        assert sent
        r.check()


async def test_an_error_of_each_kind_is_survived(name: str, tmp_path: Path) -> None:
    """One after the other, on orders and on cancels."""
    async with rig(name, tmp_path) as r:
        await r.start()
        await r.settle()
        for kind in ("server", "timeout", "funds", "gone", "reduce_only", "clock"):
            r.venue.faults.add("create", "error", name=kind)
            r.venue.faults.add("cancel", "error", name=kind)
            for _ in range(3):
                r.venue.advance()
                await r.look()
            r.venue.faults.clear()
        r.venue.advance(2)
        await r.settle()
        assert Failure.AUTH not in r.failed
        r.check()
