"""NSGA-III: survivors by non-domination, then spread along reference directions."""

from numpy.random import Generator

from cluster.search.base import Array, Problem, Settings
from cluster.search.evolution import Evolution
from cluster.search.ranking import Indices, reference_directions, select_niched


class NSGA3(Evolution):
    """As NSGA-II, with niching instead of crowding, which many objectives defeat. For four and more."""

    def __init__(self, problem: Problem, settings: Settings):
        super().__init__(problem, settings)
        self._directions = reference_directions(problem.n_objectives, self._size)

    def _select(self, objectives: Array, violations: Array, size: int, rng: Generator) -> Indices:
        return select_niched(objectives, violations, size, self._directions, rng)
