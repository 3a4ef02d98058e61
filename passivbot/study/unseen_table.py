"""What was found on unseen candles, in a terminal: objectives side by side, then members."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from passivbot.backtest.scenario import Scenario
from passivbot.study.page_data import plain
from passivbot.study.study import Results, Study
from passivbot.study.terminal import chosen, number, tell_shown
from passivbot.study.unseen import Unseen, examine, holds, idle, known, losses, rank_correlation


def summary(found: Unseen, members: Results) -> str:
    """Return one line: how many members were tried, keep the limits there, lose, trade nothing."""
    _, there = found.of(members)
    parts = [f"{len(there):,} of {len(members):,} members tried"]
    limits = "keep all limits and trade" if there.scoring.limits else "trade"
    kept = holds(there)
    losing = int((kept & (losses(there) > 0)).sum())
    parts.append(
        f"{int(kept.sum()):,} {limits} there" + (f" ({losing:,} of them at a loss)" if losing else "")
    )
    if silent := int(idle(there).sum()):
        parts.append(f"{silent:,} trade nothing")
    return ", ".join(parts)


def examine_shown(study: Study, members: Results, scenario: Scenario) -> Unseen:
    """Run :func:`~passivbot.study.unseen.examine` with a bar on standard error, where that is a terminal."""
    stderr = Console(stderr=True)
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        task = bar.add_task("on unseen candles", total=len(members))
        return examine(study, members, scenario, lambda count: bar.advance(task, count))


def render_unseen(
    study: Study, found: Unseen, members: Results, *, rows: int = 20, marks: Mapping[int, str] | None = None
) -> RenderableType:
    """Return headline, summary, and two tables: the objectives, and the members.

    Parameters
    ----------
    study, found, members
        A study, what :func:`~passivbot.study.unseen.examine` found, and the members to show.
    rows
        Most members shown.
    marks
        Candidate → word that stands beside it.
    """
    seen, there = found.of(members)
    parts: list[RenderableType] = [
        Text(found.headline(study), style="bold"),
        Text(summary(found, members)),
        Text(),
    ]
    if len(seen):
        parts += [_objectives(seen, there), Text(), _members(seen, there, rows, marks or {})]
    return Group(*parts)


def _objectives(seen: Results, there: Results) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("objective")
    for name in ("median in study", "median unseen", "rank correlation"):
        table.add_column(name, justify="right")
    for objective in seen.scoring.objectives:
        one, other = seen.metric(objective.metric), there.metric(objective.metric)
        correlation = rank_correlation(one, other)
        table.add_row(
            f"{objective.metric} {_arrow(objective.weight)}",
            _median(one),
            _median(other),
            "–" if correlation is None else f"{correlation:+.2f}",
        )
    return table


def _median(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    finite = values[np.isfinite(values)]
    return number(float(np.median(finite))) if len(finite) else "–"


def _members(seen: Results, there: Results, rows: int, marks: Mapping[int, str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    table.add_column("candidate", justify="right")
    names = [(o.metric, _arrow(o.weight)) for o in seen.scoring.objectives]
    for name, arrow in names:
        table.add_column(f"{name} {arrow}", justify="right")
        table.add_column("unseen", justify="right", style="cyan")
    table.add_column("there")
    if marks:
        table.add_column("")
    shown = chosen(seen, rows, marks)
    for i in shown.tolist():
        candidate = int(seen.numbers[i])
        cells = [str(candidate)]
        for name, _ in names:
            cells += [number(float(seen.metric(name)[i])), number(float(there.metric(name)[i]))]
        cells.append(verdict(there, i))
        if marks:
            cells.append(marks.get(candidate, ""))
        table.add_row(*cells, style="bold" if candidate in marks else None)
    tell_shown(table, len(seen))
    return table


def verdict(there: Results, i: int) -> str:
    """Return in words how one candidate did on unseen candles: holds, the limit it breaks, idle; a loss."""
    if idle(there)[i]:
        return "trades nothing"
    for limit, excess in zip(there.scoring.limits, there.violations[i].tolist(), strict=True):
        if excess > 0:
            return f"breaks {limit.metric}: {number(float(there.metric(limit.metric)[i]))}"
    if not there.feasible[i]:
        return "not scored"
    lost = losses(there)[i]
    return f"holds, but loses {100 * lost:.2g} %" if lost > 0 else "holds"


def briefly(study: Study, members: Results) -> dict[str, dict[str, Any]]:
    """Return candidate → how it did on unseen candles, JSON-able; those alone that were tried."""
    found = known(study)
    if found is None:
        return {}
    _, there = found.of(members)
    kept = holds(there)
    objectives = [objective.metric for objective in there.scoring.objectives]
    return {
        str(number): {
            "days": round(found.window.days, 1),
            "first_ms": found.window.first_ms,
            "holds": bool(kept[i]),
            "last_ms": found.window.last_ms,
            "metrics": {name: plain(there.metric(name))[i] for name in objectives},
            "verdict": verdict(there, i),
        }
        for i, number in enumerate(there.numbers.tolist())
    }


def _arrow(weight: int) -> str:
    return "↑" if weight < 0 else "↓"
