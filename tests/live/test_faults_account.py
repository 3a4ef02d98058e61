"""Faults of balances, positions, history, modes and keys: numbers as in the list of docs/live.md."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from passivbot.errors import LiveError
from passivbot.exchanges.types import Failure
from passivbot.live.clock import WallClock
from passivbot.live.ids import order_type
from tests.live.rig import BOTH, EAGER, Rig, config_of, counts, rig

pytestmark = pytest.mark.parametrize("name", BOTH)


async def traded(r: Rig, minutes: int = 3) -> None:
    """Start, and trade for some minutes."""
    await r.start()
    await r.settle()
    await r.minutes(minutes)


async def holding(r: Rig, most: int = 60) -> None:
    """Trade until something is held."""
    await traded(r)
    for _ in range(most):
        if r.core.positions:
            return
        await r.minutes(1)
    raise AssertionError("nothing was entered")


def rows_of(body: Any) -> list[dict[str, Any]]:
    """The rows of an answer, wherever they stand."""
    if isinstance(body, list):
        return body
    return rows_of(body["result"]["list"]) if isinstance(body, dict) and "result" in body else []


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Any], Any]:
    """An edit of every row of an answer."""

    def edit(body: Any) -> Any:
        for row in rows_of(body):
            change(row)
        return body

    return edit


async def test_fault_10_balance_flashes_to_zero(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        await traded(r)
        r.core.zero_balance_reads = 2
        r.venue.advance()
        before = r.resting()
        for _ in range(2):
            report = await r.look()
            assert getattr(report, "outcome", "") == "balance"
        assert r.resting() == before
        assert counts(r.told)["balance"] >= 1
        await r.settle()
        r.check()


async def test_fault_10_a_restart_in_the_flash_believes_it_no_sooner(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        await traded(r)
        r.core.zero_balance_reads = 2
        await r.start()
        report = await r.look()
        assert getattr(report, "outcome", "") == "balance"
        await r.settle()
        r.check()


async def test_a_balance_that_stays_is_believed(name: str, tmp_path: Path) -> None:
    """A withdrawal of most of the money is no flash."""
    async with rig(name, tmp_path) as r:
        await traded(r)
        r.core.balance *= 0.4
        r.venue.advance()
        await r.settle()
        assert r.bot is not None
        assert any("believed" in text for _, text in r.told)
        r.check()


async def test_fault_11_balance_does_not_depend_on_own_orders(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        await r.start()
        await r.look()
        first = r.planned()
        assert r.core.margin_used()[1] > 0
        report = await r.settle()
        assert r.planned() == first
        assert report.created == report.cancelled == 0
        assert float(r.journal.fact("balance") or 0) == pytest.approx(r.core.balance)
        r.check()


async def test_fault_12_unrealised_profit_is_not_counted(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        await holding(r)
        assert sum(abs(r.core.unrealised(held)) for held in r.core.positions.values()) > 0
        await r.minutes(2)
        assert float(r.journal.fact("balance") or 0) == pytest.approx(r.core.balance, rel=1e-9)
        r.check()


@pytest.mark.parametrize("skew", [-20_000, 20_000])
async def test_fault_13_clock_skew(name: str, skew: int, tmp_path: Path) -> None:
    """Wrong from the start, and going wrong in between."""
    async with rig(name, tmp_path) as r:
        r.venue.skew_ms = skew
        await traded(r, 1)
        r.check()
        r.venue.skew_ms = -skew
        await r.minutes(2)
        assert set(r.failed) <= {Failure.CLOCK}
        assert r.failed
        r.check()


async def test_the_bots_minutes_are_the_exchanges(name: str, tmp_path: Path) -> None:
    """By a clock that is ahead a minute would be taken for over while it runs."""
    async with rig(name, tmp_path) as r:
        r.venue.skew_ms = -25_000
        clock = WallClock()
        await r.start(clock=clock)
        assert clock.ahead_ms == pytest.approx(25_000, abs=5_000)
        assert clock.now_ms() / 1000 == pytest.approx(time.time() - 25, abs=5)


async def test_a_clock_that_is_set_meanwhile_is_measured_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the exchange would take requests by it, and before a minute is taken for over."""
    async with rig(name, tmp_path) as r:
        clock = WallClock()
        await r.start(clock=clock)
        assert r.bot is not None
        asked = r.venue.counts[name, "time"]
        await r.look()
        assert r.venue.counts[name, "time"] == asked
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 4.0)
        r.failed.clear()
        await r.look()
        assert r.venue.counts[name, "time"] == asked + 1
        assert not clock.stepped


