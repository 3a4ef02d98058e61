"""What a person sees of a run: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
from passivbot.times import duration

_FIRST_LINES = (2.0, 5.0, 10.0, 20.0, 30.0)  # seconds after the start; later every minute
_LINE_SECONDS = 60.0


@dataclass(frozen=True)
class Best:
    """The best value of one objective on the front, as the metric itself."""

    metric: str
    value: float


@dataclass(frozen=True)
class Progress:
    """A run at one moment.

    Attributes
    ----------
    elapsed
        Seconds since the first batch.
    logged, budget, left, in_flight
        Candidates.
    failed, stopped
        Candidates of this run that failed, and that were stopped early.
    workers, workers_ready, workers_lost
        Wanted, started, replaced.
    rate
        Evaluations a second, lately.
    front, feasible
        Size of the front; candidates that keep all limits.
    hypervolume
        Against the study's reference point; None before the first result.
    best
        One entry an objective.
    engine_share
        Share of the workers' time spent in the engine.
    batch, lag
        Size of the next batch; candidates that may be in flight.
    held_back, feeding_lag
        Share of time in which workers idled for the lag (0: hardly any), and the lag that would feed them.
    head_bytes, worker_bytes, shared_bytes
        Memory: private of the head, private of all workers, shared candles.
    stopping
        Whether the run ends before its budget.
    evaluated, engine_seconds
        Candidates of this run; seconds that workers spent on them in the engine.
    """

    elapsed: float
    logged: int
    budget: int
    left: int
    failed: int
    stopped: int
    in_flight: int
    workers: int
    workers_ready: int
    workers_lost: int
    rate: float
    front: int
    feasible: int
    hypervolume: float | None
    best: tuple[Best, ...]
    engine_share: float
    batch: int
    lag: int
    held_back: float
    feeding_lag: int
    head_bytes: int
    worker_bytes: int
    shared_bytes: int
    stopping: bool
    evaluated: int = 0
    engine_seconds: float = 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the budget is spent at the present rate; None if nothing is known of it."""
        return self.left / self.rate if self.rate > 0 else None

    def front_text(self) -> str:
        """Return the size of the front, or why there is none."""
        if self.front:
            return f"{self.front} (of {self.feasible} feasible)"
        return "nothing feasible yet" if self.logged else "–"

    def memory_text(self) -> str:
        """Return who has how much memory."""
        return (
            f"candles {megabytes(self.shared_bytes)} shared, workers {megabytes(self.worker_bytes)}, "
            f"head {megabytes(self.head_bytes)}"
        )

    def hint(self) -> str | None:
        """Return what would make the run faster, if anything is known to."""
        if not self.held_back:
            return None
        return (
            f"workers idle {self.held_back:.0%} of the time: lag {self.lag} holds them back; "
            f"--lag {self.feeding_lag} would feed them, and costs the search nothing from a population of "
            f"{3 * self.feeding_lag} on"
        )


def progress_of(values: Mapping[str, Any]) -> Progress:
    """Return the progress whose fields these are, as JSON gives them; others are left out."""
    known = {name: values[name] for name in Progress.__dataclass_fields__ if name in values}
    return Progress(**{**known, "best": tuple(Best(**best) for best in known.get("best", ()))})


