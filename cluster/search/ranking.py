"""Who survives: constraint domination, crowding (NSGA-II) and niching (NSGA-III), over arrays.

Sources: K. Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE Trans. Evol.
Comput. 6(2), 2002; K. Deb, H. Jain, "An evolutionary many-objective optimization algorithm using
reference-point-based nondominated sorting approach, part I", IEEE Trans. Evol. Comput. 18(4), 2014.

The tests compare the survivors with those of DEAP's ``selNSGA2`` and ``selNSGA3``, which take many times as
long and know no constraints. ``selNSGA3`` (1.4.4) subtracts the ideal point a second time from the
hyperplane's intercepts, so it agrees where the ideal point is the origin; elsewhere this module follows the
paper.
"""

from math import comb
from typing import Protocol

import moocore
import numpy as np
from deap.tools import uniform_reference_points
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

_ROWS = 64
"""Points associated at a time, so that their projections on a thousand directions stay in the cache."""


class Shuffler(Protocol):
    """Whatever shuffles an array in place: ``numpy.random.Generator``."""

    def shuffle(self, x: NDArray[np.intp]) -> None:
        """Permute ``x`` along its only axis."""


def constrained_rank(objectives: Array, violations: Array) -> NDArray[np.intp]:
    """Rank candidates by constraint domination, 0 the best.

    Parameters
    ----------
    objectives
        Shape (n, k), minimised. Only rows of feasible candidates are looked at.
    violations
        Shape (n,), ≥ 0: 0 is feasible, infinity failed.

    Returns
    -------
    (n,) array of int
        The feasible candidates have their Pareto ranks, the infeasible ones follow by rising violation, equal
        violations sharing a rank.
    """
    feasible = violations <= 0.0
    ranks = np.zeros(len(violations), dtype=np.intp)
    behind = 0
    if feasible.any():
        ranks[feasible] = moocore.pareto_rank(objectives[feasible])
        behind = int(ranks[feasible].max()) + 1
    if not feasible.all():
        _, order = np.unique(violations[~feasible], return_inverse=True)
        ranks[~feasible] = behind + order
    return ranks


def crowding_distance(objectives: Array) -> Array:
    """Return the crowding distance (n,) of each member of one front (n, k); the extremes have infinity."""
    n, k = objectives.shape
    distance = np.zeros(n)
    order = np.arange(n)
    for column in objectives.T:
        # each sort starts from the former one's order, so that ties fall as in the original implementation
        order = order[np.argsort(column[order], kind="stable")]
        values = column[order]
        distance[order[[0, -1]]] = np.inf
        span = values[-1] - values[0]
        if span > 0.0:
            distance[order[1:-1]] += (values[2:] - values[:-2]) / (k * span)
    return distance


def select_crowded(objectives: Array, violations: Array, size: int) -> Indices:
    """Return the indices of the ``size`` survivors by rank, then crowding distance: NSGA-II.

    Parameters
    ----------
    objectives, violations
        As for :func:`constrained_rank`, oldest candidate first.
    size
        How many survive, at most n.

    Returns
    -------
    (size,) array of int
        Ascending. Of equally infeasible candidates the younger survive: with nothing to prefer, the
        population drifts instead of standing still.
    """
    whole, last = _fronts(constrained_rank(objectives, violations), size)
    room = size - len(whole)
    if violations[last[0]] > 0.0:
        chosen = last[-room:]
    else:
        chosen = last[np.argsort(-crowding_distance(objectives[last]), kind="stable")[:room]]
    return np.sort(np.concatenate((whole, chosen)))


def select_niched(
    objectives: Array, violations: Array, size: int, directions: Array, shuffler: Shuffler
) -> Indices:
    """Return the indices of the ``size`` survivors by rank, then reference-point niching: NSGA-III.

    Parameters
    ----------
    objectives, violations, size
        As for :func:`select_crowded`.
    directions
        Reference points, shape (r, k).
    shuffler
        Breaks ties between niches and within a niche.

    Returns
    -------
    (size,) array of int
        Ascending.
    """
    whole, last = _fronts(constrained_rank(objectives, violations), size)
    room = size - len(whole)
    if violations[last[0]] > 0.0:
        chosen = last[-room:]
    elif room == len(last):
        chosen = last
    else:
        considered = np.concatenate((whole, last))
        niches, distances = _associate(_normalise(objectives[considered]), directions)
        counts = np.bincount(niches[: len(whole)], minlength=len(directions))
        picked = _fill_niches(niches[len(whole) :], distances[len(whole) :], counts, room, shuffler)
        chosen = last[picked]
    return np.sort(np.concatenate((whole, chosen)))


