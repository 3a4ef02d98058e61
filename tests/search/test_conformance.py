"""What every search must keep of its contract, whatever proposes the candidates."""

import hashlib
import random
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import pytest

from cluster.search import Lagged, Problem, Settings
from cluster.search.registry import SEARCHES, make_search

from .problems import (
    Array,
    Case,
    LoggedResult,
    Outcome,
    bowls,
    drive,
    dtlz2,
    make_problem,
    osyczka,
    restore,
    vectors,
    zdt1,
    zdt4,
)

NEEDS_TORCH = pytest.mark.skipif(
    find_spec("torch") is None, reason="needs the extra gp: torch, which the test environment leaves out"
)
ALL = [pytest.param(name, marks=NEEDS_TORCH if name == "gp" else ()) for name in SEARCHES]
LEARNING = [p for p in ALL if p.values[0] not in ("sobol", "random")]
every_search = pytest.mark.parametrize("name", ALL)
learning_search = pytest.mark.parametrize("name", LEARNING)

LAG, BLOCK = 6, 4
COUNT = {"tpe": 40, "gp": 18}
"""Candidates a run, where a model makes each of them slow."""


def count(name: str) -> int:
    return COUNT.get(name, 90)


def settings(seed: int = 7, **changes: float) -> Settings:
    values: dict[str, float] = {"population": 12, "lag": LAG, "block": BLOCK, "sobol": 12}
    return Settings(seed=seed, **{**values, **changes})  # type: ignore[arg-type]


def fresh(name: str, problem: Problem, **changes: float) -> Lagged:
    return Lagged(make_search(name, problem, settings(**changes)))


def run(name: str, case: Case, order: random.Random | None = None, **changes: float) -> list[LoggedResult]:
    return drive(fresh(name, case.problem, **changes), case.evaluate, count(name), order=order)


@every_search
def test_candidates_are_admissible(name: str) -> None:
    problem = bowls().problem
    asked = vectors(run(name, bowls()))
    assert asked.shape == (count(name), 4)
    assert (asked >= problem.low).all()
    assert (asked <= problem.high).all()
    assert (asked[:, 1] == 0.25).all()
    np.testing.assert_array_equal(problem.enforce(asked), asked)


@every_search
def test_no_candidate_twice_on_a_coarse_grid(name: str) -> None:
    # two significant digits in so small a range leave 21 x 11 x 11 vectors
    problem = make_problem([1.0, 2.0, 4.0], [3.0, 3.0, 5.0], 2, digits=2)
    case = Case(problem, lambda x: (np.array([x.sum(), (x**2).sum()]), 0.0))
    asked = vectors(run(name, case))
    assert len({row.tobytes() for row in asked}) == len(asked)


@every_search
def test_equal_runs_are_equal_to_the_bit(name: str) -> None:
    first, second, other = (vectors(run(name, bowls(), seed=seed)) for seed in (7, 7, 8))
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != other.tobytes()


@every_search
def test_order_of_arrival_changes_nothing(name: str) -> None:
    expected = vectors(run(name, bowls()))
    for seed in range(3):
        log = run(name, bowls(), random.Random(seed))
        assert [row.number for row in log] != sorted(row.number for row in log)
        assert vectors(log).tobytes() == expected.tobytes()


@every_search
@pytest.mark.parametrize("size", [5, 1000])
def test_asked_and_told_in_blocks_it_is_the_same(name: str, size: int) -> None:
    case = bowls()
    expected = vectors(run(name, case))
    lagged, order = fresh(name, case.problem), random.Random(size)
    flight: list[tuple[int, Array]] = []
    found: dict[int, Array] = {}
    while len(found) < count(name):
        numbers, asked = lagged.ask_block(size, count(name))
        flight += zip(numbers.tolist(), asked, strict=True)
        order.shuffle(flight)
        done, flight = flight[:9], flight[9:]
        results = [case.evaluate(x) for _, x in done]
        assert lagged.submit_block(
            np.array([n for n, _ in done]),
            np.array([np.full(2, np.nan) if o is None else o for o, _ in results]),
            np.array([v for _, v in results]),
        ) == len(done)
        found.update(done)
    assert np.array([found[n] for n in range(count(name))]).tobytes() == expected.tobytes()


@pytest.mark.parametrize(("name", "expected"), [("nsga2", "cb9e30040a6090cb"), ("nsga3", "c2f2b4c927f0d480")])
def test_studies_of_scheme_1_keep_their_candidates(name: str, expected: str) -> None:
    """Digests of what the first version asked."""
    lagged = fresh(name, dtlz2().problem, scheme=1)
    asked = vectors(drive(lagged, dtlz2().evaluate, 300, order=random.Random(1)))
    assert hashlib.sha256(asked.tobytes()).hexdigest()[:16] == expected
    newer = fresh(name, dtlz2().problem)
    assert vectors(drive(newer, dtlz2().evaluate, 300)).tobytes() != asked.tobytes()


