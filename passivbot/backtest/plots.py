"""Pages of a report: balance and equity; every coin's fills on its price.

Each page is one file with plotly inside it, so that it opens anywhere and needs no network. What is drawn is
thinned to what a screen can show: the extremes of equity are kept, candles become bars, and where a coin has
very many fills those of one bar are drawn as one marker.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
import pyarrow.compute as pc
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from passivbot.market.clean import Floats, Ints
from passivbot.times import MINUTE_MS

if TYPE_CHECKING:
    from passivbot.backtest.report import Report

MAX_BARS = 2000
"""Bars of one coin, and pairs of points of an equity curve."""
MAX_MARKERS = 3000
"""Fills of one coin that are drawn one by one."""
BAR_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720, 1440, 2880, 10080)

_KINDS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "entry": ("triangle-up", "#1a9850", ("entry_",)),
    "close": ("triangle-down", "#4575b4", ("close_grid_", "close_trailing_")),
    "forced close": ("x", "#d73027", ("close_unstuck_", "close_auto_reduce_", "close_panic_")),
}
"""Kind of fill → marker, colour, beginnings of its order types."""
_SHORT_COLOURS = {"entry": "#e08214", "close": "#8073ac", "forced close": "#d73027"}
# No button that sends anything anywhere.
_PLOTLY = {"displaylogo": False, "scrollZoom": True, "showSendToCloud": False, "plotlyServerURL": ""}
_LAYOUT = {"template": "plotly_white", "hovermode": "x", "margin": {"l": 60, "r": 30, "t": 80, "b": 40}}


def write_plots(report: "Report", folder: Path) -> None:
    """Write ``balance_and_equity.html`` and ``fills.html``."""
    pages = {"balance_and_equity.html": equity_figure(report), "fills.html": fills_figure(report)}
    for name, figure in pages.items():
        figure.write_html(folder / name, include_plotlyjs=True, config=_PLOTLY)


def equity_figure(report: "Report") -> go.Figure:
    """Balance and equity, the drawdown of equity from its peak, and the total wallet exposure."""
    scenario, fills, equity = report.scenario, report.result.fills, report.result.equity
    in_btc = scenario.btc_usd is not None
    usd = equity.column("usd").to_numpy()
    rows = extremes(usd, MAX_BARS)
    minute = equity.column("minute").to_numpy()[rows]
    time = _times(minute, scenario.panel.first_ms)
    before = np.searchsorted(fills.column("minute").to_numpy(), minute, "right")
    titles = ["USD", "drawdown of equity from its peak, USD", "total wallet exposure"]
    if in_btc:
        titles.insert(1, "BTC")
    figure = make_subplots(
        rows=len(titles),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.05,
        subplot_titles=titles,
        row_heights=[3.0] * (len(titles) - 2) + [1.0, 1.0],
    )
    step = {"shape": "hv", "width": 1.5, "color": "#1f78b4"}
    balance = _last(fills.column("balance").to_numpy(), before, scenario.starting_balance)
    figure.add_scatter(
        x=time, y=usd[rows], name="equity", line={"width": 1, "color": "#e66101"}, row=1, col=1
    )
    figure.add_scatter(x=time, y=balance, name="balance", line=step, row=1, col=1)
    if scenario.btc_usd is not None:
        btc = equity.column("btc").to_numpy()
        start = float(scenario.starting_balance / scenario.btc_usd[0])
        held = _last(fills.column("balance_btc").to_numpy(), before, start)
        line = {"width": 1, "color": "#b35806"}
        figure.add_scatter(x=time, y=btc[rows], name="equity, BTC", line=line, row=2, col=1)
        figure.add_scatter(x=time, y=held, name="BTC held", line=step, row=2, col=1)
    drawdown = usd / np.maximum.accumulate(usd) - 1.0
    exposure = _last(fills.column("total_wallet_exposure").to_numpy(), before, 0.0)
    fill = {"fill": "tozeroy", "showlegend": False, "col": 1}
    red, grey = {"width": 1, "color": "#d73027"}, {"shape": "hv", "width": 1, "color": "#636363"}
    figure.add_scatter(x=time, y=drawdown[rows], name="drawdown", line=red, row=len(titles) - 1, **fill)
    figure.add_scatter(x=time, y=exposure, name="exposure", line=grey, row=len(titles), **fill)
    figure.update_layout(title="Balance and equity", **(_LAYOUT | {"hovermode": "x unified"}))
    figure.update_xaxes(type="date")
    figure.update_yaxes(tickformat=".1%", row=len(titles) - 1)
    return figure


def fills_figure(report: "Report") -> go.Figure:
    """Price, fills and position price of one coin, with a selector of coins; below it the coin's exposure."""
    coins = _by_fills(report)
    figure = make_subplots(
        rows=2,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.04,
        row_heights=[4.0, 1.0],
        subplot_titles=["", "wallet exposure"],
    )
    owners: list[int] = []
    titles: list[str] = []
    for place, (coin, count) in enumerate(coins):
        drawn = _draw_coin(figure, report, coin, visible=place == 0)
        owners += [place] * (len(figure.data) - len(owners))
        titles.append(f"{coin}: {count} fills{drawn}")
    buttons = [
        {
            "label": f"{coin} ({count})",
            "method": "update",
            "args": [{"visible": [owner == place for owner in owners]}, {"title.text": titles[place]}],
        }
        for place, (coin, count) in enumerate(coins)
    ]
    menu = {"buttons": buttons, "x": 1.0, "xanchor": "right", "y": 1.08, "yanchor": "top"}
    figure.update_layout(title=titles[0], updatemenus=[menu], **(_LAYOUT | {"hovermode": "closest"}))
    figure.update_xaxes(type="date", rangeslider={"visible": False})
    return figure


