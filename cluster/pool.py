"""The workers of a study as the head sees them: who is free, what came back, who was lost.

Ray places actors and carries calls, nothing more: no restarts and no retries of its own, since a call that
may or may not have run is ours to judge. Every batch has a deadline, and a worker that dies or misses one is
replaced. Its batches are handed back; whether anything more of it arrives later is only a gain.
"""

import importlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cluster.workers import Evaluator, Introduction, Reply, Worker, describe
from passivbot.errors import ClusterError, EngineError

Array = NDArray[np.float64]

QUEUED = 2
"""Batches a worker holds, so that it has one to begin with when it ends one."""

START_SECONDS = 180.0
"""How long a worker may take to start; a loaded machine needs ten of them."""

_STILLBORN = 3


@dataclass(frozen=True, eq=False)
class Batch:
    """Candidates that one call evaluates: ``numbers`` (n,) and their vectors (n, d)."""

    numbers: tuple[int, ...]
    parameters: Array

    def __len__(self) -> int:
        return len(self.numbers)

    def halves(self) -> "tuple[Batch, ...]":
        """Return the batch in two parts, or itself if it has one candidate."""
        middle = len(self) // 2
        if not middle:
            return (self,)
        return (
            Batch(self.numbers[:middle], self.parameters[:middle]),
            Batch(self.numbers[middle:], self.parameters[middle:]),
        )


@dataclass(frozen=True)
class Done:
    """A batch came back."""

    batch: Batch
    reply: Reply
    worker: str


@dataclass(frozen=True)
class Lost:
    """A worker was lost.

    Attributes
    ----------
    worker, cause
        Who, and why, in a few words.
    batch
        What it was evaluating; None if it was idle.
    unstarted
        What it had not begun with.
    node_lost
        Whether its whole machine has gone, which no candidate is to blame for.
    """

    worker: str
    cause: str
    batch: Batch | None
    unstarted: tuple[Batch, ...]
    node_lost: bool


@dataclass(eq=False)
class _Call:
    reference: Any
    batch: Batch


@dataclass(eq=False)
class _Slot:
    """The place of one worker; a replacement takes it over."""

    index: int
    handle: Any = None
    greeting: Any = None
    name: str = ""
    node: str = ""
    pid: int = 0
    calls: deque[_Call] = field(default_factory=deque)
    since: float = 0.0
    """When the first of ``calls`` began (or the worker, while it starts)."""
    idle_since: float = 0.0

    @property
    def ready(self) -> bool:
        return self.greeting is None


