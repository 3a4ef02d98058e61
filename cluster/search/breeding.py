"""Children of parents, many at a time: DEAP's bounded operators over arrays (scheme 2).

What a child draws lies at its own place of one counter-based stream, so it does not matter how many are made
at once, or who makes them. Given the same draws a child is DEAP's ``cxSimulatedBinaryBounded`` or
``mutPolynomialBounded`` of its parents; the tests compare the two. DEAP's own functions take a list and
Python's ``random``, 57 µs a child with 58 components.
"""

import numpy as np
from numpy.random import Philox
from numpy.typing import NDArray

from cluster.search.base import Array, Problem, Settings
from cluster.search.streams import Purpose

_HEADER = 4  # draws a child: which operator, two parents, one unused
_LEAST_DISTANCE = 1e-14  # of two parents' components that cross, as in DEAP


class Breeding:
    """Children from a population, by the shares of optimizer-semantics §5.

    Parameters
    ----------
    problem, settings
        Of the search. At least one component must be free.
    """

    def __init__(self, problem: Problem, settings: Settings):
        self._free = problem.free
        self._low = problem.low[self._free]
        self._high = problem.high[self._free]
        self._settings = settings
        size = len(self._free)
        self._indpb = min(settings.mutation_indpb, 1.0) or 1.0 / max(1, size)
        self._counters = -(-(_HEADER + 3 * size) // 4)  # Philox gives four numbers a count

    def children(self, population: Array, first: int, count: int) -> Array:
        """Return raw children (count, d) for the candidates ``first`` … ``first + count - 1``.

        Parameters
        ----------
        population
            Enforced vectors, shape (m, d), m ≥ 1.
        first, count
            Candidates whose parents are in this population.
        """
        settings, size = self._settings, len(population)
        draws = self.draws(first, count)
        kind = draws[:, 0]
        parents = _index(draws[:, 1], size)
        children: Array = population[parents]
        if size > 1:
            crossing = kind < settings.crossover_probability
            mutating = ~crossing & (kind < settings.crossover_probability + settings.mutation_probability)
        else:  # a single parent has no partner: it mutates instead
            crossing, mutating = np.zeros(count, bool), np.ones(count, bool)
        whether, where, side = draws[:, _HEADER:].reshape(count, 3, -1).swapaxes(0, 1)
        genes = children[:, self._free]
        rows = np.flatnonzero(crossing)
        if len(rows):
            partners = _index(draws[rows, 2], size - 1)
            partners += partners >= parents[rows]
            others = population[partners][:, self._free]
            genes[rows] = self._crossed(genes[rows], others, whether[rows], where[rows], side[rows])
        rows = np.flatnonzero(mutating)
        if len(rows):
            genes[rows] = self._mutated(genes[rows], whether[rows], where[rows])
        children[:, self._free] = genes
        return children

    def draws(self, first: int, count: int) -> Array:
        """Return what the children draw, (count, 4 + 3 f) in [0, 1), f being the number of free components.

        After the header three numbers for each component: whether it changes, how far, and to which side.
        """
        words = 4 * self._counters
        counter = np.array((first * self._counters, 0, 0, Purpose.VARIATION), dtype=np.uint64)
        key = np.array((self._settings.seed, 0), dtype=np.uint64)
        raw = Philox(key=key, counter=counter).random_raw(count * words).reshape(count, words)
        return (raw[:, : _HEADER + 3 * len(self._free)] >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def _crossed(self, genes: Array, others: Array, whether: Array, where: Array, side: Array) -> Array:
        """Return the first child of DEAP's ``cxSimulatedBinaryBounded``, all arguments (m, f)."""
        eta = self._settings.crossover_eta
        changed = (whether <= 0.5) & (np.abs(genes - others) > _LEAST_DISTANCE)
        column = np.nonzero(changed)[1]
        near = np.minimum(genes[changed], others[changed])
        far = np.maximum(genes[changed], others[changed])
        low, high = self._low[column], self._high[column]
        upper = side[changed] <= 0.5
        span = far - near
        room = np.where(upper, high - far, near - low)
        # A population is within bounds up to rounding only; DEAP's formula needs room >= 0.
        beta = 1.0 + 2.0 * np.maximum(room, 0.0) / span
        alpha = 2.0 - beta ** -(eta + 1.0)
        drawn = where[changed] * alpha
        spread = np.where(drawn <= 1.0, drawn, 1.0 / (2.0 - drawn)) ** (1.0 / (eta + 1.0))
        crossed = 0.5 * (near + far + np.where(upper, spread, -spread) * span)
        result = genes.copy()
        result[changed] = np.minimum(np.maximum(crossed, low), high)
        return result

    def _mutated(self, genes: Array, whether: Array, where: Array) -> Array:
        """Return the outcome of DEAP's ``mutPolynomialBounded``, all arguments (m, f)."""
        power = self._settings.mutation_eta + 1.0
        changed = whether <= self._indpb
        column = np.nonzero(changed)[1]
        low, high = self._low[column], self._high[column]
        x, drawn = genes[changed], where[changed]
        down = drawn < 0.5
        rest = 1.0 - np.where(down, x - low, high - x) / (high - low)
        share = np.where(down, 2.0 * drawn, 2.0 * (1.0 - drawn))
        value = share + np.where(down, 1.0 - 2.0 * drawn, 2.0 * (drawn - 0.5)) * rest**power
        step = value ** (1.0 / power) - 1.0
        result = genes.copy()
        moved = x + np.where(down, step, -step) * (high - low)
        result[changed] = np.minimum(np.maximum(moved, low), high)
        return result


def _index(draws: Array, size: int) -> NDArray[np.intp]:
    """Return draws in [0, 1) as indices below ``size``."""
    return np.minimum((draws * size).astype(np.intp), size - 1)
