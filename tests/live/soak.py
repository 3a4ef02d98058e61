"""A long run of the bot: random faults over many minutes of market time.

``scripts/soak live`` runs it at length, ``test_soak.py`` a seeded part. The venue and all checks are in this
process, the bot in one of its own: what is measured of its memory is the bot's alone.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from passivbot.exchanges.types import Failure
from passivbot.live.journal import FILE, Journal
from passivbot.live.policy import Policy
from passivbot.times import MINUTE_MS
from passivbot.venue import MarketSource, Venue
from tests.live.apart import BotApart, Look
from tests.live.rig import ACCOUNT, EAGER, Rig, config_of, twins

FAULTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("create", "lost", {}),
    ("create", "unknown", {}),
    ("create", "drop", {}),
    ("create", "reverse", {}),
    ("create", "error", {"name": "server"}),
    ("create", "error", {"name": "timeout"}),
    ("create", "error", {"name": "funds"}),
    ("create", "error", {"name": "reduce_only"}),
    ("create", "limit", {"seconds": 0.05}),
    ("cancel", "lost", {}),
    ("cancel", "unknown", {}),
    ("cancel", "error", {"name": "gone"}),
    ("cancel", "error", {"name": "server"}),
    ("open_orders", "truncate", {"keep": 2}),
    ("open_orders", "repeat", {}),
    ("open_orders", "status", {"status": 502, "body": {}}),
    ("positions", "status", {"status": 502, "body": {}}),
    ("positions", "cut", {}),
    ("balance", "status", {"status": 503, "body": {}}),
    ("balance", "cut", {}),
    ("fills", "truncate", {"keep": 0}),
    ("fills", "repeat", {}),
    ("fills", "reverse", {}),
    ("candles", "truncate", {"keep": 0}),
    ("candles", "status", {"status": 502, "body": {}}),
    ("tickers", "drop", {}),
    ("*", "limit", {"seconds": 0.05}),
    ("*", "error", {"name": "maintenance"}),
    ("*", "error", {"name": "clock"}),
)
"""What goes wrong, one of these every few minutes."""

_CHECK_MINUTES = 40
_LOOKS = 6
_SETTLE_LOOKS = 40
LOOKBACK_DAYS = 2.0
"""Of the bot's history of fills: short, so that it is full long before the run ends. Candles likewise."""
GROWTH_MB = 4.0
"""Memory is flat if its mean over the last quarter of a run is at most so much above that over the second."""


