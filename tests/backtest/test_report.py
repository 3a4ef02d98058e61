import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from passivbot.backtest import PROVENANCE, Report, default_folder, new_folder, run_backtest
from passivbot.backtest.summary import print_summary
from passivbot.config import Config, warmup_minutes
from passivbot.engine import METRICS, BacktestResult
from passivbot.errors import ResourceError

FILES = [
    "analysis.json",
    "balance_and_equity.html",
    "config.json",
    "equity.parquet",
    "fills.html",
    "fills.parquet",
]


def with_fills(report: Report, rows: list[tuple[str, float]], btc_price: float = 1.0) -> Report:
    """Return a report whose fills are (order type, pnl)."""
    fills = pa.table(
        {
            "pnl": [pnl for _, pnl in rows],
            "order_type": pa.array([kind for kind, _ in rows], pa.string()),
            "btc_price": np.full(len(rows), btc_price),
        }
    )
    return Report(
        report.scenario, report.config, BacktestResult(fills, report.result.equity, {"usd": {}, "btc": {}})
    )


def test_files_of_a_report(report: Report, tmp_path: Path) -> None:
    folder = report.write(tmp_path / "new" / "report")
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["report"]
    fills = pq.read_table(folder / "fills.parquet")
    assert fills.num_rows > 50
    assert fills.drop_columns("timestamp").equals(report.result.fills)
    first = report.scenario.panel.first_ms + fills["minute"][0].as_py() * 60_000
    assert fills["timestamp"][0].as_py() == datetime.fromtimestamp(first / 1000, UTC)
    equity = pq.read_table(folder / "equity.parquet")
    assert equity.num_rows == report.scenario.panel.minutes - 1
    assert equity.column_names == ["minute", "usd", "btc", "timestamp"]
    text = (folder / "analysis.json").read_text()
    analysis = json.loads(text)
    assert list(analysis) == ["btc", "usd"]
    assert list(analysis["usd"]) == sorted(analysis["usd"])
    assert analysis["usd"] == analysis["btc"]
    assert {*METRICS, "loss_profit_ratio_long", "loss_profit_ratio_short", "pnl_ratio_long_short"} == set(
        analysis["usd"]
    )


def test_no_plots_when_told_so(report: Report, tmp_path: Path) -> None:
    folder = report.write(tmp_path / "report", plots=False)
    assert sorted(path.name for path in folder.iterdir()) == [name for name in FILES if "html" not in name]


def test_warmup_is_that_of_the_configuration_that_runs(report: Report, config: Config) -> None:
    warmup, coin_warmup = warmup_minutes(config, report.scenario.coins)
    fills = report.result.fills
    assert fills["minute"][0].as_py() > warmup
    own = report.scenario.engine().backtest(config.bot.to_engine(), None, warmup, coin_warmup)
    assert own.fills.equals(fills)
    side = config.bot.long.model_copy(update={"ema_span_0": 3.0, "ema_span_1": 3.0})
    shorter = config.model_copy(update={"bot": config.bot.model_copy(update={"long": side})})
    assert not run_backtest(report.scenario, shorter).result.fills.equals(fills)


def test_ratios_of_a_report(report: Report) -> None:
    rows = [
        ("entry_grid_normal_long", 0.0),
        ("close_grid_long", 3.0),
        ("close_unstuck_long", -1.5),
        ("close_grid_short", 2.0),
        ("close_unstuck_short", -4.0),
    ]
    usd = with_fills(report, rows).analysis["usd"]
    assert usd == {
        "loss_profit_ratio_long": 0.5,
        "loss_profit_ratio_short": 2.0,
        "pnl_ratio_long_short": 1.5 / -0.5,
    }


def test_ratios_without_fills_profit_or_net_profit(report: Report) -> None:
    assert with_fills(report, []).analysis["usd"] == {
        "loss_profit_ratio_long": 1.0,
        "loss_profit_ratio_short": 1.0,
        "pnl_ratio_long_short": None,
    }
    lost = with_fills(report, [("close_unstuck_long", -1.0), ("close_grid_short", 1.0)]).analysis["usd"]
    assert lost == {
        "loss_profit_ratio_long": None,
        "loss_profit_ratio_short": 0.0,
        "pnl_ratio_long_short": None,
    }


def test_btc_set_of_a_report(btc_report: Report) -> None:
    fills, analysis = btc_report.result.fills, btc_report.analysis
    pnl = fills["pnl"].to_numpy() / fills["btc_price"].to_numpy()
    long = pc.ends_with(fills["order_type"], "_long").to_numpy()
    assert analysis["btc"]["pnl_ratio_long_short"] == pytest.approx(pnl[long].sum() / pnl.sum(), rel=1e-12)
    assert analysis["btc"]["pnl_ratio_long_short"] != analysis["usd"]["pnl_ratio_long_short"]
    assert btc_report.metrics["btc_gain"] == analysis["btc"]["gain"] != analysis["usd"]["gain"]


