"""Our selection over arrays against DEAP's over lists of individuals."""

import numpy as np
import pytest
from deap import base
from deap.tools import emo
from deap.tools.emo import assignCrowdingDist, selNSGA2, selNSGA3, sortNondominated
from numpy.typing import NDArray

from cluster.search.ranking import (
    constrained_rank,
    crowding_distance,
    reference_directions,
    select_crowded,
    select_niched,
)

from .problems import Array


class Individual:
    """What DEAP's selection needs of an individual."""

    def __init__(self, index: int, objectives: Array):
        self.index = index
        self.fitness = FITNESS[len(objectives)](tuple(objectives.tolist()))


FITNESS = {k: type(f"Fitness{k}", (base.Fitness,), {"weights": (-1.0,) * k}) for k in (1, 2, 3, 5)}


def individuals(objectives: Array) -> list[Individual]:
    return [Individual(i, row) for i, row in enumerate(objectives)]


def sample(n: int, k: int, seed: int, digits: int | None = None) -> Array:
    """Return random objectives (n, k); with few digits there are ties."""
    values = np.random.default_rng(seed).normal(size=(n, k))
    return values if digits is None else np.round(values, digits)


class Reversed:
    """A shuffle that both sides can make alike however often they shuffle."""

    def shuffle(self, x: NDArray[np.intp]) -> None:
        x[:] = x[::-1].copy()


class Unshuffled:
    def shuffle(self, x: NDArray[np.intp]) -> None:
        pass


def fronts_in_order(population: list[Individual], size: int) -> list[list[Individual]]:
    """DEAP's fronts, which list their members in the order of comparing, in the order of the population."""
    return [sorted(front, key=lambda i: i.index) for front in sortNondominated(population, size)]


@pytest.mark.parametrize("digits", [None, 1, 0])
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_rank_is_deaps(k: int, digits: int | None) -> None:
    objectives = sample(150, k, 1, digits)
    population = individuals(objectives)
    expected = np.empty(150, dtype=int)
    for rank, front in enumerate(sortNondominated(population, 150)):
        expected[[i.index for i in front]] = rank
    np.testing.assert_array_equal(constrained_rank(objectives, np.zeros(150)), expected)


@pytest.mark.parametrize("digits", [None, 1, 0])
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_crowding_distance_is_deaps_to_the_bit(k: int, digits: int | None) -> None:
    objectives = sample(80, k, 2, digits)
    population = individuals(objectives)
    assignCrowdingDist(population)
    expected = [i.fitness.crowding_dist for i in population]
    np.testing.assert_array_equal(crowding_distance(objectives), expected)


def test_crowding_distance_of_one_and_two() -> None:
    assert crowding_distance(np.array([[1.0, 2.0]])).tolist() == [np.inf]
    assert crowding_distance(np.array([[1.0, 2.0], [2.0, 1.0]])).tolist() == [np.inf, np.inf]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("k", "size"), [(2, 30), (3, 100), (5, 77)])
def test_crowded_survivors_are_those_of_selnsga2(k: int, size: int, seed: int) -> None:
    objectives = sample(size + 40, k, seed)
    expected = {i.index for i in selNSGA2(individuals(objectives), size)}
    survivors = select_crowded(objectives, np.zeros(len(objectives)), size)
    assert survivors.tolist() == sorted(set(survivors.tolist()))
    # the extremes of a front are infinitely far from their neighbours; which of these go is arbitrary
    if set(survivors.tolist()) != expected:
        swapped = np.array(sorted(set(survivors.tolist()) ^ expected))
        ranks = constrained_rank(objectives, np.zeros(len(objectives)))
        assert len(set(ranks[swapped].tolist())) == 1
        front = np.flatnonzero(ranks == ranks[swapped[0]])
        assert np.isinf(crowding_distance(objectives[front])[np.isin(front, swapped)]).all()


