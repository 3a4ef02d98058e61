from typing import Any

import numpy as np
import pytest

from passivbot.config.scoring import Limit, Objective, Scoring
from passivbot.errors import ConfigError, StudyError
from passivbot.study import Rows
from passivbot.study.select import METHODS, matching, pick
from passivbot.study.study import Results

# adg is better when larger: its objective is −adg.
SCORING = Scoring(
    (Objective("adg", -1), Objective("drawdown_worst", 1)), (Limit("gain", "gain", "lower", 1.0),)
)


def members(objectives: Any, *, total: Any = None, weights: tuple[int, ...] = (-1, 1)) -> Results:
    objectives = np.array(objectives, dtype=float)
    n = len(objectives)
    total = np.zeros(n) if total is None else np.array(total)
    scoring = SCORING
    names: tuple[str, ...] = ("adg", "drawdown_worst", "gain")
    if len(weights) != 2:
        names = tuple(f"m{i}" for i in range(len(weights)))
        scoring = Scoring(tuple(Objective(m, w) for m, w in zip(names, weights, strict=True)), ())
    metrics = np.full((n, len(names)), np.nan)
    metrics[:, : len(weights)] = objectives * np.array(weights)
    rows = Rows(
        np.arange(n) * 10,
        np.zeros((n, 1)),
        metrics,
        np.array(["ok"] * n),
        ("",) * n,
        np.zeros(n),
        (None,) * n,
        np.zeros(n),
        (None,) * n,
    )
    return Results(rows, ("p",), names, scoring, objectives, total[:, None], total)


KNEE = [[-1.0, 1.0], [-0.98, 0.7], [-0.9, 0.1], [-0.5, 0.06], [0.0, 0.0]]


def test_knee_is_the_bulge() -> None:
    assert pick(members(KNEE), "knee") == 2
    # On a plane none is below it: the first candidate.
    assert pick(members([[-1.0, 1.0], [-0.5, 0.5], [0.0, 0.0]]), "knee") == 0
    three = [[0, 1, 1], [1, 0, 1], [1, 1, 0], [0.3, 0.3, 0.3], [0.2, 0.6, 0.6]]
    assert pick(members(three, weights=(1, 1, 1)), "knee") == 3


def test_knee_does_not_depend_on_the_units() -> None:
    scaled = np.array(KNEE) * [1000.0, 1e-6] + [5.0, 3.0]
    assert pick(members(scaled), "knee") == 2


def test_knee_uses_the_plane_through_the_extremes() -> None:
    # The extremes' plane is not Σz = 1, so least Σz is not the farthest below it.
    three = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.2, 0.2, 1.0], [0.35, 0.45, 0.1], [0.0, 0.5, 0.5]])
    z = (three - three.min(axis=0)) / (three.max(axis=0) - three.min(axis=0))
    normal = np.linalg.solve(z[[0, 1, 2]], np.ones(3))
    distance = (1 - z @ normal) / np.linalg.norm(normal)
    assert pick(members(three, weights=(1, 1, 1)), "knee") == int(np.argmax(distance))


@pytest.mark.parametrize("method", ["ideal", "min", "weighted", "weighted:0", "utopian"])
def test_closest_to_the_best_values(method: str) -> None:
    assert pick(members([[-1.0, 1.0], [-0.6, 0.45], [-0.55, 0.35], [0.0, 0.0]]), method) == 2


def test_reference_takes_reported_values() -> None:
    front = members([[-1.0, 1.0], [-0.8, 0.5], [-0.3, 0.2], [0.0, 0.0]])
    assert pick(front, "reference:adg=0.8,drawdown_worst=0.5") == 1
    assert pick(front, "reference:adg=0.3,drawdown_worst=0.2") == 2
    # A wish for one alone: the best there, whatever the other.
    assert pick(front, "reference:adg=1.0") == 0
    assert pick(front, "reference:drawdown_worst=0") == 3


def test_weights() -> None:
    front = members([[-1.0, 1.0], [-0.7, 0.2], [0.0, 0.0]])
    assert pick(front, "weights") == 1
    assert pick(front, "weights:adg=1,drawdown_worst=0") == 0
    assert pick(front, "weights:adg=0") == 2
    assert pick(front, "weights:adg=10") == 0


def test_reference_modes_by_hand() -> None:
    front = members([[-1.0, 1.0], [-0.52, 0.5], [-0.1, 0.08], [0.0, 0.0]])
    assert pick(front, "midrange") == 1
    assert pick(front, "weighted:0.5") == 1
    assert pick(front, "weighted:adg=1,drawdown_worst=0") == 3
    assert pick(front, "percentile:50") == 1
    assert pick(front, "percentile:0") == pick(front, "min")
    values = front.objectives
    point = values.mean(axis=0)
    for _ in range(10):
        inverse = 1 / np.linalg.norm(values - point, axis=1)
        point = (values * inverse[:, None]).sum(axis=0) / inverse.sum()
    scaled = np.linalg.norm((values - point) / (values.max(axis=0) - values.min(axis=0)), axis=1)
    assert pick(front, "geomedian") == int(np.argmin(scaled))


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_on_small_and_flat_fronts(method: str) -> None:
    assert pick(members([[-1.0, 1.0]]), method) == 0
    # The second objective does not differ, so the first decides or nobody does; never a division by zero.
    assert pick(members([[-1.0, 1.0], [-1.0, 1.0]]), method) == 0
    with pytest.raises(StudyError, match="no scored candidate"):
        pick(members(np.empty((0, 2))), method)
    assert METHODS[method].__doc__


def test_nothing_feasible_takes_the_least_violating() -> None:
    assert pick(members([[-5.0, 0.0], [0.0, 1.0], [0.0, 2.0]], total=[2.0, 0.5, 0.5]), "knee") == 1


def test_objectives_restrict_the_choice() -> None:
    front = members(KNEE)
    assert pick(front, "ideal", ["adg"]) == 0
    assert pick(front, "ideal", ["drawdown_worst"]) == 4


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("kne", r"--pick is 'kne'; allowed is one of knee, .*\(nearest: knee\)"),
        ("knee:3", "allowed is knee without an argument"),
        ("weights:adg=x", "--pick is 'adg=x'; allowed is a number, or METRIC=NUMBER .*: adg, drawdown_worst"),
        ("weights:gain=1", "--pick is 'gain=1'; allowed is a number"),
        ("weights:-1", "weights of at least 0"),
        ("percentile:101", "a number from 0 to 100"),
    ],
)
def test_wrong_methods(method: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        pick(members(KNEE), method)


def test_where() -> None:
    front = members(KNEE)
    assert matching(front, "adg>=0.9").tolist() == [True, True, True, False, False]
    assert matching(front, "drawdown_worst < 0.1").tolist() == [False, False, False, True, True]
    assert matching(front, "drawdown_worst=0.1").tolist() == [False, False, True, False, False]
    assert matching(front, "gain<1e9").tolist() == [False] * 5  # null counts as +∞
    assert matching(front, "gain>1e9").tolist() == [True] * 5
    with pytest.raises(ConfigError, match="--where is 'adg'; allowed is METRIC<NUMBER"):
        matching(front, "adg")
    with pytest.raises(ConfigError, match="--where is 'adg<b'"):
        matching(front, "adg<b")
    with pytest.raises(
        StudyError, match=r"adgg is not logged by this study; it has adg, .* \(nearest: adg\)"
    ):
        matching(front, "adgg<1")
