"""A stand-in for Ray whose workers only sleep, so that the head can be tried with thousands of them.

Everything else is the product's own: search, lag, pool, pace, scoring, log and front. Workers take real time,
and none of the machine's: what is measured is whether the head keeps up with them. A call costs the head less
here than with Ray, for which batch and reply are packed (docs/benchmarks-scale.md).
"""

import heapq
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from cluster.nodes import Machine
from cluster.workers import Array, Evaluated, Evaluator, Introduction, Prepared, Reply

_SPREAD = 0.5  # batches take between 1 − that and 1 + that of their mean


@dataclass(frozen=True)
class Sleeper:
    """The factory of a simulated worker.

    Attributes
    ----------
    seconds_each
        Mean seconds of a candidate.
    width
        Number of metrics.
    objectives
        Column of each of three objectives, and its sign.
    """

    seconds_each: float
    width: int
    objectives: tuple[tuple[int, int], ...]

    def __call__(self) -> "Sleeper":
        """Return itself: it is its own evaluator."""
        return self

    def evaluate(self, parameters: Array) -> Evaluated:
        """Return metrics (n, m) of parameters (n, d) in [0, 1]: DTLZ2 with a flat valley, all others 0.5."""
        distance = 1.0 + 0.02 * ((parameters[:, 2:] - 0.5) ** 2).sum(axis=1)
        first, second = parameters[:, 0] * np.pi / 2, parameters[:, 1] * np.pi / 2
        values = np.cos(first) * np.cos(second), np.cos(first) * np.sin(second), np.sin(first)
        metrics = np.full((len(parameters), self.width), 0.5)
        for (column, sign), value in zip(self.objectives, values, strict=True):
            metrics[:, column] = sign * distance * value
        return Evaluated(metrics, np.full(len(parameters), np.nan))


@dataclass(eq=False)
class _Reference:
    """A call on its way: when it ends, and what it gives."""

    ends: float
    answer: Callable[[], Any]


@dataclass
class Simulated:
    """See :class:`~cluster.actors.Actors`: machines whose workers only sleep.

    Attributes
    ----------
    calls
        Made so far.
    """

    calls: int = 0
    _machines: list[Machine] = field(default_factory=list)
    _given: float = 0.0
    _workers: list["_Worker"] = field(default_factory=list)
    _arrived: set[Any] = field(default_factory=set)
    _queue: list[tuple[float, int, _Reference]] = field(default_factory=list)
    _taken: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, workers: int, cpus: int = 16) -> Self:
        """Return room for so many workers, on machines of ``cpus`` processors."""
        whole, rest = divmod(workers, cpus)
        found = [
            Machine(f"{i:056x}", f"10.0.{i // 256}.{i % 256}", f"machine-{i}", count, 10**9)
            for i, count in enumerate([cpus] * whole + ([rest] if rest else []))
        ]
        return cls(_machines=sorted(found, key=lambda machine: machine.address))

    def worked(self) -> float:
        """Return the seconds that all workers together have spent on batches by now."""
        now = time.monotonic()
        return self._given - sum(max(0.0, worker.free_at - now) for worker in self._workers)

    def machines(self) -> list[Machine]:
        """Return the machines, by address."""
        return self._machines

    def free_cpus(self) -> dict[str, float]:
        """Return machine's id → processors that no worker has."""
        return {machine.id: float(machine.cpus - self._taken[machine.id]) for machine in self._machines}

    def start(self, node: str, factory: Callable[[], Evaluator], width: int) -> "_Worker":
        """Start a worker on a machine."""
        self._taken[node] += 1
        self._workers.append(_Worker(self, factory, node))
        return self._workers[-1]

    def evaluate(self, worker: "_Worker", parameters: Array) -> _Reference:
        """Have a worker evaluate a batch (n, d); return the reference of its reply."""
        return worker.evaluate(parameters)

    def arrived(self, references: list[Any], seconds: float, patience: float = 0.0) -> list[Any]:
        """Return those references whose replies are there."""
        found = self._wait(references, 1, seconds)
        return self._wait(references, len(references), patience) if found and patience else found

    def reply(self, reference: _Reference) -> Any:
        """Return a reply that has arrived; none is ever lost."""
        self._arrived.discard(reference)
        return reference.answer()

    def end(self, worker: "_Worker") -> None:
        """End a worker."""
        self._taken[worker.node] -= 1

    def send(self, ends: float, answer: Callable[[], Any]) -> _Reference:
        """Note a call that ends at that time."""
        reference = _Reference(ends, answer)
        self.calls += 1
        heapq.heappush(self._queue, (ends, self.calls, reference))
        return reference

    def _wait(self, references: list[Any], least: int, seconds: float) -> list[Any]:
        until = time.monotonic() + seconds
        self._arrive()
        while len(found := self._found(references)) < least and (now := time.monotonic()) < until:
            next_end = self._queue[0][0] if self._queue else until
            time.sleep(max(0.0, min(next_end, until) - now))
            self._arrive()
        return found

    def _arrive(self) -> None:
        now = time.monotonic()
        while self._queue and self._queue[0][0] <= now:
            self._arrived.add(heapq.heappop(self._queue)[2])

    def _found(self, references: list[Any]) -> list[Any]:
        return [one for one in references if one in self._arrived] if self._arrived else []


class _Worker:
    """A simulated worker: it does one call after the other."""

    def __init__(self, simulated: Simulated, factory: Callable[[], Evaluator], node: str) -> None:
        self._simulated = simulated
        sleeper = factory()
        assert isinstance(sleeper, Sleeper)
        self._sleeper = sleeper
        self.free_at = 0.0
        self.node = node
        self.introduce = _Method(self._introduce)
        self.prepare = _Method(self._prepare)

    def evaluate(self, parameters: Array) -> _Reference:
        """Sleep over a batch (n, d), after what there is to do already."""
        # A golden-ratio sequence: even, and the same in each run.
        share = 1.0 + _SPREAD * (2.0 * ((self._simulated.calls * 0.6180339887498949) % 1.0) - 1.0)
        seconds = self._sleeper.seconds_each * len(parameters) * share
        self.free_at = max(self.free_at, time.monotonic()) + seconds
        self._simulated._given += seconds
        return self._simulated.send(self.free_at, lambda: self._reply(parameters, seconds))

    def _introduce(self) -> _Reference:
        introduction = Introduction(f"machine-{int(self.node, 16)}", id(self), self.node)
        return self._simulated.send(0.0, lambda: introduction)

    def _prepare(self) -> _Reference:
        return self._simulated.send(0.0, Prepared)

    def _reply(self, parameters: Array, seconds: float) -> Reply:
        found = self._sleeper.evaluate(parameters)
        return Reply(
            metrics=found.metrics,
            stopped=found.stopped,
            errors={},
            seconds=seconds,
            seconds_each=np.full(len(parameters), seconds / len(parameters)),
            overhead=0.0,
            private_bytes=0,
        )


@dataclass(frozen=True)
class _Method:
    """A method of a worker, called as Ray's are."""

    remote: Any
