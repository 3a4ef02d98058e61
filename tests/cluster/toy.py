"""A study whose evaluation costs nothing, and which can be told to fail: Ray, log and search are real.

The worker processes import this module, so it stands beside the tests and not in one of them.
"""

import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cluster.display import Progress
from cluster.head import Outcome
from cluster.pace import Pace
from cluster.run import drive
from cluster.search import Problem, Settings
from cluster.workers import Array, Evaluated
from passivbot.config import Config, Scoring, load_config
from passivbot.config.resources import configs_dir
from passivbot.study import Definition, Rows, Space, StudyLog

NAMES = ("long_a", "long_b", "long_c", "long_d")
METRICS = (
    "adg",
    "drawdown_worst",
    "loss_profit_ratio",
    "position_held_hours_mean",
    "position_unchanged_hours_max",
)
WIDTH = len(METRICS)


def metrics_of(parameters: Array) -> Array:
    """Three objectives in conflict and a limit that a third of the space breaks."""
    a, b, c, d = parameters.T
    return np.column_stack([a * (1 + c), 0.4 * a**2 + 0.1 * b, 0.5 + 0.6 * c, 10 * (1 - a) + d, 100 + 0 * a])


@dataclass(frozen=True)
class Toy:
    """Factory and evaluator in one.

    A candidate is ill if its first component lies above ``ill``; what that does to it says ``illness``:
    "kill" (its process, with SIGKILL), "raise", "hang". ``once``: a file that the first ill one leaves
    behind; none is ill from then on. One above ``hopeless`` is stopped early.
    """

    seconds: float = 0.0
    ill: float = 2.0
    illness: str = ""
    once: Path | None = None
    hopeless: float = 2.0

    def __call__(self) -> "Toy":
        return self

    def evaluate(self, parameters: Array) -> Evaluated:
        time.sleep(self.seconds * len(parameters))
        if (parameters[:, 0] > self.ill).any() and not (self.once and self.once.exists()):
            if self.once:
                self.once.touch()
            if self.illness == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            elif self.illness == "hang":
                time.sleep(600)
            else:
                raise ValueError("the candidate is ill")
        first = parameters[:, 0]
        return Evaluated(
            metrics_of(parameters), np.where(first > self.hopeless, np.floor(1e5 * first), np.nan)
        )


@dataclass(frozen=True)
class Unmakeable:
    """A factory that fails."""

    def __call__(self) -> Toy:
        raise ValueError("there are no candles here")


@dataclass(frozen=True)
class Stillborn:
    """A factory that ends its process."""

    def __call__(self) -> Toy:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


class Silent:
    """A display that remembers, and may act on what it is shown."""

    def __init__(self) -> None:
        self.shown: list[Progress] = []
        self.said: list[str] = []

    def due(self, now: float) -> bool:
        return True

    def show(self, progress: Progress, *, last: bool = False) -> None:
        self.shown.append(progress)

    def say(self, text: str) -> None:
        self.said.append(text)

    def close(self) -> None:
        pass


def config() -> Config:
    return load_config(configs_dir() / "quickstart.json").config


def problem() -> Problem:
    return Problem(
        low=np.zeros(4),
        high=np.ones(4),
        enforce=lambda matrix: np.clip(np.round(matrix, 6), 0, 1),
        n_objectives=3,
    )


def settings(**changes: Any) -> Settings:
    return replace(Settings.for_population(24, seed=5), **changes)


def create(folder: Path, search: str = "nsga2", **changes: Any) -> StudyLog:
    used = settings(**changes)
    return StudyLog.create(
        folder,
        Definition(
            config=config().to_dict(),
            scenario={"coins": []},
            search=search,
            seed=used.seed,
            lag=used.lag,
            population=used.population,
            sobol=used.sobol,
            block=used.block,
            scheme=used.scheme,
            metrics=METRICS,
            seeds=(),
            space=Space(names=NAMES, low=(0.0,) * 4, high=(1.0,) * 4, digits=6),
            engine="toy",
            created="2026-01-01T00:00:00Z",
        ),
    )


def run(
    log: StudyLog,
    toy: Any = None,
    *,
    budget: int = 150,
    workers: int = 2,
    batch: int | None = None,
    pace: Pace | None = None,
    display: Any = None,
) -> Outcome:
    definition = log.definition
    return drive(
        log,
        problem(),
        settings(seed=definition.seed, lag=definition.lag, scheme=definition.scheme),
        Scoring.from_config(config()),
        toy or Toy(),
        budget=budget,
        workers=workers,
        batch=batch,
        pace=pace,
        display=display or Silent(),
    )


def content(log: StudyLog) -> list[tuple[int, bytes, bytes, str, str | None]]:
    """What of a log must not depend on workers, batches or time."""
    rows: Rows = log.read()
    return [
        (int(n), p.tobytes(), m.tobytes(), str(s), e)
        for n, p, m, s, e in zip(
            rows.numbers, rows.parameters, rows.metrics, rows.status, rows.error, strict=True
        )
    ]
