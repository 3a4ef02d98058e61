"""The orders of the second witness: trading-semantics §4, §9 and §16.1, transcribed from the text.

Nothing here is shared with the engine: plain Python floats, no thought of speed. See ``oracle.py`` for the
minute loop around it. Section numbers are those of trading-semantics.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from passivbot.engine import MarketRules

# -- §1, §4: numbers ------------------------------------------------------------------------------


def div(a: float, b: float) -> float:
    """Divide by IEEE 754, where Python raises."""
    if b != 0.0:
        return a / b
    return math.nan if a == 0.0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)


def nint(x: float) -> float:
    """Nearest integer, halves away from zero."""
    if not math.isfinite(x):
        return x
    whole = float(math.trunc(x))
    return whole + math.copysign(1.0, x) if abs(x - whole) >= 0.5 else whole


def dec10(x: float) -> float:
    return nint(x * 1e10) / 1e10


def round_near(n: float, step: float) -> float:
    return dec10(nint(n / step) * step)


def round_up(n: float, step: float) -> float:
    return dec10(float(math.ceil(n / step)) * step)


def round_down(n: float, step: float) -> float:
    return dec10(float(math.floor(n / step)) * step)


def lin(x: float, x0: float, x1: float, y0: float, y1: float) -> float:
    return (0 + y0 * div(x - x1, x0 - x1)) + y1 * div(x - x0, x1 - x0)


# -- what one side knows at one minute ------------------------------------------------------------


@dataclass
class Order:
    qty: float
    price: float
    type: str


@dataclass
class View:
    """Inputs of the order formulas (§9), of one side at one minute."""

    long: bool
    rules: MarketRules
    p: Mapping[str, float]
    limit: float  # WEL
    balance: float
    close: float
    lower: float
    upper: float
    glr: float
    bundle: tuple[float, float, float, float]
    book: float = field(init=False)
    """Bid of a long, ask of a short, for entries; it moves along the entry ladder."""

    def __post_init__(self) -> None:
        self.book = self.close

    def qty_of(self, cost: float, price: float) -> float:
        return (abs(cost) / price) / self.rules.c_mult if price > 0 else 0.0

    def cost_of(self, qty: float, price: float) -> float:
        return (abs(qty) * price) * self.rules.c_mult

    def exposure(self, size: float, price: float) -> float:
        return 0.0 if self.balance <= 0 or size == 0 else self.cost_of(size, price) / self.balance

    def least(self, price: float) -> float:
        return max(self.rules.min_qty, round_up(self.qty_of(self.rules.min_cost, price), self.rules.qty_step))

    def near(self, qty: float) -> float:
        return round_near(qty, self.rules.qty_step)

    def combine(self, size: float, pprice: float, qty: float, price: float) -> tuple[float, float]:
        if qty == 0:
            return size, pprice
        if size == 0:
            return qty, price
        n = self.near(size + qty)
        return (0.0, 0.0) if n == 0 else (n, pprice * (size / n) + price * (qty / n))

    def none(self, kind: str) -> Order:
        return Order(0.0, 0.0, f"entry_{kind}")

    # -- §9: entries, with positive quantities -----------------------------------------------------

    def initial_qty(self, price: float) -> float:
        wanted = self.qty_of(self.balance * self.limit * self.p["entry_initial_qty_pct"], price)
        return max(self.least(price), self.near(wanted))

    def reentry_qty(self, price: float, size: float, factor: float, limit: float) -> float:
        by_balance = self.qty_of(self.balance, price) * limit * self.p["entry_initial_qty_pct"]
        return max(self.least(price), self.near(max(size * factor, by_balance)))

    def reentry_price(self, pprice: float, exposure: float, limit: float) -> float:
        a = (exposure / limit) * self.p["entry_grid_spacing_we_weight"] if limit > 0 else 0.0
        b = self.glr * self.p["entry_grid_spacing_log_weight"]
        distance = self.p["entry_grid_spacing_pct"] * max(1 + a + b, 0.0)
        step = self.rules.price_step
        if self.long:
            price = min(round_down(pprice * (1 - distance), step), self.book)
        else:
            price = max(round_up(pprice * (1 + distance), step), self.book)
        return 0.0 if price <= step else price

    def crop(
        self, size: float, pprice: float, exposure: float, qty: float, price: float, limit: float
    ) -> tuple[float, float]:
        after = self.exposure(*self.combine(self.near(size), pprice, self.near(qty), price))
        if after > limit * 1.01:
            fitting = lin(limit, exposure, after, size, size + qty) - size
            return after, max(self.near(fitting), self.least(price))
        return after, max(qty, self.least(price))

    def first_entry(self, size: float) -> tuple[Order | None, float]:
        """§9.2: the order, if it is an initial or partial one or none; else q0 for what follows."""
        step = self.rules.price_step
        if self.long:
            band = round_down(self.lower * (1 - self.p["entry_initial_ema_dist"]), step)
            price = min(self.book, band)
        else:
            band = round_up(self.upper * (1 + self.p["entry_initial_ema_dist"]), step)
            price = max(self.book, band)
        if price <= step:
            return self.none("initial_normal"), 0.0
        q0 = self.initial_qty(price)
        if size == 0:
            return Order(q0, price, "entry_initial_normal"), 0.0
        if size < q0 * 0.8:
            qty = max(self.least(price), round_down(q0 - size, self.rules.qty_step))
            return Order(qty, price, "entry_initial_partial"), 0.0
        if size < q0:
            q0 = max(self.near(size), self.least(price))
        return None, q0

    def grid_entry(self, size: float, pprice: float, cap: float) -> Order:
        order, q0 = self.first_entry(size)
        if order:
            return order
        exposure, limit = self.exposure(size, pprice), min(cap, self.limit)
        factor = self.p["entry_grid_double_down_factor"]
        if exposure >= limit * 0.999:
            return self.none("grid_normal")
        p1 = self.reentry_price(pprice, exposure, limit)
        if p1 <= 0:
            return self.none("grid_normal")
        q1 = max(self.reentry_qty(p1, size, factor, limit), q0)
        after, cropped = self.crop(size, pprice, exposure, q1, p1, limit)
        if cropped < q1:
            return Order(cropped, p1, "entry_grid_cropped")
        size2, pprice2 = self.combine(size, pprice, q1, p1)
        p2 = self.reentry_price(pprice2, after, limit)
        q2 = max(self.reentry_qty(p2, size2, factor, limit), q0)
        _, q2 = self.crop(size2, pprice2, after, q2, p2, limit)
        if q2 / size2 < factor * 0.25:
            qty = self.near(lin(limit, exposure, after, size, size + q1) - size)
            return Order(qty, p1, "entry_grid_inflated")
        return Order(q1, p1, "entry_grid_normal")

    def trailing_entry(self, size: float, pprice: float, cap: float) -> Order:
        order, q0 = self.first_entry(size)
        if order:
            return order
        exposure, limit = self.exposure(size, pprice), min(cap, self.limit)
        if exposure > limit * 0.999:
            return self.none("trailing_normal")
        threshold = self.p["entry_trailing_threshold_pct"]
        retracement = self.p["entry_trailing_retracement_pct"]
        min_open, max_since_min, max_open, min_since_max = self.bundle
        if self.long:
            beyond = min_open < pprice * (1 - threshold)
            turned = max_since_min > min_open * (1 + retracement)
        else:
            beyond = max_open > pprice * (1 + threshold)
            turned = min_since_max < max_open * (1 - retracement)
        if threshold <= 0:
            triggered, p1 = retracement > 0 and turned, self.book
        else:
            back = retracement if retracement > 0 else 0.0
            triggered = retracement <= 0 or (beyond and turned)
            if self.long:
                p1 = min(self.book, round_down(pprice * (1 - threshold + back), self.rules.price_step))
            else:
                p1 = max(self.book, round_up(pprice * (1 + threshold - back), self.rules.price_step))
        if not triggered:
            return self.none("trailing_normal")
        q1 = max(self.reentry_qty(p1, size, self.p["entry_trailing_double_down_factor"], limit), q0)
        _, cropped = self.crop(size, pprice, exposure, q1, p1, limit)
        if cropped < q1:
            return Order(cropped, p1, "entry_trailing_cropped")
        return Order(q1, p1, "entry_trailing_normal")

    def next_entry(self, size: float, pprice: float) -> Order:
        """§9.5, from the signed position; quantity signed, type with its side."""
        held, limit, ratio = abs(size), self.limit, self.p["entry_trailing_grid_ratio"]
        exposure = self.exposure(held, pprice)
        used = exposure / limit if limit > 0 else 0.0
        if limit == 0 or self.balance <= 0:
            order = self.none("initial_normal")
        elif ratio >= 1 or ratio <= -1:
            order = self.trailing_entry(held, pprice, limit)
        elif ratio == 0:
            order = self.grid_entry(held, pprice, limit)
        elif ratio > 0:
            if used < ratio:
                cap = limit if exposure == 0 else min(limit * ratio * 1.01, limit)
                order = self.trailing_entry(held, pprice, cap)
            else:
                order = self.grid_entry(held, pprice, limit)
        elif used < 1 + ratio:
            cap = limit if exposure == 0 else min(limit * (1 + ratio) * 1.01, limit)
            order = self.grid_entry(held, pprice, cap)
        else:
            order = self.trailing_entry(held, pprice, limit)
        return self.signed(order, 1.0 if self.long else -1.0)

    def signed(self, order: Order, sign: float) -> Order:
        return Order(sign * order.qty, order.price, f"{order.type}_{'long' if self.long else 'short'}")

    def entry_ladder(self, size: float, pprice: float) -> list[Order]:
        """§9.6."""
        ladder: list[Order] = []
        for _ in range(500):
            order = self.next_entry(size, pprice)
            if order.qty == 0:
                break
            if ladder and ("trailing" in order.type or order.price == ladder[-1].price):
                break
            size, pprice = self.combine(size, pprice, order.qty, order.price)
            self.book = min(self.book, order.price) if self.long else max(self.book, order.price)
            ladder.append(order)
        self.book = self.close
        return ladder

    # -- §16: closes, with positive quantities -----------------------------------------------------

    def close_qty(self, size: float, pprice: float, pct: float, price: float) -> float:
        full = self.qty_of(self.balance * self.limit, pprice)
        left, least = max(0.0, size - full), self.least(price)
        qty = min(self.near(size), max(least, round_up(full * pct + left, self.rules.qty_step)))
        return size if 0 < qty < size and size - qty < least else qty

    def target(self, pprice: float, markup: float) -> float:
        if self.long:
            return round_up(pprice * (1 + markup), self.rules.price_step)
        return round_down(pprice * (1 - markup), self.rules.price_step)

    def not_worse(self, price: float) -> float:
        return max(self.close, price) if self.long else min(self.close, price)

    def grid_close(self, size: float, pprice: float) -> Order:
        pct = self.p["close_grid_qty_pct"]
        a = self.target(pprice, self.p["close_grid_markup_start"])
        b = self.target(pprice, self.p["close_grid_markup_end"])
        if pct < 0 or pct >= 1 or a == b:
            return Order(self.near(size), self.not_worse(a), "close_grid")
        step = self.rules.price_step
        pct = max(pct, 1 / float(math.ceil(abs(b - a) / step)))
        used = div(self.exposure(size, pprice), self.limit)
        if used > 1:
            price = min(a, b) if self.long else max(a, b)
        else:
            between = a + (b - a) * min(1.0, used)
            price = round_up(between, step) if self.long else round_down(between, step)
        price = self.not_worse(price)
        return Order(self.close_qty(size, pprice, pct, price), price, "close_grid")

    def trailing_close(self, size: float, pprice: float) -> Order:
        threshold = self.p["close_trailing_threshold_pct"]
        retracement = self.p["close_trailing_retracement_pct"]
        min_open, max_since_min, max_open, min_since_max = self.bundle
        if self.long:
            beyond = max_open > pprice * (1 + threshold)
            turned = min_since_max < max_open * (1 - retracement)
        else:
            beyond = min_open < pprice * (1 - threshold)
            turned = max_since_min > min_open * (1 + retracement)
        if threshold <= 0:
            triggered, price = retracement > 0 and turned, self.close
        elif retracement <= 0:
            triggered, price = True, self.not_worse(self.target(pprice, threshold))
        else:
            triggered = beyond and turned
            if self.long:
                price = round_up(pprice * (1 + threshold - retracement), self.rules.price_step)
            else:
                price = round_down(pprice * (1 - threshold + retracement), self.rules.price_step)
            price = self.not_worse(price)
        if not triggered:
            return Order(0.0, 0.0, "close_trailing")
        qty = self.close_qty(size, pprice, self.p["close_trailing_qty_pct"], price)
        return Order(qty, price, "close_trailing")

    def next_close(self, size: float, pprice: float) -> Order:
        """§16.1.5, from the signed position; quantity signed, type with its side."""
        return self.signed(self.unsigned_close(abs(size), pprice), -1.0 if self.long else 1.0)

    def unsigned_close(self, size: float, pprice: float) -> Order:
        if size == 0:
            return Order(0.0, 0.0, "close_grid")
        limit, ratio = self.limit, self.p["close_trailing_grid_ratio"]
        exposure = self.exposure(size, pprice)
        used = exposure / limit if limit > 0 else 10.0
        if self.p["enforce_exposure_limit"] and used > 1.01:
            less = size * 0.9
            ideal = lin(limit * 1.01, exposure, self.exposure(less, pprice), size, less)
            if size - ideal > 0:
                qty = min(self.near(size), max(self.least(self.close), self.near(size - ideal)))
                return Order(qty, self.close, "close_auto_reduce")
        if ratio >= 1 or ratio <= -1:
            return self.trailing_close(size, pprice)
        if ratio == 0:
            return self.grid_close(size, pprice)
        if used < (ratio if ratio > 0 else 1 + ratio):
            close = self.trailing_close if ratio > 0 else self.grid_close
            return close(size, pprice)
        kept = self.qty_of(self.balance * limit * (ratio if ratio > 0 else 1 + ratio), pprice)
        least = self.least(pprice)
        kept = 0.0 if kept < least else kept
        part = min(size, max(self.near((size - kept) * 1.01), least))
        close = self.grid_close if ratio > 0 else self.trailing_close
        return close(part, pprice)

    def close_ladder(self, size: float, pprice: float) -> list[Order]:
        """§16.1.6."""
        ladder: list[Order] = []
        for _ in range(500):
            order = self.next_close(size, pprice)
            if order.qty == 0:
                break
            size = self.near(size + order.qty)
            if ladder and "close_trailing" in order.type:
                break
            if ladder and order.price == ladder[-1].price:
                ladder[-1] = Order(self.near(ladder[-1].qty + order.qty), order.price, order.type)
            else:
                ladder.append(order)
        return sorted(ladder, key=lambda order: order.price if self.long else -order.price)
