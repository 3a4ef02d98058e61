"""A study as a person means it: its log, what the logged metrics are worth, and its front."""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import numpy as np
from numpy.typing import NDArray

from passivbot.config import Config, ParameterSpace, Scoring
from passivbot.config.scoring import LIMITED_METRICS
from passivbot.engine import STOPPED_MINUTE
from passivbot.errors import StudyError, nearest
from passivbot.study.front import CAP, Front
from passivbot.study.log import LOG_FILE, StudyLog
from passivbot.study.rows import Rows

STUDIES = Path("studies")
Floats = NDArray[np.float64]


def study_id(folder: Path, host: str = "") -> str:
    """Return the id of a study's folder: readable, fit for an address, one per folder.

    Parameters
    ----------
    folder
        The folder.
    host
        Name of its machine, where studies of several machines are told apart.
    """
    path = folder.absolute()
    place = f"{host}:{path}" if host else str(path)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.name).strip("-.")[:60] or "study"
    return f"{name}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, eq=False)
class Results:
    """Logged candidates (by number) with their objectives and violations.

    ``objectives`` (n, k) are minimised, in the order of ``scoring.objectives``; ``violations`` (n, l) in that
    of ``scoring.limits``; ``total`` (n,) is their sum, infinite for a candidate that failed, was stopped or
    could not be scored. ``interval_minutes`` are those of a bar of the candles.
    """

    rows: Rows
    parameter_names: tuple[str, ...]
    metric_names: tuple[str, ...]
    scoring: Scoring
    objectives: Floats
    violations: Floats
    total: Floats
    interval_minutes: int = 1

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Candidates (n,), ascending."""
        return self.rows.numbers

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """Mask (n,) of the candidates that keep all limits."""
        return np.asarray(self.total == 0)

    def metric(self, name: str) -> Floats:
        """Return one metric (n,), NaN for null.

        Raises
        ------
        StudyError
            The study did not log it.
        """
        if name not in self.metric_names:
            near = nearest(name, self.metric_names)
            raise StudyError(
                f"{name} is not logged by this study; it has {', '.join(self.metric_names)}"
                + (f" (nearest: {near})" if near else "")
                + (
                    "; a search also logs those that its scoring or limits name"
                    if name in LIMITED_METRICS
                    else ""
                )
            )
        return self.rows.metrics[:, self.metric_names.index(name)]

    def take(self, which: NDArray[Any] | slice) -> "Results":
        """Return some of the candidates, by mask, indices or slice, in that order."""
        index = np.arange(len(self.rows))[which]
        return Results(
            self.rows.take(index),
            self.parameter_names,
            self.metric_names,
            self.scoring,
            self.objectives[index],
            self.violations[index],
            self.total[index],
            self.interval_minutes,
        )

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield each candidate as the JSON-able record of ``passivbot pareto --json``.

        Nothing in it depends on time, machine or worker; what is not finite is None. A stopped candidate has
        its last minute besides.
        """
        names = [objective.metric for objective in self.scoring.objectives]
        limits = [limit.key for limit in self.scoring.limits]
        for i, number in enumerate(self.numbers.tolist()):
            stopped = self.rows.stopped[i]
            yield {
                "candidate": number,
                "metrics": _named(self.metric_names, self.rows.metrics[i]),
                "objectives": _named(names, self.objectives[i]),
                "parameters": _named(self.parameter_names, self.rows.parameters[i]),
                "violations": _named(limits, self.violations[i]),
                **({} if stopped is None else {STOPPED_MINUTE: stopped}),
            }


def _named(names: Sequence[str], values: Floats) -> dict[str, float | None]:
    return {n: (v if math.isfinite(v) else None) for n, v in zip(names, values.tolist(), strict=True)}


def write_records(records: Iterable[dict[str, Any]], stream: TextIO) -> None:
    """Write records as one JSON array, a line each, keys sorted, floats in shortest round-trip form."""
    separator = "["
    for record in records:
        stream.write(f"{separator}\n{json.dumps(record, sort_keys=True, allow_nan=False)}")
        separator = ","
    stream.write("[]\n" if separator == "[" else "\n]\n")