@every_search
def test_global_random_state_is_neither_read_nor_left_changed(name: str) -> None:
    logs = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the global state is what this is about
        before = random.getstate(), repr(np.random.get_state())  # noqa: NPY002
        logs.append(vectors(run(name, bowls())))
        assert (random.getstate(), repr(np.random.get_state())) == before  # noqa: NPY002
    assert logs[0].tobytes() == logs[1].tobytes()


@every_search
def test_results_behind_the_lag_change_nothing(name: str) -> None:
    case, last = bowls(), count(name) - 1
    expected = vectors(run(name, case))
    for n in range(last - BLOCK + 1, last + 1):
        # the first `known` evaluations are as ever, all later ones different
        known = n - LAG + 1
        changed = vectors(drive(fresh(name, case.problem), _altered_from(known, case), n + 1))
        assert changed.tobytes() == expected[: n + 1].tobytes()


@learning_search
def test_results_before_the_lag_do_change_candidates(name: str) -> None:
    case = bowls()
    expected = vectors(run(name, case))
    changed = vectors(drive(fresh(name, case.problem), _altered_from(0, case), count(name)))
    assert (changed[:12] == expected[:12]).all()
    assert (changed[12:] != expected[12:]).any()


def _altered_from(first: int, case: Case) -> Callable[[Array], Outcome]:
    """Return an evaluation whose results are others from the given call on; it is called in order."""
    calls = iter(range(10**6))

    def evaluate(x: Array) -> Outcome:
        # better than anything else, so that no search can overlook it
        return case.evaluate(x) if next(calls) < first else (-10.0 - x[[0, 2]], 0.0)

    return evaluate


@every_search
def test_failed_is_failed_however_it_is_told(name: str) -> None:
    case = bowls()

    def run_with(failure: Outcome) -> Array:
        return vectors(
            drive(
                fresh(name, case.problem),
                lambda x: failure if np.sin(1e4 * x[2]) < -0.3 else case.evaluate(x),
                count(name),
            )
        )

    failures: list[Outcome] = [
        (None, 0.0),
        (np.array([np.nan, 1.0]), 0.0),
        (np.array([1.0, np.inf]), 0.0),
        (np.array([-1e9, -1e9]), float("inf")),
        (np.array([-1e9, -1e9]), float("nan")),
    ]
    runs = {run_with(failure).tobytes() for failure in failures}
    assert len(runs) == 1


@every_search
@pytest.mark.parametrize("outcome", [(None, float("inf")), (np.array([1.0, 1.0]), 2.0)])
def test_nothing_feasible_still_moves(name: str, outcome: Outcome) -> None:
    asked = vectors(drive(fresh(name, bowls().problem), lambda x: outcome, count(name)))
    assert len({row.tobytes() for row in asked}) == len(asked)
    assert asked[-6:, [0, 2]].std(axis=0).min() > 0


