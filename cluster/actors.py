"""Where the pool's workers run and how it calls them: Ray, or a stand-in (:mod:`cluster.simulate`).

Ray places actors and carries calls, nothing more: no restarts and no retries of its own.
"""

import importlib
import pickle
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from cluster.nodes import Machine, free_cpus, machines, on_machine
from cluster.workers import Array, Evaluator, Worker, describe

MACHINE_LOST = "its machine was lost"

_FEW = 8  # references up to which one at a time is cheaper than asking, once there is one, for all


class CallLost(Exception):
    """No reply comes of a call.

    Parameters
    ----------
    cause
        In a few words.
    unreachable
        Whether the connection is gone and not, for all that is known, the worker.
    """

    def __init__(self, cause: str, *, unreachable: bool = False) -> None:
        super().__init__(cause)
        self.cause = cause
        self.unreachable = unreachable

    @property
    def gone(self) -> bool:
        """Whether the worker's machine is gone."""
        return self.cause == MACHINE_LOST


class Actors(Protocol):
    """Machines, workers on them, and calls."""

    def machines(self) -> list[Machine]:
        """Return the machines that are there, by address."""

    def free_cpus(self) -> Mapping[str, float]:
        """Return machine's id → processors that nobody has at the moment."""

    def start(self, node: str, factory: Callable[[], Evaluator], width: int) -> Any:
        """Start a worker on a machine, there or nowhere.

        Returns
        -------
        What has ``introduce`` and ``prepare`` of :class:`~cluster.workers.Worker`, each called by its
        ``remote``, which gives a reference.
        """

    def evaluate(self, worker: Any, parameters: Array) -> Any:
        """Have a worker evaluate a batch (n, d); return the reference of its reply."""

    def arrived(self, references: list[Any], seconds: float, patience: float = 0.0) -> list[Any]:
        """Return references whose replies are there.

        Not always all of them: the next call returns the others.

        Parameters
        ----------
        references
            What is waited for.
        seconds
            How long at most for a first one.
        patience
            How long at most for the others, once there is one.
        """

    def reply(self, reference: Any) -> Any:
        """Return a reply that has arrived; raises :class:`CallLost`."""

    def end(self, worker: Any) -> None:
        """End a worker, whatever it is at."""


class RayActors:
    """See :class:`Actors`: the Ray that this process is joined to."""

    def __init__(self) -> None:
        self._ray = importlib.import_module("ray")
        self._new = self._ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(Worker)

    def machines(self) -> list[Machine]:
        """Return the machines that are there, by address."""
        return machines()

    def free_cpus(self) -> Mapping[str, float]:
        """Return machine's id → processors that nobody has at the moment."""
        return free_cpus()

    def start(self, node: str, factory: Callable[[], Evaluator], width: int) -> Any:
        """Start a worker on a machine, there or nowhere."""
        return self._new.options(scheduling_strategy=on_machine(node)).remote(factory, width)

    def evaluate(self, worker: Any, parameters: Array) -> Any:
        """Have a worker evaluate a batch (n, d); return the reference of its reply."""
        return worker.evaluate_packed.remote(pickle.dumps(parameters, pickle.HIGHEST_PROTOCOL))

    def arrived(self, references: list[Any], seconds: float, patience: float = 0.0) -> list[Any]:
        """Return references whose replies are there."""
        found, _ = self._ray.wait(references, num_returns=1, timeout=seconds, fetch_local=True)
        every = len(references)
        if found and every > 1 and (patience or every > _FEW):
            found, _ = self._ray.wait(references, num_returns=every, timeout=patience, fetch_local=True)
        return list(found)

    def reply(self, reference: Any) -> Any:
        """Return a reply that has arrived; raises :class:`CallLost`."""
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            unreachable = isinstance(error, self._ray.exceptions.ActorUnavailableError)
            raise CallLost(_cause(error), unreachable=unreachable) from error
        return pickle.loads(answer) if isinstance(answer, bytes) else answer

    def end(self, worker: Any) -> None:
        """End a worker, whatever it is at."""
        try:
            self._ray.kill(worker, no_restart=True)
        except (self._ray.exceptions.RayError, ValueError):
            return  # it is gone already


def _cause(error: Exception) -> str:
    """Return in a few words why a call did not come back; Ray's own text is a page."""
    text = str(error)
    if "low on memory" in text or "OutOfMemory" in type(error).__name__:
        return "its worker was ended by Ray because the machine ran low on memory"
    if "node" in text and "has died" in text and "worker process has died" not in text:
        return MACHINE_LOST
    if "worker process has died" in text or "unexpectedly" in text:
        return "its worker process died"
    if "navailable" in type(error).__name__:
        return "its worker can't be reached"
    return describe(error)
