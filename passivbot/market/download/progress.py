"""What a person sees of a download: bars with time left on a terminal, a line now and then elsewhere."""

import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from passivbot.times import duration

_LINE_EVERY_S = 15.0


@dataclass
class _State:
    planned: int = 0
    done: int = 0
    coins: int = 0
    finished: int = 0
    bar: TaskID | None = None


@dataclass
class Display:
    """Shows how a download goes; use it as a context. Nothing is shown twice.

    Parameters
    ----------
    console
        Where; bars only if it is a terminal.
    """

    console: Console
    _states: dict[str, _State] = field(default_factory=dict, init=False)
    _notes: set[tuple[str, str, str]] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._began = self._line_at = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[coins]}"),
            _Rate(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

    def __enter__(self) -> "Display":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def planned(self, exchange: str, coin: str, minutes: int) -> None:
        """So many minutes are missing."""
        state = self._states.setdefault(exchange, _State())
        state.planned += minutes
        state.coins += 1
        self._show(exchange, state)

    def done(self, exchange: str, coin: str, minutes: int) -> None:
        """So many of them are settled."""
        state = self._states.setdefault(exchange, _State())
        state.done += minutes
        self._show(exchange, state)

    def finished(self, exchange: str, coin: str) -> None:
        """Nothing more comes of this market."""
        state = self._states.setdefault(exchange, _State())
        state.finished += 1
        self._show(exchange, state)

    def note(self, exchange: str, coin: str, text: str) -> None:
        """Print something a person should know, once."""
        if (exchange, coin, text) not in self._notes:
            self._notes.add((exchange, coin, text))
            self.console.print(f"{exchange} {coin}".rstrip() + f": {text}", markup=False, highlight=False)

    def _show(self, exchange: str, state: _State) -> None:
        coins = f"{state.finished}/{state.coins} coins"
        if self.console.is_terminal:
            if state.bar is None:
                state.bar = self._progress.add_task(exchange, total=None, coins=coins)
            self._progress.update(state.bar, total=state.planned, completed=state.done, coins=coins)
        elif time.monotonic() - self._line_at >= _LINE_EVERY_S:
            self._line_at = time.monotonic()
            for name, each in self._states.items():
                self.console.print(self._line(name, each), markup=False, highlight=False)

    def _line(self, exchange: str, state: _State) -> str:
        share = state.done / state.planned if state.planned else 1.0
        left = (time.monotonic() - self._began) * (1 / share - 1) if share > 0 else None
        text = f"{exchange}: {share:.0%} of {state.planned} minutes, {state.finished} of {state.coins} coins"
        return text if left is None else f"{text}, about {duration(left)} left"


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} minutes/s", style="progress.data.speed")
