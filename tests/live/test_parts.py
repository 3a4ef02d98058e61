"""The parts of the bot that have no network: ids, comparison, modes, candles, ledger, limits."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passivbot.engine import ORDER_TYPES, MarketRules
from passivbot.exchanges.types import CLIENT_ID_DIGITS, Balance, Fill, Market, OpenOrder, Paging, Position
from passivbot.live.bot import Bot
from passivbot.live.candles import CandleCache, cleaned, fetch, warmup_start
from passivbot.live.fate import Fates
from passivbot.live.guards import LossStop, Pace, PacedCandles, equity
from passivbot.live.ids import client_id, is_own, order_type
from passivbot.live.journal import Journal
from passivbot.live.ledger import Ledger
from passivbot.live.limits import Caps, Room, above_exposure, within_exposure
from passivbot.live.policy import Policy
from passivbot.live.reconcile import Resting, compare
from passivbot.live.snapshot import Snapshot
from passivbot.live.universe import Universe, leverage, survey
from passivbot.planner import Mode, PlannedOrder
from passivbot.times import MINUTE_MS
from tests.live.rig import config_of

RULES = MarketRules(0.001, 0.1, 0.001, 5.0, 1.0)
KINDS = [name for name in ORDER_TYPES if name != "empty"]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(KINDS), st.floats(0.01, 1e5), st.floats(-1e4, 1e4).filter(bool), st.integers(0, 20))
def test_ids_name_their_type_and_are_known_again(kind: str, price: float, qty: float, number: int) -> None:
    side = "long" if kind.endswith("long") else "short"
    name = client_id("a_01", "BTC", side, kind, price, qty, number)
    assert len(name) == CLIENT_ID_DIGITS
    assert order_type(name) == kind
    assert is_own(name, "a_01", "BTC", side, price, qty)
    assert not is_own(name, "b_01", "BTC", side, price, qty)
    assert name != client_id("a_01", "BTC", side, kind, price, qty, number + 1)


@pytest.mark.parametrize("text", ["", "web_123", "f" * 28, "0" * 27, "0" * 27 + "G"])
def test_ids_of_others_are_none(text: str) -> None:
    assert order_type(text) is None


def planned(
    qty: float, price: float, kind: str = "entry_grid_normal_long", coin: str = "BTC"
) -> PlannedOrder:
    return PlannedOrder(coin, "long" if kind.endswith("long") else "short", kind, qty, price)


def rests(qty: float, price: float, kind: str = "entry_grid_normal_long", filled: float = 0.0) -> Resting:
    side = "long" if kind.endswith("long") else "short"
    return Resting(OpenOrder(f"{qty}@{price}", "", "BTC", None, qty, price, filled), side, kind)


def test_exact_orders_are_kept_before_similar_ones() -> None:
    policy = Policy(price_tolerance=0.001, qty_tolerance=0.05)
    near, same = rests(1.01, 100.05), rests(1.0, 100.0)
    difference = compare([planned(1.0, 100.0)], [near, same], (), policy)
    assert difference.cancel == (near,)
    assert difference.create == ()
    assert compare([planned(1.0, 100.0)], [near], (), policy).cancel == ()
    assert compare([planned(1.0, 100.0)], [near], (), Policy()).cancel == (near,)


def test_what_is_left_of_a_partly_filled_order_counts() -> None:
    half = rests(1.0, 100.0, filled=0.4)
    assert compare([planned(0.6, 100.0)], [half], (), Policy()).cancel == ()
    assert compare([planned(1.0, 100.0)], [half], (), Policy()).cancel == (half,)


@pytest.mark.parametrize("kind", ["close_unstuck_long", "close_panic_long"])
def test_urgent_closes_are_never_only_similar(kind: str) -> None:
    policy = Policy(price_tolerance=0.01, qty_tolerance=0.5)
    other = rests(-1.0, 100.01, "close_grid_long")
    assert compare([planned(-1.0, 100.0, kind)], [other], (), policy).cancel == (other,)


def test_sides_that_wait_are_left_alone() -> None:
    other = rests(1.0, 90.0)
    difference = compare([planned(1.0, 100.0)], [other], {("BTC", "long")}, Policy())
    assert (difference.cancel, difference.create, difference.kept) == ((), (), ())


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(95, 105)), max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_a_comparison_accounts_for_every_order_once(orders: list[tuple[int, int]], data: Any) -> None:
    want = [planned(float(qty), float(price)) for qty, price in orders]
    chosen = data.draw(st.lists(st.tuples(st.integers(1, 5), st.integers(95, 105)), max_size=12))
    there = [
        Resting(
            OpenOrder(str(n), "", "BTC", None, float(qty), float(price)), "long", "entry_grid_normal_long"
        )
        for n, (qty, price) in enumerate(chosen)
    ]
    difference = compare(want, there, (), Policy())
    assert len(difference.create) + len(difference.kept) == len(want)
    assert len(difference.cancel) + len(difference.kept) == len(there)
    assert all(o.price == r.order.price and o.qty == r.order.left for o, r in difference.kept)


def market(coin: str, **changes: Any) -> Market:
    return Market(
        **{"coin": coin, "symbol": coin, "rules": RULES, "maker_fee": 0, "taker_fee": 0, "active": True}
        | changes
    )


def surveyed(config: Any, held: dict[tuple[str, str], float] | None = None, **changes: Any) -> Universe:
    given: dict[str, Any] = {
        "own": lambda key: True,
        "restricted": frozenset(),
        "price": lambda coin: 100.0,
        "balance": 10_000.0,
        "now_ms": 10**12,
    }
    markets = {coin: market(coin) for coin in ("BTC", "DOGE", "ETH")}
    return survey(config, markets, held or {}, **(given | changes))


def test_modes_of_a_coin_and_side() -> None:
    config = config_of(
        coins=("BTC", "DOGE"),
        coin_overrides={"DOGE": {"live": {"forced_mode_long": "tp_only", "forced_mode_short": "n"}}},
    )
    held = {("ETH", "long"): 1.0}
    found = surveyed(config, held)
    assert found.mode(("BTC", "long")) is Mode.NORMAL
    assert found.mode(("DOGE", "long")) is Mode.TP_ONLY
    assert found.mode(("DOGE", "short")) is Mode.NORMAL
    assert found.preferred == {("DOGE", "short")}
    assert found.mode(("ETH", "long")) is Mode.GRACEFUL_STOP
    assert found.mode(("ETH", "short")) is Mode.MANUAL
    assert surveyed(config_of(live__auto_gs=False), held).mode(("ETH", "long")) is Mode.MANUAL
    assert surveyed(config, held, own=lambda key: False).mode(("ETH", "long")) is Mode.MANUAL
    assert surveyed(config, held, entries=False).mode(("BTC", "long")) is Mode.TP_ONLY
    assert surveyed(config, held, restricted=frozenset({"BTC"})).mode(("BTC", "long")) is Mode.TP_ONLY


def test_a_mode_by_hand_goes_before_the_configuration_but_not_to_what_is_somebody_elses() -> None:
    config = config_of(coins=("BTC", "DOGE"), coin_overrides={"DOGE": {"live": {"forced_mode_long": "n"}}})
    held = {("BTC", "long"): 1.0, ("DOGE", "long"): 1.0, ("ETH", "long"): 1.0}
    found = surveyed(config, held, forced=Mode.PANIC, own=lambda key: False)
    assert found.mode(("BTC", "long")) is found.mode(("DOGE", "long")) is Mode.PANIC
    assert found.mode(("DOGE", "short")) is Mode.PANIC
    assert found.mode(("ETH", "long")) is Mode.MANUAL
    assert not found.preferred
    assert surveyed(config, held, forced=Mode.PANIC).mode(("ETH", "long")) is Mode.PANIC


def test_a_side_that_is_off_is_wound_down_and_enters_nothing() -> None:
    config = config_of(bot__short__n_positions=0.0)
    found = surveyed(config, {("BTC", "short"): -1.0})
    assert found.mode(("BTC", "short")) is Mode.GRACEFUL_STOP
    assert found.mode(("DOGE", "short")) is Mode.GRACEFUL_STOP


def test_without_hedge_mode_a_coin_has_one_side() -> None:
    found = surveyed(config_of(), {("DOGE", "short"): -1.0}, hedge=False)
    assert found.mode(("BTC", "long")) is Mode.NORMAL
    assert found.mode(("BTC", "short")) is Mode.MANUAL
    assert found.mode(("DOGE", "long")) is Mode.MANUAL
    assert found.mode(("DOGE", "short")) is Mode.NORMAL


def test_leverage_is_whole_and_within_the_market() -> None:
    config = config_of(coin_overrides={"DOGE": {"live": {"leverage": 7.9}}})
    assert leverage(config, "BTC", market("BTC")) == 10
    assert leverage(config, "BTC", market("BTC", max_leverage=5.0)) == 5
    assert leverage(config, "DOGE", market("DOGE")) == 7


def rows(*minutes: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([[m * 60_000, 1, 10 + m, 5 + m, 8 + m, 2] for m in minutes], dtype=np.float64).reshape(
        -1, 6
    )


def test_candles_become_consecutive_minutes() -> None:
    start, found = cleaned(rows(5, 2, 3, 3), 60_000, 10 * 60_000, None)
    assert start == 120_000
    assert found.tolist() == [[12, 7, 10, 20], [13, 8, 11, 22], [11, 11, 11, 0], [15, 10, 13, 26]]
    start, found = cleaned(rows(3), 60_000, 10 * 60_000, 7.0)
    assert start == 60_000
    assert found.tolist() == [[7, 7, 7, 0], [7, 7, 7, 0], [13, 8, 11, 22]]
    assert len(cleaned(rows(3), 60_000, 3 * 60_000, 7.0)[1]) == 0
    broken = rows(1, 2)
    broken[0, 4] = np.nan
    broken[1, 3] = -1.0
    assert len(cleaned(broken, 0, 10 * 60_000, None)[1]) == 0


class Windows:
    """Pages are the minutes after a time, not the candles after it; one answer may be wrong."""

    paging = Paging(200)

    def __init__(self, minutes: Sequence[int], wrong: int = -1) -> None:
        self.minutes, self.wrong, self.asked = np.array(minutes), wrong, 0

    async def candles(self, coin: str, since_ms: int | None = None, limit: int | None = None) -> Any:
        assert since_ms is not None
        assert limit is not None
        self.asked += 1
        if self.asked == self.wrong:
            return np.empty((0, 6))
        begin = since_ms // MINUTE_MS
        inside = (self.minutes >= begin) & (self.minutes < begin + min(limit, 200))
        return rows(*self.minutes[inside].tolist())


@pytest.mark.parametrize("first", [0, 1, 99, 100, 101, 1234, 4899, 4900, 4999, 5000, 5001])
@pytest.mark.parametrize("wrong", [-1, 1, 2])
async def test_candles_begin_where_a_coin_was_listed(first: int, wrong: int) -> None:
    windows = Windows(range(first, 5001), wrong)
    start, found = await fetch(windows, "BTC", 0, 5000 * MINUTE_MS, None)
    assert len(found) == max(5000 - first, 0)
    assert start == (first * MINUTE_MS if first < 5000 else 0)
    assert windows.asked < 40


@pytest.mark.parametrize("before", [None, 7.0])
async def test_candles_go_on_after_hours_without_a_trade(before: float | None) -> None:
    windows = Windows([*range(1000), *range(1600, 2000), *range(2201, 3000)])
    start, found = await fetch(windows, "BTC", 0, 3000 * MINUTE_MS, before)
    assert (start, len(found)) == (0, 3000)
    assert np.flatnonzero(found[:, 3] == 0.0).tolist() == [*range(1000, 1600), *range(2000, 2201)]
    assert set(found[1000:1600, 2]) == {8 + 999}
    # Also where the last look ended in them.
    start, found = await fetch(windows, "BTC", 1000 * MINUTE_MS, 3000 * MINUTE_MS, 8.0 + 999)
    assert (start, len(found)) == (1000 * MINUTE_MS, 2000)


def test_the_cache_gives_the_last_unbroken_stretch(tmp_path: Any) -> None:
    cache = CandleCache(tmp_path / "candles.sqlite")
    cache.store("BTC", 0, np.ones((3, 4)))
    cache.store("BTC", 240_000, np.full((2, 4), 2.0))
    start, found = cache.load("BTC", 0)
    assert (start, found.tolist()) == (240_000, [[2.0] * 4] * 2)
    assert cache.load("ETH", 60_000)[0] == 60_000
    cache.forget(300_000)
    assert len(cache.load("BTC", 0)[1]) == 1
    cache.close()


def test_the_first_plan_is_the_first_of_a_backtest() -> None:
    assert warmup_start(100 * 60_000 + 5, 10) == 88 * 60_000
    assert warmup_start(100 * 60_000, 0) == 97 * 60_000


def fill(n: int, qty: float, pnl: float | None = None, minute: int = 0, **changes: Any) -> Fill:
    values = {"coin": "BTC", "position_side": "long", "price": 100.0, "fee": 0.01}
    return Fill(
        id=str(n),
        order_id=str(n),
        client_id="",
        qty=qty,
        pnl=pnl,
        time_ms=minute * 60_000,
        **(values | changes),
    )


def test_the_ledger_is_a_function_of_the_set_of_fills() -> None:
    fills = [fill(1, 2.0), fill(2, -1.0, 5.0, 1), fill(3, -0.5, -7.0, 2), fill(4, -0.5, 1.0, 3)]
    orderly = Ledger(fills)
    assert orderly.realised == (Ledger([*reversed(fills), *fills])).realised
    assert (orderly.realised.sum, orderly.realised.peak) == (-1.0, 5.0)
    assert orderly.changed_ms(("BTC", "long")) == 180_000
    assert orderly.drift({}, {}) == []
    assert orderly.drift({("BTC", "long"): Position("BTC", "long", 1.0, 100.0)}, {}) == [("BTC", "long")]
    assert orderly.complete
    late = Ledger([fill(1, 1.0), fill(2, -2.0, None, 1)])
    assert not late.complete
    late.add([fill(2, -1.0, 3.0, 1)])
    assert late.complete
    assert late.realised.sum == 3.0


def test_exposure_is_capped_by_position_side_and_account() -> None:
    markets = {coin: market(coin) for coin in ("BTC", "ETH")}
    told: list[str] = []

    def passed(caps: Caps, resting: tuple[Resting, ...] = ()) -> list[float]:
        orders = [planned(-9.0, 100.0, "close_grid_long"), planned(1.0, 100.0), planned(2.0, 99.0)]
        held = {("BTC", "long"): Position("BTC", "long", 2.0, 100.0)}
        room = Room(held, markets, caps, 1000.0, Policy())
        for rest in resting:
            room.count(rest.key, rest.order.left, rest.order.price)
        return [order.qty for order in within_exposure(orders, room, lambda guard, text: told.append(guard))]

    wide = Caps({("BTC", "long"): 1.0}, {"long": 2.0, "short": 0.0}, 2.0)
    assert passed(wide) == [-9.0, 1.0, 2.0]
    assert not told
    assert passed(Caps({("BTC", "long"): 0.32}, wide.side, 2.0)) == [-9.0, 1.0]
    assert passed(Caps(wide.position, {"long": 0.32, "short": 0.0}, 2.0)) == [-9.0, 1.0]
    assert passed(Caps(wide.position, wide.side, 0.32)) == [-9.0, 1.0]
    assert passed(wide, (rests(6.0, 100.0),)) == [-9.0, 1.0]
    assert told == ["exposure"] * 4


def test_resting_entries_above_a_lowered_cap_are_named_the_farthest_first_to_go() -> None:
    caps = Caps({("BTC", "long"): 1.0}, {"long": 1.0, "short": 1.0}, 0.5)
    held = {("BTC", "long"): Position("BTC", "long", 2.0, 100.0)}
    entries = [rests(1.0, 99.0), rests(2.0, 98.0), rests(1.0, 97.0), rests(1.0, 90.0)]
    told: list[str] = []
    room = Room(held, {"BTC": market("BTC")}, caps, 1000.0, Policy())
    above = above_exposure(entries, room, lambda guard, text: told.append(text))
    # 0.2 is held; 0.099 and 0.196 fit into 0.51, then nothing does.
    assert [rest.order.price for rest in above] == [97.0, 90.0]
    assert told == ["2 resting entries would take the exposure above its limit: cancelled"]
    assert not above_exposure(
        entries, Room(held, {"BTC": market("BTC")}, caps, 2000.0, Policy()), told.append
    )  # type: ignore[arg-type]


def test_profit_that_is_not_told_is_computed_from_the_fills() -> None:
    """As the specification computes it: size × multiplier × distance to the average price."""
    told = Ledger(
        [fill(1, 2.0), fill(2, 2.0, None, 1, price=110.0), fill(3, -1.0, None, 2, price=120.0)],
        lambda coin: 0.5,
    )
    assert told.complete
    assert told.realised.sum == pytest.approx(1.0 * 0.5 * (120.0 - 105.0))
    short = Ledger(
        [fill(1, -2.0, position_side="short"), fill(2, 1.0, None, 1, position_side="short", price=90.0)]
    )
    assert short.realised.sum == pytest.approx(10.0)
    # What was held before the history has no known price.
    assert not Ledger([fill(1, -1.0, None, 1)]).complete


@pytest.mark.parametrize("told", [True, False])
async def test_fills_that_name_no_order_are_of_none(told: bool, tmp_path: Path) -> None:
    """Binance's fills name only its own id, which an order has not before its answer came."""
    journal = Journal(tmp_path / "journal.sqlite", "a_01")
    (intent,) = journal.intend([(planned(1.0, 100.0), 100.0)], 5)
    if told:
        journal.settle([(intent.id, "open", "77", "")], 6)
    journal.add_fills([fill(1, 1.0), fill(2, -1.0), fill(3, 1.0)])
    bot: Any = SimpleNamespace(_ledger=Ledger(journal.fills()), parts=SimpleNamespace(journal=journal))
    assert Bot._fills_by_id(bot) == {}

    class Exchange:
        markets: ClassVar[dict[str, Market]] = {"BTC": market("BTC")}
        asked: ClassVar[list[str]] = []

        async def order(self, coin: str, client_id: str) -> None:
            self.asked.append(client_id)

    exchange: Any = Exchange()
    fates = Fates(exchange, journal, Policy(unknown_seconds=3600.0), 0)
    accounts = await fates.account(Snapshot((), {}, Balance(1000.0)), {"": [fill(1, 1.0)]}, 7)
    assert exchange.asked == [intent.id]
    assert [one.id for one in accounts.pending] == [intent.id], "an order like it would be placed beside it"
    journal.close()


