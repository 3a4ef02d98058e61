"""Problems with known fronts, and a cluster that finishes candidates in any order."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import moocore
import numpy as np
from numpy.typing import NDArray

from cluster.search import Lagged, Logged, Problem

Array = NDArray[np.float64]
Outcome = tuple[Array | None, float]


def rounded(values: Array, digits: int) -> Array:
    """Round to significant digits; the engine's rule differs in the last bit, which no search cares about."""
    exponent = np.floor(np.log10(np.abs(np.where(values == 0, 1.0, values))))
    scale = 10.0 ** (digits - 1 - exponent)
    return np.round(values * scale) / scale


def make_problem(
    low: Array | list[float],
    high: Array | list[float],
    n_objectives: int,
    seeds: list[list[float]] | None = None,
    digits: int = 6,
) -> Problem:
    lower, upper = np.array(low, dtype=float), np.array(high, dtype=float)
    return Problem(
        lower,
        upper,
        lambda matrix: np.clip(rounded(matrix, digits), lower, upper),
        n_objectives,
        np.array(seeds or [], dtype=float),
        digits,
    )


@dataclass(frozen=True)
class LoggedResult:
    """One evaluated candidate; ``objectives`` None if it failed."""

    number: int
    vector: Array
    objectives: Array | None
    violation: float


def restore(lagged: Lagged, rows: list[LoggedResult], size: int = 7) -> list[tuple[int, Array]]:
    """Restore a search from rows in any order, a few at a time as a large log is read."""
    ordered = sorted(rows, key=lambda row: row.number)
    k = lagged.search.problem.n_objectives
    blocks = [
        Logged(
            np.array([row.number for row in part]),
            np.array([row.vector for row in part]),
            np.array([np.full(k, np.nan) if row.objectives is None else row.objectives for row in part]),
            np.array([np.inf if row.objectives is None else row.violation for row in part]),
        )
        for part in (ordered[i : i + size] for i in range(0, len(ordered), size))
    ]
    return lagged.restore(blocks)


@dataclass(frozen=True)
class Case:
    problem: Problem
    evaluate: Callable[[Array], Outcome]
    reference: list[float] = field(default_factory=list)

    def hypervolume(self, rows: list[LoggedResult]) -> float:
        feasible = [row.objectives for row in rows if row.objectives is not None and row.violation == 0]
        return float(moocore.hypervolume(np.array(feasible), ref=self.reference)) if feasible else 0.0


def zdt1(d: int = 30) -> Case:
    def evaluate(x: Array) -> Outcome:
        g = 1 + 9 * x[1:].mean()
        return np.array([x[0], g * (1 - np.sqrt(x[0] / g))]), 0.0

    return Case(make_problem(np.zeros(d), np.ones(d), 2), evaluate, [1.1, 6.0])


def zdt4(d: int = 10) -> Case:
    def evaluate(x: Array) -> Outcome:
        g = 1 + 10 * (d - 1) + (x[1:] ** 2 - 10 * np.cos(4 * np.pi * x[1:])).sum()
        return np.array([x[0], g * (1 - np.sqrt(x[0] / g))]), 0.0

    low, high = np.full(d, -5.0), np.full(d, 5.0)
    low[0], high[0] = 0.0, 1.0
    return Case(make_problem(low, high, 2), evaluate, [1.1, 180.0])


def dtlz2(d: int = 12) -> Case:
    def evaluate(x: Array) -> Outcome:
        g = ((x[2:] - 0.5) ** 2).sum()
        a, b = x[:2] * np.pi / 2
        return (1 + g) * np.array([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)]), 0.0

    return Case(make_problem(np.zeros(d), np.ones(d), 3), evaluate, [2.0, 2.0, 2.0])


def osyczka() -> Case:
    """Osyczka and Kundu 1995: six components, six constraints; 3 % of the box is feasible."""

    def evaluate(x: Array) -> Outcome:
        f1 = -(25 * (x[0] - 2) ** 2 + (x[1] - 2) ** 2 + (x[2] - 1) ** 2 + (x[3] - 4) ** 2 + (x[4] - 1) ** 2)
        kept = np.array(
            [
                (x[0] + x[1] - 2) / 2,
                (6 - x[0] - x[1]) / 6,
                (2 - x[1] + x[0]) / 2,
                (2 - x[0] + 3 * x[1]) / 2,
                (4 - (x[2] - 3) ** 2 - x[3]) / 4,
                ((x[4] - 3) ** 2 + x[5] - 4) / 4,
            ]
        )
        return np.array([f1, (x**2).sum()]), float(np.maximum(0.0, -kept).sum())

    return Case(make_problem([0, 0, 1, 0, 1, 0], [10, 10, 5, 6, 5, 10], 2), evaluate, [0.0, 200.0])


def bowls() -> Case:
    """Two bowls in four components, one of them fixed: the cheap one for everything but quality."""

    def evaluate(x: Array) -> Outcome:
        return np.array([(x**2).sum(), ((x - 1.0) ** 2).sum()]), max(0.0, float(x[0]) - 1.5)

    return Case(make_problem([-1.0, 0.25, -2.0, 0.0], [2.0, 0.25, 3.0, 1e-3], 2), evaluate)


def drive(
    lagged: Lagged,
    evaluate: Callable[[Array], Outcome],
    count: int,
    *,
    order: random.Random | None = None,
    flight: list[tuple[int, Array]] | None = None,
    finish: bool = True,
) -> list[LoggedResult]:
    """Ask up to candidate ``count`` - 1 and submit results; return them in the order of finishing.

    Parameters
    ----------
    order
        Decides which candidate in flight finishes next and when new ones are asked for; without it each
        finishes before the next is asked for.
    flight
        Candidates that were asked already; changed in place.
    finish
        False: stop when the last candidate is asked, with others in flight.
    """
    flight = [] if flight is None else flight
    log: list[LoggedResult] = []
    while lagged.next_number < count or (finish and flight):
        n = lagged.next_number
        may_ask = n < count and lagged.ready(n) and len(flight) < max(1, lagged.lag)
        if may_ask and (not flight or (order is not None and order.random() < 0.6)):
            vector = lagged.ask(n)
            if not lagged.known(n):
                flight.append((n, vector))
        else:
            n, vector = flight.pop(order.randrange(len(flight)) if order is not None else 0)
            objectives, violation = evaluate(vector)
            log.append(LoggedResult(n, vector, objectives, violation))
            assert lagged.submit(n, objectives, violation)
    return log


def vectors(log: list[LoggedResult]) -> Array:
    """Return the vectors of a log by candidate number, (n, d)."""
    return np.array([row.vector for row in sorted(log, key=lambda row: row.number)])
