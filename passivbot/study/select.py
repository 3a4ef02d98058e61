"""Choosing one member of a front.

A method is a function in one registry; its docstring states formula and source and is the help of ``--pick``.
All work on objectives scaled to 0 (best of the members) … 1 (worst); z below is a member's scaled objective.
Of equal members the lowest candidate wins.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passivbot.config import Scoring
from passivbot.errors import ConfigError, StudyError, located, nearest
from passivbot.study.study import Results

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Task:
    """What a method sees: ``values`` (n, k) minimised, their scaled form, and the words after the colon."""

    values: Floats
    scoring: Scoring
    argument: str

    @property
    def best(self) -> Floats:
        """Best value of each objective (k,)."""
        return np.asarray(self.values.min(axis=0))

    @property
    def span(self) -> Floats:
        """Worst minus best (k,); 1 where all are equal, which leaves nothing to choose by."""
        span = self.values.max(axis=0) - self.best
        return np.where(span > 0, span, 1.0)

    @property
    def scaled(self) -> Floats:
        """Z (n, k): 0 the best of the members, 1 the worst."""
        return (self.values - self.best) / self.span

    def distance_to(self, point: Floats) -> Floats:
        """Return the scaled Euclidean distance (n,) of each member to a point (k,) of objective values."""
        return np.asarray(np.linalg.norm((self.values - point) / self.span, axis=1))

    def per_objective(self, default: float) -> Floats:
        """Read ``metric=number,…`` or one number for all; ``default`` for the objectives not named.

        Raises
        ------
        ConfigError
            Not a number, or not an objective of the study.
        """
        names = [objective.metric for objective in self.scoring.objectives]
        allowed = f"a number, or METRIC=NUMBER with the objectives of the study: {', '.join(names)}"
        values = np.full(len(names), default)
        for part in filter(None, self.argument.split(",")):
            name, equals, text = part.rpartition("=")
            try:
                number = float(text)
            except ValueError:
                raise ConfigError(located("the command line", "--pick", part, allowed)) from None
            if not equals:
                values[:] = number
            elif name.strip() in names:
                values[names.index(name.strip())] = number
            else:
                raise ConfigError(located("the command line", "--pick", part, allowed))
        return values


Method = Callable[[Task], Floats]
METHODS: dict[str, Method] = {}


def _method(function: Method) -> Method:
    METHODS[function.__name__] = function
    return function


@_method
def knee(task: Task) -> Floats:
    """Knee: farthest below the plane through the extreme members.

    Maximises (1 − n·z) ÷ |n|, n·z = 1 the plane through the members that are extreme in each objective. Das,
    On characterizing the "knee" of the Pareto curve (1999); extremes and the fall-back to Σz = 1 as in Deb
    and Jain, NSGA-III (2014).
    """
    z = task.scaled
    k = z.shape[1]
    # The extreme of an axis is best in all other objectives: least achievement value with that axis almost
    # free.
    weights = np.where(np.eye(k, dtype=bool), 1.0, 1e-6)
    extremes = z[[int(np.argmin((z / axis).max(axis=1))) for axis in weights]]
    normal: Floats = np.ones(k)
    if np.linalg.matrix_rank(extremes) == k:
        solved: Floats = np.linalg.solve(extremes, np.ones(k)).astype(np.float64)
        if np.isfinite(solved).all() and (solved > 1e-9).all():
            normal = solved
    return np.asarray((z @ normal - 1) / np.linalg.norm(normal))


@_method
def ideal(task: Task) -> Floats:
    """Closest to the ideal point: least |z|.

    The ideal point has the best value of each objective; Yu, A class of solutions for group decision problems
    (1973). The same as ``min``, and the default of the reference's summary tool.
    """
    return task.distance_to(task.best)


@_method
def reference(task: Task) -> Floats:
    """Closest to wishes: ``reference:METRIC=VALUE,…``, values as reported.

    Least max(z − r) + 0.0001 Σ(z − r), r the scaled wishes; an objective without a wish is content with the
    worst member. It rewards doing better than wished. Wierzbicki, The use of reference objectives in
    multiobjective optimization (1980).
    """
    weights = np.array([float(objective.weight) for objective in task.scoring.objectives])
    wished = task.per_objective(np.nan) * weights
    wished = np.where(np.isnan(wished), task.best + task.span, wished)
    gap = (task.values - wished) / task.span
    return np.asarray(gap.max(axis=1) + 1e-4 * gap.sum(axis=1))


@_method
def weights(task: Task) -> Floats:
    """Least weighted sum Σ w z: ``weights:METRIC=W,…``; 1 for objectives not named.

    Zadeh, Optimality and non-scalar-valued performance criteria (1963). It can choose only members of the
    front's convex hull.
    """
    chosen = task.per_objective(1.0)
    if (chosen < 0).any() or not chosen.any():
        raise ConfigError(
            located("the command line", "--pick weights", task.argument, "weights of at least 0, not all 0")
        )
    return np.asarray(task.scaled @ chosen)


@_method
def weighted(task: Task) -> Floats:
    """Closest to best + w × (worst − best): ``weighted:METRIC=W,…`` or ``weighted:W``; w is 0 if not given.

    optimizer-semantics §6.4.
    """
    return task.distance_to(task.best + task.per_objective(0.0) * (task.values.max(axis=0) - task.best))


@_method
def utopian(task: Task) -> Floats:
    """Closest to the best values less 0.001 × (worst − best).

    optimizer-semantics §6.4.
    """
    return task.distance_to(task.best - 0.001 * (task.values.max(axis=0) - task.best))


@_method
def percentile(task: Task) -> Floats:
    """Closest to the 10th percentile of each objective, ``percentile:P`` for another.

    Linear interpolation; optimizer-semantics §6.4.
    """
    try:
        percent = float(task.argument or 10)
    except ValueError:
        percent = np.nan
    if not 0 <= percent <= 100:
        raise ConfigError(
            located("the command line", "--pick percentile", task.argument, "a number from 0 to 100")
        )
    return task.distance_to(np.percentile(task.values, percent, axis=0))


@_method
def midrange(task: Task) -> Floats:
    """Closest to (best + worst) ÷ 2 of each objective.

    optimizer-semantics §6.4.
    """
    return task.distance_to((task.best + task.values.max(axis=0)) / 2)


@_method
def geomedian(task: Task) -> Floats:
    """Closest to the geometric median of the members.

    At most 10 Weiszfeld steps from the mean, weights 1 ÷ distance (0 at distance 0); optimizer-semantics
    §6.4.
    """
    point = task.values.mean(axis=0)
    for _ in range(10):
        distance = np.linalg.norm(task.values - point, axis=1)
        weight = np.divide(1.0, distance, out=np.zeros_like(distance), where=distance > 0)
        if not weight.any():
            break
        moved = (weight[:, None] * task.values).sum(axis=0) / weight.sum()
        near = bool(np.allclose(moved, point, rtol=0, atol=1e-9))
        point = moved
        if near:
            break
    return task.distance_to(point)


METHODS["min"] = ideal
_WITH_ARGUMENT = frozenset({"reference", "weights", "weighted", "percentile"})


def check_method(text: str) -> tuple[str, str]:
    """Split ``METHOD`` or ``METHOD:ARGUMENT``.

    Raises
    ------
    ConfigError
        No such method, or it takes no argument.
    """
    name, _, argument = text.partition(":")
    if name not in METHODS:
        near = nearest(name, METHODS)
        allowed = f"one of {', '.join(METHODS)}" + (f" (nearest: {near})" if near else "")
        raise ConfigError(located("the command line", "--pick", text, allowed))
    if argument and name not in _WITH_ARGUMENT:
        raise ConfigError(located("the command line", "--pick", text, f"{name} without an argument"))
    return name, argument


def pick(members: Results, method: str, objectives: Sequence[str] = ()) -> int:
    """Return the index of the member that ``METHOD`` or ``METHOD:ARGUMENT`` chooses.

    While nothing is feasible that is the least violating one, whatever the method.

    Parameters
    ----------
    members
        What to choose from, by candidate number.
    method
        A name of :data:`METHODS`, where it takes one with an argument after a colon.
    objectives
        Metrics to choose by; all objectives if empty.

    Raises
    ------
    StudyError
        There is nothing to choose from.
    ConfigError
        Unknown method, argument or objective.
    """
    name, argument = check_method(method)
    if not len(members):
        raise StudyError("there is no scored candidate to choose from")
    if not members.feasible.any():
        return int(np.argmin(members.total))
    chosen = _columns(members.scoring, objectives)
    scoring = Scoring(tuple(members.scoring.objectives[i] for i in chosen), members.scoring.limits)
    return int(np.argmin(METHODS[name](Task(members.objectives[:, chosen], scoring, argument))))


def ranking(members: Results) -> dict[str, list[int]]:
    """Return method → rank of each member, 1 for the one that :func:`pick` chooses.

    Methods that take an argument are without it. While nothing is feasible there are no ranks.
    """
    if not len(members) or not members.feasible.all():
        return {}
    task = Task(members.objectives, members.scoring, "")
    ranks = {}
    for name, method in METHODS.items():
        if name != "min":  # another word for ideal
            order = np.argsort(method(task), kind="stable")
            place = np.empty(len(order), np.int64)
            place[order] = np.arange(1, len(order) + 1)
            ranks[name] = place.tolist()
    return ranks


def _columns(scoring: Scoring, objectives: Sequence[str]) -> list[int]:
    names = [objective.metric for objective in scoring.objectives]
    for wanted in objectives:
        if wanted not in names:
            raise ConfigError(
                located(
                    "the command line", "--objectives", wanted, f"objectives of the study: {', '.join(names)}"
                )
            )
    return [i for i, name in enumerate(names) if not objectives or name in objectives]


_OPERATORS: Mapping[str, Callable[[Floats, float], NDArray[np.bool_]]] = {
    "<=": np.less_equal,
    ">=": np.greater_equal,
    "==": np.equal,
    "<": np.less,
    ">": np.greater,
    "=": np.equal,
}


def matching(members: Results, expression: str) -> NDArray[np.bool_]:
    """Return the mask of members for which ``METRIC<NUMBER`` holds; a missing value counts as +∞.

    Operators ``<``, ``<=``, ``>``, ``>=``, ``==``, ``=``; optimizer-semantics §6.4.

    Raises
    ------
    ConfigError
        Not such an expression.
    StudyError
        The metric is not logged.
    """
    for operator, holds in _OPERATORS.items():
        name, found, text = expression.partition(operator)
        if found:
            try:
                number = float(text)
            except ValueError:
                break
            values = members.metric(name.strip())
            return holds(np.where(np.isnan(values), np.inf, values), number)
    allowed = "METRIC<NUMBER with <, <=, >, >=, == or ="
    raise ConfigError(located("the command line", "--where", expression, allowed))
