import json
from pathlib import Path
from typing import Any

import pytest

from passivbot.backtest import Report, Scenario, run_backtest
from passivbot.config import Config, load_config
from passivbot.market import generate, write_folder

DAY_MS = 86_400_000
START_MS = 1_740_960_000_000  # 2025-03-03 00:00
REGIMES = {"BTC": "calm", "ETH": "trend", "SOL": "late"}

# Entries near the price and narrow closes, so that a few synthetic days give many fills.
SIDE = {
    "close_grid_markup_end": 0.002,
    "close_grid_markup_start": 0.004,
    "ema_span_0": 300.0,
    "ema_span_1": 500.0,
    "entry_grid_spacing_pct": 0.01,
    "entry_initial_ema_dist": -0.002,
    "entry_initial_qty_pct": 0.02,
    "filter_volume_drop_pct": 0.0,
    "n_positions": 3,
    "total_wallet_exposure_limit": 1.0,
    "unstuck_threshold": 0.5,
    "unstuck_close_pct": 0.05,
}


@pytest.fixture(scope="session")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six days of three synthetic coins."""
    tables, rules = generate(REGIMES, seed=11, minutes=6 * 1440)
    return write_folder(tmp_path_factory.mktemp("candles") / "set", tables, rules, maker_fee=0.0002).path


def document(**sections: Any) -> dict[str, Any]:
    """Return a configuration that trades both sides of every coin of a folder."""
    base: dict[str, Any] = {
        "backtest": {"start_date": "", "end_date": "", "starting_balance": 1000},
        "bot": {"long": dict(SIDE), "short": dict(SIDE)},
        "live": {"approved_coins": [], "empty_means_all_approved": True, "max_warmup_minutes": 600},
    }
    for name, section in sections.items():
        base[name] = base.get(name, {}) | section
    return base


@pytest.fixture
def write_config(tmp_path: Path) -> Any:
    """Write a configuration; keywords are sections whose keys replace those of :func:`document`."""

    def write(**sections: Any) -> Path:
        path = tmp_path / "config.json"
        path.write_text(json.dumps(document(**sections)))
        return path

    return write


@pytest.fixture
def config(write_config: Any) -> Config:
    return load_config(write_config()).config


@pytest.fixture
def report(config: Config, candles: Path) -> Report:
    return run_backtest(Scenario.prepare(config, candles))


@pytest.fixture
def btc_report(write_config: Any, candles: Path) -> Report:
    config = load_config(write_config(backtest={"use_btc_collateral": True, "starting_balance": 1000})).config
    return run_backtest(Scenario.prepare(config, candles))
