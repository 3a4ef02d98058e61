"""The front in a terminal: a table of its members and a small scatter plot, both as rich renderables.

What stands here is for people: numbers are shortened. ``--json`` has them in full.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from passivbot.study.front import Front, thin
from passivbot.study.study import Results

Floats = NDArray[np.float64]

# Bits of a braille cell: column, then row from the top.
_BRAILLE = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


def number(value: float, digits: int = 4) -> str:
    """Return a number for people, – for none."""
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.{digits}g}"


def console() -> Console:
    """Return a console on standard output; where that is no terminal tables have room not to be cut."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=160)


def headline(front: Front, members: Results) -> str:
    """Return one line on the state of a front: size, candidates, bars, hypervolume, recent gain."""
    told, feasible = f"{front.told:,}", f"{front.feasible_count:,}"
    if not front.feasible:
        if not len(members):
            return f"no front yet: none of {told} candidates could be scored"
        broken = _broken(members)
        return (
            f"no front yet: none of {told} candidates keeps all limits; "
            f"the {len(members)} that break them least are shown{broken and f', they break {broken}'}"
        )
    line = f"front of {len(front):,} from {told} candidates, {feasible} of them feasible"
    if members.interval_minutes != 1:
        line += f", on bars of {members.interval_minutes} minutes"
    if front.hypervolume is not None:
        line += f"; hypervolume {number(front.hypervolume)}"
    gain = front.recent_gain()
    if gain is not None:
        line += f", {gain:+.2%} in the last tenth"
    return line


def _broken(members: Results) -> str:
    """Return the limits that members break, those first that most of them do."""
    counts = (members.violations > 0).sum(axis=0).tolist()
    found = sorted(zip(counts, members.scoring.limits, strict=True), key=lambda pair: -pair[0])
    return ", ".join(f"{limit.key} {limit.value:g} ({count} of them)" for count, limit in found if count)


def render_front(
    front: Front,
    members: Results,
    *,
    rows: int = 20,
    marks: Mapping[int, str] | None = None,
    background: Results | None = None,
    plot: bool = True,
) -> RenderableType:
    """Return headline, table and scatter plot of a front.

    Parameters
    ----------
    front, members
        A front and what ``Study.members`` gives for it.
    rows
        Most rows of the table; the members that keep ends and spread are chosen.
    marks
        Candidate → word that stands beside it, such as the method that chose it.
    background
        Other candidates, drawn faintly.
    plot
        Whether to draw the scatter plot (with two objectives or more).
    """
    parts: list[RenderableType] = [Text(headline(front, members), style="bold")]
    if len(members):
        parts.append(front_table(members, rows=rows, marks=marks or {}))
        if plot and len(members.scoring.objectives) > 1:
            parts.append(front_scatter(members, background=background, marks=marks or {}))
    return Group(*parts)


def front_table(members: Results, *, rows: int = 20, marks: Mapping[int, str] | None = None) -> Table:
    """Return a table: candidate, objectives as reported (↑ more is better), limited metrics, violation."""
    marks = marks or {}
    shown = chosen(members, rows, marks)
    objectives = {o.metric: "↑" if o.weight < 0 else "↓" for o in members.scoring.objectives}
    others = [
        m for m in dict.fromkeys(limit.metric for limit in members.scoring.limits) if m not in objectives
    ]
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    table.add_column("candidate", justify="right")
    for name, arrow in objectives.items():
        table.add_column(f"{name} {arrow}", justify="right", style="cyan")
    for name in others:
        table.add_column(name, justify="right")
    infeasible = not members.feasible.all()
    if infeasible:
        table.add_column("violation", justify="right", style="red")
    if marks:
        table.add_column("")
    for i in shown.tolist():
        candidate = int(members.numbers[i])
        cells = [str(candidate), *(number(float(members.metric(n)[i])) for n in (*objectives, *others))]
        if infeasible:
            cells.append(number(float(members.total[i])))
        if marks:
            cells.append(marks.get(candidate, ""))
        table.add_row(*cells, style="bold" if candidate in marks else None)
    tell_shown(table, len(members))
    return table


def candidate_table(members: Results, there: Results | None = None) -> Table:
    """Return all logged metrics of the one candidate that there is, objectives first, each with its limit.

    Parameters
    ----------
    members
        One candidate.
    there
        The same on unseen candles, if it was tried there.
    """
    better = {-1: "more is better", 1: "less is better"}
    goals = {o.metric: better[o.weight] for o in members.scoring.objectives}
    limits: dict[str, list[str]] = {}
    for limit in members.scoring.limits:
        words = f"at {'most' if limit.kind == 'greater' else 'least'} {limit.value:g}"
        limits.setdefault(limit.metric, []).append(words)
    table = Table("metric", box=None, pad_edge=False, header_style="bold", show_edge=False)
    table.add_column(str(members.numbers[0]), justify="right", style="cyan")
    if there is not None:
        table.add_column("unseen", justify="right")
    table.add_column("", style="dim")
    for name in (*goals, *(name for name in members.metric_names if name not in goals)):
        about = [*([f"objective, {goals[name]}"] if name in goals else []), *limits.get(name, ())]
        cells = [number(float(members.metric(name)[0]))]
        if there is not None:
            cells.append(number(float(there.metric(name)[0])))
        table.add_row(name, *cells, "; ".join(about))
    return table