def reference_directions(n_objectives: int, population: int) -> Array:
    """Return Das–Dennis reference points, as many as fit into a population.

    Parameters
    ----------
    n_objectives
        Length k of a point.
    population
        No more points than this, but at least k.

    Returns
    -------
    (r, k) array
        With many objectives and fewer divisions than objectives all points lie on the rim; then a second,
        smaller layer is added as far as it fits (Deb and Jain 2014, section V).
    """
    outer = _divisions(n_objectives, population)
    points: Array = uniform_reference_points(n_objectives, outer)
    if outer < n_objectives and n_objectives > 1:
        rest = population - len(points)
        if rest >= n_objectives:
            inner = uniform_reference_points(n_objectives, _divisions(n_objectives, rest), scaling=0.5)
            points = np.concatenate((points, inner))
    return points


def _divisions(n_objectives: int, most: int) -> int:
    """Return the largest number of divisions with at most ``most`` points, at least 1."""
    if n_objectives == 1:
        return 1  # one point whatever the division
    p = 1
    while comb(n_objectives + p, p + 1) <= most:
        p += 1
    return p


def _fronts(ranks: NDArray[np.intp], size: int) -> tuple[Indices, Indices]:
    """Split into the members of the fronts that fit into ``size`` wholly, and those of the front at the cut.

    The second is never empty; it may fit exactly. Both keep the order of the candidates within a front.
    """
    order = np.argsort(ranks, kind="stable")
    cut = ranks[order[size - 1]]
    return order[ranks[order] < cut], order[ranks[order] == cut]


def _normalise(objectives: Array) -> Array:
    """Scale objectives (n, k) so that the ideal point is 0 and the intercepts of the hyperplane are 1."""
    shifted = objectives - objectives.min(axis=0)
    k = objectives.shape[1]
    # the extreme point of an axis minimises the achievement function whose weight is small on that axis alone
    weights = np.where(np.eye(k, dtype=bool), 1.0, 1e6)
    extremes = shifted[[int(np.argmin((shifted * row).max(axis=1))) for row in weights]]
    scaled: Array = shifted / (_intercepts(extremes, shifted.max(axis=0)) + np.finfo(float).eps)
    return scaled


def _intercepts(extremes: Array, worst: Array) -> Array:
    """Return where the hyperplane through the extreme points cuts the axes, the ideal point being the origin.

    ``worst``, the largest value on each axis, stands in where there is no such plane or it cuts beyond that.
    """
    ones = np.ones(len(worst))
    try:
        inverse = np.linalg.solve(extremes, ones)
    except np.linalg.LinAlgError:
        return worst
    if not inverse.all():
        return worst
    intercepts = np.asarray(1.0 / inverse, dtype=np.float64)
    usable = (
        bool(np.abs(extremes @ inverse - ones).max() <= 1e-5)
        and (intercepts > 1e-6).all()
        and (intercepts <= worst).all()
    )
    return intercepts if usable else worst


def _associate(normalised: Array, directions: Array) -> tuple[Indices, Array]:
    """Return for each point (n, k) ≥ 0 the nearest direction from the origin, and how far off it lies.

    The nearest line is the one with the longest projection, as point, foot and origin form a right triangle.
    """
    units = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    transposed = np.ascontiguousarray(units.T)
    projections = np.empty((_ROWS, len(units)))
    niches = np.empty(len(normalised), dtype=np.intp)
    for i in range(0, len(normalised), _ROWS):
        rows = normalised[i : i + _ROWS]
        np.matmul(rows, transposed, out=projections[: len(rows)])
        np.argmax(projections[: len(rows)], axis=1, out=niches[i : i + _ROWS])
    nearest = units[niches]
    feet = (normalised * nearest).sum(axis=1, keepdims=True) * nearest
    return niches, np.linalg.norm(normalised - feet, axis=1)


def _fill_niches(
    niches: Indices, distances: Array, counts: NDArray[np.intp], room: int, shuffler: Shuffler
) -> Indices:
    """Return ``room`` positions in the cut front, each from a niche that has fewest members so far.

    A niche without members takes its nearest candidate first; apart from that chance decides.
    """
    positions = np.arange(len(niches))
    shuffler.shuffle(positions)
    by_distance = positions[np.lexsort((distances[positions], niches[positions]))]
    opened, nearest = np.unique(niches[by_distance], return_index=True)
    later = np.ones(len(niches), dtype=bool)
    later[by_distance[nearest[counts[opened] == 0]]] = False
    # the members of a niche side by side, in the order in which they will be taken
    queue = positions[np.lexsort((later[positions], niches[positions]))]
    _, first, length = np.unique(niches[queue], return_index=True, return_counts=True)

    taken = np.zeros(len(opened), dtype=np.intp)
    while room:
        level = np.where(taken < length, counts[opened] + taken, np.iinfo(np.intp).max)
        fewest = np.flatnonzero(level == level.min())
        if len(fewest) > room:
            shuffler.shuffle(fewest)
            fewest = fewest[:room]
        taken[fewest] += 1
        room -= len(fewest)
    return queue[np.arange(len(queue)) - np.repeat(first, length) < np.repeat(taken, length)]
