"""A study made by the engine itself over the first 12 of 30 days of synthetic candles."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keyring
import numpy as np
import pytest
from keyring.backends import fail

from passivbot.backtest.scenario import Scenario
from passivbot.config import ParameterSpace, load_config
from passivbot.config.resources import configs_dir
from passivbot.config.warmup import WarmupRule
from passivbot.engine import METRICS, __version__
from passivbot.market import generate, write_folder
from passivbot.study import Definition, Evaluation, Space, StudyLog

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
    space = ParameterSpace.from_config(config)
    scenario = Scenario.prepare(config, candles)
    random = np.random.default_rng(7)
    vectors = space.enforce(space.low + random.random((24, len(space.names))) * (space.high - space.low))
    evaluated = space.evaluated(vectors)
    common, single = WarmupRule.from_config(config, scenario.coins).for_matrix(evaluated)
    metrics = scenario.engine().evaluate_matrix(
        evaluated,
        config.bot.to_engine(),
        METRICS,
        coin_overrides=config.engine_overrides(scenario.coins),
        warmup_minutes=common,
        coin_warmup_minutes=single,
    )
    if nudged is not None:
        column = METRICS.index(nudged)
        metrics[:, column] = np.nextafter(metrics[:, column], np.inf)
    definition = Definition(
        config=config.to_dict(),
        scenario=scenario.describe(),
        search="random",
        seed=7,
        lag=8,
        population=10,
        sobol=10,
        block=8,
        metrics=METRICS,
        seeds=(),
        space=Space(space.names, tuple(space.low.tolist()), tuple(space.high.tolist()), space.digits),
        engine=__version__,
        created="2026-01-01T00:00:00Z",
    )
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
