"""What the benchmarks run: candles, market rules and configurations, each the same on every machine."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passivbot.config import ParameterSpace, load_config
from passivbot.config.resources import configs_dir
from passivbot.engine import PARAMETERS, BacktestResult, Engine, MarketRules
from passivbot.market import CandleFolder, build_panel, generate
from passivbot.times import MINUTE_MS

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"

DAILY = ("adg", "drawdown_worst", "loss_profit_ratio", "position_held_hours_mean", "sharpe_ratio")
"""Metrics that the engine gets from fills and daily equity."""

YEAR = 525_600
"""Minutes."""

Bot = Mapping[str, Mapping[str, Any]]


@dataclass
class Work:
    """A panel and the configurations that run over it.

    Parameters
    ----------
    name
        As it stands in the tables.
    table
        The engine's candles.
    markets
        Market rules by coin.
    bots
        Configurations.
    starting_balance, maker_fee
        As the engine takes them.
    recorded
        Number of fills of each configuration, where it is known.
    reference_seconds
        What the reference engine took for all of them when the work was made; None: not known.
    warmup_minutes
        Warm-up of every run; None: the longest span of the configuration.
    """

    name: str
    table: pa.Table
    markets: Mapping[str, MarketRules]
    bots: Sequence[Bot]
    starting_balance: float
    maker_fee: float
    recorded: Sequence[int] | None = None
    reference_seconds: float | None = None
    warmup_minutes: int | None = None

    @cached_property
    def best(self) -> Engine:
        """The engine with the best instruction set of the machine."""
        return self._engine(None, None)

    @cached_property
    def prepared(self) -> pa.Table:
        """What all engines over these candles share."""
        return self.best.prepare()

    def evaluation(
        self, bots: Sequence[Bot], metrics: Sequence[str] = DAILY, engine: Engine | None = None
    ) -> Callable[[], object]:
        """Return what computes metrics of these configurations in one call."""
        evaluate = (engine or self.best).evaluate
        return partial(evaluate, list(bots), metrics, warmup_minutes=self.warmup_minutes)

    def backtest(self, bot: Bot) -> BacktestResult:
        """Run a configuration and keep everything."""
        return self.best.backtest(bot, warmup_minutes=self.warmup_minutes)

    def fills(self, bots: Sequence[Bot]) -> NDArray[np.int64]:
        """Return the number of fills of each configuration."""
        return np.array([self.backtest(bot).fills.num_rows for bot in bots])

    def held_to(self, instructions: str) -> Engine:
        """Return an engine that is held to an instruction set."""
        return self._engine(instructions, self.prepared)

    def _engine(self, instructions: str | None, prepared: pa.Table | None) -> Engine:
        return Engine(
            self.table,
            self.markets,
            starting_balance=self.starting_balance,
            maker_fee=self.maker_fee,
            prepared=prepared,
            instructions=instructions,
        )

    @property
    def several(self) -> bool:
        """More than one coin."""
        return len(self.markets) > 1

    @property
    def coin_minutes(self) -> int:
        """Valid coin-minutes of one run."""
        lives = zip(self.best.first_valid, self.best.last_valid, strict=True)
        return sum(last - first + 1 for first, last in lives)

    def batch(self, size: int) -> list[Bot]:
        """Return the configurations, again and again, until there are so many."""
        return list(islice(cycle(self.bots), size))


def fixed(file: Path) -> Work:
    """Return a file of fixed work."""
    work = json.loads(file.read_text())
    folder = CandleFolder.open(SHARED / "candles" / work["candles"])
    first, last = work["first_minute_ms"], work["last_minute_ms"]
    panel = build_panel(folder, work["coins"], start_ms=first, end_ms=last)
    if panel.first_ms != first or panel.last_ms != first + (last - first) // MINUTE_MS * MINUTE_MS:
        sys.exit(f"error: {file}: the candles do not span its window")
    return Work(
        name=file.stem,
        table=panel.table,
        markets=dict.fromkeys(panel.coins, MarketRules(**work["market_rules"])),
        bots=work["bots"],
        starting_balance=work["starting_balance"],
        maker_fee=work["maker_fee"],
        recorded=work["fills"],
        reference_seconds=sum(work["reference_seconds"]),
    )


def fixed_works() -> list[Work]:
    """Return all fixed work, by name."""
    return [fixed(file) for file in sorted((SHARED / "bench").glob("*.json"))]


def changed(bot: Bot, **values: float) -> dict[str, dict[str, Any]]:
    """Return a configuration with some parameters of both sides replaced."""
    return {side: {**bot[side], **values} for side in ("long", "short")}


def forager(of: Work) -> Work:
    """Return the same with at most seven positions a side, both sides on."""
    bots = [changed(bot, n_positions=7.0) for bot in of.bots]
    return replace(of, name=f"{of.name}, 7 positions", bots=bots, recorded=None, reference_seconds=None)


def with_random_bots(of: Work, count: int) -> Work:
    """Return the same candles with configurations drawn from the template's bounds.

    The template's hourly span is up to 112 days, and the warm-up with it: most of the panels would go by
    before the first order. The longest span in minutes is enough for work that trades.
    """
    return replace(
        of,
        name=f"{of.name}, {count} random",
        bots=random_bots(count),
        recorded=None,
        reference_seconds=None,
        warmup_minutes=2_880,
    )


def synthetic(coins: int, minutes: int, bots: Sequence[Bot], name: str) -> Work:
    """Return work on synthetic candles, made in memory: calm, rising and crashing coins in turn."""
    regimes = {f"C{n:02d}": ("calm", "trend", "crash")[n % 3] for n in range(coins)}
    tables, rules = generate(regimes, seed=7, minutes=minutes)
    columns: dict[str, pa.Array] = {"timestamp": next(iter(tables.values()))["timestamp"].combine_chunks()}
    for coin, table in tables.items():
        for field in ("high", "low", "close"):
            columns[f"{coin}.{field}"] = table[field].combine_chunks()
        volume = table["volume"].to_numpy() * table["close"].to_numpy()
        columns[f"{coin}.volume"] = pa.array(volume)
    return Work(name, pa.table(columns), rules, bots, starting_balance=100_000.0, maker_fee=0.0002)


def random_bots(count: int) -> list[Bot]:
    """Return configurations drawn evenly from the bounds of the shipped template."""
    config = load_config(configs_dir() / "template.json").config
    space = ParameterSpace.from_config(config)
    shares = np.random.Generator(np.random.Philox(key=7)).random((count, len(PARAMETERS)))
    vectors = space.evaluated(space.enforce(space.low + shares * (space.high - space.low)))
    template = config.bot.to_engine()
    return [_with_vector(template, vector) for vector in vectors]


def template_bot() -> Bot:
    """Return the shipped template's configuration: long only, seven positions."""
    return load_config(configs_dir() / "template.json").config.bot.to_engine()


def _with_vector(template: Bot, vector: np.ndarray) -> dict[str, dict[str, Any]]:
    bot = {side: dict(template[side]) for side in ("long", "short")}
    for name, value in zip(PARAMETERS, vector, strict=True):
        side, _, parameter = name.partition("_")
        bot[side][parameter] = float(value)
    return bot
