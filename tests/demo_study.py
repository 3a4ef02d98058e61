"""Random candidates of the quickstart, evaluated on the demo candles by the engine itself."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from passivbot.backtest import Scenario
from passivbot.config import ParameterSpace, Scoring, WarmupRule, load_config
from passivbot.config.resources import configs_dir
from passivbot.study import Definition, Evaluation, Space, StudyLog


@cache
def demo(count: int, seed: int = 7) -> tuple[Definition, tuple[Evaluation, ...]]:
    """A definition, and ``count`` results of two workers."""
    config = load_config(configs_dir() / "quickstart.json").config
    scenario = Scenario.prepare(config, "demo")
    space, scoring = ParameterSpace.from_config(config), Scoring.from_config(config)
    raw = np.random.default_rng(seed).uniform(space.low, space.high, (count, len(space.names)))
    vectors = space.enforce(raw)
    evaluated = space.evaluated(vectors)
    warmup, coin_warmup = WarmupRule.from_config(config, scenario.coins).for_matrix(evaluated)
    metrics = scenario.engine().evaluate_matrix(
        evaluated,
        config.bot.to_engine(),
        scoring.metrics,
        warmup_minutes=warmup,
        coin_warmup_minutes=coin_warmup,
    )
    definition = Definition(
        config=config.to_dict(),
        scenario=scenario.describe(),
        search="random",
        seed=seed,
        lag=8,
        population=min(96, count),
        sobol=0,
        block=1,
        metrics=scoring.metrics,
        seeds=(),
        space=Space(names=space.names, low=tuple(space.low), high=tuple(space.high), digits=space.digits),
        engine=version("passivbot-cluster"),
        created="2026-01-01T00:00:00Z",
    )
    rows = (Evaluation(n, vectors[n], metrics[n], worker=f"w{n % 2}") for n in range(count))
    return definition, tuple(rows)


def write_demo(folder: Path, count: int, *, only: Iterable[int] | None = None, **changes: Any) -> StudyLog:
    """Write a study of such candidates; the log comes back open for writing."""
    definition, rows = demo(count)
    log = StudyLog.create(folder, replace(definition, **changes))
    log.append([rows[n] for n in (range(count) if only is None else only)])
    return log
