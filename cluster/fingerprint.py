"""What has to be the same on every machine of a cluster: our sources, and the bits that the engine gives."""

import hashlib
import os
from pathlib import Path

import cluster
import passivbot
from passivbot import engine
from passivbot.backtest import Candidates, Scenario
from passivbot.backtest.candles import DEMO
from passivbot.config import load_config
from passivbot.config.resources import configs_dir

CACHE_VARIABLE = "PASSIVBOT_CACHE"
"""Environment variable: the folder for what a machine keeps of others, in place of the usual one."""

_METRICS = ("adg", "drawdown_worst", "position_held_hours_mean", "volume_pct_per_day_avg")


def cache_folder() -> Path:
    """Return where this machine keeps panels: ``$PASSIVBOT_CACHE``, else below the user's caches."""
    given = os.environ.get(CACHE_VARIABLE)
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "passivbot"
    return Path(given) if given else usual


def fingerprint() -> dict[str, str]:
    """Return ``engine`` (version), ``sources`` and ``result``; equal ones give the same study."""
    return {"engine": engine.__version__, "sources": sources(), "result": result()}


def sources() -> str:
    """Return a hash over our Python files."""
    total = hashlib.sha256()
    for package in (passivbot, cluster):
        top = Path(str(package.__file__)).parent
        for path in sorted(top.rglob("*.py")):
            name = f"{top.name}/{path.relative_to(top).as_posix()}"
            total.update(name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]


def result() -> str:
    """Return a hash over what the engine makes of the demo candles: the bits that a study is made of."""
    config = load_config(configs_dir() / "quickstart.json").config
    scenario = Scenario.prepare(config, DEMO)  # not the store that may lie where somebody stands
    candidates = Candidates.of(config, scenario.coins)
    space = candidates.space
    vectors = space.enforce(space.low + (space.high - space.low) * [[0.25], [0.5], [0.75]])
    metrics = candidates.evaluate(scenario.engine(), vectors, _METRICS)
    return hashlib.sha256(metrics.tobytes()).hexdigest()[:16]
