"""The cap of the account, a person's and a promoted version's, and what counts against it."""

from pathlib import Path

import pytest

from passivbot.exchanges.types import Market, OpenOrder, Ticker
from passivbot.live.decide import Known, caps_of, room_of, take_up
from passivbot.live.ids import order_type
from passivbot.live.journal import Intent
from passivbot.live.policy import Policy
from passivbot.live.reconcile import Resting
from passivbot.live.universe import Universe
from passivbot.planner import Plan
from tests.live.rig import BOTH, EAGER, RULES, Rig, config_of, counts, rig


def at_most(r: Rig) -> float:
    """Exposure of the account if every entry that rests filled."""
    held = sum(r.exposure().values())
    entries = (o for o in r.core.open_orders if str(order_type(o.client_id[-28:])).startswith("entry"))
    return held + sum(o.left * o.price for o in entries) / r.core.balance


async def looks(r: Rig, count: int = 6) -> None:
    for _ in range(count):
        await r.look()


@pytest.mark.parametrize("name", BOTH)
async def test_the_lower_of_both_caps_binds(name: str, tmp_path: Path) -> None:
    policy = Policy(**{**EAGER.__dict__, "max_exposure": 0.5})
    async with rig(name, tmp_path, policy=policy) as r:
        await r.start()
        assert r.source is not None
        for cap, bound in ((None, 0.5), (0.2, 0.2), (0.9, 0.5)):
            r.source.cap = cap
            await looks(r)
            assert 0.5 * bound < at_most(r) <= bound * (1 + policy.exposure_slack)
        assert counts(r.told)["exposure"] >= 1


@pytest.mark.parametrize("name", BOTH)
async def test_a_lowered_cap_ends_what_rests_above_it(name: str, tmp_path: Path) -> None:
    """Another version with a lower cap: resting entries go, the farthest first; closes stay."""
    async with rig(name, tmp_path) as r:
        await r.start()
        await r.settle()
        for _ in range(60):
            if r.core.positions:
                break
            await r.minutes(1)
        assert at_most(r) > 1.0
        held = sum(r.exposure().values())
        closes = {o.id for o in r.core.open_orders if "close" in str(order_type(o.client_id[-28:]))}
        assert closes
        assert r.source is not None
        r.source.cap = held + 0.1
        await looks(r)
        assert held < at_most(r) <= r.source.cap * (1 + EAGER.exposure_slack)
        assert closes <= {o.id for o in r.core.open_orders}
        resting = r.resting()
        await looks(r)
        assert r.resting() == resting, "it rests as it is, and is not sent again and again"
        r.check_orders()


@pytest.mark.parametrize("name", BOTH)
async def test_no_entry_is_placed_while_a_cancel_did_not_succeed(name: str, tmp_path: Path) -> None:
    """What was to make room may still fill, on whatever coin it is."""
    async with rig(name, tmp_path) as r:
        await r.start()
        await r.settle()
        assert r.source is not None
        known = set(r.core.orders)
        r.source.change(config_of(bot__long__entry_grid_spacing_pct=0.006))
        r.venue.faults.add("cancel", "error", name="server")
        report = await r.look()
        assert not r.venue.faults.waiting
        assert getattr(report, "cancelled", 0) > 1
        assert getattr(report, "again", False)
        new = [order for number, order in r.core.orders.items() if number not in known]
        assert not [o for o in new if "entry" in str(order_type(o.client_id[-28:]))]
        await r.settle()
        r.check()


def test_what_may_rest_and_what_others_placed_counts() -> None:
    market = Market("BTC", "BTC/USDT:USDT", RULES["BTC"], 0.0002, 0.0005, True, listed_ms=0)
    kind = "entry_grid_normal_long"

    def intent(qty: float, price: float | None, kind: str = kind) -> Intent:
        return Intent("x", "BTC", "long", kind, qty, price, "unknown", "", 0, 0, False)

    def order(qty: float, *, reduce_only: bool = False, coin: str = "BTC") -> OpenOrder:
        return OpenOrder("1", "", coin, "long", qty, 100.0, reduce_only=reduce_only)

    def left(**facts: object) -> float:
        known = Known(
            config=config_of(("BTC",)),
            policy=Policy(exposure_slack=0.001),
            markets={"BTC": market, "ETH": market},
            tickers={"BTC": Ticker(100.0, 100.0, 100.0)},
            positions={},
            resting=(),
            balance=1000.0,
            universe=Universe(),
            now_ms=0,
            cap=0.8,
            **facts,  # type: ignore[arg-type]
        )
        plan = Plan((), {("BTC", "long"): 1.0}, frozenset({("BTC", "long")}))
        assert caps_of(known, plan).account == 0.8
        room = room_of(known, plan)
        assert room is not None
        resting = [Resting(order(1.0), "long", kind), Resting(order(-1.0), "long", "close_grid_long")]
        take_up(room, known, resting)
        steps = 0
        while room.take(("BTC", "long"), 0.1, 100.0):
            steps += 1
        return steps / 100

    assert left() == pytest.approx(0.7)
    assert left(pending=(intent(2.0, 100.0),)) == pytest.approx(0.5)
    assert left(pending=(intent(2.0, None),)) == pytest.approx(0.5), "a market order at the last price"
    assert left(pending=(intent(-2.0, 100.0, "close_grid_long"),)) == pytest.approx(0.7)
    assert left(others=(order(2.0),)) == pytest.approx(0.5)
    assert left(others=(order(2.0, coin="ETH"),)) == pytest.approx(0.5), (
        "on coins that the bot leaves alone too"
    )
    assert left(others=(order(-2.0),)) == pytest.approx(0.7)
    assert left(others=(order(2.0, reduce_only=True),)) == pytest.approx(0.7)
