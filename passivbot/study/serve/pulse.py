"""How fast a study ran, and with how many workers, over the time in which it ran."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from passivbot.study.rows import Event, Rows

STARTS = ("created", "resumed")
"""Events that begin a run."""
_BINS = 120  # at most, as long as there are fewer runs


class Pulse:
    """Evaluations a second and workers seen, in equal bins of running time.

    A study may rest for days between two runs. Running time leaves that out: it passes from the first result
    of a run to the last one before the next run began. Rows may come in any order.

    Parameters
    ----------
    events
        Of the study.
    weight
        Candidates for which each row stands: 1, or the stride of a sample.
    """

    def __init__(self, events: Iterable[Event] = (), weight: int = 1) -> None:
        self._starts: list[float] = []
        self._weight = weight
        self._width = 1.0
        self._counts: dict[tuple[int, int], int] = {}
        self._workers: dict[tuple[int, int], set[str]] = {}
        self.see(events)

    def see(self, events: Iterable[Event]) -> None:
        """Learn of runs that began since the last call."""
        last = self._starts[-1] if self._starts else -np.inf
        self._starts += sorted(event.at for event in events if event.kind in STARTS and event.at > last)

    def add(self, rows: Rows) -> None:
        """Count rows; the runs that they belong to have been seen."""
        if not len(rows):
            return
        if not self._starts:
            self._starts = [float(rows.logged.min())]
        starts = np.array(self._starts)
        run = np.maximum(np.searchsorted(starts, rows.logged, side="right") - 1, 0)
        place = (np.maximum(rows.logged - starts[run], 0.0) / self._width).astype(np.int64)
        for key, worker in zip(zip(run.tolist(), place.tolist(), strict=True), rows.worker, strict=True):
            self._counts[key] = self._counts.get(key, 0) + self._weight
            self._workers.setdefault(key, set()).add(worker)
        lengths = self._lengths()
        while sum(lengths) > _BINS and max(lengths) > 1:
            self._halve()
            lengths = self._lengths()

    def series(self) -> dict[str, list[Any]]:
        """Return ``seconds`` (start of each bin), ``rate`` (evaluations a second) and ``workers``; JSON-able.

        A run counts from its first result. The last bin is left out unless it is the only one: it is not
        over.
        """
        first: dict[int, int] = {}
        for run, place in self._counts:
            first[run] = min(first.get(run, place), place)
        lengths = self._lengths()
        keys = [(run, place) for run in sorted(first) for place in range(first[run], lengths[run])]
        keys = keys[:-1] if len(keys) > 1 else keys
        return {
            "seconds": [index * self._width for index in range(len(keys))],
            "rate": [self._counts.get(key, 0) / self._width for key in keys],
            "workers": [len(self._workers.get(key, ())) for key in keys],
        }

    def _lengths(self) -> list[int]:
        """Return the number of bins of each run."""
        lengths = [0] * len(self._starts)
        for run, place in self._counts:
            lengths[run] = max(lengths[run], place + 1)
        return lengths

    def _halve(self) -> None:
        """Join bins in pairs."""
        self._width *= 2
        counts, workers = self._counts, self._workers
        self._counts, self._workers = {}, {}
        for (run, place), count in counts.items():
            key = (run, place // 2)
            self._counts[key] = self._counts.get(key, 0) + count
            self._workers.setdefault(key, set()).update(workers[run, place])
