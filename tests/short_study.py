"""A study that saw the first six days of the demo candles; the other eight are unseen."""

from pathlib import Path

from passivbot.backtest import Scenario
from passivbot.config import load_config
from passivbot.config.resources import configs_dir
from passivbot.engine import METRICS
from passivbot.study import Evaluation, StudyLog
from tests.random_study import random_study

QUICKSTART = configs_dir() / "quickstart.json"


def write_short(folder: Path, count: int, *sets: str, end: str = "2025-03-09") -> None:
    """Write a study of random candidates, with every metric; ``sets`` as ``--set`` takes them."""
    config = load_config(QUICKSTART, sets=(f"backtest.end_date={end}", *sets)).config
    definition, vectors, metrics = random_study(Scenario.prepare(config, "demo"), count, METRICS)
    with StudyLog.create(folder, definition) as log:
        log.append([Evaluation(n, vectors[n], metrics[n]) for n in range(count)])
