"""The front of a study, from its log alone: constrained dominance, hypervolume, crowding.

Feasible before infeasible; among the feasible Pareto dominance (objectives are minimised); of equal
objectives the lowest candidate. The front here is exact: the set of all feasible candidates that nothing in
the log dominates. It is a function of the set of logged rows, whatever the order and the batches in which
they came. What is shown and exported of it is capped by crowding.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from passivbot.study.stall import Stall

if TYPE_CHECKING:
    from passivbot.study.log import StudyLog
    from passivbot.study.rows import Rows

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

CAP = 1000
LEAST = 10  # infeasible candidates shown while nothing is feasible
_FIRST_STRIDE = 16
_POINTS = 128  # of the history, at most; half as many at least
_EXACT_UP_TO = 4  # objectives; beyond it the exact hypervolume of some thousand points takes seconds
_SAMPLES = 4096  # of the deterministic approximation beyond that; its error is some tenths of a percent


class Scorer(Protocol):
    """What the front needs of ``passivbot.config.Scoring``."""

    @property
    def objectives(self) -> Sequence[Any]:
        """One entry an objective."""

    def evaluate(self, names: Sequence[str], values: Floats) -> tuple[Floats, Floats, Floats]:
        """Return objectives (n, k), violations (n, l) and their sums (n,) of metrics (n, m)."""


@dataclass(frozen=True)
class Reference:
    """The point against which a study's hypervolume is measured, and the unit of each objective.

    Made from the first population of scored candidates, in candidate order; of the feasible ones if there are
    any. With b and w the best and worst value of an objective there, the point is w + 0.1 (w − b), the unit
    the distance from b to the point: the hypervolume is a share of the box that the first population spans,
    and passes 1 when the front leaves that box on the good side.
    """

    point: tuple[float, ...]
    unit: tuple[float, ...]

    @classmethod
    def of(cls, objectives: Floats, total: Floats) -> Self | None:
        """Return the reference of these finite objectives (n, k) and violations (n,); None without any."""
        chosen = objectives[total == 0] if (total == 0).any() else objectives
        if not len(chosen):
            return None
        best, worst = chosen.min(axis=0), chosen.max(axis=0)
        span = np.where(worst > best, worst - best, np.where(worst != 0, np.abs(worst), 1.0))
        point = worst + 0.1 * span
        return cls(tuple(point.tolist()), tuple((point - best).tolist()))

    def hypervolume(self, objectives: Floats) -> float:
        """Return the hypervolume of these objectives (n, k) in units of the first population's box."""
        import moocore

        if not len(objectives):
            return 0.0
        scaled = (objectives - np.array(self.point)) / np.array(self.unit)
        if scaled.shape[1] <= _EXACT_UP_TO:
            return float(moocore.hypervolume(scaled, ref=np.zeros(scaled.shape[1])))
        # The method takes the maximum over fixed directions, so it is deterministic and grows with the front.
        return float(
            moocore.hv_approx(scaled, ref=np.zeros(scaled.shape[1]), nsamples=_SAMPLES, method="Rphi-FWE+")
        )

    def to_dict(self) -> dict[str, list[float]]:
        """Return a JSON-able form, as it stands in the log's ``reference`` event."""
        return {"point": list(self.point), "unit": list(self.unit)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Sequence[float]]) -> Self:
        """Read what :meth:`to_dict` gave."""
        return cls(tuple(value["point"]), tuple(value["unit"]))


