"""The pieces under the searches: streams, duplicates, variation, Sobol points, settings, the registry."""

import random
from importlib.util import find_spec
from itertools import combinations

import numpy as np
import pytest

from cluster.search import Lagged, Problem, Result, Settings
from cluster.search.duplicates import Asked
from cluster.search.registry import SEARCHES, make_search, resolve_auto, settings_for
from cluster.search.sobol_points import CHUNK, SobolPoints
from cluster.search.streams import Purpose, seeded_random, stream
from cluster.search.variation import Variation
from passivbot.errors import ConfigError

from .problems import make_problem


def settings(**changes: float) -> Settings:
    return Settings.for_population(20, seed=1, **changes)  # type: ignore[arg-type]


# streams


def test_streams_differ_by_seed_number_and_purpose() -> None:
    keys = [(1, 0, Purpose.CANDIDATE), (0, 1, Purpose.CANDIDATE), (1, 1, Purpose.CANDIDATE)]
    keys += [(2**64 - 1, 0, Purpose.CANDIDATE), (1, 0, Purpose.SELECTION), (1, 0, Purpose.SAMPLER)]
    drawn = [stream(*key).random(4) for key in keys]
    assert all((a != b).all() for a, b in combinations(drawn, 2))
    assert (stream(*keys[0]).random(4) == drawn[0]).all()


def test_a_stream_is_numpys_philox_of_seed_and_number() -> None:
    # numpy guarantees the raw numbers of a bit generator, so a study can be continued with a later numpy
    raw = stream(12, 34).bit_generator.random_raw(2)
    assert raw.tolist() == np.random.Philox(key=np.array([12, 34], dtype=np.uint64)).random_raw(2).tolist()


def test_seeded_random_repeats_and_restores_even_after_an_error() -> None:
    random.seed(5)
    before = random.getstate()
    drawn = []

    def draw_and_fail() -> None:
        with seeded_random(stream(1, 2)):
            drawn.append(random.random())
            raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            draw_and_fail()
    assert drawn[0] == drawn[1]
    assert random.getstate() == before


# duplicates


def asked(low: list[float], high: list[float], digits: int) -> tuple[Asked, Problem]:
    problem = make_problem(low, high, 2, digits=digits)
    return Asked(problem.low, problem.high, problem.enforce, digits), problem


def test_a_new_vector_stays() -> None:
    known, _ = asked([0, 0], [10, 10], 4)
    known.add(np.array([1.0, 2.0]))
    assert known.unique(np.array([1.0, 3.00049]), stream(1, 1)).tolist() == [1.0, 3.0]


def test_a_repetition_moves_by_a_percent_within_bounds() -> None:
    known, _ = asked([0, 5, 0], [10, 5, 2.0], 4)
    known.add(np.array([1.0, 5.0, 2.0]))
    moved = [known.unique(np.array([1.00001, 5.0, 2.0]), stream(1, n)) for n in range(20)]
    assert all(0 < abs(v[0] - 1.0) <= 0.01 for v in moved)
    assert all(v[1] == 5.0 and 1.98 <= v[2] <= 2.0 for v in moved)
    again = known.unique(np.array([1.00001, 5.0, 2.0]), stream(1, 7))
    assert again.tobytes() == moved[7].tobytes()


def test_the_ladder_climbs_until_something_is_free() -> None:
    # one digit: 1 % does nothing; steps of 1 and small noise are taken; so it takes a larger change
    known, _ = asked([1], [9], 1)
    for value in (4.0, 5.0, 6.0):
        known.add(np.array([value]))
    found = {known.unique(np.array([5.0]), stream(1, n))[0] for n in range(200)}
    assert found >= {1.0, 2.0, 3.0, 7.0, 8.0, 9.0}


def test_one_unit_of_the_last_digit_also_at_zero() -> None:
    known, _ = asked([-1], [1], 3)
    known.add(np.array([0.0]))
    # 0 x 1.01 is 0; the next rung moves by (hi - lo) x 10^-2 every other time
    found = [float(known.unique(np.array([0.0]), stream(1, n))[0]) for n in range(60)]
    assert sum(abs(abs(x) - 0.02) < 1e-12 for x in found) > 15
    assert 0.0 not in found