@pytest.mark.parametrize("shuffler", [Unshuffled(), Reversed()], ids=["unshuffled", "reversed"])
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("k", "size", "new"), [(2, 30, 8), (3, 92, 12), (3, 40, 200), (5, 77, 40)])
def test_niched_survivors_are_those_of_selnsga3(
    k: int,
    size: int,
    new: int,
    seed: int,
    shuffler: Unshuffled | Reversed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    objectives = np.abs(sample(size + new, k, seed))
    objectives /= np.linalg.norm(objectives, axis=1, keepdims=True) ** 0.9
    objectives -= objectives.min(axis=0)  # where the ideal point is not the origin, DEAP errs
    directions = reference_directions(k, size)
    monkeypatch.setattr(np.random, "shuffle", shuffler.shuffle)
    monkeypatch.setattr(emo, "sortNondominated", fronts_in_order)
    expected = sorted(i.index for i in selNSGA3(individuals(objectives), size, directions, nd="standard"))
    survivors = select_niched(objectives, np.zeros(len(objectives)), size, directions, shuffler)
    assert survivors.tolist() == expected


@pytest.mark.parametrize("seed", range(8))
def test_niching_does_not_depend_on_where_the_origin_lies(seed: int) -> None:
    # as for drawdowns, which are never near 0; DEAP's choice changes in five of these eight
    objectives = np.abs(sample(104, 3, seed))
    objectives /= np.linalg.norm(objectives, axis=1, keepdims=True) ** 0.5
    objectives -= objectives.min(axis=0)
    directions = reference_directions(3, 92)
    expected, survivors = (
        select_niched(values, np.zeros(104), 92, directions, np.random.default_rng(1))
        for values in (objectives, objectives + np.array([0.0, 0.5, 3.0]))
    )
    np.testing.assert_array_equal(survivors, expected)


@pytest.mark.parametrize("select", ["crowded", "niched"])
def test_survivors_by_constraint_domination(select: str) -> None:
    objectives = np.array(
        [
            [1.0, 9.0],
            [np.nan, np.nan],
            [-50.0, -50.0],
            [9.0, 1.0],
            [-99.0, -99.0],
            [2.0, 9.5],
            [np.nan, np.nan],
        ]
    )
    violations = np.array([0.0, np.inf, 0.2, 0.0, 0.1, 0.0, np.inf])
    assert constrained_rank(objectives, violations).tolist() == [0, 4, 3, 0, 2, 1, 4]
    # best first: both of the front, the dominated one, then by violation; of the failed the younger
    order = [{0, 3}, {5}, {4}, {2}, {6}, {1}]
    size = 0
    for position, members in enumerate(order):
        size += len(members)
        if select == "crowded":
            survivors = select_crowded(objectives, violations, size)
        else:
            directions = reference_directions(2, 4)
            survivors = select_niched(objectives, violations, size, directions, np.random.default_rng(1))
        assert set(survivors.tolist()) == set().union(*order[: position + 1])


def test_equal_objectives_everywhere() -> None:
    objectives, violations = np.ones((20, 3)), np.zeros(20)
    directions = reference_directions(3, 10)
    assert len(select_crowded(objectives, violations, 10)) == 10
    assert len(select_niched(objectives, violations, 10, directions, np.random.default_rng(0))) == 10


@pytest.mark.parametrize(
    ("k", "population", "expected"), [(1, 50, 1), (2, 100, 100), (3, 100, 91), (3, 2, 3)]
)
def test_reference_directions_fill_the_population(k: int, population: int, expected: int) -> None:
    directions = reference_directions(k, population)
    assert directions.shape == (expected, k)
    np.testing.assert_allclose(directions.sum(axis=1), 1.0)
    assert len(np.unique(directions.round(9), axis=0)) == expected


def test_many_objectives_get_an_inner_layer() -> None:
    directions = reference_directions(8, 100)
    # 36 points on the rim (2 divisions) and 36 inside
    assert len(directions) == 72
    assert (directions[36:] > 0).all()
    assert (directions[:36].min(axis=1) == 0).all()