class Front:
    """The front of a growing log. New rows are compared with the front only, and not before somebody looks.

    Results may come in any order and more than once; they take effect in candidate order, as soon as none
    before them is missing, so that the history of the hypervolume is the same in every run.

    Parameters
    ----------
    objectives
        Number of objectives.
    population
        Number of scored candidates that fix the reference point.
    cap
        Most members that :meth:`members` gives.
    stall
        Rule whose first fulfilment is noted in :attr:`stalled`.
    """

    def __init__(
        self, objectives: int, *, population: int, cap: int = CAP, stall: Stall | None = None
    ) -> None:
        self.cap = cap
        self.stalled: int | None = None
        """Candidates told when the rule ``stall`` was fulfilled first; None if it was not."""
        self._stall = stall
        self.told = 0
        """Candidates 0 … told − 1 are in the front's account."""
        self._reference: Reference | None = None
        self._k = objectives
        self._population = max(1, population)
        self._pending = _Scored.empty(objectives)
        self._front = _Scored.empty(objectives)
        self._least = _Scored.empty(objectives)
        self._first = _Scored.empty(objectives)
        self._stride = _FIRST_STRIDE
        self._history: list[tuple[int, Floats | float]] = []
        self._volume: float | None = None
        self._unmerged: list[_Scored] = []
        self._scored = 0
        self._feasible = 0

    @classmethod
    def of(cls, log: "StudyLog", scoring: Scorer, *, cap: int = CAP) -> Self:
        """Return the front of all rows that are in the log now, gaps left by a killed run included."""
        front = cls(len(scoring.objectives), population=log.definition.population, cap=cap)
        for rows in log.chunks():
            front.add_rows(rows, log.definition.metrics, scoring, final=True)
        return front

    def add_rows(self, rows: "Rows", metrics: Sequence[str], scoring: Scorer, *, final: bool = False) -> None:
        """Add rows of the log; see :meth:`add`. A candidate that failed or was stopped is never scored."""
        objectives, _, total = scoring.evaluate(metrics, rows.metrics)
        self.add(rows.numbers, objectives, np.where(rows.status == "ok", total, np.inf), final=final)

    def add(self, numbers: Numbers, objectives: Floats, total: Floats, *, final: bool = False) -> None:
        """Add results: ``numbers`` (n,), minimised ``objectives`` (n, k), ``total`` violation (n,).

        A failed candidate has an infinite violation. ``final`` takes everything into account although
        candidates before it are missing.
        """
        new = _Scored(
            np.asarray(numbers, np.int64), np.asarray(objectives, np.float64), np.asarray(total, np.float64)
        )
        waiting = _Scored.join(self._pending, new)
        _, first = np.unique(waiting.numbers, return_index=True)  # sorted by number; the first of each number
        waiting = waiting.take(first[waiting.numbers[first] >= self.told])
        expected = self.told + np.arange(len(waiting))
        ready = len(waiting) if final else int(np.argmin(np.append(waiting.numbers == expected, False)))
        self._pending = waiting.take(slice(ready, None))
        taken = waiting.take(slice(0, ready))
        while len(taken):
            boundary = (self.told // self._stride + 1) * self._stride
            cut = int(np.searchsorted(taken.numbers, boundary))
            if cut:
                self._unmerged.append(taken.take(slice(0, cut)))
                self.told = int(taken.numbers[cut - 1]) + 1
            taken = taken.take(slice(cut, None))
            if len(taken) or self.told == boundary:
                self.told = boundary
                self._record()

    def snapshot(self) -> "Front":
        """Return the front as it is now, for another thread: adding to this one does not change it."""
        self._merge()
        other = copy(self)
        other._history = list(self._history)
        other._unmerged = []
        return other

    @property
    def reference(self) -> Reference | None:
        """What the hypervolume is measured against; None until the first population is scored."""
        self._merge()
        return self._reference

    @property
    def feasible(self) -> bool:
        """Whether any candidate keeps all limits."""
        return len(self) > 0

    @property
    def scored(self) -> int:
        """Return the number of candidates with finite objectives so far, feasible or not."""
        self._merge()
        return self._scored

    @property
    def feasible_count(self) -> int:
        """Return the number of feasible candidates so far."""
        self._merge()
        return self._feasible

    def __len__(self) -> int:
        """Return the size of the exact front; 0 while nothing is feasible."""
        self._merge()
        return len(self._front)

    @property
    def numbers(self) -> Numbers:
        """Candidates of the exact front (f,), ascending."""
        self._merge()
        return self._front.numbers

    @property
    def objectives(self) -> Floats:
        """Their minimised objectives (f, k)."""
        self._merge()
        return self._front.objectives

    def members(self, cap: int | None = None) -> tuple[Numbers, Floats]:
        """Return numbers (c,) and objectives (c, k) of what is shown, by number.

        That is the front, capped by crowding; while nothing is feasible the candidates with the least
        violation.
        """
        if not self.feasible:
            order = np.argsort(self._least.numbers)
            return self._least.numbers[order], self._least.objectives[order]
        kept = thin(self._front.objectives, self.cap if cap is None else cap)
        return self._front.numbers[kept], self._front.objectives[kept]

    @property
    def hypervolume(self) -> float | None:
        """Hypervolume of the exact front (:class:`Reference`); None while no candidate is scored."""
        self._merge()
        if self._volume is None:
            reference = self._known_reference()
            self._volume = reference.hypervolume(self._front.objectives) if reference else None
        return self._volume

    @property
    def history(self) -> tuple[Numbers, Floats]:
        """Candidates told (h,) and the hypervolume then (h,); some hundred points, the newest last."""
        self._merge()
        reference = self._known_reference()
        if reference is None:
            return np.empty(0, np.int64), np.empty(0)
        points = [
            (told, value if isinstance(value, float) else reference.hypervolume(value))
            for told, value in self._history
        ]
        if self.told and (not points or points[-1][0] != self.told):
            points.append((self.told, self.hypervolume or 0.0))
        return np.array([n for n, _ in points], np.int64), np.array([v for _, v in points], np.float64)

    def recent_gain(self, share: float = 0.1) -> float | None:
        """Return by what fraction the hypervolume grew over the last ``share`` of the candidates.

        None if it is not known yet, or was 0 before.
        """
        told, volume = self.history
        if len(told) < 2:
            return None
        then = int(np.searchsorted(told, told[-1] * (1 - share), side="right")) - 1
        before = float(volume[then]) if then >= 0 else 0.0
        return float(volume[-1]) / before - 1 if before > 0 else None

    def _merge(self) -> None:
        """Take the rows that came since the last time into account; they follow all earlier ones."""
        if not self._unmerged:
            return
        import moocore

        rows = _Scored.join(*self._unmerged)
        self._unmerged.clear()
        scored = rows.take(np.isfinite(rows.objectives).all(axis=1) & np.isfinite(rows.total))
        self._scored += len(scored)
        feasible = scored.take(scored.total == 0)
        self._feasible += len(feasible)
        if self._reference is None:
            self._first = _Scored.join(self._first, scored).take(slice(0, self._population))
            self._volume = None
            if len(self._first) == self._population:
                self._fix_reference()
        if not len(self._front):
            least = _Scored.join(self._least, scored)
            self._least = least.take(np.lexsort((least.numbers, least.total))[:LEAST])
        if len(feasible):
            self._least = _Scored.empty(self._k)
            # Both parts are by number, so that of equal objectives the first candidate stays.
            both = _Scored.join(self._front, feasible)
            kept = both.take(moocore.is_nondominated(both.objectives, keep_weakly=False))
            if len(kept) != len(self._front) or not np.array_equal(kept.numbers, self._front.numbers):
                self._volume = None
            self._front = kept

    def _known_reference(self) -> Reference | None:
        """Return the reference; before the first population is complete, one of what is there."""
        return self._reference or Reference.of(self._first.objectives, self._first.total)

    def _fix_reference(self) -> None:
        self._reference = reference = Reference.of(self._first.objectives, self._first.total)
        assert reference is not None
        self._first = _Scored.empty(self._k)
        self._history = [
            (told, value if isinstance(value, float) else reference.hypervolume(value))
            for told, value in self._history
        ]

    def _record(self) -> None:
        """Add a point to the history; at too many of them every second one goes, and half as many come."""
        self._merge()
        value = self.hypervolume if self._reference else None
        self._history.append((self.told, self._front.objectives if value is None else value))
        if len(self._history) > _POINTS:
            self._stride *= 2
            self._history = [point for point in self._history if point[0] % self._stride == 0]
        if self._stall and self._reference and self.stalled is None:
            told, volume = zip(*self._history, strict=True)
            if self._stall.holds(np.array(told), np.array(volume), self._population):
                self.stalled = self.told


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """Candidates as parallel arrays."""

    numbers: Numbers
    objectives: Floats
    total: Floats

    @classmethod
    def empty(cls, k: int) -> Self:
        return cls(np.empty(0, np.int64), np.empty((0, k)), np.empty(0))

    @classmethod
    def join(cls, *parts: "_Scored") -> Self:
        return cls(
            np.concatenate([part.numbers for part in parts]),
            np.concatenate([part.objectives for part in parts]),
            np.concatenate([part.total for part in parts]),
        )

    def take(self, which: "slice | NDArray[Any]") -> "_Scored":
        return _Scored(self.numbers[which], self.objectives[which], self.total[which])

    def __len__(self) -> int:
        return len(self.numbers)


def crowding(objectives: Floats) -> Floats:
    """Return the crowding distance (n,) of points (n, k), infinite at the ends: Deb, NSGA-II (2002)."""
    n, k = objectives.shape
    distance = np.zeros(n)
    for column in objectives.T:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        span = ordered[-1] - ordered[0] if n else 0.0
        if span > 0:
            distance[order[1:-1]] += (ordered[2:] - ordered[:-2]) / (span * k)
        distance[order[:1]] = distance[order[-1:]] = np.inf
    return distance


def thin(objectives: Floats, cap: int) -> NDArray[np.intp]:
    """Return the indices, ascending, of at most ``cap`` points (n, k) that keep the extremes and the spread.

    The most crowded points go first, a quarter of the excess at a time with distances taken anew, since
    removing them all at once would tear holes where they lie densest. Of equally crowded ones the later goes.
    """
    kept = np.arange(len(objectives))
    while (excess := len(kept) - cap) > 0:
        distance = crowding(objectives[kept])
        by_distance = np.lexsort((-np.arange(len(kept)), distance))  # of equal ones the later first
        kept = np.delete(kept, by_distance[: max(1, excess // 4)])
    return kept
