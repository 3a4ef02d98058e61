"""A second witness: the backtest of one coin in USD mode, transcribed from trading-semantics.

It shares nothing with the engine but the text of the specification: plain Python floats, one minute, or bar
of several, after the other. Section numbers are those of trading-semantics. Left out is what one coin in USD
mode does not need: coin selection, BTC collateral, and the close order at a delisting, which never fills
(§14.3).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from passivbot.engine import MarketRules

from .oracle_orders import Order, View, nint, round_down, round_near, round_up

LARGEST = 1.7976931348623157e308
SMALLEST_NORMAL = 2.2250738585072014e-308
HOUR = 3_600_000

Parameters = Mapping[str, float]
Fill = tuple[int | float | str, ...]
"""A row of the fill table, in its column order (§12.5)."""


class Ema:
    """§6.2: an average that knows the sum of its weights."""

    def __init__(self, value: float, alpha: float) -> None:
        self.n, self.d, self.v, self.alpha = value, 1.0, value, alpha

    def update(self, x: float) -> None:
        alpha = self.alpha
        if not math.isfinite(x) or alpha <= 0 or not math.isfinite(alpha):
            self.v = self.n / self.d if self.d > 0 else x
            return
        w = 1 - alpha
        n, d = alpha * x + w * self.n, alpha + w * self.d
        if not math.isfinite(d) or d <= SMALLEST_NORMAL:
            self.n, self.d, self.v = alpha * x, alpha, x
        else:
            self.n, self.d, self.v = n, d, n / d


@dataclass
class Side:
    long: bool
    p: Parameters
    slots: float
    enabled: bool
    limit: float
    bands: list[Ema]
    hourly: Ema
    size: float = 0.0
    pprice: float = 0.0
    filled: bool = False
    bundle: tuple[float, float, float, float] = (LARGEST, 0.0, 0.0, LARGEST)
    entries: list[Order] = field(default_factory=list)
    closes: list[Order] = field(default_factory=list)

    @classmethod
    def start(cls, long: bool, p: Parameters, close: float, interval: int) -> "Side":
        slots = min(1.0, max(0.0, nint(p["n_positions"])))
        limit = p.get("wallet_exposure_limit", -1.0)
        spans = (p["ema_span_0"], p["ema_span_1"], math.sqrt(p["ema_span_0"] * p["ema_span_1"]))
        hours = p["entry_grid_spacing_log_span_hours"]
        bands = [Ema(close, 2 / (span / interval + 1)) for span in sorted(spans)]
        hourly = Ema(0.0, 2 / (hours + 1) if hours > 0 else 0.0)
        return cls(long, p, slots, limit != 0 and slots > 0, limit, bands, hourly)

    def track(self, high: float, low: float, close: float) -> None:
        """§10, with the side's and the coin's switches (§5)."""
        uses = self.p["close_trailing_grid_ratio"] != 0 or self.p["entry_trailing_grid_ratio"] != 0
        if not (self.enabled and uses and self.size != 0):
            return
        if self.filled:
            self.bundle = (LARGEST, 0.0, 0.0, LARGEST)
            return
        min_open, max_since_min, max_open, min_since_max = self.bundle
        if low < min_open:
            min_open, max_since_min = low, close
        else:
            max_since_min = max(max_since_min, high)
        if high > max_open:
            max_open, min_since_max = high, close
        else:
            min_since_max = min(min_since_max, low)
        self.bundle = (min_open, max_since_min, max_open, min_since_max)


class Oracle:
    """One run; afterwards ``fills`` and ``equity`` hold what the engine shall show.

    ``candles`` are rows (high, low, close) of finite prices, of a coin that lives in every bar of
    ``interval`` minutes; ``warmup`` is in minutes.
    """

    def __init__(
        self,
        candles: Sequence[tuple[float, float, float]],
        first_ms: int,
        coin: str,
        rules: MarketRules,
        bot: Mapping[str, Parameters],
        *,
        starting_balance: float,
        maker_fee: float,
        warmup: int,
        interval: int = 1,
    ) -> None:
        self.candles, self.first_ms, self.coin, self.rules = candles, first_ms, coin, rules
        self.fee_rate, self.interval = maker_fee, interval
        self.warmup = math.ceil(warmup / interval)
        self.balance, self.pnl_sum, self.pnl_peak = starting_balance, 0.0, 0.0
        self.hour, self.bucket = first_ms // HOUR * HOUR, (0.0, 0.0)
        self.sides = [
            Side.start(name == "long", bot[name], candles[0][2], interval) for name in ("long", "short")
        ]
        self.fills: list[Fill] = []
        self.equity = [starting_balance]
        self.trade_from = min(self.warmup, len(candles) - 1)
        for k in range(1, len(candles) - 1):
            self.step(k)

    def step(self, k: int) -> None:
        """§8."""
        high, low, close = self.candles[k]
        for side in self.sides:
            side.filled = False
            if side.enabled:
                self.fill(k, side)
        self.indicators(k)
        for side in self.sides:
            side.track(high, low, close)
        for side in self.sides:
            side.entries, side.closes = [], []
        if k > max(self.warmup, 1):
            self.place(k)
        equity = self.balance
        for side in self.sides:
            if side.size != 0:
                equity += self.pnl(side, side.size, close)
        self.equity.append(equity)

    # -- §6 ------------------------------------------------------------------------------------------

    def indicators(self, k: int) -> None:
        bar = self.interval * 60_000
        now = self.first_ms + k * bar
        boundary = now // HOUR * HOUR
        if boundary > self.hour:
            start = max(self.first_ms, self.hour)
            if now > start + 60_000:
                window = self.candles[(start - self.first_ms) // bar : k]
                self.bucket = max(c[0] for c in window), min(c[1] for c in window)
            self.hour = boundary
            bucket = self.bucket
            if bucket[0] > 0 and bucket[1] > 0:
                for side in self.sides:
                    if side.hourly.alpha > 0:
                        side.hourly.update(math.log(bucket[0] / bucket[1]))
        for side in self.sides:
            for ema in side.bands:
                ema.update(self.candles[k][2])

    # -- §12, §13.1 ----------------------------------------------------------------------------------

    def fills_in(self, k: int, order: Order) -> bool:
        high, low, _ = self.candles[k]
        if k < self.trade_from:
            return False
        return (order.qty > 0 and low < order.price) or (order.qty < 0 and high > order.price)

    def cost(self, qty: float, price: float) -> float:
        return (abs(qty) * price) * self.rules.c_mult

    def pnl(self, side: Side, qty: float, price: float) -> float:
        gain = price - side.pprice if side.long else side.pprice - price
        return abs(qty) * self.rules.c_mult * gain

    def fill(self, k: int, side: Side) -> None:
        for order in [order for order in side.closes if self.fills_in(k, order)]:
            if side.size == 0:
                continue
            qty, n = order.qty, round_near(side.size + order.qty, self.rules.qty_step)
            if n < 0 if side.long else n > 0:
                qty, n = -side.size, 0.0
            pnl = self.pnl(side, qty, order.price)
            self.pnl_sum += pnl
            self.pnl_peak = max(self.pnl_peak, self.pnl_sum)
            side.size = n
            self.record(k, side, qty, order, pnl)
        for order in [order for order in side.entries if self.fills_in(k, order)]:
            view = self.view(side, k)
            side.size, side.pprice = view.combine(side.size, side.pprice, order.qty, order.price)
            self.record(k, side, order.qty, order, 0.0)

    def record(self, k: int, side: Side, qty: float, order: Order, pnl: float) -> None:
        """Take the money and write the fill down, after the position has changed (§12.5)."""
        fee = -self.cost(qty, order.price) * self.fee_rate
        self.balance = self.balance + (pnl + fee)
        side.filled = True
        total = 0.0
        for each in self.sides:
            total += self.exposure(each)
        money = (pnl, fee, self.balance, 0.0, self.balance, 1.0)
        position = (qty, order.price, side.size, side.pprice, order.type)
        self.fills.append((k * self.interval, self.coin, *money, *position, self.exposure(side), total))

    def exposure(self, side: Side) -> float:
        if self.balance <= 0 or side.size == 0:
            return 0.0
        return self.cost(side.size, side.pprice) / self.balance

    # -- §11, §14, §16.2 -----------------------------------------------------------------------------

    def view(self, side: Side, k: int) -> View:
        values = [ema.v for ema in side.bands]
        return View(
            long=side.long,
            rules=self.rules,
            p=side.p,
            limit=side.limit,
            balance=self.balance,
            close=self.candles[k][2],
            lower=min(values),
            upper=max(values),
            glr=side.hourly.v,
            bundle=side.bundle,
        )

    def place(self, k: int) -> None:
        if k < self.trade_from:
            return
        for side in self.sides:
            if side.p.get("wallet_exposure_limit", -1.0) < 0 and any(each.slots > 0 for each in self.sides):
                twel = side.p["total_wallet_exposure_limit"]
                side.limit = twel / side.slots if side.slots > 0 else 0.0
        for side in self.sides:
            if not side.enabled:
                continue
            view = self.view(side, k)
            entry = view.next_entry(side.size, side.pprice)
            if self.fills_in(k + 1, entry):
                side.entries = view.entry_ladder(side.size, side.pprice)
            close = view.next_close(side.size, side.pprice)
            if self.fills_in(k + 1, close):
                side.closes = view.close_ladder(side.size, side.pprice)
        self.unstick(k)

    def unstick(self, k: int) -> None:
        close = self.candles[k][2]
        candidates: list[tuple[float, Side, float]] = []
        for side in self.sides:
            pct = side.p["unstuck_loss_allowance_pct"]
            if pct <= 0 or side.size == 0:
                continue
            peak = self.balance + (self.pnl_peak - self.pnl_sum)
            share = pct * side.p["total_wallet_exposure_limit"] + (self.balance / peak - 1)
            allowance = max(peak * share, 0.0)
            stuck = side.limit == 0 or self.exposure(side) / side.limit > side.p["unstuck_threshold"]
            if allowance > 0 and stuck and self.beyond_band(side, close):
                distance = 1 - close / side.pprice if side.long else close / side.pprice - 1
                candidates.append((distance, side, allowance))
        for _, side, allowance in sorted(candidates, key=lambda candidate: candidate[0])[:1]:
            view, size = self.view(side, k), abs(side.size)
            least, step = view.least(close), self.rules.qty_step
            wanted = view.qty_of(self.balance * side.limit * side.p["unstuck_close_pct"], close)
            qty = min(size, max(least, round_down(wanted, step)))
            loss = self.pnl(side, qty, close)
            if loss < 0 and abs(loss) > allowance:
                qty = min(size, max(least, round_down(qty * (allowance / abs(loss)), step)))
            if side.long:
                side.closes = [Order(-qty, close, "close_unstuck_long")]
            else:
                side.closes = [Order(qty, close, "close_unstuck_short")]

    def beyond_band(self, side: Side, close: float) -> bool:
        values, dist, step = [ema.v for ema in side.bands], side.p["unstuck_ema_dist"], self.rules.price_step
        if side.long:
            return close >= round_up(max(values) * (1 + dist), step)
        return close <= round_down(min(values) * (1 - dist), step)
