"""A stand-in for Ray whose workers only sleep, so that the head can be tried with thousands of them.

Everything else is the product's own: search, lag, pool, pace, scoring, log and front. Workers take real time,
and none of the machine's: what is measured is whether the head keeps up with them. A call costs the head less
here than with Ray, which pickles the batch and the reply (docs/benchmarks-scale.md).
"""

import heapq
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from cluster.workers import Array, Evaluated, Introduction, Prepared, Reply

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
    answer: Any


@dataclass
class Simulated:
    """What ``import ray`` gives while the stand-in is there; only what the pool uses.

    Attributes
    ----------
    nodes_of
        Workers of each simulated machine.
    calls
        Made so far.
    """

    nodes_of: Sequence[int]
    calls: int = 0
    _given: float = 0.0
    _workers: list["_Actor"] = field(default_factory=list)
    _arrived: set[Any] = field(default_factory=set)
    _queue: list[tuple[float, int, _Reference]] = field(default_factory=list)
    _actors: dict[str, int] = field(default_factory=dict)

    def worked(self) -> float:
        """Return the seconds that all workers together have spent on batches by now."""
        now = time.monotonic()
        return self._given - sum(max(0.0, worker.free_at - now) for worker in self._workers)

    def nodes(self) -> list[dict[str, Any]]:
        """As ``ray.nodes``."""
        return [
            {
                "NodeID": f"{i:056x}",
                "NodeManagerAddress": f"10.0.{i // 256}.{i % 256}",
                "NodeManagerHostname": f"machine-{i}",
                "Resources": {"CPU": float(cpus), "object_store_memory": 1e9},
                "Alive": True,
            }
            for i, cpus in enumerate(self.nodes_of)
        ]

    def available_resources_per_node(self) -> dict[str, dict[str, float]]:
        """As ``ray._private.state.available_resources_per_node``."""
        return {
            node["NodeID"]: {"CPU": node["Resources"]["CPU"] - self._actors.get(node["NodeID"], 0)}
            for node in self.nodes()
        }

    def remote(self, **options: Any) -> Any:
        """As ``ray.remote``: of the class of the workers nothing is used."""
        return lambda worker: _Class(self)

    def wait(
        self, references: list[Any], *, num_returns: int, timeout: float, fetch_local: bool
    ) -> tuple[list[Any], list[Any]]:
        """As ``ray.wait``, without the list of those that have not arrived."""
        self._arrive()
        found = self._found(references)
        if not found and timeout > 0:
            until = time.monotonic() + timeout
            while not found and (now := time.monotonic()) < until:
                next_end = self._queue[0][0] if self._queue else until
                time.sleep(max(0.0, min(next_end, until) - now))
                self._arrive()
                found = self._found(references)
        return found[:num_returns], []

    def get(self, reference: _Reference) -> Any:
        """As ``ray.get``, of what has arrived."""
        self._arrived.discard(reference)
        return reference.answer()

    def kill(self, handle: Any, *, no_restart: bool) -> None:
        """As ``ray.kill``."""
        self._actors[handle.node] -= 1

    def send(self, ends: float, answer: Any) -> _Reference:
        """Note a call that ends at that time."""
        reference = _Reference(ends, answer)
        self.calls += 1
        heapq.heappush(self._queue, (ends, self.calls, reference))
        return reference

    def _arrive(self) -> None:
        now = time.monotonic()
        while self._queue and self._queue[0][0] <= now:
            self._arrived.add(heapq.heappop(self._queue)[2])

    def _found(self, references: list[Any]) -> list[Any]:
        return [one for one in references if one in self._arrived] if self._arrived else []

    class exceptions:
        """As ``ray.exceptions``: nothing here ever fails."""

        class RayError(Exception):
            """As Ray's."""

        class ActorUnavailableError(RayError):
            """As Ray's."""


@dataclass
class _Class:
    """What ``ray.remote`` makes of a class."""

    simulated: Simulated
    node: str = ""

    def options(self, *, scheduling_strategy: Any) -> "_Class":
        return _Class(self.simulated, scheduling_strategy.node)

    def remote(self, factory: Sleeper, width: int) -> "_Actor":
        self.simulated._actors[self.node] = self.simulated._actors.get(self.node, 0) + 1
        worker = _Actor(self.simulated, factory, self.node)
        self.simulated._workers.append(worker)
        return worker


class _Actor:
    """A simulated worker: it does one call after the other."""

    def __init__(self, simulated: Simulated, factory: Sleeper, node: str):
        self._simulated = simulated
        self._factory = factory
        self.free_at = 0.0
        self.node = node
        self.introduce = _Method(self._introduce)
        self.prepare = _Method(self._prepare)
        self.evaluate = _Method(self._evaluate)

    def _introduce(self) -> _Reference:
        introduction = Introduction(f"machine-{int(self.node, 16)}", id(self), self.node)
        return self._simulated.send(0.0, lambda: introduction)

    def _prepare(self) -> _Reference:
        return self._simulated.send(0.0, Prepared)

    def _evaluate(self, parameters: Array) -> _Reference:
        # A golden-ratio sequence: even, and the same in each run.
        share = 1.0 + _SPREAD * (2.0 * ((self._simulated.calls * 0.6180339887498949) % 1.0) - 1.0)
        seconds = self._factory.seconds_each * len(parameters) * share
        self.free_at = max(self.free_at, time.monotonic()) + seconds
        self._simulated._given += seconds
        return self._simulated.send(self.free_at, lambda: self._reply(parameters, seconds))

    def _reply(self, parameters: Array, seconds: float) -> Reply:
        found = self._factory.evaluate(parameters)
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
    """A method of an actor."""

    remote: Any


@dataclass(frozen=True)
class _Affinity:
    """As Ray's strategy of the same name."""

    node: str
    soft: bool


@contextmanager
def simulated_ray(workers: int, cpus: int = 16) -> Iterator[Simulated]:
    """Let ``import ray`` give the stand-in, with so many workers on machines of ``cpus`` processors."""
    whole, rest = divmod(workers, cpus)
    simulated = Simulated([cpus] * whole + ([rest] if rest else []))
    strategies = ModuleType("ray.util.scheduling_strategies")
    strategies.NodeAffinitySchedulingStrategy = _Affinity  # type: ignore[attr-defined]
    modules: dict[str, Any] = {
        "ray": simulated,
        "ray._private.state": simulated,
        "ray.util.scheduling_strategies": strategies,
    }
    former = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield simulated
    finally:
        for name, module in former.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