def tell_shown(table: Table, count: int) -> None:
    """Say below a table how many of so many rows it shows, if not all."""
    if table.row_count < count:
        table.caption = f"{table.row_count} of {count} shown"
        table.caption_justify = "left"


def chosen(members: Results, rows: int, marks: Mapping[int, str]) -> NDArray[np.intp]:
    """Return indices of the rows to show, the marked ones among them, best first objective first."""
    marked = np.flatnonzero(np.isin(members.numbers, list(marks)))
    kept = (
        thin(members.objectives, max(0, rows - len(marked)))
        if len(members) > rows
        else np.arange(len(members))
    )
    shown = np.union1d(kept, marked)
    if not members.feasible.any():
        return np.asarray(shown[np.argsort(members.total[shown], kind="stable")])
    return np.asarray(shown[np.argsort(members.objectives[shown, 0], kind="stable")])


def front_scatter(
    members: Results, *, background: Results | None = None, marks: Mapping[int, str] | None = None
) -> "Scatter":
    """Return the scatter plot of the first two objectives, as reported."""
    x, y = (objective.metric for objective in members.scoring.objectives[:2])

    def points(results: Results) -> Floats:
        found = np.column_stack([results.metric(x), results.metric(y)])
        return np.asarray(found[np.isfinite(found).all(axis=1)])

    marked = members.take(np.isin(members.numbers, list(marks or {})))
    return Scatter(
        points(members), (x, y), faint=points(background) if background else None, marked=points(marked)
    )


@dataclass(frozen=True, eq=False)
class Scatter:
    """A scatter plot in braille dots (``*`` and ``.`` where the terminal has no Unicode).

    ``points`` (n, 2) give the scale; those of ``faint`` outside it are left out; ``marked`` ones stand out.
    """

    points: Floats
    labels: tuple[str, str]
    faint: Floats | None = None
    marked: Floats = field(default_factory=lambda: np.empty((0, 2)))
    height: int = 12
    width: int = 72

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw, as wide as there is room up to ``width``."""
        if not len(self.points):
            return
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        margin = np.where(high > low, (high - low) * 0.04, np.abs(high) * 0.01 + 1e-12)
        low, high = low - margin, high + margin
        left = [number(float(v), 3) for v in (high[1], (low[1] + high[1]) / 2, low[1])]
        gutter = max(len(text) for text in left)
        width = max(8, min(self.width, options.max_width - gutter - 2))
        ascii_only = options.ascii_only
        cells = np.zeros((self.height, width), dtype=np.int64)
        rank = np.zeros((self.height, width), dtype=np.int64)
        for level, points in enumerate((self.faint, self.points, self.marked), start=1):
            if points is None or not len(points):
                continue
            place = (points - low) / (high - low)
            place = place[((place >= 0) & (place < 1)).all(axis=1)]
            column = np.minimum((place[:, 0] * width * 2).astype(np.int64), width * 2 - 1)
            row = np.minimum(((1 - place[:, 1]) * self.height * 4).astype(np.int64), self.height * 4 - 1)
            np.bitwise_or.at(cells, (row // 4, column // 2), np.array(_BRAILLE)[column % 2, row % 4])
            np.maximum.at(rank, (row // 4, column // 2), level)
        styles = ("", "dim", "cyan", "bold yellow")
        bar = "|" if ascii_only else "│"
        middle = self.height // 2
        labels = {0: left[0], middle: left[1], self.height - 1: left[2]}
        yield Text(f"{'':{gutter}} {self.labels[1]}", style="dim")
        for row in range(self.height):
            line = Text(f"{labels.get(row, ''):>{gutter}} {bar}", style="dim")
            for column in range(width):
                level = int(rank[row, column])
                drawn = (
                    " .*#"[level] if ascii_only else (chr(0x2800 + int(cells[row, column])) if level else " ")
                )
                line.append(drawn, style=styles[level] or "none")
            yield line
        ends = number(float(low[0]), 3), number(float(high[0]), 3)
        room = width - len(ends[0]) - len(ends[1])
        name = self.labels[0] if len(self.labels[0]) + 2 <= room else ""
        yield Text(f"{'':{gutter}}  {ends[0]}{name:^{max(1, room)}}{ends[1]}", style="dim")


def marks_of(picks: Sequence[tuple[str, int]]) -> dict[int, str]:
    """Return candidate → the methods that chose it, joined by commas."""
    marks: dict[int, list[str]] = {}
    for method, candidate in picks:
        marks.setdefault(candidate, []).append(method)
    return {candidate: ", ".join(names) for candidate, names in marks.items()}
