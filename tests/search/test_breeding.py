"""Children made many at a time: DEAP's operators, and the same child whoever makes it."""

from collections.abc import Iterator

import deap.tools.crossover
import deap.tools.mutation
import numpy as np
import pytest

from cluster.search import Settings
from cluster.search.breeding import Breeding

from .problems import make_problem

LOW = [0.0, 3.0, -5.0, 1e-9, 10.0]
HIGH = [1.0, 3.0, 5.0, 2e-9, 1e6]
PROBLEM = make_problem(LOW, HIGH, 2)
FREE = [0, 2, 3, 4]


def breeding(**changes: float) -> Breeding:
    return Breeding(PROBLEM, Settings.for_population(20, seed=9, **changes))  # type: ignore[arg-type]


def population(size: int) -> np.ndarray:
    rng = np.random.default_rng(size)
    vectors = PROBLEM.low + rng.random((size, 5)) * (PROBLEM.high - PROBLEM.low)
    vectors[rng.random(vectors.shape) < 0.1] = np.inf  # some on a bound, some equal to others'
    return np.minimum(vectors, PROBLEM.high)


class Scripted:
    """What DEAP draws from in place of ``random``."""

    def __init__(self, draws: Iterator[float]):
        self.random = lambda: next(draws)


def crossover_draws(
    whether: np.ndarray, where: np.ndarray, side: np.ndarray, distinct: np.ndarray
) -> Iterator[float]:
    for i in range(len(whether)):
        yield whether[i]
        if whether[i] <= 0.5 and distinct[i]:
            yield where[i]
            yield side[i]


def test_crossover_is_deaps(monkeypatch: pytest.MonkeyPatch) -> None:
    made = breeding(crossover_probability=1.0, mutation_probability=0.0)
    parents = population(7)
    children = made.children(parents, 0, 400)
    draws = made.draws(0, 400)
    low, high = PROBLEM.low[FREE].tolist(), PROBLEM.high[FREE].tolist()
    for child, row in zip(children, draws, strict=True):
        first, second = int(row[1] * 7), int(row[2] * 6)
        second += second >= first
        one, other = parents[first][FREE].tolist(), parents[second][FREE].tolist()
        distinct = np.abs(np.subtract(one, other)) > 1e-14
        script = crossover_draws(*row[4:].reshape(3, 4), distinct)
        monkeypatch.setattr(deap.tools.crossover, "random", Scripted(script))
        deap.tools.crossover.cxSimulatedBinaryBounded(one, other, 20.0, low, high)
        assert next(script, None) is None  # DEAP drew all of them, and from here
        np.testing.assert_allclose(child[FREE], one, rtol=1e-12)
        assert child[1] == 3.0


def test_mutation_is_deaps(monkeypatch: pytest.MonkeyPatch) -> None:
    made = breeding(crossover_probability=0.0, mutation_probability=1.0, mutation_indpb=0.6)
    parents = population(7)
    children = made.children(parents, 50, 400)
    low, high = PROBLEM.low[FREE].tolist(), PROBLEM.high[FREE].tolist()
    changed = 0
    for child, row in zip(children, made.draws(50, 400), strict=True):
        one = parents[int(row[1] * 7)][FREE].tolist()
        whether, where, _ = row[4:].reshape(3, 4)
        script = (x for i in range(4) for x in (whether[i], *([where[i]] if whether[i] <= 0.6 else [])))
        monkeypatch.setattr(deap.tools.mutation, "random", Scripted(script))
        deap.tools.mutation.mutPolynomialBounded(one, 20.0, low, high, 0.6)
        np.testing.assert_allclose(child[FREE], one, rtol=1e-12)
        changed += int((child != parents[int(row[1] * 7)]).sum())
    assert changed == pytest.approx(400 * 4 * 0.6, rel=0.1)


def test_a_child_is_the_same_however_many_are_made_at_once() -> None:
    made, parents = breeding(), population(20)
    together = made.children(parents, 1000, 60)
    for size in (1, 7, 60):
        parts = [breeding().children(parents, 1000 + i, min(size, 60 - i)) for i in range(0, 60, size)]
        assert np.concatenate(parts).tobytes() == together.tobytes()
    assert made.children(parents, 1001, 59).tobytes() == together[1:].tobytes()
    assert len({child.tobytes() for child in together}) > 55


def test_draws_are_numpys_philox_and_no_child_shares_any() -> None:
    # numpy guarantees the raw numbers of a bit generator, so a study can be continued with a later numpy
    draws = breeding().draws(3, 2)
    bits = np.random.Philox(key=np.array([9, 0], np.uint64), counter=np.array([3 * 4, 0, 0, 4], np.uint64))
    raw = bits.random_raw(32).reshape(2, 16)
    assert ((raw >> np.uint64(11)) * 2.0**-53).tolist() == draws.tolist()
    many = breeding().draws(0, 2000)
    assert len(np.unique(many)) == many.size
    assert abs(many.mean() - 0.5) < 0.01


@pytest.mark.parametrize("shares", [(1.0, 0.0), (0.0, 1.0), (0.6, 0.3)])
def test_children_lie_within_bounds_and_their_kinds_have_their_shares(shares: tuple[float, float]) -> None:
    made = breeding(crossover_probability=shares[0], mutation_probability=shares[1], mutation_indpb=0.5)
    rng = np.random.default_rng(1)
    parents = PROBLEM.low + rng.random((10, 5)) * (PROBLEM.high - PROBLEM.low)
    children = made.children(parents, 0, 3000)
    assert ((children >= PROBLEM.low) & (children <= PROBLEM.high)).all()
    changed = (children[:, None, :] != parents[None]).any(axis=2).all(axis=1).mean()
    # half of the components cross or mutate, so one child in sixteen is its parent by chance
    assert changed == pytest.approx(sum(shares) * 15 / 16, abs=0.03)


def test_a_single_parent_mutates() -> None:
    made = breeding(crossover_probability=1.0, mutation_probability=0.0)
    children = made.children(population(1), 0, 100)
    assert len({child.tobytes() for child in children}) > 50
