"""Searches that learn nothing: a Sobol sequence and plain random points. The yardstick of the others."""

from typing import ClassVar

from numpy.random import Generator

from cluster.search.base import Array, Search


class SobolSearch(Search):
    """The seeds, then a scrambled Sobol sequence for as long as it is asked."""

    needs_results: ClassVar[bool] = False

    def _opening(self, n: int, rng: Generator) -> Array | None:
        return self._seed_vector(n) if n < len(self._seeds) else None

    def _propose(self, n: int, rng: Generator) -> Array:
        return self._sobol_vector(n - len(self._seeds))


class RandomSearch(Search):
    """The seeds, then independent uniform points."""

    needs_results: ClassVar[bool] = False

    def _opening(self, n: int, rng: Generator) -> Array | None:
        return self._seed_vector(n) if n < len(self._seeds) else None

    def _propose(self, n: int, rng: Generator) -> Array:
        return self._scaled(rng.random(self._free.size))
