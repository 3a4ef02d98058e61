"""The matching core against the specification's rules of fills, and the rules of an account."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passivbot.engine import MarketRules
from passivbot.times import MINUTE_MS
from passivbot.venue.arithmetic import average, dec10, is_multiple, nint, plain, round_near
from passivbot.venue.core import Core
from passivbot.venue.market import Clock, MarketSource, VenueMarket
from passivbot.venue.orders import Event, Order, Refused

START_MS = 1_746_403_200_000
RULES = MarketRules(qty_step=0.001, price_step=0.1, min_qty=0.001, min_cost=0.05, c_mult=1.0)


def make(rows: list[tuple[float, float, float]], coins: tuple[str, ...] = ("BTC",), **settings: Any) -> Core:
    """A core at the first minute of candles of (high, low, close)."""
    table = np.array([[START_MS + i * MINUTE_MS, c, h, low, c, 1.0] for i, (h, low, c) in enumerate(rows)])
    source = MarketSource(
        [VenueMarket(coin, RULES, maker_fee=0.0002, taker_fee=0.0005) for coin in coins],
        {coin: table for coin in coins},
    )
    return Core(source, Clock(START_MS + MINUTE_MS), balance=100_000.0, **settings)


def step(core: Core) -> list[Any]:
    fills = core.advance()
    core.clock.advance()
    return fills


def entry(core: Core, price: float, qty: float = 0.01, **changes: Any) -> Order:
    order: dict[str, Any] = {
        "client_id": "",
        "coin": "BTC",
        "side": "buy",
        "qty": qty,
        "price": price,
        "position_side": "long",
    }
    return core.create(**{**order, **changes})


def test_orders_fill_by_strict_comparison_at_their_price() -> None:
    core = make([(101, 99, 100), (100.5, 99.0, 100), (100.5, 98.9, 100)])
    order = entry(core, 99.0)
    assert step(core) == [], "the low only touches the price"
    (fill,) = step(core)
    assert (fill.price, fill.qty, fill.maker) == (99.0, 0.01, True)
    assert order.status == "filled"


def test_a_sell_fills_above_the_high_only() -> None:
    core = make([(100, 100, 100), (101.0, 99, 100), (101.1, 99, 100)])
    entry(core, 101.0, side="sell", position_side="short")
    assert step(core) == []
    assert len(step(core)) == 1


def test_within_a_minute_closes_come_before_entries_and_the_nearest_first() -> None:
    core = make([(100, 100, 100), (110, 90, 100)], coins=("BTC", "ADA"))
    for coin in ("BTC", "ADA"):
        entry(core, 100.0, coin=coin, side="buy", qty=1.0)
        core.fill(core.open_orders[-1].id)
    entry(core, 95.0, qty=0.1)
    entry(core, 99.0, qty=0.1)
    entry(core, 105.0, side="sell", position_side="short", qty=0.1)
    entry(core, 103.0, side="sell", reduce_only=True, qty=0.1)
    entry(core, 98.0, coin="ADA", qty=0.1)
    entry(core, 102.0, coin="ADA", side="sell", reduce_only=True, qty=0.1)
    order = [(f.coin, f.position_side, f.side, f.price) for f in step(core)]
    assert order == [
        ("ADA", "long", "sell", 102.0),
        ("ADA", "long", "buy", 98.0),
        ("BTC", "long", "sell", 103.0),
        ("BTC", "long", "buy", 99.0),
        ("BTC", "long", "buy", 95.0),
        ("BTC", "short", "sell", 105.0),
    ]


def test_balance_and_average_follow_the_specification() -> None:
    core = make([(100, 100, 100), (110, 90, 100)])
    core.fill(entry(core, 99.0, qty=0.03).id)
    core.fill(entry(core, 97.0, qty=0.01).id)
    held = core.positions["BTC", "long"]
    assert held.size == 0.04
    assert held.price == 99.0 * (0.03 / 0.04) + 97.0 * (0.01 / 0.04)
    fees = 0.03 * 99.0 * 0.0002 + 0.01 * 97.0 * 0.0002
    assert core.balance == pytest.approx(100_000.0 - fees, abs=1e-9)
    before = core.balance
    closing = entry(core, 101.0, side="sell", qty=0.1, reduce_only=True)
    fill = core.fill(closing.id)
    assert fill.qty == 0.04, "clipped to the position"
    assert fill.pnl == 0.04 * 1.0 * (101.0 - 98.5)
    assert core.balance == before + (fill.pnl + -(0.04 * 101.0 * 1.0) * 0.0002)
    assert core.positions == {}


def test_what_could_only_reduce_ends_with_its_position() -> None:
    core = make([(100, 100, 100)] * 3)
    core.fill(entry(core, 99.0).id)
    first, second = (entry(core, price, side="sell", qty=0.01, reduce_only=True) for price in (101.0, 102.0))
    core.fill(first.id)
    assert second.status == "canceled"
    assert core.open_orders == []


def test_partial_fills_leave_the_rest_open() -> None:
    core = make([(100, 100, 100)] + [(101, 90, 100)] * 3, partial_share=0.5)
    order = entry(core, 95.0, qty=0.01)
    assert [f.qty for f in step(core)] == [0.005]
    assert order.status == "partial"
    assert order.left == pytest.approx(0.005)
    assert core.positions["BTC", "long"].size == 0.005


def test_an_order_that_crosses_takes_at_the_last_price_unless_post_only() -> None:
    core = make([(100, 100, 100)] * 3)
    with pytest.raises(Refused) as refused:
        entry(core, 101.0, post_only=True)
    assert refused.value.why == "post_only"
    silent = entry(core, 101.0, post_only=True, post_only_cancels=True)
    assert silent.status == "canceled"
    taken = entry(core, 101.0)
    assert (taken.status, taken.average) == ("filled", 100.0)
    assert core.executions[-1].fee == pytest.approx(0.01 * 100.0 * 0.0005)
    resting = entry(core, 100.0, post_only=True)
    assert resting.status == "open", "at the last price it rests"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"qty": 0.0105}, "qty_step"),
        ({"price": 99.05}, "price_step"),
        ({"qty": 0.0}, "invalid"),
        ({"qty": 0.001, "price": 10.0}, "min_cost"),
        ({"qty": 50_000.0}, "funds"),
        ({"coin": "XYZ"}, "symbol"),
        ({"position_side": None}, "position_mode"),
        ({"side": "sell", "price": 101.0}, "reduce_only"),
        ({"client_id": "same"}, "duplicate"),
    ],
)
def test_refusals(changes: dict[str, Any], why: str) -> None:
    core = make([(100, 100, 100)] * 3)
    entry(core, 98.0, client_id="same")
    with pytest.raises(Refused) as refused:
        entry(core, **{"price": 99.0, **changes})
    assert refused.value.why == why
    assert len(core.open_orders) == 1


def test_one_way_mode_turns_a_position_over() -> None:
    core = make([(100, 100, 100)] * 3, hedge_mode=False)
    core.fill(entry(core, 99.0, position_side=None).id)
    order = entry(core, 101.0, side="sell", qty=0.03, position_side=None)
    core.fill(order.id)
    assert set(core.positions) == {("BTC", "short")}
    assert core.positions["BTC", "short"].size == pytest.approx(-0.02)
    core.create(client_id="", coin="BTC", side="buy", qty=0.02, price=None, reduce_only=True)
    assert core.positions == {}


def test_settings_can_not_change_under_positions_or_orders() -> None:
    core = make([(100, 100, 100)] * 3)
    entry(core, 99.0)
    for change in (lambda: core.set_hedge_mode(False), lambda: core.set_margin_mode("BTC", "isolated")):
        with pytest.raises(Refused) as refused:
            change()
        assert refused.value.why == "busy"
    with pytest.raises(Refused) as refused:
        core.set_leverage("BTC", 1000)
    assert refused.value.why == "leverage"
    assert core.set_leverage("BTC", 5) is True
    assert core.set_leverage("BTC", 5) is False


def test_leverage_bounds_what_can_be_ordered() -> None:
    core = make([(100, 100, 100)] * 3)
    core.set_leverage("BTC", 1)
    entry(core, 99.0, qty=1000.0)
    with pytest.raises(Refused) as refused:
        entry(core, 99.0, qty=20.0)
    assert refused.value.why == "funds"
    core.set_leverage("BTC", 2)
    entry(core, 99.0, qty=20.0)


def test_listeners_hear_each_event_as_it_was() -> None:
    core = make([(100, 100, 100)] * 3)
    heard: list[Event] = []
    core.listeners.append(heard.append)
    order = entry(core, 99.0)
    core.fill(order.id, 0.004)
    core.cancel(order_id=order.id)
    assert [what for what, _ in heard] == ["order", "fill", "order", "position", "balance", "order"]
    states = [thing.status for _, thing in heard if isinstance(thing, Order)]
    assert states == ["open", "partial", "canceled"]


def test_ended_orders_are_forgotten_after_a_while() -> None:
    core = make([(100, 100, 100)] * 3, forget_after=10)
    for number in range(50):
        core.cancel(order_id=entry(core, 99.0, client_id=str(number)).id)
    assert len(core.orders) == 10
    assert core.find(client_id="3") is None
    assert core.find(client_id="49") is not None


def test_a_delisted_market_neither_fills_nor_takes_orders() -> None:
    core = make([(100, 100, 100), (110, 90, 100)])
    entry(core, 95.0)
    core.source.change("BTC", active=False)
    assert step(core) == []
    with pytest.raises(Refused) as refused:
        entry(core, 95.0)
    assert refused.value.why == "inactive"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 500), st.booleans()), min_size=1, max_size=30))
def test_positions_and_money_are_conserved(trades: list[tuple[int, bool]]) -> None:
    """The balance is what fills say, and the position what was bought less what was sold."""
    core = make([(100, 100, 100)] * 3)
    core.set_leverage("BTC", 100)
    for lots, buys in trades:
        qty = lots * 0.001
        held = core.positions.get(("BTC", "long"))
        if not buys and held is None:
            continue
        side = "buy" if buys else "sell"
        price = 99.0 if buys else 101.0
        core.fill(entry(core, price, qty=dec10(qty), side=side, reduce_only=not buys).id)
    size = sum(f.qty if f.side == "buy" else -f.qty for f in core.executions)
    held = core.positions.get(("BTC", "long"))
    assert (held.size if held else 0.0) == pytest.approx(size, abs=1e-9)
    money = 100_000.0 + sum(f.pnl - f.fee for f in core.executions)
    assert core.balance == pytest.approx(money, abs=1e-9)
    assert all(is_multiple(f.size_after, 0.001) for f in core.executions)


def test_arithmetic_is_the_specifications() -> None:
    assert [nint(x) for x in (2.5, -2.5, 0.49999999999999994, -0.5)] == [3.0, -3.0, 0.0, -1.0]
    assert round_near(0.30000000000000004, 0.1) == 0.3
    assert average(0.1, 100.0, 0.2, 103.0, 0.001) == (0.3, 100.0 * (0.1 / 0.3) + 103.0 * (0.2 / 0.3))
    assert average(0.1, 100.0, -0.1, 103.0, 0.001) == (0.0, 0.0)
    assert [plain(x) for x in (1e-5, 60000.0, 0.1, 1e12)] == ["0.00001", "60000", "0.1", "1000000000000"]