class Display(Protocol):
    """Where a run shows itself."""

    def due(self, now: float) -> bool:
        """Return whether progress should be shown at this moment of the monotonic clock."""

    def show(self, progress: Progress, *, last: bool = False) -> None:
        """Show progress; ``last`` at the end."""

    def say(self, text: str) -> None:
        """Show one message."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class PlainDisplay:
    """Lines for a file or a pipe: often at the start, then every minute."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._started = time.monotonic()
        self._shown = 0

    def due(self, now: float) -> bool:
        """Return whether the next line's time has come."""
        return now - self._started >= self._next()

    def show(self, progress: Progress, *, last: bool = False) -> None:
        """Print one line."""
        while not last and self.due(time.monotonic()):
            self._shown += 1
        if not progress.elapsed and not last:
            self.say(f"starting: {progress.workers_ready} of {progress.workers} workers")
            return
        hint = progress.hint()
        parts = [
            f"{progress.logged}/{progress.budget}",
            f"{progress.rate:.1f}/s",
            f"{duration(progress.seconds_left)} left"
            if progress.left
            else f"{duration(progress.elapsed)} in all",
            f"front {progress.front_text()}",
            *([f"hypervolume {progress.hypervolume:.5g}"] if progress.hypervolume is not None else []),
            *(f"best {best.metric} {best.value:.5g}" for best in progress.best),
            f"engine {progress.engine_share:.0%}",
            f"memory {progress.memory_text()}",
            *([f"stopped early {progress.stopped}"] if progress.stopped else []),
            *([f"failed {progress.failed}"] if progress.failed else []),
            *([hint] if hint and not last else []),
        ]
        print(" | ".join(parts), file=self._stream, flush=True)

    def say(self, text: str) -> None:
        """Print one line."""
        print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Do nothing: lines stay."""

    def _next(self) -> float:
        if self._shown < len(_FIRST_LINES):
            return _FIRST_LINES[self._shown]
        return _LINE_SECONDS * (self._shown - len(_FIRST_LINES) + 1)


class LiveDisplay:
    """A table that is renewed in place, with a bar; messages scroll above it."""

    def __init__(self, console: Console, title: str) -> None:
        from rich.live import Live

        self._title = title
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=False)
        self._live.start()

    def due(self, now: float) -> bool:
        """Return True: a table costs nothing to renew at every tick of the head."""
        return True

    def show(self, progress: Progress, *, last: bool = False) -> None:
        """Renew the table."""
        self._live.update(self._table(progress), refresh=last)

    def say(self, text: str) -> None:
        """Print a line above the table."""
        self._console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Leave the last table and give the terminal back."""
        self._live.stop()

    def _table(self, progress: Progress) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column()
        state = "stopping" if progress.stopping else "done" if not progress.left else "running"
        table.add_row(self._title, state)
        table.add_row(
            "candidates",
            f"{progress.logged:,} of {progress.budget:,}"
            + (f", {progress.stopped:,} stopped early" if progress.stopped else "")
            + (f", {progress.failed:,} failed" if progress.failed else ""),
        )
        done = progress.budget - progress.left
        table.add_row("", ProgressBar(total=max(1, progress.budget), completed=done, width=40))
        table.add_row(
            "speed",
            f"{progress.rate:,.1f} evaluations/s, {duration(progress.elapsed)} so far, "
            f"{duration(progress.seconds_left)} left",
        )
        table.add_row("front", progress.front_text())
        if progress.hypervolume is not None:
            table.add_row("hypervolume", f"{progress.hypervolume:.5f}")
        for best in progress.best:
            table.add_row(f"best {best.metric}", f"{best.value:.6g}")
        table.add_row(
            "workers",
            f"{progress.workers_ready} of {progress.workers}, {progress.engine_share:.0%} of their time in "
            f"the engine; {progress.in_flight} candidates in flight, batches of {progress.batch}, "
            f"lag {progress.lag}" + (f", {progress.workers_lost} replaced" if progress.workers_lost else ""),
        )
        table.add_row("memory", progress.memory_text())
        hint = progress.hint()
        if hint:
            table.add_row("hint", hint)
        return table


def make_display(stream: TextIO, title: str) -> Display:
    """Return the display that suits a stream: live on a terminal, else lines."""
    if not stream.isatty():
        return PlainDisplay(stream)
    from rich.console import Console

    return LiveDisplay(Console(file=stream), title)


def megabytes(count: float) -> str:
    """Return bytes in a readable unit."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}" if count < 10 * size else f"{count / size:.0f} {unit}"
    return f"{count:.0f} B"