def test_metrics_of_usd_runs_have_no_btc_names(report: Report) -> None:
    assert not [name for name in report.metrics if name.startswith("btc_")]


def test_recorded_configuration_is_complete(report: Report, tmp_path: Path) -> None:
    folder = report.write(tmp_path / "report", plots=False)
    document = json.loads((folder / "config.json").read_text())
    record = document.pop(PROVENANCE)
    assert document == json.loads(json.dumps(report.config.to_dict()))
    assert record == {**report.scenario.describe(), "metrics": report.metrics}


def test_differences_are_found_to_the_bit(report: Report) -> None:
    recorded = dict(report.metrics)
    assert report.differences(recorded) == []
    assert report.differences({f"btc_{name}": value for name, value in recorded.items()}) == []
    gain = recorded["gain"]
    assert gain is not None
    changed = {"gain": math.nextafter(gain, 2.0), "adg": None, "nonsense": 1.0, "mdg": recorded["mdg"]}
    assert report.differences(changed) == ["adg", "gain", "nonsense"]
    zeros = [name for name, value in sorted(recorded.items()) if value == 0.0]
    assert zeros
    assert report.differences(dict.fromkeys(zeros, -0.0)) == zeros
    assert report.differences({"nonsense": None}) == []


def test_position_left_open_at_the_end_of_a_coin_is_noted(report: Report) -> None:
    fills, panel = report.result.fills, report.scenario.panel
    assert report.notes == ()
    last = {}
    for row in fills.to_pylist():
        last[row["coin"], row["order_type"].rpartition("_")[2]] = row["position_size"]
    open_at_end = sorted(key for key, size in last.items() if size)
    assert open_at_end
    coin, side = open_at_end[0]
    place = panel.coins.index(coin)
    ends = tuple(8000 if i == place else end for i, end in enumerate(panel.last_valid))
    shorter = type(panel)(**{**vars(panel), "last_valid": ends})
    scenario = type(report.scenario)(**{**fields(report.scenario), "panel": shorter})
    notes = Report(scenario, report.config, report.result).notes
    assert (
        f"{coin}: its candles end at 2025-03-08 13:20 with a {side} position open; from then on it counts "
        in notes[0]
    )
    assert len(notes) == len([key for key in open_at_end if key[0] == coin])


def fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def test_summary(report: Report, btc_report: Report) -> None:
    def text(shown: Report) -> str:
        console = Console(width=120, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
        print_summary(shown, console)
        return console.export_text()

    usd = text(report)
    assert "2025-03-03 00:00 to 2025-03-08 23:59 UTC, 8640 minutes with warm-up, 1 a bar, 3 coins, " in usd
    assert f"{report.result.fills.num_rows} fills, maker fee 0.0002" in usd
    assert "BTC " not in usd.splitlines()[1]
    for coin in ("BTC", "ETH", "SOL"):
        count = pc.sum(pc.equal(report.result.fills["coin"], coin)).as_py()
        line = next(line for line in usd.splitlines() if line.startswith(coin))
        assert line.split()[1] == str(count)
    assert text(btc_report).splitlines()[1].split() == ["metric", "USD", "BTC"]
    # What a search would go by is there, whatever it is.
    asked = ["sterling_ratio_w", "adg"]
    optimize = report.config.optimize.model_copy(update={"scoring": tuple(asked)})
    scored = replace(report, config=report.config.model_copy(update={"optimize": optimize}))
    for name, count in (("sterling_ratio_w", 1), ("adg", 1), ("adg_w", 1)):
        assert sum(line.split()[:1] == [name] for line in text(scored).splitlines()) == count


def test_default_folder(config: Config, tmp_path: Path) -> None:
    there = config.model_copy(
        update={"backtest": config.backtest.model_copy(update={"base_dir": str(tmp_path / "b")})}
    )
    now = datetime(2025, 6, 7, 8, 9, 10, tzinfo=UTC)
    folder = default_folder(there, now)
    assert folder == tmp_path / "b" / "combined" / "2025-06-07T08_09_10"
    folder.mkdir(parents=True)
    assert default_folder(there, now) == tmp_path / "b" / "combined" / "2025-06-07T08_09_10_2"


def test_existing_report_is_not_overwritten(report: Report, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    folder.mkdir()
    report.write(folder, plots=False)
    with pytest.raises(ResourceError) as caught:
        report.write(folder)
    assert str(caught.value) == f"{folder}: exists already; choose another folder with --out"


def test_nothing_is_left_of_a_report_that_failed(tmp_path: Path) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "report") as partial:
            (partial / "half.txt").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []
