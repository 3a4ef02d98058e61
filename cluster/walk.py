"""Walk-forward: search on some days, choose, trade the days that follow; then the same some days later.

One study a fold, below one folder. What the chosen members did on the days after their search is what the
whole procedure (bounds, limits, search, choice) would have earned; no candidate saw the days it is judged by.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from cluster.prepare import Plan, Request, plan_new, plan_resumed
from passivbot.backtest import Scenario
from passivbot.backtest.outside import LEAST_DAYS
from passivbot.config import load_config
from passivbot.disk import replace_file
from passivbot.errors import ConfigError, StudyError, located
from passivbot.study import StudyLog
from passivbot.study.log import LOG_FILE
from passivbot.study.page_data import plain
from passivbot.study.select import pick
from passivbot.study.study import Results, Study
from passivbot.study.unseen import examine, save, unseen_scenario
from passivbot.study.unseen_table import verdict
from passivbot.times import DAY_MS, MINUTE_MS, day, utc

FILE = "walk.json"


@dataclass(frozen=True)
class Fold:
    """One step: the search's days and those after them, each from a 00:00 to a 00:00 in UTC milliseconds."""

    number: int
    train_start_ms: int
    train_end_ms: int
    test_end_ms: int

    def __str__(self) -> str:
        days = " … ".join(map(day, (self.train_start_ms, self.train_end_ms, self.test_end_ms)))
        return f"fold {self.number}: {days}"


@dataclass(frozen=True, eq=False)
class Step:
    """What came out of one fold: the member that was chosen, in its study and on the days after it."""

    fold: Fold
    candidate: int
    front: int
    seen: Results
    there: Results

    @property
    def verdict(self) -> str:
        """Return in words whether it held."""
        return verdict(self.there, 0)

    def document(self) -> dict[str, Any]:
        """Return it as JSON-able dictionary."""
        names = self.seen.metric_names
        return {
            "candidate": self.candidate,
            "front": self.front,
            "study": dict(zip(names, plain(self.seen.rows.metrics[0]), strict=True)),
            "test": [day(self.fold.train_end_ms), day(self.fold.test_end_ms)],
            "train": [day(self.fold.train_start_ms), day(self.fold.train_end_ms)],
            "unseen": dict(zip(names, plain(self.there.rows.metrics[0]), strict=True)),
            "verdict": self.verdict,
        }


def folds(first_ms: int, last_ms: int, train: int, test: int, most: int | None = None) -> list[Fold]:
    """Return the folds that fit into a period, the latest at its end.

    Parameters
    ----------
    first_ms, last_ms
        First and last minute, UTC milliseconds.
    train, test
        Days of a search, and of what follows it.
    most
        Only so many, the latest ones.

    Raises
    ------
    ConfigError
        Not one fits, or the days are too few to say anything.
    """
    for name, days in (("--train", train), ("--test", test)):
        if days < LEAST_DAYS:
            raise ConfigError(
                located("the command line", name, days, f"a number of days from {LEAST_DAYS} on")
            )
    start = -(-first_ms // DAY_MS) * DAY_MS
    end = (last_ms + MINUTE_MS) // DAY_MS * DAY_MS
    count = ((end - start) // DAY_MS - train) // test
    if count < 1:
        raise ConfigError(
            f"the command line: --train {train} and --test {test} need {train + test} days; there are "
            f"{(end - start) // DAY_MS}, {utc(first_ms)} to {utc(last_ms)}"
        )
    count = count if most is None else min(count, most)
    ends = [end - (count - 1 - i) * test * DAY_MS for i in range(count)]
    return [
        Fold(i + 1, until - (test + train) * DAY_MS, until - test * DAY_MS, until)
        for i, until in enumerate(ends)
    ]


def period(request: Request) -> tuple[int, int]:
    """Return the first and the last minute on which a configuration could be traded, UTC milliseconds."""
    config = load_config(request.config, sets=request.sets, options=request.options).config
    scenario = Scenario.prepare(config, request.candles, coins=request.coins)
    return max(scenario.panel.first_ms, scenario.requested_start_ms), scenario.panel.last_ms


def study_folder(folder: Path, fold: Fold) -> Path:
    """Return where a fold's study lies, below the folder of the walk."""
    return folder / f"fold-{fold.number}-{day(fold.train_end_ms)}"


def plan(request: Request, folder: Path, fold: Fold) -> Plan:
    """Return the plan of a fold's study, which is resumed where it exists."""
    dates = {
        "backtest.end_date": day(fold.train_end_ms),
        "backtest.start_date": day(fold.train_start_ms),
    }
    study = study_folder(folder, fold)
    exists = (study / LOG_FILE).is_file()
    asked = replace(request, study=str(study), options={**(request.options or {}), **dates}, resume=exists)
    return plan_resumed(asked) if exists else plan_new(asked)


def judge(log: StudyLog, fold: Fold, method: str) -> Step:
    """Choose a member of a fold's front, and try the front on the days that follow.

    Raises
    ------
    StudyError
        No candidate could be scored.
    CandleError
        There are no candles of these days.
    """
    study = Study(log)
    members = study.members()
    if not len(members):
        raise StudyError(f"{study.folder}: no candidate could be scored; there is nothing to choose")
    start = datetime.fromtimestamp((fold.train_end_ms + MINUTE_MS) / 1000, UTC).isoformat()
    found = examine(study, members, unseen_scenario(study, None, start, day(fold.test_end_ms)))
    save(study, found)
    index = pick(members, method)
    seen, there = found.of(members.take(slice(index, index + 1)))
    return Step(fold, int(members.numbers[index]), len(members), seen, there)


def efficiency(steps: Sequence[Step], metric: str) -> float | None:
    """Return the mean of a metric on the days after the searches ÷ that in the searches.

    Pardo's walk-forward efficiency, for metrics of a day: 1 where the choice keeps what the search promised.
    None where the searches promised nothing above 0.
    """
    promised = float(np.mean([step.seen.metric(metric)[0] for step in steps]))
    kept = float(np.mean([step.there.metric(metric)[0] for step in steps]))
    return kept / promised if promised > 0 and math.isfinite(kept) else None


def growth(steps: Sequence[Step]) -> str:
    """Return the daily growth that the searches were after: the first objective that is one, else ``adg``."""
    names = [objective.metric for objective in steps[0].seen.scoring.objectives]
    daily = ("adg", "adg_w", "mdg", "mdg_w")
    return next((name for name in names if name.removeprefix("btc_") in daily), "adg")


def chained(steps: Sequence[Step]) -> tuple[float, float]:
    """Return gain, in USD, and days of trading the choices one after the other with all of the equity."""
    gain = float(np.prod([step.there.metric("gain")[0] for step in steps]))
    days = sum((step.fold.test_end_ms - step.fold.train_end_ms) / DAY_MS for step in steps)
    return gain, days


def write(folder: Path, steps: Sequence[Step], method: str) -> Path:
    """Write what came out into the folder of the folds; return the file."""
    gain, days = chained(steps)
    document = {
        "days": days,
        "efficiency": efficiency(steps, growth(steps)),
        "efficiency_of": growth(steps),
        "folds": [step.document() for step in steps],
        "gain": gain if math.isfinite(gain) else None,
        "pick": method,
    }
    text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n"
    replace_file(folder / FILE, text.encode(), StudyError, durable=False)
    return folder / FILE