@every_search
def test_killed_and_restored_at_any_point_goes_on_the_same(name: str) -> None:
    case, order = bowls(), random.Random(5)
    expected = vectors(run(name, case))
    log: list[LoggedResult] = []
    flight: list[tuple[int, Array]] = []
    lagged = fresh(name, case.problem)
    for stop in (3, 14, count(name) // 2, count(name) - 1):
        log += drive(lagged, case.evaluate, stop, order=order, flight=flight, finish=False)
        lagged = fresh(name, case.problem)  # killed: what was in flight is lost
        flight = restore(lagged, order.sample(log, len(log)))
        assert all(vector.tobytes() == expected[n].tobytes() for n, vector in flight)
    log += drive(lagged, case.evaluate, count(name), order=order, flight=flight)
    assert [row.number for row in sorted(log, key=lambda row: row.number)] == list(range(count(name)))
    assert vectors(log).tobytes() == expected.tobytes()


@every_search
def test_restored_from_a_log_that_misses_what_others_depended_on(name: str) -> None:
    case = bowls()
    log = run(name, case)
    lost = {2, 9, 10, count(name) - 4}
    lagged = fresh(name, case.problem)
    again = drive(
        lagged,
        case.evaluate,
        count(name),
        flight=restore(lagged, [row for row in log if row.number not in lost]),
    )
    assert {row.number for row in again} == lost
    assert all(row.vector.tobytes() == log[row.number].vector.tobytes() for row in again)
    # and the search is where it would be otherwise
    whole = fresh(name, case.problem)
    restore(whole, log)
    assert lagged.ask(count(name)).tobytes() == whole.ask(count(name)).tobytes()


QUALITY = [
    *((name, make, 1500, 40) for name in ("nsga2", "nsga3") for make in (zdt1, zdt4, dtlz2)),
    *(("optuna-nsga3", make, 500, 20) for make in (zdt1, dtlz2)),
    *(("tpe", make, 100, 15) for make in (lambda: zdt1(8), lambda: dtlz2(6))),
    *(("gp", make, 40, 12) for make in (lambda: zdt1(4),)),
]


@pytest.mark.parametrize(
    ("name", "make", "budget", "population"),
    [
        pytest.param(*row, marks=NEEDS_TORCH if row[0] == "gp" else (), id=f"{row[0]}-{i}")
        for i, row in enumerate(QUALITY)
    ],
)
def test_better_than_random(name: str, make: Callable[[], Case], budget: int, population: int) -> None:
    case = make()
    reached = {
        search: case.hypervolume(
            drive(fresh(search, case.problem, population=population, sobol=population), case.evaluate, budget)
        )
        for search in (name, "random")
    }
    assert reached[name] > 1.05 * reached["random"] > 0


@pytest.mark.parametrize(
    ("name", "budget"), [("nsga2", 1000), ("nsga3", 1000), ("optuna-nsga3", 500), ("tpe", 100)]
)
def test_constraints_lead_to_the_feasible_part(name: str, budget: int) -> None:
    case = osyczka()
    late = {}
    for search in (name, "random"):
        log = drive(fresh(search, case.problem, population=20, sobol=20), case.evaluate, budget)
        late[search] = sum(row.violation == 0 for row in log[-budget // 3 :]) / (budget // 3)
    assert late["random"] < 0.1
    assert late[name] > 0.25


@every_search
def test_the_start_is_seeds_then_their_neighbours_then_the_space(name: str) -> None:
    problem = make_problem([-1, 0, 0], [1, 2, 2], 2, seeds=[[0.5, 1.0, 1.0], [-0.5, 3.0, 0.123456789]])
    case = Case(problem, lambda x: (np.array([x.sum(), -x[0]]), 0.0))
    asked = vectors(run(name, case))
    np.testing.assert_array_equal(asked[0], [0.5, 1.0, 1.0])
    np.testing.assert_array_equal(asked[1], [-0.5, 2.0, 0.123457])
    if SEARCHES[name].learns:
        for copy in asked[2:6]:
            assert min(np.abs(copy - seed).max() for seed in asked[:2]) < 0.03
    assert np.abs(asked[6:12] - asked[0]).max() > 0.5


@every_search
@pytest.mark.parametrize(
    ("low", "high", "objectives"),
    [
        pytest.param([1.0, 2.0], [1.0, 2.0], 2, id="nothing free"),
        pytest.param([1.0, 0.0], [1.0, 2.0], 2, id="one component free"),
        pytest.param([0.0] * 4, [1.0] * 4, 1, id="one objective"),
        pytest.param([-1e-12] * 3, [1e9] * 3, 5, id="five objectives, wide range"),
    ],
)
def test_small_and_odd_problems(name: str, low: list[float], high: list[float], objectives: int) -> None:
    problem = make_problem(low, high, objectives)
    case = Case(problem, lambda x: (np.array([(x - i).sum() ** 2 for i in range(objectives)]), 0.0))
    lagged = fresh(name, problem, population=4, sobol=4, lag=2, block=3)
    asked = vectors(drive(lagged, case.evaluate, 25))
    assert ((asked >= problem.low) & (asked <= problem.high)).all()
    assert len({row.tobytes() for row in asked}) == (25 if len(problem.free) else 1)


@every_search
def test_more_seeds_than_population_and_start(name: str) -> None:
    seeds = np.random.default_rng(3).random((9, 2))
    problem = make_problem([0, 0], [1, 1], 2, seeds=seeds.tolist())
    case = Case(problem, lambda x: (x.copy(), 0.0))
    lagged = fresh(name, problem, population=4, sobol=4, lag=2)
    asked = vectors(drive(lagged, case.evaluate, 20))
    np.testing.assert_array_equal(asked[:9], problem.enforce(problem.seeds))


@every_search
def test_lag_longer_than_the_start(name: str) -> None:
    case = bowls()
    asked = vectors(drive(fresh(name, case.problem, lag=20, sobol=8), case.evaluate, 40))
    assert len({row.tobytes() for row in asked}) == 40


@every_search
def test_lag_changed_on_resume(name: str) -> None:
    case = bowls()
    changed = count(name) - 10
    log = run(name, case)[:changed]
    schedule = [(0, LAG), (changed, 15), (changed + 6, 2)]

    def resumed(order: random.Random | None) -> Array:
        lagged = Lagged(make_search(name, case.problem, settings()), schedule)
        flight = restore(lagged, log)
        assert (lagged.next_number, lagged.lag) == (changed, 15)
        return vectors(log + drive(lagged, case.evaluate, count(name), order=order, flight=flight))

    assert resumed(None).tobytes() == resumed(random.Random(1)).tobytes()
