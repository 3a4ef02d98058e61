import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passivbot.backtest import Report, plots
from passivbot.backtest.plots import bars, equity_figure, extremes, fills_figure
from passivbot.engine import BacktestResult


def trace(figure: Any, name: str) -> Any:
    return next(trace for trace in figure.data if trace.name == name)


@given(st.integers(1, 400), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_extremes_survive_thinning(size: int, buckets: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=size)
    rows = extremes(values, buckets)
    assert (np.diff(rows) > 0).all()
    assert rows.size <= 2 * buckets + 4
    assert {0, size - 1} <= set(rows.tolist())
    assert {values.min(), values.max()} <= set(values[rows].tolist())


def test_bars_join_candles() -> None:
    minutes = 2 * plots.MAX_BARS + 4
    close = np.arange(1.0, minutes + 1)
    high, low = close + 0.5, close - 0.5
    for values in (close, high, low):
        values[:3] = np.nan
    bar = bars(high, low, close, 3, minutes - 1)
    assert bar.length == 5
    assert bar.minute[:3].tolist() == [0, 5, 10]
    assert (bar.open[0], bar.high[0], bar.low[0], bar.close[0]) == (4.0, 5.5, 3.5, 5.0)
    assert (bar.open[1], bar.high[1], bar.low[1], bar.close[1]) == (5.0, 10.5, 5.5, 10.0)
    assert bar.close[-1] == minutes
    assert bar.high[-1] == minutes + 0.5
    assert bar.minute.size <= plots.MAX_BARS


def test_equity_page_shows_the_series(report: Report) -> None:
    figure = equity_figure(report)
    equity, fills = report.result.equity["usd"].to_numpy(), report.result.fills
    line = trace(figure, "equity")
    rows = ((line.x - report.scenario.panel.first_ms) / 60_000).astype(int)
    np.testing.assert_array_equal(line.y, equity[rows])
    assert line.y.max() == equity.max()
    balance = trace(figure, "balance").y
    assert balance[0] == 1000.0
    assert balance[-1] == fills["balance"][-1].as_py()
    middle = len(rows) // 2
    known = fills.filter(pa.compute.less_equal(fills["minute"], int(rows[middle])))
    assert balance[middle] == known["balance"][-1].as_py()
    assert trace(figure, "drawdown").y.max() == 0.0
    assert {trace.name for trace in figure.data} == {"equity", "balance", "drawdown", "exposure"}


def test_equity_page_with_btc_collateral(btc_report: Report) -> None:
    figure = equity_figure(btc_report)
    assert trace(figure, "equity, BTC").y[0] == btc_report.result.equity["btc"][0].as_py()
    btc_usd = btc_report.scenario.btc_usd
    assert btc_usd is not None
    assert trace(figure, "BTC held").y[0] == 1000.0 / btc_usd[0]


def test_fills_page_has_every_fill_once(report: Report) -> None:
    figure = fills_figure(report)
    fills = report.result.fills
    markers = [trace for trace in figure.data if trace.type == "scattergl"]
    assert sum(len(marker.x) for marker in markers) == fills.num_rows
    drawn = sorted((x, y) for marker in markers for x, y in zip(marker.x, marker.y, strict=True))
    times = fills["minute"].to_numpy() * 60_000.0 + report.scenario.panel.first_ms
    assert drawn == sorted(zip(times, fills["price"].to_pylist(), strict=True))


def test_selector_shows_one_coin_at_a_time(report: Report) -> None:
    figure = fills_figure(report)
    buttons = figure.layout.updatemenus[0].buttons
    counts = [int(re.search(r"\((\d+)\)", button.label)[1]) for button in buttons]  # type: ignore[index]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == report.result.fills.num_rows
    shown = np.array([button.args[0]["visible"] for button in buttons])
    assert (shown.sum(axis=0) == 1).all()
    assert shown[0].tolist() == [trace.visible for trace in figure.data]


def test_many_fills_are_joined(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "MAX_MARKERS", 10)
    monkeypatch.setattr(plots, "MAX_BARS", 50)
    figure = fills_figure(report)
    fills = report.result.fills
    markers = [trace for trace in figure.data if trace.type == "scattergl"]
    assert sum(len(marker.x) for marker in markers) < fills.num_rows
    assert sum(marker.customdata[:, 2].sum() for marker in markers) == fills.num_rows
    pnl = sum(marker.customdata[:, 1].sum() for marker in markers)
    assert pnl == pytest.approx(pa.compute.sum(fills["pnl"]).as_py())
    assert "minutes drawn as one" in figure.layout.title.text


def test_pages_need_no_network_and_stay_light(report: Report, tmp_path: Path) -> None:
    folder = report.write(tmp_path / "report")
    for name in ("balance_and_equity.html", "fills.html"):
        page = (folder / name).read_text()
        assert not re.search(r'<(script|link)[^>]+(src|href)="', page)
        assert "Plotly.newPlot" in page
        own = page[page.rindex("Plotly.newPlot") :]
        assert len(own) < 1_000_000


def test_page_without_fills(report: Report) -> None:
    none = Report(
        report.scenario,
        report.config,
        BacktestResult(report.result.fills.slice(0, 0), report.result.equity, report.result.analysis),
    )
    assert trace(equity_figure(none), "balance").y.tolist()[:2] == [1000.0, 1000.0]
    figure = fills_figure(none)
    assert figure.layout.title.text == "BTC: 0 fills"
    # One candlestick a coin; its values are stored as packed floats.
    content = json.loads(figure.to_json())["data"]
    assert [entry["type"] for entry in content] == ["candlestick"] * 3
    close = np.frombuffer(base64.b64decode(content[0]["close"]["bdata"]))
    assert close[-1] == none.scenario.panel.column("BTC", "close")[-1]