class Pool:
    """Workers over one cluster.

    Parameters
    ----------
    factory
        Makes the evaluator in each worker.
    width
        Number of metrics of a candidate.
    size
        Number of workers, at least 1.
    allowed_seconds
        Batch → seconds after which it is given up.
    """

    def __init__(
        self,
        factory: Callable[[], Evaluator],
        width: int,
        size: int,
        allowed_seconds: Callable[[Batch], float],
    ) -> None:
        self._ray = importlib.import_module("ray")
        # One worker a processor; Ray keeps nothing of a call once its reply is read.
        self._actor = self._ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(Worker)
        self._factory = factory
        self._width = width
        self._allowed_seconds = allowed_seconds
        self._late: dict[Any, tuple[Batch, str]] = {}
        self._stillborn = 0
        self._lost: list[Lost] = []
        self.private_bytes: dict[int, int] = {}
        """Slot → private memory of its worker at its last reply."""
        self._slots = [_Slot(index) for index in range(size)]
        for slot in self._slots:
            self._start(slot)

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def ready(self) -> int:
        """Number of workers that have started."""
        return sum(slot.ready for slot in self._slots)

    @property
    def idle(self) -> int:
        """Number of started workers that have nothing to do."""
        return sum(slot.ready and not slot.calls for slot in self._slots)

    @property
    def in_flight(self) -> int:
        """Number of candidates handed to workers that have not come back."""
        return sum(len(call.batch) for slot in self._slots for call in slot.calls)

    def wants(self) -> bool:
        """Whether a batch handed in now would go to a worker."""
        return any(slot.ready and len(slot.calls) < QUEUED for slot in self._slots)

    def hand_in(self, batch: Batch) -> None:
        """Send a batch to the worker that has least to do."""
        slot = min(
            (slot for slot in self._slots if slot.ready and len(slot.calls) < QUEUED),
            key=lambda slot: (len(slot.calls), slot.idle_since),
        )
        if not slot.calls:
            slot.since = time.monotonic()
        slot.calls.append(_Call(slot.handle.evaluate.remote(batch.parameters), batch))

    def wait(self, seconds: float) -> list[Done | Lost]:
        """Return what happened, after at most ``seconds``; at once if something has already.

        Raises
        ------
        EngineError
            A worker can't make its evaluator: none could.
        ClusterError
            Workers die again and again before they have started.
        """
        events: list[Done | Lost] = []
        timeout = seconds
        while True:
            waiting = list(self._references())
            if not waiting:
                time.sleep(timeout)
                break
            arrived, _ = self._ray.wait(waiting, num_returns=1, timeout=timeout, fetch_local=True)
            if arrived and len(waiting) > 1:
                arrived, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0, fetch_local=True)
            if not arrived:
                break
            events += [event for reference in arrived for event in self._receive(reference)]
            timeout = 0.0
        self._enforce_deadlines()
        events += self._lost
        self._lost = []
        return events

    def close(self) -> None:
        """End all workers."""
        for slot in self._slots:
            self._kill(slot)

    def processes(self) -> list[tuple[str, int]]:
        """Return (node id, process id) of each started worker."""
        return [(slot.node, slot.pid) for slot in self._slots if slot.ready]

    def _references(self) -> Iterator[Any]:
        for slot in self._slots:
            if slot.greeting is not None:
                yield slot.greeting
            elif slot.calls:
                yield slot.calls[0].reference
        yield from self._late

    def _start(self, slot: _Slot) -> None:
        slot.handle = self._actor.remote(self._factory, self._width)
        slot.greeting = slot.handle.introduce.remote()
        slot.calls = deque()
        slot.since = time.monotonic()
        slot.name = f"worker {slot.index + 1}"

    def _receive(self, reference: Any) -> Iterator[Done | Lost]:
        if reference in self._late:
            batch, worker = self._late.pop(reference)
            try:
                yield Done(batch, self._ray.get(reference), worker)
            except self._ray.exceptions.RayError:
                return
            return
        slot = next(slot for slot in self._slots if reference in (slot.greeting, *_first(slot.calls)))
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._lose(slot, _cause(error))
            return
        if isinstance(answer, Introduction):
            self._welcome(slot, answer)
            return
        self._stillborn = 0
        call = slot.calls.popleft()
        slot.since = slot.idle_since = time.monotonic()
        self.private_bytes[slot.index] = answer.private_bytes
        yield Done(call.batch, answer, slot.name)

    def _welcome(self, slot: _Slot, introduction: Introduction) -> None:
        if introduction.failure:
            raise EngineError(f"a worker can't prepare its backtests: {introduction.failure}")
        slot.greeting = None
        slot.node = introduction.node
        slot.pid = introduction.pid
        slot.name = f"{introduction.host}/{introduction.pid}"
        slot.idle_since = time.monotonic()

    def _enforce_deadlines(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            if slot.greeting is not None and now - slot.since > START_SECONDS:
                self._lose(slot, f"did not start within {START_SECONDS:g} s")
            elif slot.ready and slot.calls:
                allowed = self._allowed_seconds(slot.calls[0].batch)
                if now - slot.since > allowed:
                    for call in slot.calls:
                        self._late[call.reference] = (call.batch, slot.name)
                    self._lose(slot, f"no result within {allowed:g} s")

    def _lose(self, slot: _Slot, cause: str) -> None:
        """Replace a worker and note what it had."""
        batches = [call.batch for call in slot.calls]
        node_lost = bool(slot.node) and not self._alive(slot.node)
        if slot.greeting is not None:
            self._stillborn += 1
            if self._stillborn >= max(_STILLBORN, len(self._slots)):
                raise ClusterError(f"workers do not start: {cause}")
        self._lost.append(
            Lost(slot.name, cause, batches[0] if batches else None, tuple(batches[1:]), node_lost)
        )
        self._kill(slot)
        self._start(slot)

    def _kill(self, slot: _Slot) -> None:
        try:
            self._ray.kill(slot.handle, no_restart=True)
        except (self._ray.exceptions.RayError, ValueError):
            return  # it is gone already

    def _alive(self, node: str) -> bool:
        return any(known["NodeID"] == node and known["Alive"] for known in self._ray.nodes())


def _first(calls: deque[_Call]) -> tuple[Any, ...]:
    return (calls[0].reference,) if calls else ()


def _cause(error: Exception) -> str:
    """Return in a few words why a call did not come back; Ray's own text is a page."""
    text = str(error)
    if "low on memory" in text or "OutOfMemory" in type(error).__name__:
        return "its worker was ended by Ray because the machine ran low on memory"
    if "node" in text and "has died" in text and "worker process has died" not in text:
        return "its machine was lost"
    if "worker process has died" in text or "unexpectedly" in text:
        return "its worker process died"
    return describe(error)
