"""Backtests on longer bars, and the confirmation of one on minutes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from passivbot.backtest import PROVENANCE, Report, Scenario, run_backtest
from passivbot.backtest.plots import bars, equity_figure, fills_figure
from passivbot.config import Config, load_config
from passivbot.errors import CandleError

from .conftest import DAY_MS, START_MS
from .test_command import Run, error, run

__all__ = ["run"]

KEY = "backtest.candle_interval_minutes"


def on(config: Config, interval: int) -> Config:
    backtest = config.backtest.model_copy(update={"candle_interval_minutes": interval})
    return config.model_copy(update={"backtest": backtest})


@pytest.fixture
def collateral(write_config: Any) -> Config:
    """A run in the middle of the candles, with BTC collateral and a warm-up that is no whole hours."""
    return load_config(
        write_config(
            backtest={"use_btc_collateral": True, "start_date": "2025-03-04", "end_date": "2025-03-08"},
            live={
                "approved_coins": [],
                "empty_means_all_approved": True,
                "max_warmup_minutes": 610,
            },
        )
    ).config


@pytest.mark.parametrize("interval", [5, 15, 60])
def test_scenario_in_bars(collateral: Config, candles: Path, interval: int) -> None:
    scenario = Scenario.prepare(on(collateral, interval), candles)
    facts = scenario.describe()
    assert facts["interval_minutes"] == interval
    window = facts["window"]
    # The warm-up is there in full, and the bar that the end date begins is not whole.
    begin = START_MS + DAY_MS - -(-610 // interval) * interval * 60_000
    assert (window["first_ms"], window["last_ms"]) == (begin, START_MS + 5 * DAY_MS - 60_000)
    assert window["minutes"] == (window["last_ms"] - begin) // 60_000 + 1
    assert window["requested_start_ms"] == START_MS + DAY_MS
    assert scenario.btc_usd is not None
    assert scenario.btc_usd.tolist() == scenario.panel.column("BTC", "close").tolist()
    assert scenario.digest != Scenario.prepare(collateral, candles).digest


@pytest.mark.parametrize(("screened", "wanted"), [(15, 15), (15, 1), (1, 60), (60, 5)])
def test_replay_on_the_same_minutes(collateral: Config, candles: Path, screened: int, wanted: int) -> None:
    recorded = Scenario.prepare(on(collateral, screened), candles)
    facts = json.loads(json.dumps(recorded.describe()))
    again = Scenario.replay(on(collateral, wanted), facts)
    assert again.panel.interval_minutes == again.describe()["interval_minutes"] == wanted
    # The first of longer bars may begin before the window, and what the last minutes begin is no bar.
    assert 0 <= recorded.panel.first_ms - again.panel.first_ms < wanted * 60_000
    assert 0 <= recorded.panel.last_ms - again.panel.last_ms < wanted * 60_000
    assert again.requested_start_ms == recorded.requested_start_ms
    assert again.markets == recorded.markets
    if screened == wanted:
        assert again.describe() == facts


def test_record_without_an_interval_is_of_minutes(collateral: Config, candles: Path) -> None:
    recorded = Scenario.prepare(collateral, candles)
    facts = recorded.describe()
    del facts["interval_minutes"]
    assert Scenario.replay(collateral, facts).digest == recorded.digest


def test_other_candles_are_refused_in_other_bars_too(collateral: Config, candles: Path) -> None:
    facts = Scenario.prepare(on(collateral, 15), candles).describe() | {"candles_digest": "0" * 64}
    with pytest.raises(CandleError, match="these are not the candles of the recorded run"):
        Scenario.replay(collateral, facts)


def test_warm_up_needs_bars(collateral: Config, candles: Path) -> None:
    # Three hours and a warm-up of 610 minutes: 13 bars of an hour, of which 11 are the warm-up.
    short = collateral.backtest.model_copy(update={"start_date": "2025-03-08T21:00", "end_date": ""})
    config = collateral.model_copy(update={"backtest": short})
    assert Scenario.prepare(on(config, 15), candles).panel.minutes == 180 + 615
    with pytest.raises(CandleError, match=r"840 minutes of candles, .* not more than the warm-up of 610 min"):
        Scenario.prepare(on(config, 60), candles)


@pytest.fixture
def coarse(config: Config, candles: Path) -> Report:
    return run_backtest(Scenario.prepare(on(config, 15), candles))


def test_files_say_the_interval(coarse: Report, tmp_path: Path) -> None:
    folder = coarse.write(tmp_path / "report")
    for name in ("fills", "equity"):
        table = pq.read_table(folder / f"{name}.parquet")
        assert table.schema.metadata == {b"interval_minutes": b"15"}
        minute = table["minute"].to_numpy()
        assert (minute % 15 == 0).all()
        stamps = table["timestamp"].cast("int64").to_numpy()
        assert (stamps == START_MS + 60_000 * minute).all()
    document = json.loads((folder / "config.json").read_text())
    assert document[PROVENANCE]["interval_minutes"] == 15
    assert document["backtest"]["candle_interval_minutes"] == 15


def test_pages_in_bars(coarse: Report) -> None:
    times = (START_MS + 60_000 * coarse.result.equity["minute"].to_numpy()).tolist()
    line = next(trace for trace in equity_figure(coarse).data if trace.name == "equity")
    assert line.x.tolist() == times
    figure = fills_figure(coarse)
    candle = next(trace for trace in figure.data if trace.type == "candlestick")
    assert candle.name == "price, 15 min"
    assert candle.x.tolist() == [*times, times[-1] + 15 * 60_000]
    drawn = sum(len(trace.x) for trace in figure.data if trace.type == "scattergl")
    assert drawn == coarse.result.fills.num_rows > 0


def test_bars_are_joined_to_usual_lengths(coarse: Report) -> None:
    prices = [coarse.scenario.panel.column("BTC", field) for field in ("high", "low", "close")]
    high, low, close = (np.tile(values, 9) for values in prices)
    joined = bars(high, low, close, 0, close.size - 1, 15)
    assert joined.length == 60
    assert joined.minute[:3].tolist() == [0, 60, 120]
    assert joined.close[:2].tolist() == [close[3], close[7]]


def test_screen_and_confirm(run: Run, write_config: Any, candles: Path, tmp_path: Path) -> None:
    config = write_config(backtest={"start_date": "2025-03-04"})
    code, out, _ = run(config, "--candles", candles, "--interval", "15", "--out", "coarse", "-dp")
    assert code == 0
    assert ", 15 a bar, 3 coins" in out
    code, out, err = run("coarse/config.json", "--out", "again", "-dp")
    assert (code, err) == (0, "")
    assert "are repeated to the bit" in out
    code, out, err = run("coarse/config.json", "--interval", "1", "--out", "fine", "-dp")
    assert (code, err) == (0, "")
    assert ", 1 a bar, 3 coins" in out
    assert "to the bit" not in out
    coarse, fine = (
        json.loads((tmp_path / name / "config.json").read_text())[PROVENANCE] for name in ("coarse", "fine")
    )
    assert (coarse["interval_minutes"], fine["interval_minutes"]) == (15, 1)
    assert coarse["window"] == fine["window"]
    header = next(line for line in out.splitlines() if "recorded" in line)
    assert " ".join(header.split()) == "metric recorded, 15 min a bar here, 1 min a bar"
    shown = {line.split()[0]: line.split()[1:] for line in out.split(header)[1].splitlines() if " " in line}
    for name in ("adg", "drawdown_worst"):
        assert shown[name] == [f"{place['metrics'][name]:.3%}" for place in (coarse, fine)]
    # The run on minutes is that of an ordinary configuration.
    run(config, "--candles", candles, "--out", "plain", "-dp")
    plain, confirmed = (pq.read_table(tmp_path / name / "fills.parquet") for name in ("plain", "fine"))
    assert plain.equals(confirmed)
    assert plain.num_rows > 0


def test_with_another_change_there_is_nothing_to_compare(
    run: Run, write_config: Any, candles: Path, tmp_path: Path
) -> None:
    run(write_config(), "--candles", candles, "--interval", "15", "--out", "coarse", "-dp")
    code, out, _ = run(
        "coarse/config.json", "--interval", "1", "--set", "bot.long.n_positions=1", "--out", "two", "-dp"
    )
    assert code == 0
    assert "recorded" not in out
    # An interval that a person wrote into the file is one that was asked for.
    document = json.loads((tmp_path / "coarse" / "config.json").read_text())
    document["backtest"]["candle_interval_minutes"] = 5
    (tmp_path / "edited.json").write_text(json.dumps(document))
    code, out, _ = run("edited.json", "--out", "three", "-dp")
    assert code == 0
    assert "recorded, 15 min a bar  here, 5 min a bar" in out


@pytest.mark.parametrize("value", ["7", "0", "90", "1.5", "an hour"])
def test_wrong_intervals(run: Run, write_config: Any, candles: Path, value: str) -> None:
    assert error(run(write_config(), "--candles", candles, "--interval", value)) == (
        f"the command line: {KEY} is '{value}'; allowed is 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30 or 60"
    )
