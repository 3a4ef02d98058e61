"""Metrics become objectives and violations."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passivbot.config import Limit, Objective, ParameterSpace, Scoring, WarmupRule, load_config
from passivbot.config.load import load_mapping


def scoring(*, btc: bool = False, **optimize: Any) -> Scoring:
    raw = {"bot": {}, "live": {}, "optimize": optimize, "backtest": {"use_btc_collateral": btc}}
    return Scoring.from_config(load_mapping(raw, Path("c.json")).config)


def test_objectives_and_limits_of_a_configuration() -> None:
    found = scoring(
        scoring=["sharpe_ratio", "drawdown_worst"],
        limits={
            "penalize_if_lower_than_gain": 1.1,
            "adg": 0.001,
            "drawdown_worst": 0.3,
            "penalize_if_greater_than_adg": 0.5,
            "penalize_if_greater_than_btc_drawdown_worst": 0.1,
        },
    )
    assert found.objectives == (Objective("drawdown_worst", 1), Objective("sharpe_ratio", -1))
    assert found.limits == (
        Limit("adg", "adg", "lower", 0.001),
        Limit("drawdown_worst", "drawdown_worst", "greater", 0.3),
        Limit("penalize_if_greater_than_adg", "adg", "greater", 0.5),
        Limit("penalize_if_lower_than_gain", "gain", "lower", 1.1),
    )
    assert found.metrics == ("adg", "drawdown_worst", "gain", "sharpe_ratio")


def test_btc_limits_count_with_btc_collateral() -> None:
    limits = {"penalize_if_greater_than_btc_total_wallet_exposure_max": 3}
    found = scoring(btc=True, scoring=["btc_adg"], limits=limits)
    assert [limit.metric for limit in found.limits] == ["btc_total_wallet_exposure_max"]


def test_limits_that_stay_broken() -> None:
    """Upper limits on what never falls; of two on one metric the smaller."""
    limits = {
        "drawdown_worst": 0.4,
        "penalize_if_greater_than_drawdown_worst": 0.3,
        "penalize_if_lower_than_position_held_hours_max": 1.0,
        "penalize_if_greater_than_btc_drawdown_worst": 0.2,
        "position_unchanged_hours_max": 300.0,
        "loss_profit_ratio": 0.9,
        "drawdown_worst_mean_1pct": 0.2,
        "adg": 0.001,
    }
    expected = {"drawdown_worst": 0.3, "position_unchanged_hours_max": 300.0}
    assert scoring(scoring=["adg"], limits=limits).stop_limits == expected
    assert scoring(btc=True, scoring=["adg"], limits=limits).stop_limits == {
        **expected,
        "btc_drawdown_worst": 0.2,
    }


def test_the_builtin_limits_are_all_upper_ones() -> None:
    raw = {"bot": {}, "live": {}}
    limits = Scoring.from_config(load_mapping(raw, Path("c.json")).config).limits
    assert [(limit.metric, limit.kind, limit.value) for limit in limits] == [
        ("drawdown_worst", "greater", 0.333),
        ("loss_profit_ratio", "greater", 0.9),
        ("position_unchanged_hours_max", "greater", 300.0),
    ]


@pytest.mark.parametrize(
    ("key", "limit", "value", "violation"),
    [
        ("drawdown_worst", 0.5, 0.5, 0.0),
        ("drawdown_worst", 0.5, 0.4, 0.0),
        ("drawdown_worst", 0.5, 0.75, 0.5),
        ("adg", 0.5, 0.5, 0.0),
        ("adg", 0.5, 0.25, 0.5),
        ("adg", 0.0, -0.25, 0.25),
        ("penalize_if_greater_than_adg", 0, 0.25, 0.25),
        ("penalize_if_lower_than_adg", -2.0, -3.0, 0.5),
        ("penalize_if_greater_than_gain", -2.0, 0.0, 1.0),
        ("drawdown_worst", 0.5, np.nan, np.inf),
        ("drawdown_worst", 0.5, -np.inf, np.inf),
        ("adg", 0.5, np.inf, np.inf),
    ],
)
def test_violations(key: str, limit: float, value: float, violation: float) -> None:
    found = scoring(scoring=["mdg"], limits={key: limit})
    metric = found.limits[0].metric
    _, violations, total = found.evaluate(["mdg", metric], np.array([[1.0, value]]))
    assert violations.tolist() == [[violation]]
    assert total.tolist() == [violation]


def test_objectives_are_minimised_and_never_touched_by_limits() -> None:
    found = scoring(scoring=["adg", "drawdown_worst"], limits={"gain": 2.0, "loss_profit_ratio": 0.5})
    names = ["loss_profit_ratio", "drawdown_worst", "adg", "gain"]
    values = np.array([[0.5, 0.2, 0.01, 2.0], [1.0, 0.3, 0.0, 1.0], [0.1, 0.2, np.nan, 3.0]])
    objectives, violations, total = found.evaluate(names, values)
    assert objectives[:2].tolist() == [[-0.01, 0.2], [0.0, 0.3]]
    assert not np.signbit(objectives[1, 0])
    assert violations.tolist() == [[0.0, 0.0], [0.5, 1.0], [0.0, 0.0]]
    assert total.tolist() == [0.0, 1.5, np.inf]


def test_no_limits_and_no_rows() -> None:
    found = scoring(scoring=["adg"], limits={})
    objectives, violations, total = found.evaluate(["adg"], np.zeros((3, 1)))
    assert (objectives.shape, violations.shape, total.tolist()) == ((3, 1), (3, 0), [0.0, 0.0, 0.0])
    assert [part.shape for part in found.evaluate(["adg"], np.zeros((0, 1)))] == [(0, 1), (0, 0), (0,)]


FIVE = scoring(
    scoring=["adg", "mdg"],
    limits={"gain": 0.3, "drawdown_worst": 0.7, "adg": 0.1, "sharpe_ratio": 3, "mdg": 7},
)
metric = st.floats(-10, 10) | st.just(float("nan"))


@given(st.lists(st.lists(metric, min_size=5, max_size=5), min_size=1, max_size=40))
def test_a_candidate_scores_the_same_alone_and_in_any_batch(rows: list[list[float]]) -> None:
    values = np.array(rows)
    together = FIVE.evaluate(FIVE.metrics, values)
    for index, row in enumerate(values):
        for batch, alone in zip(together, FIVE.evaluate(FIVE.metrics, row[None, :]), strict=True):
            assert batch[index].tobytes() == alone[0].tobytes()


def test_more_candidates_are_no_more_calls() -> None:
    """Space, warm-up and scores work on whole arrays; what one costs is in ``scripts/bench study``."""
    config = load_config(None, sets=["optimize.enable_overrides=lossless_close_trailing"]).config
    space, scores = ParameterSpace.from_config(config), Scoring.from_config(config)
    coins = [f"C{i:02}" for i in range(30)]
    rule = WarmupRule.from_config(config, coins)

    def calls(count: int) -> int:
        matrix = np.random.default_rng(1).uniform(-1, 2000, (count, 58))
        metrics = np.random.default_rng(2).uniform(0, 1, (count, len(scores.metrics)))
        seen = 0

        def note(_frame: object, event: str, _arg: object) -> None:
            nonlocal seen
            seen += event in ("call", "c_call")

        sys.setprofile(note)
        try:
            rule.for_matrix(space.evaluated(space.enforce(matrix)))
            scores.evaluate(scores.metrics, metrics)
        finally:
            sys.setprofile(None)
        return seen

    calls(2)  # what is done once is done
    assert calls(500) == calls(50) > 0
