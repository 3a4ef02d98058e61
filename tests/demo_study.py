"""Random candidates of the quickstart, evaluated on the demo candles by the engine itself."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from passivbot.backtest import Scenario
from passivbot.config import Scoring, load_config
from passivbot.config.resources import configs_dir
from passivbot.study import Definition, Evaluation, StudyLog
from tests.random_study import random_study


@cache
def demo(count: int, seed: int = 7) -> tuple[Definition, tuple[Evaluation, ...]]:
    """A definition, and ``count`` results of two workers."""
    scenario = Scenario.prepare(load_config(configs_dir() / "quickstart.json").config, "demo")
    wanted = Scoring.from_config(scenario.config).metrics
    about = {"population": min(96, count), "sobol": 0, "block": 1}
    definition, vectors, metrics = random_study(scenario, count, wanted, seed, **about)
    rows = (Evaluation(n, vectors[n], metrics[n], worker=f"w{n % 2}") for n in range(count))
    return definition, tuple(rows)


def write_demo(folder: Path, count: int, *, only: Iterable[int] | None = None, **changes: Any) -> StudyLog:
    """Write a study of such candidates; the log comes back open for writing."""
    definition, rows = demo(count)
    log = StudyLog.create(folder, replace(definition, **changes))
    log.append([rows[n] for n in (range(count) if only is None else only)])
    return log
