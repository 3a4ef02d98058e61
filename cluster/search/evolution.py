"""The steady (μ + λ) evolution that NSGA-II and NSGA-III share."""

from abc import abstractmethod

import numpy as np
from numpy.random import Generator

from cluster.search.base import Array, Problem, Result, Search, Settings
from cluster.search.breeding import Breeding
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
        self._variation = Variation(problem, settings) if settings.scheme == 1 else None
        self._breeding = Breeding(problem, settings)
        self._population = _Told.empty(problem)
        self._new: list[_Told] = []
        self._new_count = 0

    @property
    def block(self) -> int:
        """Results are taken in this many at a time."""
        return self.settings.block

    @abstractmethod
    def _select(self, objectives: Array, violations: Array, size: int, rng: Generator) -> Indices:
        """Return the ascending indices of the ``size`` survivors of more than ``size`` candidates."""

    def ask_block(self, n: int, count: int) -> Array:
        """Return the vectors of candidates in a row: children all at once, the start one by one."""
        vectors = np.empty((count, self.problem.dimension))
        done = 0
        while done < count and (self._variation or not self._free.size or n + done < self.start):
            vectors[done] = self.ask(n + done)
            done += 1
        if done < count:
            first = n + done
            self._expect_ask(first)
            raw = self._bred(first, count - done)
            vectors[done:] = self._asked.unique_block(raw, lambda i: stream(self.settings.seed, first + i))
            self._next_ask += count - done
        return vectors

    def replay_block(self, n: int, vectors: Array) -> None:
        """Take the candidates from n on from the log."""
        self._expect_ask(n)
        self._asked.add_block(vectors)
        self._next_ask += len(vectors)

    def tell(self, n: int, vector: Array, result: Result) -> None:
        """Learn the result of candidate n."""
        unscored = np.full(self.problem.n_objectives, np.nan)
        objectives = unscored if result.objectives is None else result.objectives
        self.tell_block(n, vector[None], objectives[None], np.array([result.violation]))

    def tell_block(self, n: int, vectors: Array, objectives: Array, violations: Array) -> None:
        """Learn results in a row; selection comes at the end of each block of the search."""
        if n != self._next_tell or n + len(vectors) > self._next_ask:
            raise ValueError(f"told candidate {n}; due is {self._next_tell} of {self._next_ask} asked")
        self._next_tell += len(vectors)
        told = _Told(vectors, objectives, violations)
        while len(told):
            part = told.take(slice(0, self.block - self._new_count))
            told = told.take(slice(len(part), None))
            self._new.append(part)
            self._new_count += len(part)
            if self._new_count == self.block:
                self._absorb(self._next_tell - len(told) - 1)

    def _propose(self, n: int, rng: Generator) -> Array:
        if not len(self._population):
            return self._sobol_vector(n)
        if self._variation:
            return self._variation.child(self._population.vectors, rng)
        child: Array = self._breeding.children(self._population.vectors, n, 1)[0]
        return child

    def _bred(self, n: int, count: int) -> Array:
        """Return raw vectors of candidates behind the start."""
        if len(self._population):
            return self._breeding.children(self._population.vectors, n, count)
        return np.stack([self._sobol_vector(m) for m in range(n, n + count)])

    def _absorb(self, n: int) -> None:
        """Merge the block that ends with candidate n into the population, and cut it to size."""
        told = _Told.join(self._population, *self._new)
        self._new.clear()
        self._new_count = 0
        if len(told) > self._size:
            rng = stream(self.settings.seed, n, Purpose.SELECTION)
            told = told.take(self._select(told.objectives, told.violations, self._size, rng))
        self._population = told


class _Told:
    """Told candidates as parallel arrays: vectors (m, d), objectives (m, k), violations (m,)."""

    __slots__ = ("objectives", "vectors", "violations")

    def __init__(self, vectors: Array, objectives: Array, violations: Array):
        self.vectors = vectors
        self.objectives = objectives
        self.violations = violations

    @classmethod
    def empty(cls, problem: Problem) -> "_Told":
        return cls(np.empty((0, problem.dimension)), np.empty((0, problem.n_objectives)), np.empty(0))

    @classmethod
    def join(cls, *parts: "_Told") -> "_Told":
        return cls(
            np.concatenate([part.vectors for part in parts]),
            np.concatenate([part.objectives for part in parts]),
            np.concatenate([part.violations for part in parts]),
        )

    def take(self, which: "slice | Indices") -> "_Told":
        return _Told(self.vectors[which], self.objectives[which], self.violations[which])

    def __len__(self) -> int:
        return len(self.violations)
