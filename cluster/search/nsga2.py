"""NSGA-II: survivors by non-domination, then by crowding distance."""

from numpy.random import Generator

from cluster.search.base import Array
from cluster.search.evolution import Evolution
from cluster.search.ranking import Indices, select_crowded


class NSGA2(Evolution):
    """The search of optimizer-semantics §5, without its generations. For two or three objectives."""

    def _select(self, objectives: Array, violations: Array, size: int, rng: Generator) -> Indices:
        return select_crowded(objectives, violations, size)
