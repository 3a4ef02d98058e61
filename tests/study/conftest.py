"""A small definition and rows for it: the log does not care how many parameters there are."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from passivbot.study import Definition, Evaluation, Space

NAMES = ("long_ema_span_0", "long_ema_span_1", "short_n_positions")
METRICS = ("adg", "drawdown_worst", "gain")


def make_definition(**changes: Any) -> Definition:
    definition = Definition(
        config={
            "optimize": {"scoring": ["adg", "drawdown_worst"], "iters": 100},
            "backtest": {"base_dir": "b"},
        },
        scenario={"coins": ["BTC", "ETH"], "digest": "d1", "candles": "candles"},
        search="nsga2",
        seed=2**70 + 1,
        lag=8,
        population=20,
        sobol=20,
        block=4,
        metrics=METRICS,
        seeds=((0.1, 0.2, 0.3),),
        space=Space(names=NAMES, low=(0.0, 0.0, 1.0), high=(1.0, 1.0, 1.0), digits=5),
        engine="0.1.0",
        created="2026-01-01T00:00:00Z",
    )
    return replace(definition, **changes)


def make_rows(numbers: Any, *, worker: str = "w") -> list[Evaluation]:
    """Rows whose content is a function of the candidate number."""
    rows = []
    for number in numbers:
        random = np.random.default_rng(int(number))
        rows.append(
            Evaluation(int(number), random.random(len(NAMES)), random.random(len(METRICS)), worker=worker)
        )
    return rows


@pytest.fixture
def definition() -> Definition:
    return make_definition()


@pytest.fixture
def rows() -> Callable[..., list[Evaluation]]:
    return make_rows
