"""The place of one worker in the pool, and which of the places can take another batch."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from cluster.batch import Batch
from cluster.workers import Introduction

QUEUED = 2
"""Batches a worker holds, so that it has one to begin with when it ends one."""


@dataclass(eq=False)
class Call:
    """A batch on its way, and Ray's reference of the reply."""

    reference: Any
    batch: Batch


@dataclass(eq=False)
class Slot:
    """One worker.

    Attributes
    ----------
    index, node, handle
        Number, where it is to run, the actor.
    greeting
        Reference of what it says of itself while it starts.
    name, pid
        As it introduced itself.
    calls
        What it has to do, in order.
    reserved
        A batch that must be alone, waiting for the end of ``calls``.
    since
        When the first of ``calls`` began, or what the worker does before it is ready.
    ready, retiring
        Whether it evaluates; whether it is to end after ``calls``.
    """

    index: int
    node: str
    handle: Any
    greeting: Any = None
    name: str = ""
    pid: int = 0
    calls: deque[Call] = field(default_factory=deque)
    reserved: Batch | None = None
    since: float = 0.0
    ready: bool = False
    retiring: bool = False

    def __post_init__(self) -> None:
        self.name = f"worker {self.index}"

    @property
    def placed(self) -> bool:
        """Whether its process has started, so that it has a processor."""
        return bool(self.pid)

    def introduce(self, introduction: Introduction) -> None:
        """Take down who it is."""
        self.pid = introduction.pid
        self.name = f"{introduction.host}/{introduction.pid}"


class Openings:
    """Workers that can take a batch, in constant time: first who has least to do, and waited longest."""

    def __init__(self) -> None:
        # By number of batches; dictionaries keep their order.
        self._by_load: tuple[dict[Slot, None], ...] = tuple({} for _ in range(QUEUED))

    def __bool__(self) -> bool:
        return any(self._by_load)

    @property
    def idle(self) -> int:
        """Number of those that have nothing to do."""
        return len(self._by_load[0])

    def offer(self, slot: Slot) -> None:
        """Add a worker, or move it to where it belongs now; one that can take nothing is left out."""
        self.withdraw(slot)
        alone = any(call.batch.alone for call in slot.calls)
        if slot.ready and not slot.retiring and not slot.reserved and not alone and len(slot.calls) < QUEUED:
            self._by_load[len(slot.calls)][slot] = None

    def withdraw(self, slot: Slot) -> None:
        """Remove a worker, if it is here."""
        for slots in self._by_load:
            slots.pop(slot, None)

    def take(self) -> Slot:
        """Remove and return the first."""
        slots = next(slots for slots in self._by_load if slots)
        slot = next(iter(slots))
        del slots[slot]
        return slot