class Study:
    """A study over its open log; :meth:`open` finds it by folder or by name."""

    def __init__(self, log: StudyLog) -> None:
        definition = log.definition
        self.log = log
        self.definition = definition
        self.folder = log.folder
        self.name = log.folder.absolute().name
        file = log.path
        self.config = Config.from_dict(definition.config, file=f"{file}: configuration of the study")
        self.scoring = Scoring.from_config(self.config, file=str(file))
        missing = sorted(set(self.scoring.metrics) - set(definition.metrics))
        if missing:
            raise StudyError(f"{file}: {missing[0]} is scored or limited but not logged")

    @classmethod
    def open(cls, study: str | Path, *, root: Path = STUDIES) -> Self:
        """Open a study for reading, given its folder or its name below ``root``.

        Raises
        ------
        StudyError
            There is none, or it can't be read.
        """
        log = StudyLog.open(find(study, root))
        try:
            return cls(log)
        except BaseException:
            log.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.log.close()

    @property
    def space(self) -> ParameterSpace:
        """The searched vector with what ``enable_overrides`` makes of it."""
        space = self.definition.space
        return ParameterSpace(
            names=space.names,
            low=np.array(space.low),
            high=np.array(space.high),
            digits=space.digits,
            enable_overrides=self.config.optimize.enable_overrides,
            step=np.array(space.step or [0.0] * len(space.names)),
        )

    @property
    def stop_limits(self) -> dict[str, float] | None:
        """The limits at which candidates are stopped early; None if the study runs them to their end."""
        return self.scoring.stop_limits if self.definition.stop_early else None

    def front(self, cap: int = CAP) -> Front:
        """Return the front of everything logged by now."""
        return Front.of(self.log, self.scoring, cap=cap)

    def row(self, candidate: int) -> Rows:
        """Return the row of one candidate that has metrics.

        Raises
        ------
        StudyError
            It is not in the log, or failed.
        """
        rows = self.log.rows([candidate])
        if rows.status[0] == "failed":
            cause = f": {rows.error[0]}" if rows.error[0] else ""
            raise StudyError(f"{self.log.path}: candidate {candidate} failed{cause}; it has no metrics")
        return rows

    def results(self, rows: Rows) -> Results:
        """Return rows with their objectives and violations.

        The metrics of a stopped candidate are of a part of the candles, which compares with nothing: it has
        no objectives, as a failed one.
        """
        objectives, violations, total = self.scoring.evaluate(self.definition.metrics, rows.metrics)
        ok = rows.status == "ok"
        return Results(
            rows=rows,
            parameter_names=self.definition.space.names,
            metric_names=self.definition.metrics,
            scoring=self.scoring,
            objectives=np.where(ok[:, None], objectives, np.nan),
            violations=np.where(ok[:, None], violations, np.inf),
            total=np.where(ok, total, np.inf),
            interval_minutes=self.definition.interval_minutes,
        )

    def members(self, front: Front | None = None) -> Results:
        """Return what is shown of a front: its members, or the least violating candidates."""
        numbers, _ = (front or self.front()).members()
        return self.results(self.log.rows(numbers))

    def all(self, size: int = 20_000) -> Iterator[Results]:
        """Yield all candidates in pieces, by number."""
        for rows in self.log.chunks(size=size):
            yield self.results(rows)


def find(study: str | Path, root: Path = STUDIES) -> Path:
    """Return the folder of a study given by folder or by its name below ``root``.

    Raises
    ------
    StudyError
        Neither holds a study; names the nearest name there is.
    """
    candidates = [Path(study), root / study]
    for folder in candidates:
        if (folder / LOG_FILE).is_file():
            return folder
    near = nearest(str(study), [folder.name for folder in listing(root)])
    raise StudyError(
        f"{study}: no such study; there is no {LOG_FILE} in {candidates[0]} nor in {candidates[1]}"
        + (f" (nearest: {near})" if near else "")
    )


def listing(root: Path = STUDIES) -> list[Path]:
    """Return the folders below ``root`` that hold a study, by name."""
    if not root.is_dir():
        return []
    return sorted(folder for folder in root.iterdir() if (folder / LOG_FILE).is_file())
