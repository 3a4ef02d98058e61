"""What a run needs of the machine's memory, and whether it is there: said before anything is started."""

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from cluster.display import megabytes
from passivbot.errors import ResourceError

LIMIT_VARIABLE = "PASSIVBOT_MEMORY_LIMIT"
"""Environment variable: bytes to take as free in place of what the machine has, to leave room for others."""

SHARED_MEMORY = Path("/dev/shm")

# Measured with Ray 2.60 on CPython 3.11, Linux; private memory, what is shared counts once.
_RAY = 320_000_000  # GCS, raylet and agents: 200 MB, and more while it starts, when workers are small still
_HEAD = 260_000_000  # this process: Ray, the search's libraries, SQLite's cache
_HEAD_EACH = 200  # bytes for each candidate of the budget: digests of what was asked
_WORKER = 110_000_000
_WORKER_BAR = 100  # the engine's series over the bars of a run
_ROW = 130  # bytes in the log beside the numbers
_STORE_MARGIN = 64_000_000  # batches and replies in flight
_STORE_LEAST = 80_000_000  # Ray refuses less than 75 MB


@dataclass(frozen=True)
class Estimate:
    """Bytes that a run will need beyond what this process has now.

    Attributes
    ----------
    candles
        The shared copy.
    ray, head, worker
        Ray's own processes (0 where it runs already), this process, each worker.
    workers
        Number of workers on this machine.
    log
        The study's file on the disk at the end of the budget.
    """

    candles: int
    ray: int
    head: int
    worker: int
    workers: int
    log: int

    @classmethod
    def of(cls, *, candles: int, bars: int, workers: int, budget: int, width: int, local: bool) -> "Estimate":
        """Estimate a run.

        Parameters
        ----------
        candles
            Bytes of the panel.
        bars
            Its length.
        workers
            On this machine.
        budget
            Candidates.
        width
            Numbers logged for each: parameters and metrics.
        local
            Whether Ray is started for it.
        """
        return cls(
            candles=candles,
            ray=_RAY if local else 0,
            head=_HEAD + budget * _HEAD_EACH,
            worker=_WORKER + bars * _WORKER_BAR,
            workers=workers,
            log=budget * (8 * width + _ROW),
        )

    @property
    def object_store(self) -> int:
        """Size of the object store that holds the candles and what is in flight."""
        return max(_STORE_LEAST, self.candles + self.candles // 50 + _STORE_MARGIN)

    @property
    def without_candles(self) -> "Estimate":
        """The same with the candles elsewhere."""
        return replace(self, candles=0)

    def side_by_side(self, count: int) -> "Estimate":
        """Return what so many such runs take over one Ray and the same workers, each driven by a process.

        Each has its candles in the object store, and in its own memory as it read them; this process looks
        after all.
        """
        return replace(
            self,
            candles=self.candles * count,
            head=_HEAD + (self.head + self.candles) * count,
            log=self.log * count,
        )

    @property
    def head_only(self) -> "Estimate":
        """What the machine needs that drives the study and computes nothing."""
        return replace(self, workers=0)

    @property
    def total(self) -> int:
        """All of it."""
        return self.candles + _STORE_MARGIN + self.ray + self.head + self.worker * self.workers

    @property
    def log_text(self) -> str:
        """Size of the log in a readable unit."""
        return megabytes(self.log)

    def __str__(self) -> str:
        each = megabytes(self.worker)
        parts = [
            f"candles {megabytes(self.candles)} once",
            *([f"{self.workers} worker{'s' if self.workers > 1 else ''} of {each}"] if self.workers else []),
            f"head {megabytes(self.head)}",
            *([f"Ray {megabytes(self.ray)}"] if self.ray else []),
        ]
        return f"about {megabytes(self.total)}: {', '.join(parts)}"

    def require(self, available: int) -> None:
        """Refuse what does not fit.

        Raises
        ------
        ResourceError
            With all figures, and what would help.
        """
        if self.total <= available:
            return
        fixed = self.total - self.worker * self.workers
        fitting = (available - fixed) // self.worker
        advice = (
            f"--workers {fitting} would fit"
            if fitting >= 1
            else "fewer coins or a shorter window (backtest.start_date, backtest.end_date) take less"
        )
        raise ResourceError(
            f"not enough memory: the run needs {self}; {megabytes(available)} are free; {advice}"
        )


def available_memory() -> int:
    """Return how many bytes this process and its children may still take.

    That is the least of what the machine has free, what its control group allows, and
    :data:`LIMIT_VARIABLE`.

    Raises
    ------
    ResourceError
        The variable is not a number of bytes.
    """
    limits = [int(psutil.virtual_memory().available), *_control_group()]
    text = os.environ.get(LIMIT_VARIABLE)
    if text:
        if not text.isdigit():
            raise ResourceError(f"{LIMIT_VARIABLE} is {text!r}; allowed is a number of bytes")
        limits.append(int(text))
    return min(limits)


def plasma_folder(size: int, shared_memory: Path = SHARED_MEMORY) -> Path | None:
    """Return where an object store of ``size`` bytes can lie: None for the usual place, shared memory.

    In containers shared memory is often 64 MB; the store is then a file of the temporary folder, whose pages
    the kernel keeps in memory as well.

    Raises
    ------
    ResourceError
        Neither has room.
    """
    temporary = Path(tempfile.gettempdir())
    room = {place: _room(place) for place in (shared_memory, temporary)}
    if room[shared_memory] >= size:
        return None
    if room[temporary] >= size:
        return temporary
    raise ResourceError(
        f"the shared copy of the candles needs {megabytes(size)}; {shared_memory} has "
        f"{megabytes(room[shared_memory])} free and {temporary} {megabytes(room[temporary])} "
        "(a container gets more with --shm-size)"
    )


def _room(folder: Path) -> int:
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize


def _control_group(root: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """Return what a container's limit leaves, nothing without one.

    Pages of files that were read count as used, and are given up as soon as somebody needs the room: without
    that a container would be full once it has read its candles.
    """
    for limit, used, pages, name in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        (
            "memory/memory.limit_in_bytes",
            "memory/memory.usage_in_bytes",
            "memory/memory.stat",
            "total_inactive_file",
        ),
    ):
        try:
            most, now = (root / limit).read_text().strip(), (root / used).read_text().strip()
        except OSError:
            continue
        if not most.isdigit():
            return []
        spare = 0
        with suppress(OSError):
            stat = dict(line.split() for line in (root / pages).read_text().splitlines())
            spare = int(stat.get(name, 0))
        return [max(0, int(most) - max(0, int(now) - spare))]
    return []