async def test_fault_17_a_row_without_position_side(name: str, tmp_path: Path) -> None:
    def sideless(row: dict[str, Any]) -> None:
        row.pop("positionSide", None)
        if "positionIdx" in row:
            row["side"] = ""

    async with rig(name, tmp_path) as r:
        await holding(r)
        r.venue.faults.add("positions", "edit", times=2, edit=edited(sideless))
        orders = r.resting()
        for _ in range(2):
            await r.look()
            assert set(r.resting()) <= set(orders) or r.resting() == r.planned()
        await r.settle()
        r.check()


async def test_fault_16_fills_doubled_and_out_of_order(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        r.venue.faults.add("fills", "repeat", times=10**6)
        await holding(r)
        r.venue.faults.clear()
        r.venue.faults.add("fills", "reverse", times=10**6)
        await r.minutes(5)
        assert "history" not in counts(r.told)
        r.check()


async def test_fault_20_manual_orders_and_positions_are_left_alone(name: str, tmp_path: Path) -> None:
    """A person's order on a traded coin; position and order on a coin that the bot does not trade."""
    async with rig(name, tmp_path, config=config_of(coins=("BTC",))) as r:
        manual = r.core.create(
            client_id="by-hand", coin="BTC", side="buy", qty=0.01, price=50_000.0, position_side="long"
        )
        r.core.create(client_id="", coin="DOGE", side="buy", qty=500.0, price=None, position_side="long")
        other = r.core.create(
            client_id="",
            coin="DOGE",
            side="sell",
            qty=500.0,
            price=0.3,
            position_side="long",
            reduce_only=True,
        )
        await traded(r, 8)
        assert manual.resting
        assert other.resting
        assert r.core.positions["DOGE", "long"].size == 500.0
        assert {order.coin for order in r.core.open_orders if order not in (manual, other)} == {"BTC"}
        await r.start()
        await r.settle()
        assert manual.resting
        assert other.resting


async def test_fault_21_hedge_mode_is_set_and_a_change_is_noticed(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        r.core.hedge_mode = False
        await r.start()
        assert r.core.hedge_mode
        r.core.hedge_mode = False  # by hand, while the bot is flat and has sent nothing
        await r.settle()
        assert r.core.hedge_mode
        assert "position_mode" in counts(r.told)
        r.check()


async def test_fault_21_one_way_mode_that_can_not_change_stops_the_bot(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        r.core.hedge_mode = False
        r.core.create(client_id="", coin="BTC", side="buy", qty=0.01, price=None)
        with pytest.raises(LiveError, match="one-way mode"):
            await r.start()
        assert not r.core.open_orders


async def test_fault_22_without_leverage_no_entries_but_closes(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        r.core.create(client_id="", coin="BTC", side="buy", qty=0.02, price=None, position_side="long")
        r.venue.faults.add("set_leverage", "error", name="leverage", times=100)
        await r.start()
        for _ in range(3):
            await r.look()
        assert r.core.open_orders
        assert all(order.closes for order in r.core.open_orders)
        assert counts(r.told)["leverage"] == 2
        r.venue.faults.clear()
        r.venue.advance(11)
        await r.settle()
        assert not all(order.closes for order in r.core.open_orders)
        r.check()


async def test_fault_23_more_fills_than_a_page(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        await traded(r, 1)
        for n in range(240):
            side = "buy" if n % 2 == 0 else "sell"
            r.core.create(
                client_id="",
                coin="BTC",
                side=side,
                qty=0.001,
                price=None,
                position_side="long",
                reduce_only=n % 2 == 1,
            )
        r.venue.faults.add("fills", "repeat", times=2)
        r.venue.advance(6)
        await r.settle()
        assert len(r.journal.fills()) >= 240
        r.check()


async def test_fault_24_late_profit_and_late_fills_cause_no_panic(name: str, tmp_path: Path) -> None:
    """Fills that the history does not show yet: nothing is entered there, nothing closed in haste."""
    async with rig(name, tmp_path) as r:
        await holding(r)
        order = next(o for o in r.core.open_orders if o.closes)
        key = (order.coin, order.position_side)
        before = {o.id for o in r.core.open_orders}
        r.core.fill(order.id, r.venue.source.market(order.coin).rules.qty_step)
        r.venue.faults.add("fills", "truncate", keep=0, times=4)
        await r.look()
        new = [o for o in r.core.open_orders if o.id not in before]
        assert key not in {(o.coin, o.position_side) for o in new}
        r.venue.faults.clear()
        await r.minutes(6)
        assert len(r.journal.fills()) == len(r.core.executions)
        kinds = {str(order_type(o.client_id[-28:])) for o in r.core.orders.values()}
        assert not any("panic" in kind for kind in kinds)
        r.check()


async def test_fault_24_late_fills_are_asked_for_until_they_are_there(name: str, tmp_path: Path) -> None:
    """What trails a position goes by its last fill, so the minutes until the next regular look count."""
    async with rig(name, tmp_path) as r:
        await holding(r)
        order = next(o for o in r.core.open_orders if o.closes)
        r.core.fill(order.id)
        r.venue.faults.add("fills", "truncate", keep=0, times=2)
        await r.settle()
        assert "history" not in counts(r.told)
        assert len(r.journal.fills()) == len(r.core.executions)
        r.check()


async def test_fault_24_fills_that_are_minutes_late_are_found(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path) as r:
        await holding(r)
        order = next(o for o in r.core.open_orders if o.closes)
        r.core.fill(order.id)
        late = r.venue.faults.add("fills", "truncate", keep=0, times=10**6)
        await r.settle()
        assert counts(r.told)["history"] == 1
        asked = late.met
        await r.minutes(2)
        assert late.met >= asked + 2
        assert len(r.journal.fills()) < len(r.core.executions)
        r.venue.faults.clear()
        await r.minutes(1)
        assert len(r.journal.fills()) == len(r.core.executions)
        r.check()


async def test_fault_29_keys(name: str, tmp_path: Path) -> None:
    """A key that may withdraw is refused; one that is revoked or used from elsewhere stops the bot."""
    async with rig(name, tmp_path) as r:
        r.key.permissions = frozenset({"read", "trade", "withdraw"})
        with pytest.raises(LiveError, match="withdraw"):
            await r.start()
        r.key.permissions = frozenset({"read"})
        with pytest.raises(LiveError, match="may not trade"):
            await r.start()
        r.key.permissions = frozenset({"read", "trade"})
        await traded(r, 1)
        orders = r.resting()
        for change in ("revoked", "listed"):
            setattr(r.key, change, change == "revoked")
            with pytest.raises(LiveError, match="does not accept this key"):
                await r.settle()
            assert r.resting() == orders
            setattr(r.key, change, change == "listed")
        r.check()


async def test_fault_29_a_key_that_gets_to_withdraw_later_stops_the_bot(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path, policy=replace(EAGER, permissions_hours=0.05)) as r:
        await traded(r, 1)
        r.key.permissions = frozenset({"read", "trade", "withdraw"})
        with pytest.raises(LiveError, match="withdraw"):
            await r.minutes(5)


async def test_loss_stop_ends_entries_and_a_person_clears_it(name: str, tmp_path: Path) -> None:
    async with rig(name, tmp_path, policy=replace(EAGER, loss_stop=0.2)) as r:
        await holding(r)
        r.core.balance *= 0.7
        await r.minutes(3)
        assert "loss_stop" in counts(r.told)
        assert all(order.closes for order in r.core.open_orders)
        await r.start()
        await r.settle()
        assert all(order.closes for order in r.core.open_orders)
        r.journal.drop_facts(("loss_stop", "equity_peak"))
        await r.start()
        await r.settle()
        assert not all(order.closes for order in r.core.open_orders)
