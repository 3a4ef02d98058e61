"""Scale of the head: its own code over workers that only sleep, up to thousands of them.

Method: ``cluster.simulate`` stands in for Ray. A candidate takes 0.05 s, a batch half a second, or a second
for a thousand workers, give or take a half. The search is nsga2 with population 1,000 over 58 free
components, 3 objectives, 3 limits; the lag is twice what can be in flight. The head runs in this process; its
load is this process's processor time, the simulated workers' arithmetic included.
"""

import sys
import tempfile
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from _bench_plot import Line, plot
from _bench_scaling import FIGURES

from cluster.display import Progress
from cluster.head import Head
from cluster.pace import CALLS_PER_SECOND, TARGET_SECONDS, Pace
from cluster.pool import QUEUED, Pool
from cluster.prepare import logged_metrics
from cluster.run import restore
from cluster.search import Problem, Settings
from cluster.simulate import Simulated, Sleeper
from passivbot.config import ParameterSpace, Scoring, load_config
from passivbot.config.resources import configs_dir
from passivbot.study import Definition, Space, StudyLog

SECONDS_EACH = 0.05
POPULATION = 1000
WORKERS = (10, 30, 100, 300, 1000, 2000, 4000)
WARM_SECONDS = 4.0
RUN_SECONDS = 12.0
"""A run is measured from after its start to ``RUN_SECONDS`` later; then come its last candidates."""

LONG_WORKERS = 1000
LONG_SECONDS_EACH = 0.02
"""The long run: workers faster than the head, so that its own speed is seen, and what it keeps in memory."""

_BY_PROCESSOR = "candidates a processor second"

Row = dict[str, Any]