def test_the_journal_keeps_no_key_of_a_stream(tmp_path: Path) -> None:
    """Errors of libraries show whole addresses."""
    journal = Journal(tmp_path / "journal.sqlite", "a_01")
    text = "400, url='wss://fstream.binance.com/ws?listenKey=pqia91ma19a5s61cv6a81va65sdf19v8a65a1'"
    journal.tripped("websocket", text, 5)
    (intent,) = journal.intend([(planned(1.0, 100.0), 100.0)], 5)
    journal.settle([(intent.id, "unknown", "", text)], 6)
    assert "listenKey=[secret]" in journal.trips()[0][2]
    journal.close()
    assert not any(b"pqia91ma" in path.read_bytes() for path in tmp_path.iterdir())


async def test_candles_wait_for_the_request_budget() -> None:
    now, asked = [0.0], []
    pace = Pace(Policy(requests_per_minute=3), lambda guard, text: None, lambda: now[0])

    class Exchange:
        paging = Paging(1000)

        async def candles(self, coin: str, since_ms: int | None = None, limit: int | None = None) -> Any:
            pace.note()
            asked.append((coin, now[0]))
            return np.empty((0, 6))

    async def time_passes() -> None:
        while True:
            now[0] += 10.0
            await asyncio.sleep(0.05)

    clock = asyncio.create_task(time_passes())
    paced = PacedCandles(Exchange(), pace)
    await asyncio.gather(*(paced.candles(f"C{i}") for i in range(3)))
    began = now[0]
    await paced.candles("C3")
    clock.cancel()
    assert [coin for coin, _ in asked] == ["C0", "C1", "C2", "C3"]
    assert asked[3][1] - began >= 50.0


