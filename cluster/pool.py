"""The workers of a study as the head sees them: who is free, what came back, who was lost.

A call that may or may not have run is ours to judge, so nothing below retries it. Every batch has a deadline,
and a worker that dies or misses one is replaced. Its batches are handed back; whether anything more of it
arrives later is only a gain.

The pool follows the cluster: machines that join get workers, those of a machine that leaves are gone with it.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cluster.actors import MACHINE_LOST, Actors, CallLost, RayActors
from cluster.batch import Batch, Done, Lost
from cluster.nodes import Machine, spread
from cluster.slots import QUEUED, Call, Openings, Slot
from cluster.workers import Evaluator, Introduction, Prepared, Reply
from passivbot.errors import ClusterError, EngineError

__all__ = ["QUEUED", "Batch", "Done", "Lost", "Pool"]

START_SECONDS = 180.0
"""How long a worker may take to prepare itself; a loaded machine needs ten of them."""

_FOLLOW_SECONDS = 1.0  # between two looks at the cluster
_HASTY_SECONDS = 0.1  # while there are fewer workers than there should be, or somebody is to be judged
_PENDING_SECONDS = 30.0  # without a process: somebody else has the processor, so try another machine
_STILLBORN = 3  # workers that die before they are ready, one after the other, until a machine is left out
# A process is dead for the head some moments before its machine is; a connection, for longer.
_JUDGING_SECONDS = 1.0
_UNREACHABLE_SECONDS = 8.0


class _Suspicion:
    """A worker was lost with one batch, which is to blame unless its machine turns out to be gone."""

    def __init__(self, slot: Slot, cause: str, batch: Batch, until: float) -> None:
        self.worker, self.node, self.cause, self.batch, self.until = slot.name, slot.node, cause, batch, until


class Pool:
    """Workers over one cluster.

    Parameters
    ----------
    factory
        Makes the evaluator in each worker.
    width
        Number of metrics of a candidate.
    size
        Most workers, at least 1; None for as many as the cluster has processors.
    allowed_seconds
        Batch → seconds after which it is given up.
    admit
        Machines → those of them that may have workers; called again and again, must not wait.
    say
        Prints one line for the user.
    patience
        Candidates that a worker has besides those that have come back → seconds for which they may lie, so
        that others come too.
    start_seconds
        How long a worker may take to prepare itself.
    actors
        Where the workers run; None: the Ray that this process is joined to.
    """

    def __init__(
        self,
        factory: Callable[[], Evaluator],
        width: int,
        size: int | None,
        allowed_seconds: Callable[[Batch], float],
        *,
        admit: Callable[[Sequence[Machine]], Sequence[Machine]] = tuple,
        say: Callable[[str], None] = lambda text: None,
        patience: Callable[[int], float] = lambda count: 0.0,
        start_seconds: float = START_SECONDS,
        actors: Actors | None = None,
    ) -> None:
        self._actors = RayActors() if actors is None else actors
        self._factory = factory
        self._width = width
        self._size = size
        self._allowed_seconds = allowed_seconds
        self._admit = admit
        self._say = say
        self._patience = patience
        self._start_seconds = start_seconds
        self._slots: list[Slot] = []
        self._openings = Openings()
        self._owners: dict[Any, Slot] = {}
        """Reference that is listened to → whose it is: of a starting worker, or the first of its calls."""
        self._late: dict[Any, tuple[Batch, str]] = {}
        self._suspicions: list[_Suspicion] = []
        self._lost: list[Lost] = []
        self._machines: dict[str, Machine] = {}
        self._left_out: set[str] = set()
        self._stillborn: dict[str, int] = {}
        self._count = 0
        self._ready = 0
        self._in_flight = 0
        self._next_look = self._next_deadline = 0.0
        self.private_bytes: dict[int, int] = {}
        """Slot → private memory of its worker at its last reply."""
        self._follow()

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def ready(self) -> int:
        """Number of workers that have started."""
        return self._ready

    @property
    def idle(self) -> int:
        """Number of started workers that have nothing to do."""
        return self._openings.idle

    @property
    def in_flight(self) -> int:
        """Number of candidates handed to workers that have not come back."""
        return self._in_flight

    def resize(self, size: int | None) -> None:
        """Change the most workers there may be; those too many end after what they have to do."""
        if size != self._size:
            self._size = size
            self._next_look = 0.0

    def wants(self) -> bool:
        """Whether a batch handed in now would go to a worker."""
        return bool(self._openings)

    def hand_in(self, batch: Batch) -> None:
        """Send a batch to the worker that has least to do."""
        slot = self._openings.take()
        self._in_flight += len(batch)
        if batch.alone and slot.calls:
            slot.reserved = batch  # waits until the worker has nothing else
        else:
            self._send(slot, batch)

    def wait(self, seconds: float) -> list[Done | Lost]:
        """Return what happened, after at most ``seconds``; at once if something has already.

        Raises
        ------
        EngineError
            No worker can make its evaluator.
        ClusterError
            Workers die again and again before they have started.
        """
        events: list[Done | Lost] = []
        self._follow()
        timeout = seconds if not self._lost else 0.0
        if waiting := [*self._owners, *self._late]:
            for reference in self._actors.arrived(waiting, timeout, self._gathering()):
                events += self._receive(reference)
        else:
            time.sleep(timeout)
        self._enforce_deadlines()
        self._judge()
        events += self._lost
        self._lost = []
        return events

    def _gathering(self) -> float:
        """Return for how long nobody runs dry: all have a batch besides the one that may have come back."""
        if self._openings:
            return 0.0
        spare = [len(slot.calls[-1].batch) for slot in self._slots if len(slot.calls) > 1]
        return self._patience(min(spare)) if spare else 0.0

    def close(self) -> None:
        """End all workers."""
        for slot in self._slots:
            self._actors.end(slot.handle)

    def processes(self) -> list[tuple[str, int]]:
        """Return (node id, process id) of each started worker."""
        return [(slot.node, slot.pid) for slot in self._slots if slot.ready]

    # ---- calls ----

    def _send(self, slot: Slot, batch: Batch) -> None:
        call = Call(self._actors.evaluate(slot.handle, batch.parameters), batch)
        if not slot.calls:
            slot.since = time.monotonic()
            self._owners[call.reference] = slot
        slot.calls.append(call)
        self._openings.offer(slot)

    def _receive(self, reference: Any) -> Iterator[Done | Lost]:
        if reference in self._late:
            batch, worker = self._late.pop(reference)
            try:
                yield Done(batch, self._actors.reply(reference), worker)
            except CallLost:
                return
            return
        slot = self._owners.get(reference)
        if slot is None:
            return  # its worker was lost a moment ago
        try:
            answer = self._actors.reply(reference)
        except CallLost as lost:
            self._lose(slot, lost.cause, unreachable=lost.unreachable, gone=lost.gone)
            return
        del self._owners[reference]
        if isinstance(answer, Introduction):
            slot.introduce(answer)
            self._listen(slot, slot.handle.prepare.remote())
        elif isinstance(answer, Prepared):
            self._welcome(slot, answer)
        else:
            yield self._finish(slot, answer)

    def _finish(self, slot: Slot, reply: Reply) -> Done:
        call = slot.calls.popleft()
        self._in_flight -= len(call.batch)
        self.private_bytes[slot.index] = reply.private_bytes
        slot.since = time.monotonic()
        if slot.calls:
            self._owners[slot.calls[0].reference] = slot
        if slot.reserved is not None and not slot.calls:
            batch, slot.reserved = slot.reserved, None
            self._send(slot, batch)
        elif slot.retiring and not slot.calls:
            self._remove(slot)
        else:
            self._openings.offer(slot)
        return Done(call.batch, reply, slot.name)

    def _enforce_deadlines(self) -> None:
        now = time.monotonic()
        if now < self._next_deadline:
            return
        self._next_deadline = now + _HASTY_SECONDS
        for slot in list(self._slots):
            if slot.placed and not slot.ready and now - slot.since > self._start_seconds:
                self._lose(slot, f"did not start within {self._start_seconds:g} s")
            elif slot.calls and now - slot.since > (allowed := self._allowed_seconds(slot.calls[0].batch)):
                for call in slot.calls:
                    self._late[call.reference] = (call.batch, slot.name)
                self._lose(slot, f"no result within {allowed:g} s", certain=True)

    # ---- losses ----

    def _lose(
        self, slot: Slot, cause: str, *, unreachable: bool = False, certain: bool = False, gone: bool = False
    ) -> None:
        """Take a worker out and note what it had; the next look at the cluster replaces it.

        Parameters
        ----------
        slot, cause
            Who, and why.
        unreachable
            Whether the connection is gone and not, for all that is known, the worker.
        certain
            Whether the worker lives and evaluates its first batch.
        gone
            Whether its machine has gone.
        """
        batches = [*(call.batch for call in slot.calls), *([slot.reserved] if slot.reserved else [])]
        if not slot.ready and not gone and not unreachable:
            self._note_stillborn(slot, cause)
        self._remove(slot)
        self._next_look = 0.0
        if gone or certain or not slot.calls:
            first = batches[0] if batches else None
            rest = batches[1:]
        elif len(slot.calls) > 1:
            # The first may have been done already, its reply on the way: try each without company.
            first, rest = None, [Batch(b.numbers, b.parameters, alone=True) for b in batches]
        else:
            now = time.monotonic()
            until = now + (_UNREACHABLE_SECONDS if unreachable else _JUDGING_SECONDS)
            self._suspicions.append(_Suspicion(slot, cause, batches[0], until))
            if len(batches) == 1:
                return
            first, rest = None, batches[1:]
        self._in_flight -= sum(len(batch) for batch in (*rest, *([first] if first else [])))
        self._lost.append(Lost(slot.name, cause, first, tuple(rest), node_lost=gone))

    def _judge(self) -> None:
        """Decide about those who were lost with one batch."""
        now = time.monotonic()
        for suspicion in list(self._suspicions):
            gone = suspicion.node not in self._machines
            if gone or now >= suspicion.until:
                self._suspicions.remove(suspicion)
                self._in_flight -= len(suspicion.batch)
                cause = MACHINE_LOST if gone else suspicion.cause
                self._lost.append(Lost(suspicion.worker, cause, suspicion.batch, (), node_lost=gone))

    def _note_stillborn(self, slot: Slot, cause: str) -> None:
        dead = self._stillborn[slot.node] = self._stillborn.get(slot.node, 0) + 1
        if dead >= max(_STILLBORN, sum(other.node == slot.node for other in self._slots)):
            self._leave_out(slot.node, ClusterError(f"workers do not start: {cause}"))

    def _leave_out(self, node: str, error: EngineError | ClusterError) -> None:
        """Use a machine no more; without any other that is the end."""
        others = self._machines.keys() - self._left_out - {node}
        if not any(self._machines[other].cpus for other in others):
            raise error
        if node not in self._left_out:
            self._left_out.add(node)
            self._say(f"machine {self._machines.get(node, node)} is left out: {error}")

    # ---- following the cluster ----

    def _follow(self) -> None:
        """Start and end workers so that they are where the machines are."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _FOLLOW_SECONDS
        present = {machine.id: machine for machine in self._actors.machines()}
        for node in self._machines.keys() - present.keys():
            if self._machines[node].cpus:  # one without drives studies, nothing more: it may come and go
                self._say(f"machine {self._machines[node]} was lost")
        self._machines = {node: m for node, m in self._machines.items() if node in present}
        for slot in list(self._slots):
            if slot.node not in present:
                self._lose(slot, MACHINE_LOST, gone=True)
        known = bool(self._machines)
        for machine in self._admit([m for m in present.values() if m.id not in self._left_out]):
            if machine.id not in self._machines and known and machine.cpus:
                self._say(f"machine {machine} joined: {machine.cpus} processors")
            self._machines[machine.id] = machine
        self._staff([m for m in self._machines.values() if m.id not in self._left_out], now)
        if self._suspicions:
            self._next_look = now + _HASTY_SECONDS

    def _staff(self, usable: Sequence[Machine], now: float) -> None:
        free = self._actors.free_cpus()
        for slot in [s for s in self._slots if not s.placed and now - s.since > _PENDING_SECONDS]:
            if free.get(slot.node, 0.0) < 1.0:
                self._remove(slot)  # somebody else has its processor
        placed = Counter(slot.node for slot in self._slots if slot.placed)
        have = Counter(slot.node for slot in self._slots if not slot.retiring)
        room: dict[str, int] = {}
        for machine in usable:
            unused = placed[machine.id] + int(free.get(machine.id, 0.0))
            room[machine.id] = min(machine.cpus, max(unused, have[machine.id]))
        wanted = spread(room, have, self._size)
        for node, count in wanted.items():
            for _ in range(count - have[node]):
                self._start(node)
            self._retire(node, have[node] - count)
        capacity = sum(machine.cpus for machine in usable)
        if sum(wanted.values()) < min(capacity, capacity if self._size is None else self._size):
            self._next_look = now + _HASTY_SECONDS

    def _start(self, node: str) -> None:
        self._count += 1
        handle = self._actors.start(node, self._factory, self._width)
        slot = Slot(index=self._count, node=node, handle=handle)
        self._slots.append(slot)
        self._listen(slot, handle.introduce.remote())

    def _listen(self, slot: Slot, greeting: Any) -> None:
        slot.greeting = greeting
        slot.since = time.monotonic()
        self._owners[greeting] = slot

    def _welcome(self, slot: Slot, prepared: Prepared) -> None:
        if prepared.failure:
            self._remove(slot)
            error = EngineError(f"a worker can't prepare its backtests: {prepared.failure}")
            self._leave_out(slot.node, error)
            return
        slot.greeting = None
        slot.ready = True
        self._ready += 1
        self._stillborn.pop(slot.node, None)
        if slot.retiring:
            self._remove(slot)
        else:
            self._openings.offer(slot)

    def _retire(self, node: str, count: int) -> None:
        """End as many workers of a machine, those first that have least to do."""
        there = [slot for slot in self._slots if slot.node == node and not slot.retiring]
        for slot in sorted(there, key=lambda slot: (slot.ready, len(slot.calls)))[: max(0, count)]:
            slot.retiring = True
            self._openings.withdraw(slot)
            if not slot.calls:
                self._remove(slot)

    def _remove(self, slot: Slot) -> None:
        """Take a worker out of all lists and end it."""
        self._slots.remove(slot)
        self._openings.withdraw(slot)
        self._ready -= slot.ready
        self.private_bytes.pop(slot.index, None)
        for reference in (slot.greeting, *(call.reference for call in slot.calls)):
            self._owners.pop(reference, None)
        self._actors.end(slot.handle)
