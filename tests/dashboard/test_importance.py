"""Shares of variance: against known dependences, and against scipy's analysis of variance."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import f_oneway, rankdata

from passivbot.config.scoring import Limit, Objective, Scoring
from passivbot.study import Rows
from passivbot.study.serve.importance import BINS, importance
from passivbot.study.study import Results

NAMES = ("straight", "falling", "humped", "idle", "constant")


def results(count: int, seed: int = 5, weight: int = -1) -> Results:
    """Objective m = 2 straight − falling, and n with its best value in the middle of ``humped``."""
    random = np.random.default_rng(seed)
    x = random.random((count, len(NAMES)))
    x[:, 4] = 0.5
    metrics = np.column_stack([np.exp(2 * x[:, 0] - x[:, 1]), -((x[:, 2] - 0.5) ** 2)])
    scoring = Scoring((Objective("m", weight), Objective("n", 1)), tuple[Limit, ...]())
    return made(x, metrics, scoring)


def made(x: NDArray[np.float64], metrics: NDArray[np.float64], scoring: Scoring) -> Results:
    count = len(x)
    rows = Rows(
        numbers=np.arange(count),
        parameters=x,
        metrics=metrics,
        status=np.full(count, "ok"),
        worker=("w",) * count,
        seconds=np.zeros(count),
        error=(None,) * count,
        logged=np.zeros(count),
        stopped=(None,) * count,
    )
    objectives, violations, total = scoring.evaluate(("m", "n"), metrics)
    return Results(rows, NAMES, ("m", "n"), scoring, objectives, violations, total)


def test_what_decides_comes_first_and_what_does_not_is_nothing() -> None:
    found = importance(results(2000), NAMES)
    assert found is not None
    share, sign = found["share"], found["correlation"]
    assert share["m"][0] > 3 * share["m"][1] > 0.3
    assert share["n"][2] > 0.9
    assert abs(sign["n"][2]) < 0.1, "rank correlation is blind to it"
    assert max(share["m"][2:] + share["n"][:2]) < 0.02
    assert share["m"][4] == share["n"][4] == sign["m"][4] == 0.0
    assert sign["m"][0] > 0.5
    assert sign["m"][1] < -0.2


def test_the_sign_is_that_of_the_metric_whatever_its_direction() -> None:
    one, other = importance(results(500, weight=1), NAMES), importance(results(500, weight=-1), NAMES)
    assert one is not None
    assert other is not None
    assert one["correlation"] == other["correlation"]
    assert one["share"] == other["share"]


@pytest.mark.parametrize("count", [60, 997, 2000])
def test_the_share_follows_from_the_f_of_scipy(count: int) -> None:
    """With F of k and n − k degrees: ε² = (F − 1) k' ÷ (F k' + n − k' − 1), k' = bins − 1."""
    made = results(count)
    ranks = rankdata(made.rows.metrics[:, 0])
    bins = ((rankdata(made.rows.parameters[:, 0]) - 1) * BINS // count).astype(int)
    f = f_oneway(*(ranks[bins == b] for b in range(BINS))).statistic
    k = BINS - 1
    found = importance(made, NAMES)
    assert found is not None
    assert found["share"]["m"][0] == pytest.approx((f - 1) * k / (f * k + count - BINS), abs=1e-4)


def test_chance_alone_is_near_nothing() -> None:
    """Uncorrected, 60 candidates in ten bins explain 15 % by chance."""
    values = []
    for seed in range(40):
        found = importance(results(60, seed), NAMES)
        assert found is not None
        values.append(found["share"]["m"][3])
    assert np.mean(values) < 0.07


def test_too_few_say_nothing_and_the_unscored_are_left_out() -> None:
    assert importance(results(49), NAMES) is None
    some = results(200)
    metrics = some.rows.metrics.copy()
    metrics[::2, 0] = np.nan
    found = importance(made(some.rows.parameters, metrics, some.scoring), NAMES)
    assert found is not None
    assert found["candidates"] == 100
