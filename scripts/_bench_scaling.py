"""How cost grows with minutes, coins, positions, candidates of a batch, and fills: plots in docs/figures."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _bench_engine import cost_model
from _bench_plot import Line, plot
from _bench_time import minima
from _bench_work import (
    ROOT,
    Bot,
    Work,
    changed,
    fixed_works,
    synthetic,
    template_bot,
    with_random_bots,
)

FIGURES = ROOT / "docs" / "figures"

MINUTES = 100_000
"""Length of the synthetic panels."""

Row = dict[str, Any]


def bench_scaling(runs: int, folder: Path = FIGURES) -> list[Row]:
    """Measure and draw everything; return the points."""
    folder.mkdir(parents=True, exist_ok=True)
    works = {len(work.markets): work for work in fixed_works()}
    rows: list[Row] = []
    for name, title, across, up, lines in (
        _minutes(works[1], runs),
        _coins(runs),
        _positions(runs),
        _candidates(works, runs),
        _fills(works, runs),
    ):
        print(f"{folder / name}.svg", file=sys.stderr, flush=True)
        (folder / f"{name}.svg").write_text(plot(title, across, up, lines), encoding="utf-8")
        rows += [
            {"plot": name, "line": line.name, across: float(x), up: float(y)}
            for line in lines
            for x, y in zip(line.x, line.y, strict=True)
            if not line.fit
        ]
    return rows


Plot = tuple[str, str, str, str, list[Line]]
"""File name, title, labels of the axes, lines."""


def _seconds(work: Work, bots: list[Bot], runs: int) -> float:
    """Least seconds of each configuration by itself, summed."""
    return float(minima([work.evaluation([bot]) for bot in bots], runs).sum())


def _first_minutes(work: Work, minutes: int) -> Work:
    return replace(work, table=work.table.slice(0, minutes).combine_chunks())


def _idle(bot: Bot) -> Bot:
    """Entries that no candle reaches: nothing is ever held, but both sides look for a chance."""
    return changed(bot, entry_initial_ema_dist=0.9)


def _minutes(work: Work, runs: int) -> Plot:
    whole = work.table.num_rows
    x = [whole * n // 8 for n in range(1, 9)]
    panels = [_first_minutes(work, minutes) for minutes in x]
    trading = [_seconds(panel, list(work.bots), runs) * 1e3 for panel in panels]
    idle = [_seconds(panel, [_idle(bot) for bot in work.bots], runs) * 1e3 for panel in panels]
    lines = [Line("eight configurations", x, trading), Line("the same, entries out of reach", x, idle)]
    return "minutes", "BTC, eight configurations", "minutes", "milliseconds", lines


def _both_sides() -> Bot:
    """The template's configuration with the short side on."""
    return changed(template_bot(), total_wallet_exposure_limit=1.0)


def _coins(runs: int) -> Plot:
    x = [1, 2, 4, 8, 16, 24, 32, 48]
    base = _both_sides()
    panels = [synthetic(count, MINUTES, [base], "") for count in x]
    idle = [_idle(changed(base, n_positions=count)) for count in x]
    one = [changed(base, n_positions=1)] * len(x)
    lines = []
    for name, bots in (("none holds a position", idle), ("one a side holds a position", one)):
        y = [_seconds(panel, [bot], runs) * 1e3 for panel, bot in zip(panels, bots, strict=True)]
        lines.append(Line(name, x, y))
    return "coins", f"Synthetic coins, {MINUTES:,} minutes, both sides", "coins", "milliseconds", lines


def _positions(runs: int) -> Plot:
    x = [1, 2, 3, 5, 7, 10, 13, 16, 20]
    bots = [changed(_both_sides(), n_positions=count) for count in x]
    panel = synthetic(20, MINUTES, bots, "")
    y = [_seconds(panel, [bot], runs) * 1e3 for bot in bots]
    lines = [Line("milliseconds", x, y), Line("hundreds of fills", x, panel.fills(bots) / 100)]
    title = f"20 synthetic coins, {MINUTES:,} minutes, both sides"
    return "positions", title, "most positions a side", "milliseconds, hundreds of fills", lines


def _candidates(works: dict[int, Work], runs: int) -> Plot:
    x = [1, 2, 4, 8, 16, 32, 64]
    lines = []
    for work in works.values():
        # As many runs of every configuration in each point: only the size of the batch differs.
        bots = work.batch(x[-1])
        y = []
        for size in x:
            groups = [bots[n : n + size] for n in range(0, len(bots), size)]
            seconds = minima([work.evaluation(group) for group in groups], runs).sum()
            y.append(len(bots) * work.coin_minutes / seconds / 1e6)
        lines.append(Line(work.name, x, y))
    title = "Eight configurations in turn, 64 in all"
    return "candidates", title, "candidates in a batch", "M coin-minutes a second", lines


def _fills(works: dict[int, Work], runs: int) -> Plot:
    lines = []
    for count in (1, 15):
        work = with_random_bots(works[count], 30)
        work = replace(work, bots=[*works[count].bots, *work.bots])
        fills = work.fills(work.bots)
        seconds = minima([work.evaluation([bot]) for bot in work.bots], runs)
        density = fills / work.coin_minutes * 1e3
        model = cost_model(work.coin_minutes, fills, seconds)
        base, per_fill = model["base, ns a coin-min"], model["µs a fill"]
        ends = np.array([0.0, density.max()])
        lines.append(Line(works[count].name, density, seconds / work.coin_minutes * 1e9, dots=True))
        fit = f"{base:.1f} ns a coin-minute + {per_fill:.2f} µs a fill"
        lines.append(Line(fit, ends, base + per_fill * ends, fit=True))
    title = "8 fixed and 30 random configurations, each a dot"
    return "fills", title, "fills in 1,000 coin-minutes", "ns a coin-minute", lines