def test_a_rate_limit_that_comes_again_at_once_is_waited_out_longer() -> None:
    now = [1000.0]
    pace = Pace(Policy(), lambda guard, text: None, lambda: now[0])
    waits = []
    for _ in range(7):
        for _ in range(3):  # one for each order of a batch
            pace.block(10.0)
        waits.append(pace.wait_seconds())
        now[0] += waits[-1] + 1.0
    assert waits == [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]
    pace.block(7200.0)
    assert pace.wait_seconds() == 7200.0
    now[0] += 7200.0 + 60.0
    pace.block(10.0)
    assert pace.wait_seconds() == 10.0, "long after the last"
    now[0] += 10.0
    pace.block(2.0)
    assert pace.wait_seconds() == 2.0, "a window of seconds passes by itself"


def test_a_loss_stop_does_not_go_by_half_an_equity(tmp_path: Path) -> None:
    """Prices of some coins may be missing for a moment: their profit is not gone."""
    journal = Journal(tmp_path / "journal.sqlite", "a_01")
    told: list[str] = []
    stop = LossStop(journal, Policy(loss_stop=0.2), lambda guard, text: told.append(text))
    markets = {"BTC": market("BTC"), "ETH": market("ETH")}
    held = {
        ("BTC", "long"): Position("BTC", "long", 5.0, 100.0),
        ("GONE", "long"): Position("GONE", "long", 1, 1),
    }

    def look(prices: dict[str, float]) -> bool:
        return stop.look(equity(1000.0, held, prices, markets))

    assert look({"BTC": 200.0})
    assert look({})
    assert look({"ETH": 100.0})
    assert not told
    assert not look({"BTC": 100.0}), "1000 is a third below 1500"
    assert not look({})
    assert len(told) == 1
    # A start without the option does not end it; only a person does.
    again = LossStop(journal, Policy(), lambda guard, text: told.append(text))
    assert not again.look(2000.0)
    assert told[1].startswith("no entries, until --clear-loss-stop: the equity of 1000 is 33.33% below")
    LossStop.clear(journal)
    assert LossStop(journal, Policy(), lambda guard, text: told.append(text)).look(1.0)
    assert len(told) == 2
    journal.close()
