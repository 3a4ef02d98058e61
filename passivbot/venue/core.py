"""The matching core: one account on one venue, filled by replayed candles.

Resting orders fill as in the backtest (trading-semantics §12): a buy when the minute's low is strictly below
its price, a sell when the high is strictly above; at the order's price, in full; long before short, coins
ascending, closes before entries, and of these the nearest to the market first. Balances and average prices
are computed by the specification's formulas (§4, §13.1), so they can be compared with a backtest's to the
last digit.

What rests against the market fills at once, at the last price, as a taker: market orders, and limit orders
beyond the last price unless they are post-only, which are refused. Not modelled: a queue, a spread,
liquidation, funding.
"""

import itertools
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Literal

from passivbot.venue.arithmetic import average, is_multiple, profit, round_near
from passivbot.venue.market import Clock, MarketSource, VenueMarket
from passivbot.venue.orders import (
    CoinSettings,
    Execution,
    Held,
    Listener,
    MarginMode,
    Order,
    PositionSide,
    Refused,
    Side,
    Status,
    Why,
)


@dataclass
class Core:
    """One account.

    Parameters
    ----------
    source
        The market.
    clock
        Market time; shared with everything else of the venue.
    balance
        Wallet balance in quote currency, without unrealised profit.
    hedge_mode
        Whether a coin can be held long and short at once.
    hedgeable
        Whether the venue has that mode at all.
    max_orders
        Resting orders a coin.
    """

    source: MarketSource
    clock: Clock
    balance: float = 100_000.0
    hedge_mode: bool = True
    hedgeable: bool = True
    max_orders: int = 200
    orders: dict[int, Order] = field(default_factory=dict)
    positions: dict[tuple[str, PositionSide], Held] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    settings: dict[str, CoinSettings] = field(default_factory=dict)
    listeners: list[Listener] = field(default_factory=list)
    partial_share: float | None = None
    refuse_reason: dict[str, Why] = field(default_factory=dict)
    forget_after: int = 20_000
    zero_balance_reads: int = 0
    _resting: dict[int, Order] = field(default_factory=dict)
    _client_ids: dict[str, int] = field(default_factory=dict)
    _ended: deque[int] = field(default_factory=deque)
    _ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(8_000_000_001))

    # ---- reading

    @property
    def open_orders(self) -> list[Order]:
        """Resting orders, oldest first."""
        return list(self._resting.values())

    def setting(self, coin: str) -> CoinSettings:
        """Return what is set for a coin."""
        return self.settings.setdefault(coin, CoinSettings())

    def last_price(self, coin: str) -> float:
        """Return the last price of a coin."""
        return self.source.last_price(coin, self.clock.now_ms)

    def unrealised(self, held: Held) -> float:
        """Return the profit a position would realise at the last price."""
        c_mult = self.source.market(held.coin).rules.c_mult
        return profit(held.side, held.price, self.last_price(held.coin), held.size, c_mult)

    def reported_balance(self) -> float:
        """Return the balance as it is told: 0 for the next ``zero_balance_reads`` times."""
        if self.zero_balance_reads > 0:
            self.zero_balance_reads -= 1
            return 0.0
        return self.balance

    def margin_used(self) -> tuple[float, float]:
        """Return the initial margin of positions, and of resting orders that enlarge one."""
        held = sum(
            abs(p.size) * p.price * self.source.market(p.coin).rules.c_mult / self.setting(p.coin).leverage
            for p in self.positions.values()
        )
        asked = sum(
            o.left * o.price * self.source.market(o.coin).rules.c_mult / self.setting(o.coin).leverage
            for o in self.open_orders
            if not o.closes
        )
        return held, asked

    def equity(self) -> float:
        """Return the balance with unrealised profit."""
        return self.balance + sum(self.unrealised(held) for held in self.positions.values())

    def find(self, order_id: int | None = None, client_id: str | None = None) -> Order | None:
        """Return an order by either id."""
        if order_id is None and client_id is not None:
            order_id = self._client_ids.get(client_id)
        return None if order_id is None else self.orders.get(order_id)

    # ---- changing

    def create(
        self,
        *,
        client_id: str,
        coin: str,
        side: Side,
        qty: float,
        price: float | None,
        position_side: PositionSide | None = None,
        post_only: bool = False,
        reduce_only: bool = False,
        post_only_cancels: bool = False,
    ) -> Order:
        """Take an order.

        Parameters
        ----------
        client_id
            The asker's id; must not be that of a known order. Empty: none.
        qty
            Contracts, above 0.
        price
            None: a market order.
        position_side
            Needed in hedge mode, and must be left out in one-way mode.
        post_only_cancels
            A post-only order that would trade is taken and ended at once, as some venues do, not refused.

        Raises
        ------
        Refused
            With the reason.
        """
        market = self._tradeable(coin)
        if client_id and client_id in self._client_ids:
            raise Refused("duplicate", f"order id {client_id} is used")
        if (reason := self.refuse_reason.get(coin)) is not None:
            raise Refused(reason, f"{coin} refuses orders: {reason}")
        if (position_side is not None) != self.hedge_mode:
            raise Refused("position_mode", "position side does not match the account's position mode")
        last = self.last_price(coin)
        limit = last if price is None else price
        order = Order(
            id=0,
            client_id=client_id,
            coin=coin,
            side=side,
            position_side=position_side or self._one_way_side(coin, side, reduce_only),
            qty=qty,
            price=limit,
            market=price is None,
            post_only=post_only,
            reduce_only=reduce_only,
            created_ms=self.clock.now_ms,
            updated_ms=self.clock.now_ms,
            hedged=self.hedge_mode,
        )
        self._check(order, market)
        crosses = order.market or (limit > last if side == "buy" else limit < last)
        if crosses and post_only and not post_only_cancels:
            raise Refused("post_only", f"{side} at {limit} would trade at once; the last price is {last}")
        order.id = next(self._ids)
        self.orders[order.id] = self._resting[order.id] = order
        if client_id:
            self._client_ids[client_id] = order.id
        self._tell("order", order)
        if crosses and post_only:
            self._end(order, "canceled")
        elif crosses:
            self._execute(order, order.qty, last, maker=False)
        return order

    def cancel(self, *, order_id: int | None = None, client_id: str | None = None) -> Order:
        """End an order.

        Raises
        ------
        Refused
            It does not rest.
        """
        order = self.find(order_id, client_id)
        if order is None or not order.resting:
            raise Refused("gone", "the order does not exist or has ended")
        self._end(order, "canceled")
        return order

    def set_hedge_mode(self, on: bool, *, busy_first: bool = False) -> None:
        """Set the position mode; ``busy_first``: a busy account refuses even what changes nothing.

        Raises
        ------
        Refused
            It is so already, the venue has no such mode, or there are positions or orders.
        """
        if on and not self.hedgeable:
            raise Refused("invalid", "this venue has no hedge mode")
        busy = bool(self.positions or self.open_orders)
        if on == self.hedge_mode and not (busy and busy_first):
            raise Refused("no_change", "the position mode is so already")
        if busy:
            raise Refused("busy", "there are positions or open orders")
        self.hedge_mode = on

    def set_leverage(self, coin: str, leverage: float) -> bool:
        """Set a coin's leverage; tell whether that changed anything.

        Raises
        ------
        Refused
            Below 1, above the market's limit, or an unknown coin.
        """
        market = self._known(coin)
        if not 1 <= leverage <= market.max_leverage:
            raise Refused("leverage", f"leverage {leverage} is not within 1 to {market.max_leverage}")
        changed = self.setting(coin).leverage != leverage
        self.setting(coin).leverage = leverage
        return changed

    def set_margin_mode(self, coin: str, mode: MarginMode, *, busy_first: bool = False) -> None:
        """Set a coin's margin mode; ``busy_first`` as of :meth:`set_hedge_mode`.

        Raises
        ------
        Refused
            It is so already, or the coin is held or has orders.
        """
        self._known(coin)
        busy = any(held.coin == coin for held in self.positions.values()) or any(
            order.coin == coin for order in self.open_orders
        )
        if self.setting(coin).margin_mode == mode and not (busy and busy_first):
            raise Refused("no_change", "the margin mode is so already")
        if busy:
            raise Refused("busy", f"{coin} has a position or open orders")
        self.setting(coin).margin_mode = mode

    # ---- time

    def advance(self) -> list[Execution]:
        """Match one minute: the candle that opens now. The owner of the clock moves it afterwards.

        Returns
        -------
        The fills, in order.
        """
        before = len(self.executions)
        resting = self.open_orders
        if resting:
            resting.sort(key=self._turn)
            for order in resting:
                candle = self.source.candle(order.coin, self.clock.now_ms)
                if candle is None or not order.resting or not self.source.market(order.coin).active:
                    continue
                if candle[3] < order.price if order.side == "buy" else candle[2] > order.price:
                    qty = order.left
                    if self.partial_share is not None:
                        step = self.source.market(order.coin).rules.qty_step
                        qty = min(qty, max(step, round_near(qty * self.partial_share, step)))
                    self._execute(order, qty, order.price, maker=True, now_ms=self.clock.now_ms)
        return self.executions[before:]

    def fill(self, order_id: int, qty: float | None = None) -> Execution:
        """Fill a resting order, or a part of it, at its price: what a test wants to happen now."""
        order = self.orders[order_id]
        self._execute(order, order.left if qty is None else qty, order.price, maker=True)
        return self.executions[-1]

    # ---- inside

    def _turn(self, order: Order) -> tuple[bool, str, bool, float, int]:
        """Sort key of §12.2: side, coin, closes first, nearest first, oldest first."""
        nearness = order.price if order.side == "sell" else -order.price
        return order.position_side == "short", order.coin, not order.closes, nearness, order.id

    def _known(self, coin: str) -> VenueMarket:
        if coin not in self.source.markets:
            raise Refused("symbol", f"unknown symbol {coin}")
        return self.source.markets[coin]

    def _tradeable(self, coin: str) -> VenueMarket:
        market = self._known(coin)
        if not market.active:
            raise Refused("inactive", f"{coin} is not traded")
        return market

    def _one_way_side(self, coin: str, side: Side, reduce_only: bool) -> PositionSide:
        """Return what a one-way order is about: it closes what it is against, or opens."""
        against: PositionSide = "short" if side == "buy" else "long"
        if reduce_only or (coin, against) in self.positions:
            return against
        return "long" if side == "buy" else "short"

    def _check(self, order: Order, market: VenueMarket) -> None:
        rules = market.rules
        if not order.qty > 0 or not order.price > 0:
            raise Refused("invalid", "quantity and price must be above 0")
        if not order.market and not is_multiple(order.price, rules.price_step):
            raise Refused("price_step", f"price {order.price} is no multiple of {rules.price_step}")
        if not is_multiple(order.qty, rules.qty_step):
            raise Refused("qty_step", f"quantity {order.qty} is no multiple of {rules.qty_step}")
        held = self.positions.get((order.coin, order.position_side))
        if order.closes and (order.reduce_only or self.hedge_mode):
            if held is None:
                raise Refused("reduce_only", "there is no position to reduce")
        else:
            if order.qty < rules.min_qty * (1 - 1e-9):
                raise Refused("min_qty", f"quantity {order.qty} is below {rules.min_qty}")
            if order.qty * order.price * rules.c_mult < rules.min_cost * (1 - 1e-9):
                raise Refused("min_cost", f"the cost is below {rules.min_cost}")
        if sum(other.coin == order.coin for other in self.open_orders) >= self.max_orders:
            raise Refused("too_many", f"more than {self.max_orders} open orders")
        if not order.closes:
            positions, orders = self.margin_used()
            needed = order.qty * order.price * rules.c_mult / self.setting(order.coin).leverage
            if positions + orders + needed > self.equity():
                raise Refused("funds", "margin is insufficient")

    def _execute(
        self, order: Order, qty: float, price: float, *, maker: bool, now_ms: int | None = None
    ) -> None:
        market = self.source.market(order.coin)
        c_mult, step = market.rules.c_mult, market.rules.qty_step
        now = self.clock.now_ms if now_ms is None else now_ms
        key = (order.coin, order.position_side)
        held = self.positions.get(key)
        sign = 1.0 if order.side == "buy" else -1.0
        rest = 0.0
        pnl = 0.0
        size_after, price_after = 0.0, price
        if order.closes:
            if held is None:
                self._end(order, "expired")
                return
            after = round_near(held.size + sign * qty, step)
            if (after < 0) if order.position_side == "long" else (after > 0):
                rest = round_near(qty - abs(held.size), step)
                after, qty = 0.0, abs(held.size)
            pnl = profit(order.position_side, held.price, price, qty, c_mult)
            price_after = held.price
            size_after = after
            if after == 0.0:
                del self.positions[key]
            else:
                held.size, held.updated_ms = after, now
        else:
            if held is None:
                held = self.positions[key] = Held(order.coin, order.position_side, 0.0, 0.0, now, now)
            held.size, held.price = average(held.size, held.price, sign * qty, price, step)
            held.updated_ms = now
            size_after, price_after = held.size, held.price
        rate = market.maker_fee if maker else market.taker_fee
        fee = -(qty * price * c_mult) * rate
        self.balance += pnl + fee
        order.filled = round_near(order.filled + qty, step)
        order.cost += qty * price
        order.fee -= fee
        order.updated_ms = now
        order.status = "filled" if order.filled >= order.qty else "partial"
        execution = Execution(
            id=next(self._ids),
            order_id=order.id,
            client_id=order.client_id,
            coin=order.coin,
            side=order.side,
            position_side=order.position_side,
            qty=qty,
            price=price,
            fee=-fee,
            pnl=pnl,
            maker=maker,
            time_ms=now,
            hedged=order.hedged,
            size_after=size_after,
            price_after=price_after,
            balance_after=self.balance,
        )
        self.executions.append(execution)
        self._tell("fill", execution)
        if order.status == "filled":
            self._remember_end(order)
        self._tell("order", order)
        shown = self.positions.get(key) or Held(order.coin, order.position_side, 0.0, price_after, now, now)
        self._tell("position", shown)
        self._tell("balance", self.balance)
        if order.closes and size_after == 0.0:
            self._position_is_gone(order, rest, now)

    def _position_is_gone(self, order: Order, rest: float, now_ms: int) -> None:
        """End what could only have reduced it; in one-way mode what is left of a plain order opens."""
        if rest > 0 and order.resting:
            if self.hedge_mode or order.reduce_only:
                self._end(order, "canceled")
            else:
                order.position_side = "long" if order.side == "buy" else "short"
                self._execute(order, rest, order.price, maker=True, now_ms=now_ms)
        for other in self.open_orders:
            if (other.coin, other.position_side) != (order.coin, order.position_side) or not other.closes:
                continue
            if other.reduce_only or self.hedge_mode:
                self._end(other, "canceled")
            else:
                other.position_side = "long" if other.side == "buy" else "short"

    def _end(self, order: Order, status: Status) -> None:
        order.status = status
        order.updated_ms = self.clock.now_ms
        self._remember_end(order)
        self._tell("order", order)

    def _remember_end(self, order: Order) -> None:
        """Keep ended orders for a while, as venues do, and no longer: a soak's memory stays flat."""
        self._resting.pop(order.id, None)
        self._ended.append(order.id)
        while len(self._ended) > self.forget_after:
            forgotten = self.orders.pop(self._ended.popleft(), None)
            if forgotten is not None and forgotten.client_id:
                self._client_ids.pop(forgotten.client_id, None)

    def _tell(self, what: Literal["order", "fill", "position", "balance"], thing: object) -> None:
        if not self.listeners:
            return
        # Listeners get what it was at that moment: orders and positions go on changing.
        frozen = replace(thing) if isinstance(thing, Order | Held) else thing
        for listener in list(self.listeners):
            listener((what, frozen))  # type: ignore[arg-type]
