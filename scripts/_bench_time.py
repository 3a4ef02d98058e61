"""How the benchmarks measure: CPU time of one thread, minima, in turn; and the peak of a process's memory."""

import ctypes
import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def minima(acts: Sequence[Callable[[], object]], runs: int, longest: float = 20.0) -> NDArray[np.float64]:
    """Return the least CPU time of this thread for each act, in seconds.

    The acts take turns, so that a slow moment of a shared machine meets all of them.

    Parameters
    ----------
    acts
        What is timed.
    runs
        Rounds.
    longest
        After so many seconds, and two rounds, there are no more.
    """
    least = np.full(len(acts), np.inf)
    start = time.monotonic()
    for round_ in range(runs):
        if round_ >= 2 and time.monotonic() - start > longest:
            break
        for index, act in enumerate(acts):
            begin = time.thread_time()
            act()
            least[index] = min(least[index], time.thread_time() - begin)
    return least


def peak_beyond(act: Callable[[], object]) -> int:
    """Return by how much the process's resident memory grows at most while it acts, in bytes; Linux only."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    # What was freed before goes back to the system; else the act would use it unseen.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _status("VmRSS")
    act()
    return _status("VmHWM") - before


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))
