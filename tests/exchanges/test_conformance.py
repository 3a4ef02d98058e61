"""One suite for every exchange: the adapter's contract, by real ccxt over TLS against the venue's dialect."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from passivbot.errors import ExchangeError
from passivbot.exchanges import NAMES, ExchangeFault, connect
from passivbot.exchanges.types import Failure, Fill, Hint
from passivbot.times import MINUTE_MS
from tests.exchanges.bench import PRICE, RULES, START_MS, Bench, bench, credentials

Scene = Callable[[Bench], Awaitable[None]]


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def play(name: str, scene: Scene, **settings: Any) -> None:
    """Run one scene at one exchange."""

    async def run() -> None:
        async with bench(name, **settings) as table:
            await scene(table)

    asyncio.run(run())


def test_markets_have_the_venues_rules(name: str) -> None:
    async def scene(b: Bench) -> None:
        assert list(b.exchange.markets) == ["BTC", "DOGE"]
        for coin, market in b.exchange.markets.items():
            expected = b.venue.source.market(coin).rules
            assert market.rules.qty_step == pytest.approx(expected.qty_step)
            assert market.rules.price_step == pytest.approx(expected.price_step)
            assert market.rules.c_mult == pytest.approx(expected.c_mult)
            assert market.active
        with pytest.raises(ExchangeError, match="nearest is DOGE"):
            b.exchange.market("DOG")

    play(name, scene)


def test_set_up_is_done_once_and_then_found_so(name: str) -> None:
    async def scene(b: Bench) -> None:
        if b.exchange.hedge:
            b.core.set_hedge_mode(False)
            assert (await b.exchange.set_up_account()).endswith("set")
            assert (await b.exchange.set_up_account()).endswith(("was so", "set"))
        assert b.core.hedge_mode is b.exchange.hedge
        await b.exchange.set_up_coin("BTC", 7, "cross")
        await b.exchange.set_up_coin("BTC", 7, "cross")
        assert b.core.setting("BTC").leverage == 7
        assert b.core.setting("BTC").margin_mode == "cross"
        with pytest.raises(ExchangeFault) as refused:
            await b.exchange.set_up_coin("BTC", 500, "cross")
        assert refused.value.failure is Failure.REFUSED

    play(name, scene)


def test_set_up_passes_where_positions_are_held_in_the_right_modes(name: str) -> None:
    """A bot that starts again: nothing may be changed under a position, and nothing has to be."""

    async def scene(b: Bench) -> None:
        await b.exchange.set_up_coin("BTC", 10, "cross")
        await b.hold()
        await b.place(1)
        assert "set" not in (await b.exchange.set_up_account()).split()
        await b.exchange.set_up_coin("BTC", 10, "cross")
        assert b.core.hedge_mode is b.exchange.hedge

    play(name, scene)


def test_modes_that_can_not_change_under_a_position_are_told(name: str) -> None:
    async def scene(b: Bench) -> None:
        if not b.exchange.hedge:
            pytest.skip("there is one mode only")
        b.core.set_hedge_mode(False)
        b.core.create(client_id="", coin="BTC", side="buy", qty=b.lots("BTC", 0.01), price=None)
        with pytest.raises(ExchangeFault) as busy:
            await b.exchange.set_up_account()
        assert busy.value.failure is Failure.BUSY, busy.value

    play(name, scene)


def test_the_balance_is_the_wallet_whatever_is_held_or_ordered(name: str) -> None:
    async def scene(b: Bench) -> None:
        assert (await b.exchange.balance()).wallet == pytest.approx(100_000.0)
        await b.hold(qty=0.5)
        await b.place(1, qty=b.lots("BTC", 0.5))
        wallet = b.core.balance
        assert wallet < 100_000.0, "the taker's fee"
        b.venue.source._candles["BTC"][:, 4] *= 0.9  # the price falls: unrealised loss
        balance = await b.exchange.balance()
        assert balance.wallet == pytest.approx(wallet, rel=1e-9)
        assert balance.equity == pytest.approx(wallet - 0.5 * 6000.0, rel=1e-9)

    play(name, scene)


def test_orders_are_placed_seen_and_ended(name: str) -> None:
    async def scene(b: Bench) -> None:
        orders = [
            b.new(1),
            b.new(2, price=58_001.0),
            b.new(3, "DOGE", qty=b.lots("DOGE", 120.0), price=0.19123),
        ]
        outcomes = await b.exchange.create(orders)
        assert [outcome.client_id for outcome in outcomes] == [order.client_id for order in orders]
        assert all(outcome.ok and outcome.order_id for outcome in outcomes)
        found = {order.client_id: order for order in await b.exchange.open_orders()}
        assert set(found) == {order.client_id for order in orders}
        for asked, outcome in zip(orders, outcomes, strict=True):
            seen = found[asked.client_id]
            assert (seen.id, seen.coin) == (outcome.order_id, asked.coin)
            assert seen.qty == pytest.approx(asked.qty)
            assert seen.price == pytest.approx(asked.price)
            assert seen.position_side in ("long", None)
            assert seen.filled == 0.0
        ended = await b.exchange.cancel(list(found.values()))
        assert [outcome.failure for outcome in ended] == [None] * 3
        assert await b.exchange.open_orders() == []
        again = await b.exchange.cancel(list(found.values()))
        assert [outcome.failure for outcome in again] == [Failure.GONE] * 3

    play(name, scene)


def test_a_used_client_id_is_already_there(name: str) -> None:
    async def scene(b: Bench) -> None:
        assert (await b.place(1)).failure is None
        again = await b.place(1)
        assert again.failure is Failure.EXISTS, again
        assert again.ok
        assert len(b.core.open_orders) == 1

    play(name, scene)


def test_an_order_whose_answer_was_lost_is_found_and_not_doubled(name: str) -> None:
    async def scene(b: Bench) -> None:
        b.venue.faults.add("create", "lost")
        lost = await b.place(1)
        assert lost.failure is Failure.UNKNOWN, lost
        assert len(b.core.open_orders) == 1
        found = await b.exchange.order("BTC", b.new(1).client_id)
        assert found is not None
        assert found.client_id == b.new(1).client_id
        assert found.qty == pytest.approx(b.new(1).qty)
        assert await b.exchange.order("BTC", b.new(2).client_id) is None
        assert (await b.place(1)).failure is Failure.EXISTS
        assert len(b.core.open_orders) == 1

    play(name, scene)


def test_a_whole_batch_whose_answer_was_lost_is_unknown(name: str) -> None:
    async def scene(b: Bench) -> None:
        b.venue.faults.add("create", "lost", times=9)
        outcomes = await b.exchange.create([b.new(1), b.new(2)])
        assert {outcome.failure for outcome in outcomes} == {Failure.UNKNOWN}
        assert len(b.core.open_orders) == 2

    play(name, scene)


def test_a_server_error_leaves_open_what_became_of_an_order(name: str) -> None:
    async def scene(b: Bench) -> None:
        b.venue.faults.add("create", "unknown")
        assert (await b.place(1)).failure is Failure.UNKNOWN
        b.venue.faults.add("create", "error", name="timeout")
        assert (await b.place(2)).failure is Failure.UNKNOWN
        assert [order.client_id for order in b.core.open_orders if order.client_id] != []
        assert len(b.core.open_orders) == 1

    play(name, scene)


def test_a_batch_partly_refused_is_told_by_order(name: str) -> None:
    async def scene(b: Bench) -> None:
        cheap = b.new(1, price=1000.0, qty=b.lots("BTC", 0.001))  # below the minimum cost
        dear = b.new(3, "DOGE", qty=1e9)  # more than the margin allows
        orders = [cheap, b.new(2), dear, b.new(4, "DOGE")]
        if name != "hyperliquid":  # it names orders by place, one a request
            b.venue.faults.add("create", "reverse", times=9)
        outcomes = {outcome.client_id: outcome for outcome in await b.exchange.create(orders)}
        resting = {b.exchange.decode_id(order.client_id) for order in b.core.open_orders}
        for order in orders:
            outcome = outcomes[order.client_id]
            # What is not certain may be called unknown, but never the wrong thing.
            if order.client_id in resting:
                assert outcome.ok or outcome.failure is Failure.UNKNOWN, outcome
            else:
                assert not outcome.ok, outcome
        assert outcomes[orders[3].client_id].ok

    play(name, scene)


def test_a_post_only_order_that_would_trade_does_not(name: str) -> None:
    async def scene(b: Bench) -> None:
        outcome = await b.place(1, price=60_100.0, post_only=True)
        if b.exchange.post_only_is_silent:
            assert outcome.ok
        else:
            assert outcome.failure is Failure.WOULD_CROSS, outcome
        assert b.core.executions == []
        assert await b.exchange.open_orders() == []
        assert (await b.place(2, price=59_900.0, post_only=True)).ok
        assert len(b.core.open_orders) == 1

    play(name, scene)


def test_refusals_have_their_reasons(name: str) -> None:
    async def scene(b: Bench) -> None:
        closing = await b.place(1, qty=-b.lots("BTC", 0.01), price=61_000.0, reduce_only=True)
        assert closing.failure is Failure.REDUCE_ONLY, closing
        dear = await b.place(2, qty=b.lots("BTC", 900.0))
        assert dear.failure is Failure.FUNDS, dear
        b.venue.source.change("DOGE", active=False)
        closed = await b.place(3, "DOGE")
        assert closed.failure is Failure.CLOSED, closed
        assert b.core.open_orders == []

    play(name, scene)


def test_a_partial_fill_shows_in_order_position_and_fills(name: str) -> None:
    async def scene(b: Bench) -> None:
        whole, part = b.lots("BTC", 0.01), b.lots("BTC", 0.004)
        await b.place(1, qty=whole)
        (order,) = b.core.open_orders
        b.core.fill(order.id, part)
        (seen,) = await b.exchange.open_orders()
        assert seen.qty == pytest.approx(whole)
        assert seen.filled == pytest.approx(part)
        assert seen.left == pytest.approx(whole - part)
        (held,) = await b.exchange.positions()
        assert (held.coin, held.side) == ("BTC", "long")
        assert held.size == pytest.approx(part)
        assert held.price == pytest.approx(59_000.0)
        (fill,) = await fills(b)
        assert fill.qty == pytest.approx(part)
        assert fill.price == pytest.approx(59_000.0)
        assert fill.order_id == seen.id
        (ended,) = await b.exchange.cancel([seen])
        assert ended.ok
        looked_up = await b.exchange.order("BTC", seen.client_id)
        assert looked_up is not None
        assert looked_up.left == pytest.approx(0.0)

    play(name, scene)


def test_positions_of_both_sides_and_their_profits(name: str) -> None:
    async def scene(b: Bench) -> None:
        await b.hold("long")
        await b.hold("short", "DOGE")
        if b.exchange.hedge:
            await b.hold("short")
        held = {(p.coin, p.side): p for p in await b.exchange.positions()}
        assert set(held) == set(b.core.positions)
        for key, position in held.items():
            assert position.size == pytest.approx(b.core.positions[key].size)
            assert position.price == pytest.approx(b.core.positions[key].price)
        closing = b.new(9, qty=-b.lots("BTC", 0.01), price=61_000.0, reduce_only=True)
        (close,) = await b.exchange.create([closing])
        assert close.ok
        b.core.fill(b.core.open_orders[0].id)
        assert ("BTC", "long") not in {(p.coin, p.side) for p in await b.exchange.positions()}
        last = (await fills(b))[-1]
        assert last.qty == pytest.approx(closing.qty)
        if b.exchange.tells_profits:
            assert last.pnl == pytest.approx(10.0)
        assert last.position_side in ("long", None)
        assert last.fee == pytest.approx(0.01 * 61_000.0 * 0.0002)

    play(name, scene)


def test_fills_come_in_many_pages_each_once(name: str) -> None:
    async def scene(b: Bench) -> None:
        count = {"binanceusdm": 2300, "hyperliquid": 2100}.get(name, 230)  # more than a page
        for number in range(count):
            coin = "BTC" if number % 2 else "DOGE"
            qty = b.lots(coin, 0.002 if coin == "BTC" else 50.0)
            price = PRICE[coin] * 0.999
            order = b.core.create(
                client_id="",
                coin=coin,
                side="buy",
                qty=qty,
                price=round(price / RULES[coin].price_step) * RULES[coin].price_step,
                position_side="long" if b.core.hedge_mode else None,
            )
            b.core.fill(order.id)
            if number % 3 == 0:
                b.venue.advance()
        found = await fills(b)
        assert len(found) == count
        assert len({fill.id for fill in found}) == count
        assert [fill.time_ms for fill in found] == sorted(fill.time_ms for fill in found)
        bought = sum(fill.qty for fill in found if fill.coin == "BTC")
        assert bought == pytest.approx(b.lots("BTC", 0.002 * count / 2))
        since = found[100].time_ms
        later = await b.exchange.fills(since, b.venue.clock.now_ms)
        assert [fill.id for fill in later] == [fill.id for fill in found if fill.time_ms >= since]

    play(name, scene)


def test_many_open_orders_come_in_pages(name: str) -> None:
    async def scene(b: Bench) -> None:
        b.core.max_orders = 1000
        for number in range(130):
            b.core.create(
                client_id=b.exchange.encode_id(f"{number:028x}"),
                coin="BTC",
                side="buy",
                qty=b.lots("BTC", 0.001),
                price=50_000.0 + number,
                position_side="long" if b.core.hedge_mode else None,
            )
        seen = await b.exchange.open_orders()
        assert {order.client_id for order in seen} == {f"{number:028x}" for number in range(130)}

    play(name, scene)


def test_nothing_is_asked_for_nothing(name: str) -> None:
    """An account may have no coin to look at, as long as a list is empty."""

    async def scene(b: Bench) -> None:
        before = len(b.venue.log)
        assert await b.exchange.tickers([]) == {}
        assert await b.exchange.create([]) == []
        assert await b.exchange.cancel([]) == []
        assert len(b.venue.log) == before

    play(name, scene)


def test_rate_limits_say_how_long(name: str) -> None:
    async def scene(b: Bench) -> None:
        b.venue.faults.add("balance", "limit", seconds=7)
        with pytest.raises(ExchangeFault) as limited:
            await b.exchange.balance()
        assert limited.value.failure is Failure.RATE_LIMIT
        assert limited.value.retry_after_s is not None
        assert limited.value.retry_after_s > 0
        b.venue.faults.add("create", "limit", seconds=7)
        outcome = await b.place(1)
        assert outcome.failure is Failure.RATE_LIMIT, outcome
        assert b.core.open_orders == []

    play(name, scene)


def test_after_a_rate_limit_no_further_batch_is_sent(name: str) -> None:
    async def scene(b: Bench) -> None:
        b.venue.faults.add("create", "limit", seconds=7)
        orders = [b.new(number, price=50_000.0 + number) for number in range(1, b.exchange.batch + 2)]
        outcomes = await b.exchange.create(orders)
        assert [outcome.client_id for outcome in outcomes] == [order.client_id for order in orders]
        assert {outcome.failure for outcome in outcomes} == {Failure.RATE_LIMIT}
        assert b.venue.counts[name, "create"] == 1
        assert b.core.open_orders == []

    play(name, scene)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("auth", Failure.AUTH),
        ("signature", Failure.AUTH),
        ("permission", Failure.AUTH),
        ("address", Failure.AUTH),
        ("maintenance", Failure.MAINTENANCE),
    ],
)
def test_errors_that_waiting_mends_or_not(name: str, fault: str, expected: Failure) -> None:
    async def scene(b: Bench) -> None:
        if fault not in b.dialect.ERRORS:
            pytest.skip(f"{name} has no such answer")
        b.venue.faults.add("balance", "error", name=fault)
        with pytest.raises(ExchangeFault) as failed:
            await b.exchange.balance()
        assert failed.value.failure is expected, failed.value

    play(name, scene)


def test_reads_that_break_can_be_asked_again(name: str) -> None:
    async def scene(b: Bench) -> None:
        for kind in ("drop", "cut", "status"):
            # aiohttp asks once more by itself where a kept connection breaks.
            asked = "balance" if name == "hyperliquid" else "positions"  # one question there
            b.venue.faults.add(asked, kind, status=502, times=2 if kind == "drop" else 1)
            with pytest.raises(ExchangeFault) as failed:
                await b.exchange.positions()
            assert failed.value.failure is Failure.RETRY, (kind, failed.value)
            b.venue.faults.clear()
        assert await b.exchange.positions() == []

    play(name, scene)


def test_a_wrong_clock_is_told_and_corrected(name: str) -> None:
    async def scene(b: Bench) -> None:
        if "clock" not in b.dialect.ERRORS:
            pytest.skip(f"{name} does not check the time")
        for skew in (-90_000, 90_000):
            b.venue.skew_ms = skew
            with pytest.raises(ExchangeFault) as wrong:
                await b.exchange.balance()
            assert wrong.value.failure is Failure.CLOCK
            difference = await b.exchange.clock_difference_ms()
            assert difference == pytest.approx(-skew, abs=2000)
            assert (await b.exchange.balance()).wallet == pytest.approx(100_000.0)

    play(name, scene)


def test_a_wrong_secret_is_not_let_in(name: str) -> None:
    async def scene(b: Bench) -> None:
        if name == "hyperliquid":
            pytest.skip("reads are public there; a wrong key is another wallet")
        wrong = {**credentials(name, b.key), "secret": "0" * 64}
        async with connect(name, wrong, session=b.venue.session(), rate_limit_ms=1) as stranger:
            with pytest.raises(ExchangeFault) as refused:
                await stranger.balance()
        assert refused.value.failure is Failure.AUTH
        assert "0" * 64 not in str(refused.value)

    play(name, scene)


def test_what_a_key_may_do_is_told_where_the_exchange_tells(name: str) -> None:
    async def scene(b: Bench) -> None:
        granted = await b.exchange.permissions()
        if name == "gate":
            assert (granted.trade, granted.withdraw) == (None, None)
            return
        assert granted.withdraw is False
        assert granted.trade in (True, None)
        key = b.venue.account().new_key(permissions=frozenset({"read", "trade", "withdraw"}))
        async with connect(
            name, credentials(name, key), session=b.venue.session(), rate_limit_ms=1
        ) as careless:
            assert (await careless.permissions()).withdraw is True
        if name == "hyperliquid":  # its wallets always may trade
            return
        key = b.venue.account().new_key(permissions=frozenset({"read"}))
        async with connect(
            name, credentials(name, key), session=b.venue.session(), rate_limit_ms=1
        ) as reader:
            assert (await reader.permissions()).trade is False

    play(name, scene)


def test_hints_come_for_orders_and_after_a_lost_connection(name: str) -> None:
    async def scene(b: Bench) -> None:
        hints: list[Hint] = []

        async def follow() -> None:
            async for hint in b.exchange.watch():
                hints.append(hint)

        task = asyncio.create_task(follow())
        try:
            assert await until(lambda: any(stream.channels for stream in b.dialect.streams))
            assert await nudged(b, hints, 100)
            hints.clear()
            assert await b.venue.drop_websockets() > 0
            assert await until(lambda: any(hint.kind == "lost" for hint in hints))
            assert await until(lambda: any(stream.channels for stream in b.dialect.streams))
            hints.clear()
            assert await nudged(b, hints, 200)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    play(name, scene)


def test_candles_and_tickers_are_the_markets(name: str) -> None:
    async def scene(b: Bench) -> None:
        since = b.venue.clock.now_ms - 30 * MINUTE_MS
        rows = await b.exchange.candles("BTC", since, 10)
        assert rows.shape[1] == 6
        expected = b.venue.source.candles("BTC", since, since + len(rows) * MINUTE_MS)
        whole = rows[rows[:, 0] < b.venue.clock.now_ms]
        assert whole[:, :5] == pytest.approx(expected[: len(whole), :5])
        assert whole[:, 5] == pytest.approx(expected[: len(whole), 5], rel=1e-3)
        tickers = await b.exchange.tickers(["BTC"])
        assert tickers["BTC"].last == pytest.approx(60_000.0)
        # Entries stand at the one, closes at the other: a last price in their place would take, not make.
        assert tickers["BTC"].bid < tickers["BTC"].ask

    play(name, scene)


def test_nothing_is_asked_with_keys_while_markets_load(name: str) -> None:
    async def scene(b: Bench) -> None:
        assert [line for line in b.venue.log if line.kind != "public"] == []

    play(name, scene)


def test_errors_and_adapters_show_no_secret(name: str) -> None:
    async def scene(b: Bench) -> None:
        texts = [repr(b.exchange)]
        for fault in ("drop", "cut", "status"):
            b.venue.faults.add("balance", fault)
            try:
                await b.exchange.balance()
            except ExchangeFault as failed:
                texts += [str(failed), repr(failed)]
        for secret in (b.key.secret, b.key.password):
            assert all(secret not in text for text in texts)

    play(name, scene)


# ---- helpers


async def fills(b: Bench) -> list[Fill]:
    return await b.exchange.fills(START_MS, b.venue.clock.now_ms)


async def until(holds: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Wait until something holds; tell whether it did."""
    for _ in range(int(seconds / 0.05)):
        if holds():
            return True
        await asyncio.sleep(0.05)
    return False


async def nudged(b: Bench, hints: list[Hint], number: int) -> bool:
    """Place orders until one is hinted at: what comes before the subscription is ready is not."""
    for attempt in range(20):
        await b.place(number + attempt)
        if await until(lambda: any(hint.kind == "order" for hint in hints), 1.0):
            return True
    return False
