"""A small definition and rows for it: the log does not care how many parameters there are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from passivbot.backtest.scenario import Scenario
from passivbot.config import load_config
from passivbot.config.resources import configs_dir
from passivbot.engine import METRICS as METRIC_NAMES
from passivbot.study import Definition, Evaluation, Space, StudyLog
from tests.disks import mount, unmount
from tests.random_study import random_study

QUICKSTART = configs_dir() / "quickstart.json"

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


@dataclass(frozen=True)
class Example:
    """A study over the embedded demo candles, evaluated by the engine itself."""

    folder: Path
    scenario: Scenario
    definition: Definition
    rows: tuple[Evaluation, ...]


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    """Forty random candidates, one of them failed, one stopped."""
    scenario = Scenario.prepare(load_config(QUICKSTART).config)
    definition, vectors, metrics = random_study(scenario, 40, METRIC_NAMES)
    rows = [Evaluation(n, vectors[n], metrics[n], worker=f"w{n % 2}", seconds=0.01) for n in range(40)]
    nothing = np.full(len(METRIC_NAMES), np.nan)
    rows[5] = Evaluation(5, vectors[5], nothing, "failed", error="killed its worker twice")
    rows[9] = Evaluation(9, vectors[9], metrics[9], "stopped")
    folder = tmp_path_factory.mktemp("studies") / "example"
    with StudyLog.create(folder, definition) as log:
        log.append(rows)
    return Example(folder, scenario, definition, tuple(rows))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    target = tmp_path / "disk"
    target.mkdir()
    mount(target, "-t", "tmpfs", "-o", "size=1m", "tmpfs")
    yield target
    unmount(target)