def bench_scale(candidates: int | None, folder: Path = FIGURES) -> dict[str, list[Row]]:
    """Measure and draw utilisation and load against workers, or memory and speed against candidates.

    Parameters
    ----------
    candidates
        Of the long run; None: the runs over the number of workers.
    folder
        Where the plots go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if candidates is None:
        rows = [over_workers(workers) for workers in WORKERS]
        x = [row["workers"] for row in rows]
        _draw(
            folder / "scale-workers.svg",
            "The head over simulated workers, candidates of 0.05 s",
            "workers",
            "share",
            [
                Line("workers' time in evaluations", x, [row["utilisation"] for row in rows]),
                Line("head's time in use, of one processor", x, [row["head"] for row in rows]),
            ],
        )
        return {"scale": rows}
    rows = over_candidates(candidates)
    x = [row["candidates"] / 1e6 for row in rows]
    _draw(
        folder / "scale-memory.svg",
        "Memory of the head",
        "millions of candidates",
        "GB",
        [Line("resident", x, [row["memory, GB"] for row in rows])],
    )
    _draw(
        folder / "scale-speed.svg",
        "Candidates asked, told, logged and ranked, workers faster than the head",
        "millions of candidates",
        "thousands",
        [
            Line("a second of the head's processor time", x, [row[_BY_PROCESSOR] / 1e3 for row in rows]),
            Line("a second", x, [row["candidates/s"] / 1e3 for row in rows]),
        ],
    )
    return {"scale": rows}


def over_workers(workers: int) -> Row:
    """Return the figures of one run with so many workers."""
    rate = workers / SECONDS_EACH
    moments = simulate(workers, round(rate * (WARM_SECONDS + RUN_SECONDS + 3.0)), SECONDS_EACH)
    start = moments[0].at + WARM_SECONDS
    part = [moment for moment in moments if start <= moment.at <= start + RUN_SECONDS]
    first, last = part[0], part[-1]
    seconds = last.at - first.at
    return {
        "workers": workers,
        "candidates a batch": _batch(workers, SECONDS_EACH),
        "candidates/s": (last.evaluated - first.evaluated) / seconds,
        "utilisation": (last.worked - first.worked) / seconds / workers,
        "head": (last.processor - first.processor) / seconds,
        "front": last.front,
    }


def over_candidates(count: int) -> list[Row]:
    """Return memory and speed of the head at fifty points of one long run."""
    moments = simulate(LONG_WORKERS, count, LONG_SECONDS_EACH)
    marks = np.searchsorted([m.evaluated for m in moments], np.linspace(0, moments[-1].evaluated, 51))
    chosen = [moments[i] for i in sorted({min(int(i), len(moments) - 1) for i in marks})]
    return [
        {
            "candidates": after.evaluated,
            "candidates/s": (after.evaluated - before.evaluated) / (after.at - before.at),
            _BY_PROCESSOR: (after.evaluated - before.evaluated) / (after.processor - before.processor),
            "memory, GB": after.memory / 1e9,
            "front": after.front,
        }
        for before, after in pairwise(chosen)
        if after.at > before.at
    ]


def _batch(workers: int, seconds_each: float) -> int:
    return round(max(TARGET_SECONDS, workers / CALLS_PER_SECOND) / seconds_each)


def _draw(path: Path, title: str, across: str, up: str, lines: list[Line]) -> None:
    print(path, file=sys.stderr, flush=True)
    path.write_text(plot(title, across, up, lines), encoding="utf-8")


def study(folder: Path, lag: int) -> tuple[StudyLog, Problem, Settings, Scoring]:
    """Create a study like that of a large run; all 58 components are free, in [0, 1]."""
    config = load_config(configs_dir() / "quickstart.json").config
    space = replace(ParameterSpace.from_config(config), low=np.zeros(58), high=np.ones(58))
    scoring = Scoring.from_config(config)
    problem = Problem(space.low, space.high, space.enforce, len(scoring.objectives), digits=space.digits)
    settings = Settings.for_population(POPULATION, seed=1, lag=lag)
    definition = Definition(
        config=config.to_dict(),
        scenario={"coins": []},
        search="nsga2",
        seed=1,
        lag=lag,
        population=POPULATION,
        sobol=settings.sobol,
        block=settings.block,
        scheme=settings.scheme,
        metrics=logged_metrics(scoring.metrics),
        seeds=(),
        space=Space(space.names, tuple(space.low.tolist()), tuple(space.high.tolist()), space.digits),
        engine="none",
        created="2026-01-01T00:00:00Z",
    )
    return StudyLog.create(folder, definition), problem, settings, scoring


@dataclass(frozen=True)
class Moment:
    """What was measured at one moment of a run."""

    at: float
    worked: float
    processor: float
    evaluated: int
    memory: int
    front: int


class Watch:
    """A display that measures in place of showing."""

    def __init__(self, simulated: Simulated):
        self._simulated = simulated
        self._process = psutil.Process()
        self.moments: list[Moment] = []

    def due(self, now: float) -> bool:
        """Return True."""
        return True

    def show(self, progress: Progress, *, last: bool = False) -> None:
        """Take down where the run is."""
        used = self._process.cpu_times()
        self.moments.append(
            Moment(
                at=time.monotonic(),
                worked=self._simulated.worked(),
                processor=used.user + used.system,
                evaluated=progress.logged,
                memory=self._process.memory_info().rss,
                front=progress.front,
            )
        )

    def say(self, text: str) -> None:
        """Show what should not happen here."""
        print(text, file=sys.stderr)

    def close(self) -> None:
        """Do nothing."""


def simulate(workers: int, budget: int, seconds_each: float) -> list[Moment]:
    """Run a study of ``budget`` candidates to its end over simulated workers."""
    in_flight = workers * QUEUED * _batch(workers, seconds_each)
    simulated = Simulated.of(workers)
    with tempfile.TemporaryDirectory() as folder:
        log, problem, settings, scoring = study(Path(folder) / "study", 2 * in_flight)
        columns = tuple((log.definition.metrics.index(o.metric), o.weight) for o in scoring.objectives)
        with log:
            search, front, _ = restore(log, problem, settings, scoring)
            pace = Pace(workers)
            pace.note(seconds_each, 1)
            pool = Pool(
                Sleeper(seconds_each, len(log.definition.metrics), columns),
                len(log.definition.metrics),
                workers,
                pace.allowed_seconds,
                patience=pace.patience,
                actors=simulated,
            )
            watch = Watch(simulated)
            head = Head(search, log, scoring, front, pool, pace, budget=budget, display=watch)
            head.run()
    return watch.moments
