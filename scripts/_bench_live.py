"""A live cycle's own time: modes, plan, comparison, guards and journal for 20 coins, without the network."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _bench_time import minima

from passivbot.config import Config
from passivbot.engine import MarketRules
from passivbot.exchanges.types import Market, OpenOrder, Position, Ticker
from passivbot.live.candles import CandleCache
from passivbot.live.decide import Decision, Known, decide
from passivbot.live.feed import Feed
from passivbot.live.journal import Journal
from passivbot.live.ledger import Ledger
from passivbot.live.limits import Churn
from passivbot.live.policy import Policy
from passivbot.live.reconcile import Resting
from passivbot.live.strategy import trailing_grid
from passivbot.live.universe import survey
from passivbot.planner import PlannedOrder

TARGET_MS = 5.0
COINS = 20
MINUTE_MS = 60_000
_HISTORY = 20_000
_NOW_MS = 1_700_000_040_000


def bench_live(runs: int) -> list[dict[str, Any]]:
    """Return one row per state of the account."""
    with tempfile.TemporaryDirectory(prefix="bench-live-") as folder:
        bench = _Bench(Path(folder))
        cases = {
            "all orders to place": bench.known((), ()),
            "all orders rest as planned": bench.settled(),
            "all orders to replace": bench.settled(shift=1.003),
        }
        acts = [lambda known=known: bench.cycle(known) for known in cases.values()]
        times = minima(acts, max(runs, 5) * 10)
        orders = [bench.cycle(known) for known in cases.values()]
        journal = minima([bench.journal_batch], max(runs, 5) * 10)[0]
        bench.close()
    rows = [
        {
            "state": name,
            "coins": COINS,
            "planned": len(decision.plan.orders),
            "to send": len(decision.cancel) + len(decision.create),
            "own time, ms": seconds * 1000,
            "target, ms": TARGET_MS,
            "met": seconds * 1000 < TARGET_MS,
        }
        for name, seconds, decision in zip(cases, times, orders, strict=True)
    ]
    batch = {"state": "journal of 3 orders, disk apart", "coins": COINS, "planned": 3, "to send": 3}
    spent = journal * 1000
    return [*rows, batch | {"own time, ms": spent, "target, ms": TARGET_MS, "met": spent < TARGET_MS}]


class _Bench:
    """Twenty coins with 20,000 minutes each, positions on both sides of all."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(1)
        self.coins = [f"C{i:02d}" for i in range(COINS)]
        rules = MarketRules(0.001, 0.01, 0.001, 5.0, 1.0)
        self.markets = {
            coin: Market(coin, f"{coin}/USDT:USDT", rules, 0.0002, 0.0005, True, listed_ms=0)
            for coin in self.coins
        }
        data = Config().to_dict()
        data["live"] |= {"approved_coins": {"long": self.coins, "short": self.coins}}
        for side in ("long", "short"):
            data["bot"][side] |= {"n_positions": float(COINS), "entry_trailing_grid_ratio": 0.0}
        self.config = Config.from_dict(data)
        self.cache = CandleCache(folder / "candles.sqlite")
        self.feed = Feed(None, self.cache, trailing_grid, lambda coin, why: None)  # type: ignore[arg-type]
        first_ms = _NOW_MS - _NOW_MS % MINUTE_MS - _HISTORY * MINUTE_MS
        self.price = {}
        self.feed.prime(self.config, {coin: rules for coin in self.coins}, first_ms)
        for coin in self.coins:
            close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-3, _HISTORY)))
            rows = np.stack([close * 1.001, close * 0.999, close, close * 100.0], axis=1)
            self.feed.absorb(coin, first_ms, rows)
            self.price[coin] = round(float(close[-1]), 2)
        self.ledger, self.policy = Ledger(), Policy(creates_per_minute=10**9)
        self.journal = Journal(folder / "journal.sqlite", "bench_01")
        self.batches = 0

    def known(self, positions: Any, resting: Any) -> Known:
        """Return a state of the account."""
        return Known(
            config=self.config,
            policy=self.policy,
            markets=self.markets,
            tickers={coin: Ticker(price, price, price) for coin, price in self.price.items()},
            positions={(position.coin, position.side): position for position in positions},
            resting=tuple(resting),
            balance=1e6,
            universe=self.modes({(position.coin, position.side): position.size for position in positions}),
            now_ms=_NOW_MS,
        )

    def modes(self, held: dict[Any, float]) -> Any:
        """Survey the coins."""
        return survey(
            self.config,
            self.markets,
            held,
            own=lambda key: True,
            restricted=frozenset(),
            price=self.price.get,
            balance=1e6,
            now_ms=_NOW_MS,
        )

    def settled(self, shift: float = 1.0) -> Known:
        """Return the account with positions, and its plan resting at prices that are off by a factor."""
        held = [
            Position(coin, side, size if side == "long" else -size, price)
            for coin, price in self.price.items()
            for side, size in (("long", 5.0), ("short", 5.0))
        ]
        plan = self.cycle(self.known(held, ())).plan
        resting = [
            Resting(
                OpenOrder(str(n), f"{n:028x}", o.coin, None, o.qty, round(o.price * shift, 2)), o.side, o.type
            )
            for n, o in enumerate(plan.orders)
        ]
        return self.known(held, resting)

    def cycle(self, known: Known) -> Decision:
        """What a cycle does between the network's answers and its next requests."""
        self.modes({key: position.size for key, position in known.positions.items()})
        return decide(known, self.feed, self.ledger, Churn(self.policy, _nobody), _nobody)

    def journal_batch(self) -> None:
        """Write three orders down and settle them."""
        self.batches += 1
        planned = [
            PlannedOrder("BTC", "long", "entry_grid_normal_long", 0.001 * self.batches, 100.0 + n)
            for n in range(3)
        ]
        made = self.journal.intend([(order, order.price) for order in planned], _NOW_MS)
        self.journal.settle([(intent.id, "open", "1", "") for intent in made], _NOW_MS)

    def close(self) -> None:
        """Close the files."""
        self.journal.close()
        self.cache.close()


def _nobody(guard: str, text: str) -> None:
    """Nobody is told."""