def test_when_everything_was_asked_the_vector_comes_again() -> None:
    known, _ = asked([1], [3], 1)
    for value in (1.0, 2.0, 3.0):
        known.add(np.array([value]))
    assert known.unique(np.array([2.2]), stream(1, 1)).tolist() == [2.0]


def test_minus_zero_is_zero() -> None:
    known, _ = asked([-1], [1], 3)
    known.add(np.array([0.0]))
    assert known.unique(np.array([-0.0]), stream(1, 1)).tolist() != [0.0]


# variation


@pytest.mark.parametrize("shares", [(1.0, 0.0), (0.0, 1.0), (0.6, 0.3)])
def test_children_lie_within_bounds_and_keep_what_is_fixed(shares: tuple[float, float]) -> None:
    problem = make_problem([0, 3, -5, 1e-9], [1, 3, 5, 2e-9], 2)
    variation = Variation(
        problem, settings(crossover_probability=shares[0], mutation_probability=shares[1], mutation_indpb=0.5)
    )
    rng = np.random.default_rng(1)
    parents = problem.low + rng.random((10, 4)) * (problem.high - problem.low)
    children = np.array([variation.child(parents, stream(1, n)) for n in range(300)])
    assert ((children >= problem.low) & (children <= problem.high)).all()
    changed = (children[:, None, :] != parents[None]).any(axis=2).all(axis=1).mean()
    # half of the components cross or mutate, so one child in eight is its parent by chance
    assert changed == pytest.approx(sum(shares) * 7 / 8, abs=0.08)


def test_a_single_parent_mutates() -> None:
    problem = make_problem([0, 0], [1, 1], 2)
    variation = Variation(problem, settings(crossover_probability=1.0, mutation_probability=0.0))
    children = [variation.child(np.array([[0.5, 0.5]]), stream(1, n)) for n in range(40)]
    assert len({child.tobytes() for child in children}) > 20


def test_indpb_zero_is_one_over_the_free_components() -> None:
    problem = make_problem([0] * 10 + [1] * 5, [1] * 15, 2)
    variation = Variation(problem, settings(crossover_probability=0.0, mutation_probability=1.0))
    parent = np.r_[np.full(10, 0.5), np.ones(5)]
    mutated = [(variation.child(parent[None], stream(1, n)) != parent).sum() for n in range(2000)]
    assert np.mean(mutated) == pytest.approx(1.0, abs=0.08)


# Sobol


def test_sobol_points_by_index_in_any_order() -> None:
    points = SobolPoints(7, seed=3)
    indices = [0, 1, 5, CHUNK - 1, CHUNK, 3 * CHUNK + 2, 2, 2 * CHUNK]
    jumping = [points.point(k).copy() for k in indices]
    straight = SobolPoints(7, seed=3)
    rows = [straight.point(k).copy() for k in range(3 * CHUNK + 3)]
    for k, point in zip(indices, jumping, strict=True):
        np.testing.assert_array_equal(point, rows[k])
    assert (SobolPoints(7, seed=4).point(0) != rows[0]).all()


def test_sobol_points_cover_the_space_evenly() -> None:
    sobol = SobolPoints(58, seed=1)
    points = np.array([sobol.point(k) for k in range(64)])
    # every component has exactly one point in each 64th of its range; random points leave a third empty
    for column in points.T:
        assert len(set((column * 64).astype(int))) == 64


# settings, results, registry


def test_defaults_follow_from_the_population_alone() -> None:
    made = Settings.for_population(300, seed=4)
    assert (made.lag, made.block, made.sobol) == (100, 37, 300)
    made = Settings.for_population(12, seed=4, offspring_multiplier=0.25)
    assert (made.lag, made.block, made.sobol) == (8, 3, 12)
    assert Settings.for_population(12, seed=4, offspring_multiplier=-1.0).block == 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"population": 1}, "population is 1"),
        ({"lag": 0}, "lag is 0"),
        ({"seed": 2**64}, "seed is 18446744073709551616"),
        ({"seed": -1}, "seed is -1"),
        ({"crossover_probability": 0.8, "mutation_probability": 0.3}, "together <= 1"),
        ({"mutation_probability": float("nan")}, "together <= 1"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, float], message: str) -> None:
    values = {"population": 10, "seed": 1, "lag": 3, "block": 2, "sobol": 10, **changes}
    with pytest.raises(ConfigError, match=message):
        Settings(**values)  # type: ignore[arg-type]


