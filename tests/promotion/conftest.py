"""A study made by the engine itself over the first 12 of 30 days of synthetic candles."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keyring
import numpy as np
import pytest
from keyring.backends import fail

from passivbot.backtest.scenario import Scenario
from passivbot.config import load_config
from passivbot.config.resources import configs_dir
from passivbot.engine import METRICS
from passivbot.market import generate, write_folder
from passivbot.study import Evaluation, StudyLog
from tests.random_study import random_study

COINS = {"BTC": "calm", "ETH": "calm", "SOL": "crash"}
ACCOUNT = "test_01"


@dataclass(frozen=True)
class Made:
    """A study, the folder of its candles (with days that it has not seen), and some of its candidates."""

    folder: Path
    candles: Path
    good: Sequence[int]
    infeasible: int
    stopped: int
    failed: int


@pytest.fixture(autouse=True)
def no_keyring() -> Iterator[None]:
    """What the user of this machine has in a keyring is none of the tests' business."""
    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())
    yield
    keyring.set_keyring(before)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("promotion")
    tables, rules = generate(COINS, seed=5, minutes=30 * 1440)
    write_folder(root / "candles", tables, rules, maker_fee=0.0002)
    return make_study(root / "studies" / "first", root / "candles")


def make_study(
    folder: Path,
    candles: Path,
    *,
    start: str = "",
    end: str = "2025-03-15",
    limit: float = 0.5,
    nudged: str | None = None,
) -> Made:
    """Write a study of 24 random candidates; ``nudged``: a metric that is logged one bit off."""
    config = load_config(
        configs_dir() / "quickstart.json",
        sets=[
            f"backtest.start_date={start}",
            f"backtest.end_date={end}",
            "live.approved_coins=BTC,ETH,SOL",
            f"live.user={ACCOUNT}",
            "optimize.bounds.long_total_wallet_exposure_limit=0.5,1.5",
            f'optimize.limits={{"drawdown_worst": {limit}}}',
        ],
    ).config
    definition, vectors, metrics = random_study(Scenario.prepare(config, candles), 24, METRICS)
    if nudged is not None:
        column = METRICS.index(nudged)
        metrics[:, column] = np.nextafter(metrics[:, column], np.inf)
    drawdown = metrics[:, METRICS.index("drawdown_worst")]
    order = np.argsort(drawdown).tolist()
    rows = [Evaluation(n, vectors[n], metrics[n], worker="w", seconds=0.01) for n in range(24)]
    stopped, failed, infeasible = order[-1], order[-2], order[-3]
    rows[stopped] = Evaluation(stopped, vectors[stopped], metrics[stopped], "stopped")
    nothing = np.full(len(METRICS), np.nan)
    rows[failed] = Evaluation(failed, vectors[failed], nothing, "failed", error="killed its worker twice")
    with StudyLog.create(folder, definition) as log:
        log.append(rows)
    return Made(folder, candles, order[:3], infeasible, stopped, failed)
