import random
from types import SimpleNamespace

import numpy as np
import pytest
from deap.tools.emo import assignCrowdingDist
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from passivbot.study import Front, Reference
from passivbot.study.front import crowding, thin

Floats = NDArray[np.float64]


def brute_force(objectives: Floats, total: Floats) -> list[int]:
    """Feasible points that no other dominates; of equal ones the first."""
    kept = []
    for i, x in enumerate(objectives):
        if not (total[i] == 0 and np.isfinite(x).all()):
            continue
        beaten = False
        for j, y in enumerate(objectives):
            if total[j] == 0 and np.isfinite(y).all():
                beaten |= bool((y <= x).all() and (y < x).any()) or (j < i and bool((y == x).all()))
        if not beaten:
            kept.append(i)
    return kept


@st.composite
def results(draw: st.DrawFn) -> tuple[Floats, Floats, int]:
    """Coarse values, so that ties and equal points abound; some infeasible, failed, null."""
    n, k = draw(st.integers(0, 60)), draw(st.integers(1, 5))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    levels = draw(st.sampled_from([2, 4, 1000]))
    objectives = generator.integers(0, levels, (n, k)).astype(float)
    total = generator.choice([0.0, 0.0, 0.0, 0.5, 2.0, np.inf], n)
    objectives[generator.random(n) < 0.05, 0] = np.nan
    return objectives, total, draw(st.integers(1, 30))


@settings(deadline=None, max_examples=200)
@given(results(), st.randoms(use_true_random=False))
def test_front_equals_brute_force_in_any_order_and_batching(
    case: tuple[Floats, Floats, int], shuffle: random.Random
) -> None:
    objectives, total, population = case
    n, k = objectives.shape
    order = list(range(n)) + [i for i in range(n) if shuffle.random() < 0.1]  # some results come twice
    shuffle.shuffle(order)
    front = Front(k, population=population)
    while order:
        size = shuffle.randint(1, 20)
        batch, order = np.array(order[:size]), order[size:]
        front.add(batch, objectives[batch], total[batch])
    assert front.numbers.tolist() == brute_force(objectives, total)
    assert front.told == n
    at_once = Front(k, population=population)
    at_once.add(np.arange(n), objectives, total, final=True)
    assert at_once.members()[0].tolist() == front.members()[0].tolist()
    assert at_once.reference == front.reference
    assert at_once.hypervolume == front.hypervolume
    for mine, theirs in zip(at_once.history, front.history, strict=True):
        assert mine.tolist() == theirs.tolist()


def test_gaps_wait_or_are_passed_at_the_end() -> None:
    objectives = np.array([[1.0], [0.0], [-1.0]])
    front = Front(1, population=1)
    front.add(np.array([0, 40, 41]), objectives, np.zeros(3))
    assert (front.told, front.numbers.tolist()) == (1, [0])
    front.add(np.empty(0, int), np.empty((0, 1)), np.empty(0), final=True)
    assert (front.told, front.numbers.tolist()) == (42, [41])


def test_nothing_feasible_shows_the_least_violating() -> None:
    front = Front(2, population=4)
    total = np.array([3.0, 0.5, np.inf, 0.5, 1.0])
    front.add(np.arange(5), np.arange(10.0).reshape(5, 2), total)
    assert not front.feasible
    assert len(front) == 0
    assert front.members()[0].tolist() == [0, 1, 3, 4]
    assert front.hypervolume == 0.0
    front.add(np.arange(5, 40), np.full((35, 2), 9.0), np.full(35, 0.25))
    assert front.members()[0].tolist() == list(range(5, 15))
    front.add(np.array([40]), np.array([[50.0, 50.0]]), np.zeros(1))
    assert front.members()[0].tolist() == [40]
    assert (front.scored, front.feasible_count) == (40, 1)


def test_reference_is_of_the_first_feasible_population_in_candidate_order() -> None:
    objectives = np.array([[0.0, 10.0], [4.0, 20.0], [100.0, 100.0], [2.0, 15.0], [-50.0, -50.0]])
    total = np.array([0.0, 0.0, 1.0, np.inf, 0.0])
    front = Front(2, population=3)
    front.add(np.array([4, 3, 2]), objectives[[4, 3, 2]], total[[4, 3, 2]])
    assert front.scored == 0
    front.add(np.array([1, 0]), objectives[[1, 0]], total[[1, 0]])
    assert front.reference == Reference((4.4, 21.0), (4.4, 11.0))
    assert front.hypervolume == pytest.approx((54.4 / 4.4) * (71 / 11))
    assert Reference.from_dict(front.reference.to_dict()) == front.reference
    # Without a feasible one the infeasible ones count; equal values give a box that is not empty.
    assert Reference.of(objectives[2:3], total[2:3]) == Reference((110.0, 110.0), (10.0, 10.0))
    assert Reference.of(np.zeros((2, 1)), np.zeros(2)) == Reference((0.1,), (0.1,))


def test_history_is_bounded_grows_and_tells_the_gain() -> None:
    generator = np.random.default_rng(1)
    n = 40_000
    objectives = generator.random((n, 2)) + 0.5 * np.exp(-np.arange(n) / 5000)[:, None]
    front = Front(2, population=100)
    for start in range(0, n, 1000):
        front.add(np.arange(start, start + 1000), objectives[start : start + 1000], np.zeros(1000))
    told, volume = front.history
    assert 64 <= len(told) <= 129
    assert (np.diff(told) > 0).all()
    assert (np.diff(volume) >= 0).all()
    assert told[-1] == n
    assert volume[-1] == front.hypervolume
    by_hand = Front(2, population=100)
    by_hand.add(np.arange(n * 9 // 10), objectives[: n * 9 // 10], np.zeros(n * 9 // 10))
    assert by_hand.hypervolume is not None
    assert front.hypervolume is not None
    assert front.recent_gain() == pytest.approx(front.hypervolume / by_hand.hypervolume - 1, abs=5e-3)


def test_many_objectives_use_the_deterministic_approximation() -> None:
    import moocore

    points = np.random.default_rng(2).random((300, 5))
    reference = Reference((1.0,) * 5, (1.0,) * 5)
    assert reference.hypervolume(points) == reference.hypervolume(points)
    assert reference.hypervolume(points) == pytest.approx(
        moocore.hypervolume(points, ref=np.ones(5)), rel=1e-2
    )
    assert reference.hypervolume(points) >= reference.hypervolume(points[:200])


@given(st.integers(0, 2**32), st.integers(2, 40), st.integers(1, 4))
@settings(deadline=None, max_examples=50)
def test_crowding_equals_deap(seed: int, n: int, k: int) -> None:
    points = np.random.default_rng(seed).random((n, k))
    individuals = [SimpleNamespace(fitness=SimpleNamespace(values=tuple(point))) for point in points]
    assignCrowdingDist(individuals)
    expected = [individual.fitness.crowding_dist for individual in individuals]
    assert crowding(points) == pytest.approx(np.array(expected))


def test_thinning_keeps_the_ends_and_evens_the_rest() -> None:
    x = np.concatenate([np.linspace(0, 0.01, 900), np.linspace(0.02, 1, 100)])
    points = np.column_stack([x, 1 - x])
    kept = thin(points, 50)
    assert len(kept) == 50
    assert kept.tolist() == sorted(kept)
    assert {0, 999} <= set(kept.tolist())
    # Choosing the 50 of largest distance at once would keep next to nothing of the dense part or leave holes.
    assert np.diff(x[kept]).max() < 0.06
    assert thin(points, 1000).tolist() == list(range(1000))
    assert thin(np.zeros((4, 2)), 2).tolist() == [0, 3]