def test_model_based_searches_start_short() -> None:
    problem = make_problem([0.0] * 30 + [1.0] * 28, [1.0] * 58, 3)
    made = settings_for("tpe", problem, 1000, seed=1)
    assert (made.sobol, made.lag) == (30, 10)
    assert settings_for("nsga2", problem, 1000, seed=1).sobol == 1000
    assert settings_for("tpe", problem, 1000, seed=1, sobol=50, lag=2).sobol == 50


def test_auto_takes_what_suits_the_budget() -> None:
    assert [resolve_auto(n, 2) for n in (100, 500, 501, 10**6)] == ["tpe", "tpe", "nsga2", "nsga2"]
    assert resolve_auto(10**5, 4) == "nsga3"
    assert {resolve_auto(n, k) for n in (10, 10**5) for k in (1, 2, 3, 4, 9)} <= set(SEARCHES)


def test_unknown_search_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="nsga2, nsga3, tpe, optuna-nsga3, gp, sobol, random"):
        make_search("nsga4", make_problem([0], [1], 1), settings())


@pytest.mark.skipif(find_spec("torch") is not None, reason="torch is installed")
def test_gp_without_torch_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r"pip install 'passivbot-cluster\[gp\]'"):
        make_search("gp", make_problem([0], [1], 1), settings())


def test_results_that_are_not_finite_failed() -> None:
    assert Result.of([1.0, 2.0], 0.5, 2).violation == 0.5
    for objectives, violation in (([1.0, np.nan], 0.0), ([1.0, 2.0], np.inf), (None, 0.0)):
        assert Result.of(objectives, violation, 2).failed
    with pytest.raises(ValueError, match="objectives have shape"):
        Result.of([1.0], 0.0, 2)


def test_problem_refuses_reversed_and_unequal_bounds() -> None:
    for low, high in (([1.0], [0.0]), ([0.0, 0.0], [1.0]), ([np.nan], [1.0])):
        with pytest.raises(ValueError, match="bounds"):
            Problem(np.array(low), np.array(high), lambda m: m, 2)


# the lag


def lagged(name: str = "nsga2", schedule: list[tuple[int, int]] | None = None) -> Lagged:
    search = make_search(name, make_problem([0, 0], [1, 1], 2), settings(lag=5, block=4))
    return Lagged(search, schedule)


def test_readiness_follows_lag_and_block() -> None:
    run = lagged()
    # the first block of 4 is told before candidate 8: the first n with n - 5 + 1 >= 4
    for n in range(8):
        assert run.ready(n)
        run.ask(n)
    assert not run.ready(8)
    assert run.waiting_for() == 0
    with pytest.raises(RuntimeError, match="needs the result of candidate 0"):
        run.ask(8)
    for n in (3, 1, 0, 7):
        assert run.submit(n, [1.0, 2.0], 0.0)
    assert run.waiting_for() == 2
    run.submit(2, None, np.inf)
    assert run.ready(8)
    assert run.waiting_for() is None


def test_searches_that_learn_nothing_wait_for_nothing() -> None:
    run = lagged("sobol")
    for n in range(200):
        assert run.ready(n)
        run.ask(n)
    assert run.submit(150, [1.0, 1.0], 0.0)


def test_the_first_result_counts() -> None:
    run = lagged()
    run.ask(0)
    assert not run.known(0)
    assert run.submit(0, [1.0, 1.0], 0.0)
    assert run.known(0)
    assert not run.submit(0, [5.0, 5.0], 0.0)


def test_misuse_is_refused() -> None:
    run = lagged()
    run.ask(0)
    for wrong in (lambda: run.ask(2), lambda: run.ready(0), lambda: run.submit(1, None, 0.0)):
        with pytest.raises(ValueError, match="candidate"):
            wrong()
    with pytest.raises(RuntimeError, match="restore"):
        run.restore([])
    with pytest.raises(ValueError, match="told candidate 1"):
        run.search.tell(1, np.zeros(2), Result.of([1.0, 1.0], 0.0, 2))
    for schedule in ([], [(1, 5)], [(0, 5), (0, 6)], [(0, 0)]):
        with pytest.raises(ValueError, match="schedule"):
            lagged(schedule=schedule)