@dataclass
class Figures:
    """What a run came to."""

    minutes: int = 0
    looks: int = 0
    fills: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    checks: int = 0
    restarts: int = 0
    worst_exposure: float = 0.0
    requests_per_minute: float = 0.0
    most_requests: int = 0
    memory_mb: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def growth_mb(self) -> float:
        """Mean memory of the last quarter less that of the second: what has warmed up by then stays."""
        samples = np.array(self.memory_mb)
        quarter = max(len(samples) // 4, 1)
        return float(samples[-quarter:].mean() - samples[quarter : 2 * quarter].mean())


@dataclass
class Run:
    """The two sides of a run."""

    r: Rig
    bot: BotApart
    chance: random.Random
    figures: Figures
    last: Look | None = None

    @property
    def now_ms(self) -> int:
        """Market time."""
        return self.r.venue.clock.now_ms

    def advance(self) -> None:
        """Let a minute pass."""
        self.figures.fills += len(self.r.venue.advance())
        self.figures.minutes += 1

    async def look(self) -> bool:
        """Let the bot run a cycle; return whether what rests is what it wants."""
        self.last = await self.bot.look(self.now_ms)
        self.figures.looks += 1
        if self.last.failure is not None:
            self.figures.failed += 1
        assert self.last.failure is not Failure.AUTH, self.last
        assert not twins(self.r), (twins(self.r), self.last.told)
        report = self.last.report
        return report is not None and report.settled and not report.again

    async def minute(self) -> None:
        """Let a minute pass in which things go wrong."""
        r, chance, faults = self.r, self.chance, self.figures.faults
        while chance.random() < 0.2:
            operation, kind, settings = chance.choice(FAULTS)
            r.venue.faults.add(operation, kind, times=chance.choice((1, 1, 2, 3)), **settings)
            faults[f"{operation} {kind}"] += 1
        if chance.random() < 0.01:
            r.core.zero_balance_reads = chance.choice((1, 2))
            faults["balance flash"] += 1
        if chance.random() < 0.01:
            await r.venue.drop_websockets()
            faults["stream dropped"] += 1
        if chance.random() < 0.1:
            r.core.partial_share = chance.choice((None, 0.5))
        self.advance()
        before = sum(r.venue.counts.values())
        for _ in range(_LOOKS):
            if await self.look():
                break
        asked = sum(r.venue.counts.values()) - before
        self.figures.most_requests = max(self.figures.most_requests, asked)
        assert asked <= Policy.requests_per_minute, (asked, self.last)
        worst = max(r.exposure().values())
        self.figures.worst_exposure = max(self.figures.worst_exposure, worst)
        assert worst <= 1.0 * (1 + r.policy.exposure_slack) + 0.02, (worst, self.last)

    async def check(self) -> None:
        """Let the faults rest; everything has to come right."""
        r = self.r
        r.venue.faults.clear()
        r.core.zero_balance_reads = 0
        for _ in range(3):
            # What was refused waits for a minute.
            self.advance()
            for _ in range(_LOOKS):
                await self.look()
        for _ in range(_SETTLE_LOOKS):
            if await self.look():
                break
        else:
            raise AssertionError(f"nothing settled within {_SETTLE_LOOKS} cycles: {self.last}")
        plan = await self.bot.plan(self.now_ms)
        resting = {key: times for key, times in r.resting().items() if key[:2] not in plan.held}
        wanted = {key: times for key, times in plan.orders.items() if key[:2] not in plan.held}
        assert resting == wanted, (resting, wanted, self.last)
        with_journal(self, r.check_orders, r.check_positions)
        self.figures.checks += 1


def with_journal(run: Run, *checks: Callable[[], None]) -> None:
    """Hold the bot's journal, as it lies on the disk, against the venue."""
    run.r.journal = Journal(run.bot.folder / FILE, ACCOUNT)
    try:
        for check in checks:
            check()
    finally:
        run.r.journal.close()


async def soak(
    name: str,
    folder: Path,
    source: MarketSource,
    minutes: int,
    seed: int,
    *,
    start_minute: int = 200,
    sample_minutes: int = 500,
    progress: Callable[[Figures], None] = lambda _: None,
    ended: Callable[[], bool] = lambda: False,
) -> Figures:
    """Trade for many minutes while things go wrong.

    After each cycle: no order rests twice; after each minute: exposure within its limit, and no more requests
    than the bot may send in one (its own guard goes by real time, and is off). Every 40 minutes the faults
    rest, the plan has to stand within some cycles, and journal and venue have to agree on every order and
    position; at the end, which ``ended`` brings earlier, on every fill.
    """
    chance = random.Random(seed)
    figures = Figures()
    began = time.perf_counter()
    start_ms = source.first_ms + start_minute * MINUTE_MS
    config = config_of(
        source.coins,
        bot__long__n_positions=3.0,
        bot__short__n_positions=3.0,
        live__pnls_max_lookback_days=LOOKBACK_DAYS,
        live__max_memory_candles_per_symbol=int(LOOKBACK_DAYS * 1440),
    )
    async with Venue(source, [name], start_ms=start_ms, balance=10_000.0, keep_log=1000) as venue:
        key = venue.account(name).new_key()
        venue.core(name).forget_after = 2000
        r = Rig(venue, name, key, folder, config, EAGER)
        async with BotApart(venue.address, name, key, folder, config) as bot:
            run = Run(r, bot, chance, figures)
            await bot.start(run.now_ms)
            sample = sample_minutes
            while figures.minutes < minutes and not ended():
                await run.minute()
                if figures.minutes % _CHECK_MINUTES == 0:
                    await run.check()
                if chance.random() < 0.002:
                    figures.restarts += 1
                    await bot.start(run.now_ms)
                if figures.minutes >= sample:
                    sample += sample_minutes
                    figures.memory_mb.append(bot.memory_mb())
                    figures.seconds = time.perf_counter() - began
                    progress(figures)
            await run.check()
            with_journal(run, r.check_books)
        figures.requests_per_minute = sum(venue.counts.values()) / max(figures.minutes, 1)
    figures.seconds = time.perf_counter() - began
    return figures
