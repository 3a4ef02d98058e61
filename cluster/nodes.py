"""The machines of a cluster: which there are, how workers are spread over them, and asking for more."""

import importlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from typing import Any

from cluster.board import Notice

WARM_SECONDS = 60.0
"""Work for a worker that is worth starting a machine for, or keeping one."""


@dataclass(frozen=True)
class Machine:
    """One node of Ray, alive.

    Attributes
    ----------
    id
        Ray's, in hexadecimal; another one after each start of the node.
    address, host
        Its IP address and the name it has for itself.
    cpus
        Processors that it gives to workers.
    object_store
        Bytes of its object store.
    """

    id: str
    address: str
    host: str
    cpus: int
    object_store: int

    def __str__(self) -> str:
        return self.address if self.host in ("", self.address) else f"{self.host} ({self.address})"


def machines() -> list[Machine]:
    """Return the nodes that are alive, by address."""
    ray = importlib.import_module("ray")
    found = [
        Machine(
            id=node["NodeID"],
            address=node["NodeManagerAddress"],
            host=node["NodeManagerHostname"],
            cpus=int(node["Resources"].get("CPU", 0)),
            object_store=int(node["Resources"].get("object_store_memory", 0)),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]
    return sorted(found, key=lambda machine: (machine.address, machine.id))


def free_cpus() -> Mapping[str, float]:
    """Return node id → processors that nobody has at the moment."""
    # Not public; the public function sums over all nodes.
    state = importlib.import_module("ray._private.state")
    return {node: found.get("CPU", 0.0) for node, found in state.available_resources_per_node().items()}


def on_machine(node: str) -> Any:
    """Return the scheduling strategy "there or nowhere".

    A soft one puts workers on the wrong machine just after the start of a cluster.
    """
    strategies = importlib.import_module("ray.util.scheduling_strategies")
    return strategies.NodeAffinitySchedulingStrategy(node, soft=False)


def spread(room: Mapping[str, int], have: Mapping[str, int], most: int | None) -> dict[str, int]:
    """Return how many workers each machine should have.

    Workers stay where they are as far as they can; new ones go where most room is left.

    Parameters
    ----------
    room
        Node → most workers there.
    have
        Node → workers there now.
    most
        Of all machines together; None for as many as there is room for.
    """
    wanted = {node: min(have.get(node, 0), limit) for node, limit in room.items()}
    total = sum(wanted.values())
    goal = sum(room.values()) if most is None else min(most, sum(room.values()))
    while total > goal:
        node = max(wanted, key=lambda node: wanted[node])
        wanted[node] -= 1
        total -= 1
    while total < goal:
        node = max(room, key=lambda node: (room[node] - wanted[node], -wanted[node]))
        wanted[node] += 1
        total += 1
    return wanted


def useful_workers(study: Notice) -> int:
    """Return for how many workers a study has work that is worth a machine's start: fewer to its end."""
    left, rate = int(study.progress.get("left", 0)), float(study.progress.get("rate", 0.0))
    if not rate or not study.workers:
        return study.demand  # nothing is measured yet
    return min(study.demand, ceil(left / rate * study.workers / WARM_SECONDS))


class Demand:
    """What a cluster that can grow is told: how many processors there is work for.

    Ray keeps such a request until another one replaces it, and starts or releases machines by it. Where
    nothing starts machines it has no effect.
    """

    def __init__(self) -> None:
        self._asked = 0

    def ask(self, workers: int) -> None:
        """Ask for processors for ``workers``; 0 releases all."""
        if workers == self._asked:
            return
        # Ray raises various things where the cluster has just gone; then there is nobody to ask.
        with suppress(Exception):
            sdk = importlib.import_module("ray.autoscaler.sdk")
            sdk.request_resources(bundles=[{"CPU": 1}] * workers)
            self._asked = workers


def total_cpus(found: Sequence[Machine]) -> int:
    """Return the processors of all machines together."""
    return sum(machine.cpus for machine in found)