def extremes(values: Floats, buckets: int) -> Ints:
    """Return indices that keep a curve's shape: first, last, and the lowest and highest of each bucket.

    Parameters
    ----------
    values
        float64 (n,), n ≥ 1.
    buckets
        About how many equal stretches to cut it into; at most twice as many indices come back, and four.

    Returns
    -------
    int64, ascending, unique.
    """
    size = -(-values.size // buckets)
    whole = values.size // size * size
    if size <= 2:
        return np.arange(values.size, dtype=np.int64)
    blocks = values[:whole].reshape(-1, size)
    start = np.arange(0, whole, size)
    kept = [start + blocks.argmin(1), start + blocks.argmax(1), np.array([0, values.size - 1])]
    if whole < values.size:
        kept.append(whole + np.array([values[whole:].argmin(), values[whole:].argmax()]))
    return np.unique(np.concatenate(kept))


@dataclass(frozen=True, eq=False)
class Bars:
    """Candles of one coin joined for the eye: first minute of each bar, prices, and minutes of a bar."""

    minute: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    length: int


def bars(high: Floats, low: Floats, close: Floats, first: int, last: int, interval: int = 1) -> Bars:
    """Join bars ``first … last`` of a panel to at most about :data:`MAX_BARS` of a usual length.

    A bar opens at the close before it: the panel holds no opens. ``interval`` is the panel's, in minutes.
    """
    usual = (interval, *(n for n in BAR_MINUTES if n > interval and n % interval == 0))
    minutes = (last - first + 1) * interval
    length = next((n for n in usual if minutes <= n * MAX_BARS), usual[-1]) // interval
    start = np.arange(first // length, last // length + 1, dtype=np.int64) * length
    begin = np.maximum(start, first)
    closes = close[np.minimum(start + length - 1, last)]
    return Bars(
        minute=start * interval,
        open=np.concatenate((close[first : first + 1], closes[:-1])),
        high=np.maximum.reduceat(high[: last + 1], begin),
        low=np.minimum.reduceat(low[: last + 1], begin),
        close=closes,
        length=length * interval,
    )


def _draw_coin(figure: go.Figure, report: "Report", coin: str, *, visible: bool) -> str:
    """Add one coin's traces; return what its title says about thinning."""
    panel = report.scenario.panel
    place = panel.coins.index(coin)
    first_ms = panel.first_ms
    high, low, close = (panel.column(coin, field) for field in ("high", "low", "close"))
    first, last = panel.first_valid[place], panel.last_valid[place]
    bar = bars(high, low, close, first, last, panel.interval_minutes)
    figure.add_candlestick(
        x=_times(bar.minute, first_ms),
        open=bar.open, high=bar.high, low=bar.low, close=bar.close,
        name=f"price, {bar.length} min", visible=visible,
        increasing={"line": {"color": "#bdbdbd", "width": 1}},
        decreasing={"line": {"color": "#737373", "width": 1}},
        row=1, col=1,
    )  # fmt: skip
    table = report.result.fills
    fills = table.filter(pc.equal(table.column("coin"), coin))
    order_type = fills.column("order_type")
    minute, size = fills.column("minute").to_numpy(), fills.column("position_size").to_numpy()
    joined = fills.num_rows > MAX_MARKERS
    for side in ("long", "short"):
        of_side = pc.ends_with(order_type, f"_{side}").to_numpy()
        if not of_side.any():
            continue
        # One point a bar, the last fill's, is all that the step line of a position can show.
        rows = _last_of_each(minute[of_side] // bar.length) if joined else np.arange(of_side.sum())
        rows = np.flatnonzero(of_side)[rows]
        price = np.where(size[rows] != 0, fills.column("position_price").to_numpy()[rows], np.nan)
        exposure = fills.column("wallet_exposure").to_numpy()[rows]
        colour = "#1a9850" if side == "long" else "#e08214"
        line = {"shape": "hv", "width": 1, "color": colour}
        time = _times(minute[rows], first_ms)
        figure.add_scatter(
            x=time,
            y=price,
            name=f"{side} position price",
            line=line,
            mode="lines",
            visible=visible,
            row=1,
            col=1,
        )
        figure.add_scatter(
            x=time, y=exposure, name=f"{side} exposure", line=line, mode="lines", fill="tozeroy",
            showlegend=False, visible=visible, row=2, col=1,
        )  # fmt: skip
        for kind, (symbol, long_colour, beginnings) in _KINDS.items():
            of_kind = of_side.copy()
            of_kind &= np.any([pc.starts_with(order_type, start).to_numpy() for start in beginnings], axis=0)
            if of_kind.any():
                marker = _marker(symbol, long_colour if side == "long" else _SHORT_COLOURS[kind])
                _draw_fills(figure, fills, of_kind, f"{side} {kind}", marker, bar, joined, first_ms, visible)
    return f", those of {bar.length} minutes drawn as one" if joined else ""


def _marker(symbol: str, colour: str) -> dict[str, Any]:
    return {"symbol": symbol, "size": 8, "color": colour, "line": {"width": 0.5, "color": "white"}}


def _draw_fills(
    figure: go.Figure,
    fills: Any,
    chosen: NDArray[np.bool_],
    name: str,
    marker: dict[str, Any],
    bar: Bars,
    joined: bool,
    first_ms: int,
    visible: bool,
) -> None:
    minute, price, qty, pnl = (
        fills.column(column).to_numpy()[chosen] for column in ("minute", "price", "qty", "pnl")
    )
    count = np.ones(minute.size)
    if joined:
        group, index = np.unique(minute // bar.length, return_inverse=True)
        weight = np.bincount(index, np.abs(qty))
        price = np.bincount(index, np.abs(qty) * price) / weight
        qty, pnl, count = (
            np.bincount(index, qty),
            np.bincount(index, pnl),
            np.bincount(index).astype(np.float64),
        )
        minute = np.maximum(group * bar.length, minute[0])
    figure.add_scattergl(
        x=_times(minute, first_ms), y=price, name=name, mode="markers", marker=marker, visible=visible,
        customdata=np.stack((qty, pnl, count), axis=1),
        hovertemplate=(
            "%{x|%Y-%m-%d %H:%M}<br>price %{y}<br>quantity %{customdata[0]:.6~g}<br>"
            "profit %{customdata[1]:.4~g} USD<br>fills %{customdata[2]}<extra>" + name + "</extra>"
        ),
        row=1, col=1,
    )  # fmt: skip


def _by_fills(report: "Report") -> list[tuple[str, int]]:
    """Return coins and their number of fills, the most traded one first."""
    counted = {
        row["values"]: row["counts"]
        for row in pc.value_counts(report.result.fills.column("coin")).to_pylist()
    }
    coins = [(coin, int(counted.get(coin, 0))) for coin in report.scenario.coins]
    return sorted(coins, key=lambda entry: (-entry[1], entry[0]))


def _last_of_each(group: Ints) -> Ints:
    """Return the index of the last element of each run of equal, ascending numbers."""
    return np.flatnonzero(np.append(group[1:] != group[:-1], True))


def _last(values: Floats, before: Ints, start: float) -> Floats:
    """Return the last of some values before each point; ``start`` where there is none yet."""
    chosen: Floats = np.concatenate(([start], values))[before]
    return chosen


def _times(minute: Ints, first_ms: int) -> Floats:
    """UTC milliseconds as float64, which plotly stores compactly and draws as dates."""
    times: Floats = (minute * MINUTE_MS + first_ms).astype(np.float64)
    return times
