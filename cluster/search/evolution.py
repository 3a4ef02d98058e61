"""The steady (μ + λ) evolution that NSGA-II and NSGA-III share."""

from abc import abstractmethod

import numpy as np
from numpy.random import Generator

from cluster.search.base import Array, Problem, Result, Search, Settings
from cluster.search.ranking import Indices
from cluster.search.streams import Purpose, stream
from cluster.search.variation import Variation


class Evolution(Search):
    """A population of told candidates; after every block of results the best of old and new survive.

    There are no generations to wait for: a child's parents are the survivors of the last whole block told.
    The population holds the enforced vectors. It starts empty and fills with the results of the start; while
    nothing is told, the start's Sobol sequence goes on. Failed candidates stay only until there are enough
    others.
    """

    def __init__(self, problem: Problem, settings: Settings):
        super().__init__(problem, settings)
        self._size = max(settings.population, len(problem.seeds))
        self._variation = Variation(problem, settings)
        self._vectors: Array = np.empty((0, problem.dimension))
        self._objectives: Array = np.empty((0, problem.n_objectives))
        self._violations: Array = np.empty(0)
        self._new: list[tuple[Array, Result]] = []

    @property
    def block(self) -> int:
        """Results are taken in this many at a time."""
        return self.settings.block

    @abstractmethod
    def _select(self, objectives: Array, violations: Array, size: int, rng: Generator) -> Indices:
        """Return the ascending indices of the ``size`` survivors of more than ``size`` candidates."""

    def _propose(self, n: int, rng: Generator) -> Array:
        if not len(self._vectors):
            return self._sobol_vector(n)
        return self._variation.child(self._vectors, rng)

    def _learn(self, n: int, vector: Array, result: Result) -> None:
        self._new.append((vector, result))
        if len(self._new) == self.block:
            self._absorb(n)

    def _absorb(self, n: int) -> None:
        """Merge the block that ends with candidate n into the population, and cut it to size."""
        unscored = np.full(self.problem.n_objectives, np.nan)
        results = [result for _, result in self._new]
        new_objectives = [unscored if r.objectives is None else r.objectives for r in results]
        vectors = np.concatenate((self._vectors, [vector for vector, _ in self._new]))
        objectives = np.concatenate((self._objectives, new_objectives))
        violations = np.concatenate((self._violations, [r.violation for r in results]))
        self._new.clear()
        if len(vectors) > self._size:
            rng = stream(self.settings.seed, n, Purpose.SELECTION)
            kept = self._select(objectives, violations, self._size, rng)
            vectors, objectives, violations = vectors[kept], objectives[kept], violations[kept]
        self._vectors, self._objectives, self._violations = vectors, objectives, violations
