"""What the machines of a sandbox have in memory: as Ray counts its stores, and the kernel the workers."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.cluster.nodes.sandbox import Sandbox

_STORES = """
import json, sys
import ray
from ray._private.internal_api import node_stats
ray.init(address=sys.argv[1], log_to_driver=False)
found = []
for node in ray.nodes():
    if node["Alive"]:
        stats = node_stats(node["NodeManagerAddress"], node["NodeManagerPort"], False).store_stats
        found.append([node["NodeManagerAddress"], stats.object_store_bytes_used, stats.num_local_objects])
print(json.dumps(sorted(found)))
"""
_STORE_FILE = "plasma"


@dataclass(frozen=True)
class WorkerMemory:
    """Bytes of one worker: what it has mapped of the object store, and what of that is its own."""

    pid: int
    mapped: int
    mapped_private: int
    private: int


@dataclass(frozen=True)
class NodeMemory:
    """One machine: bytes and objects in its store, bytes of it that the busiest worker has mapped."""

    address: str
    stored: int
    objects: int
    largest: int
    workers: tuple[WorkerMemory, ...]


def memory_of(sandbox: Sandbox, address: str) -> list[NodeMemory]:
    """Return the figures of every machine, by address."""
    done = sandbox.on(sandbox.nodes[1], [sys.executable, "-c", _STORES, address])
    assert done.returncode == 0, done.stderr
    stores = {where: (used, count) for where, used, count in json.loads(done.stdout.splitlines()[-1])}
    found = []
    for node in sandbox.nodes.values():
        workers = tuple(_worker(pid) for pid in node.pids() if "ray::Worker" in _title(pid))
        largest = max((worker.mapped for worker in workers), default=0)
        found.append(NodeMemory(node.address, *stores[node.address], largest, workers))
    return sorted(found, key=lambda node: node.address)


def _title(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""


def _worker(pid: int) -> WorkerMemory:
    mapped = mapped_private = private = 0
    ours = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            ours = len(words) > 5 and _STORE_FILE in words[5]
        elif words[0] in ("Private_Clean:", "Private_Dirty:"):
            private += int(words[1]) * 1024
            mapped_private += int(words[1]) * 1024 * ours
        elif words[0] == "Rss:" and ours:
            mapped += int(words[1]) * 1024
    return WorkerMemory(pid, mapped, mapped_private, private)
