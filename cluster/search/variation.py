"""Children of parents: DEAP's bounded operators on the free components."""

from collections.abc import Sequence

from deap.tools.crossover import cxSimulatedBinaryBounded
from deap.tools.mutation import mutPolynomialBounded
from numpy.random import Generator

from cluster.search.base import Array, Problem, Settings
from cluster.search.streams import seeded_random


class Variation:
    """One child from a population, by the shares of optimizer-semantics §5.

    Parameters
    ----------
    problem, settings
        Of the search. At least one component must be free: with equal bounds DEAP's mutation divides by zero.
    """

    def __init__(self, problem: Problem, settings: Settings):
        self._free = problem.free
        self._low: list[float] = problem.low[self._free].tolist()
        self._high: list[float] = problem.high[self._free].tolist()
        self._settings = settings
        self._indpb = min(settings.mutation_indpb, 1.0) or 1.0 / max(1, len(self._low))

    def child(self, population: Sequence[Array] | Array, rng: Generator) -> Array:
        """Return one raw child.

        Parameters
        ----------
        population
            Enforced vectors, shape (m, d), m ≥ 1.
        rng
            The child's stream.

        Returns
        -------
        (d,) array
            Fixed components as in the parents.
        """
        settings, size = self._settings, len(population)
        u = rng.random()
        first = int(rng.integers(size))
        child = population[first].copy()
        if u < settings.crossover_probability and size > 1:
            second = int(rng.integers(size - 1))
            second += second >= first
            genes, other = child[self._free].tolist(), population[second][self._free].tolist()
            with seeded_random(rng):
                cxSimulatedBinaryBounded(genes, other, settings.crossover_eta, self._low, self._high)
        elif size == 1 or u < settings.crossover_probability + settings.mutation_probability:
            # a single parent has no partner: it mutates instead
            genes = child[self._free].tolist()
            with seeded_random(rng):
                mutPolynomialBounded(genes, settings.mutation_eta, self._low, self._high, self._indpb)
        else:
            return child
        child[self._free] = genes
        return child
