"""The searches of a walk side by side: each driven by a process of its own, all over one Ray.

What is in flight of one search is bounded by its lag, so one search feeds only so many workers. Several share
them as any studies of a cluster do (:mod:`cluster.shares`). What runs beside a search decides how fast it is,
and not one of its candidates.
"""

import importlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path

import typer

from cluster.cli_options import INTERRUPTED
from cluster.display import megabytes
from cluster.launch import attached_cluster, local_cluster, usable_cpus
from cluster.memory import Estimate, available_memory, plasma_folder
from cluster.nodes import Machine, machines, total_cpus
from cluster.prepare import Request
from cluster.run import execute, stopped_by_signals
from cluster.slots import QUEUED
from cluster.walk import Fold, plan, study_folder
from passivbot.errors import PassivbotError, ResourceError, StudyError
from passivbot.ops.redact import redacted
from passivbot.study import StudyLog
from passivbot.study.lock import unwritable

_PROGRAM = "from cluster.folds import main; main()"
_POLL_SECONDS = 0.2
_FIRST_SECONDS, _LINE_SECONDS = 15.0, 60.0  # until the first line of progress, and between later ones
_ERROR = "error: "


def filling(lag: int, processors: int) -> int:
    """Return how many searches of such a lag keep so many workers busy; each worker holds two batches."""
    return max(1, min(ceil(processors * QUEUED / lag), processors))


@dataclass(frozen=True)
class Ground:
    """A Ray that several searches share.

    Attributes
    ----------
    count
        How many at once.
    address
        Where it is joined.
    workers
        Most workers of each; None for its share of all.
    """

    count: int
    address: str
    workers: int | None = None


@contextmanager
def ground(
    one: Estimate,
    lag: int,
    *,
    folds: int,
    wanted: int | None,
    workers: int | None,
    address: str | None,
    say: Callable[[str], None],
) -> Iterator[Ground | None]:
    """Start or join the Ray that several searches share; gives None if one search at a time is right.

    Parameters
    ----------
    one
        What one of them needs of this machine's memory.
    lag
        Of each.
    folds
        How many there are.
    wanted
        How many at once; None for as many as keep the workers busy, and have room.
    workers
        Most workers of all together; None for one a processor.
    address
        Of a running Ray cluster; None to start one here.
    say
        Prints one line.

    Raises
    ------
    ResourceError
        There is no room for as many as are wanted.
    ClusterError
        The cluster can't be joined.
    """
    if address is None:
        cpus = workers or usable_cpus()
        target = min(folds, wanted or filling(lag, cpus))
        count, reason = _fitting(one, target, _lacks_locally)
        _tell(count, target, reason, strict=wanted is not None, say=say)
        if count > 1:
            need = one.side_by_side(count)
            say(f"memory: {need}; logs at the end about {need.log_text}")
            say(f"workers: {cpus}, on this machine, for {count} searches side by side; Ray starts")
            with local_cluster(cpus, need.object_store, plasma_folder=plasma_folder(need.object_store)):
                yield Ground(count, _joined_at())
            return
    elif min(folds, wanted or folds) > 1:
        one = one.head_only
        here, reason = _fitting(one, min(folds, wanted or folds), _lacks_memory)
        with attached_cluster(address, one.side_by_side(here).object_store):
            found = [machine for machine in machines() if machine.cpus]
            cpus = min(total_cpus(found), workers or total_cpus(found))
            target = min(folds, wanted or filling(lag, cpus))
            count, lack = _fitting(one, min(here, target), partial(_lacks_store, found))
            _tell(count, target, lack or reason, strict=wanted is not None, say=say)
            if count > 1:
                need = one.side_by_side(count)
                say(f"memory: {need}; logs at the end about {need.log_text}")
                say(f"workers: {cpus}, on the cluster, for {count} searches side by side")
                yield Ground(count, _joined_at(), workers and max(1, workers // count))
                return
    yield None


def _joined_at() -> str:
    """Return the address of the Ray that this process is joined to."""
    return str(importlib.import_module("ray").get_runtime_context().gcs_address)


def _fitting(one: Estimate, most: int, lacks: Callable[[Estimate], str | None]) -> tuple[int, str | None]:
    """Return how many there is room for, at most so many; and what is lacking for one more."""
    reason = None
    while most > 1 and (found := lacks(one.side_by_side(most))):
        most, reason = most - 1, found
    return most, reason


def _tell(count: int, target: int, reason: str | None, *, strict: bool, say: Callable[[str], None]) -> None:
    """Say that there is room for fewer than there should be; with ``strict`` that is an error."""
    if count == target:
        return
    if strict:
        raise ResourceError(f"--side-by-side {target}: {reason}; at most {count} would fit")
    say(f"note: {count} of the searches at once, not {target}: {reason}")


def _lacks_memory(need: Estimate) -> str | None:
    free = available_memory()
    if need.total <= free:
        return None
    return f"not enough memory: the searches need {need}; {megabytes(free)} are free"


def _lacks_locally(need: Estimate) -> str | None:
    try:
        plasma_folder(need.object_store)
    except ResourceError as error:
        return str(error)
    return _lacks_memory(need)


def _lacks_store(found: Sequence[Machine], need: Estimate) -> str | None:
    least = min(found, key=lambda machine: machine.object_store, default=None)
    if least is None or need.object_store <= least.object_store:
        return None
    return (
        f"their candles need {megabytes(need.object_store)} of each machine's object store; {least} has "
        f"{megabytes(least.object_store)}"
    )


@dataclass(frozen=True)
class _Task:
    """What the process of a fold is told."""

    request: Request
    folder: Path
    fold: Fold
    workers: int | None
    address: str


class Searches:
    """The searches of some folds, as many at once as there is ground for.

    Parameters
    ----------
    request, folder
        As :func:`cluster.walk.plan` takes them.
    ground
        The Ray they share.
    say
        Prints one line.
    """

    def __init__(self, request: Request, folder: Path, ground: Ground, say: Callable[[str], None]) -> None:
        self._request = request
        self._folder = folder
        self._ground = ground
        self._say = say
        self._running: dict[Fold, _Process] = {}
        self._stopping = False
        self._faults: list[str] = []
        self._done = 0

    def stop(self) -> None:
        """End all as Ctrl-C would, and start no other; a second call ends their waiting for results."""
        self._stopping = True
        for process in list(self._running.values()):
            process.stop()

    def run(self, folds: Sequence[Fold], searched: Callable[[Fold], None]) -> bool:
        """Search all; return whether none was stopped.

        Once one has failed, no other is started, and those that run go on to their end.

        Parameters
        ----------
        folds
            In the order in which they are started.
        searched
            Called as soon as a fold's search is done; may raise a PassivbotError, and the fold has failed.

        Raises
        ------
        StudyError
            One has failed.
        """
        waiting = deque(folds)
        due = time.monotonic() + _FIRST_SECONDS
        with stopped_by_signals(self.stop):
            try:
                while self._running or (waiting and not self._stopping and not self._faults):
                    room = 0 if self._stopping or self._faults else self._ground.count - len(self._running)
                    for _ in range(min(room, len(waiting))):
                        self._start(waiting.popleft())
                    time.sleep(_POLL_SECONDS)
                    for fold in [fold for fold, one in self._running.items() if one.ended()]:
                        self._end(fold, searched)
                    if time.monotonic() >= due and self._running:
                        due = time.monotonic() + _LINE_SECONDS
                        self._say(self._progress(len(folds)))
            finally:
                # Something that is no fault of a fold: nobody would look after them any more.
                for process in self._running.values():
                    process.stop()
                for process in self._running.values():
                    process.wait()
        if self._faults:
            more = f" (and {len(self._faults) - 1} more folds failed)" if len(self._faults) > 1 else ""
            raise StudyError(f"{self._faults[0]}{more}")
        return not self._stopping

    def _start(self, fold: Fold) -> None:
        task = _Task(self._request, self._folder, fold, self._ground.workers, self._ground.address)
        process = self._running[fold] = _Process(task)
        if self._stopping:
            process.stop()  # the signal came while it was started
        self._say(f"{fold}; its output: {process.output}")

    def _end(self, fold: Fold, searched: Callable[[Fold], None]) -> None:
        process = self._running.pop(fold)
        code = process.wait()
        if code in (INTERRUPTED, -signal.SIGTERM):
            if not self._stopping:
                self._say(f"fold {fold.number} was stopped; no other is started")
            self._stopping = True
            return
        fault = process.fault() if code else None
        if fault is None:
            try:
                searched(fold)
                self._done += 1
                return
            except PassivbotError as error:
                fault = str(error)
        self._faults.append(f"fold {fold.number}: {fault}")
        if self._running:
            self._say(f"fold {fold.number} failed; no other is started, those that run go on to their end")

    def _progress(self, count: int) -> str:
        counts = []
        for fold in self._running:
            logged = 0
            with suppress(PassivbotError), StudyLog.open(study_folder(self._folder, fold)) as log:
                logged = log.count()
            counts.append(f"fold {fold.number}: {logged:,}")
        return f"candidates of {', '.join(counts)}; {self._done} of {count} folds done"


class _Process:
    """The process of one fold; it ends with this one, however that ends."""

    def __init__(self, task: _Task) -> None:
        study = study_folder(task.folder, task.fold)
        self.output = study.with_name(f"{study.name}.txt")
        try:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            with self.output.open("ab") as output:
                self._begin = output.tell()
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _PROGRAM],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C is for the walk, which passes it on
                )
        except OSError as error:
            raise unwritable(self.output, error) from error
        assert self._process.stdin is not None
        with suppress(OSError):  # it ended at once: its exit code will tell
            pickle.dump(task, self._process.stdin)
            self._process.stdin.flush()

    def stop(self) -> None:
        self._process.terminate()

    def ended(self) -> bool:
        return self._process.poll() is not None

    def wait(self) -> int:
        code = self._process.wait()
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        return code

    def fault(self) -> str:
        """Return why it failed, as one line."""
        with self.output.open("rb") as file:
            file.seek(self._begin)
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
        told = [line.removeprefix(_ERROR) for line in lines if line.startswith(_ERROR)]
        code = self._process.returncode
        ended = f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"{told[-1] if told else f'the search {ended}'}; its output: {self.output}"


def main() -> None:
    """Search one fold: the program of its process, which reads from standard input what to do."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    code = INTERRUPTED
    with suppress(KeyboardInterrupt):
        task = pickle.load(sys.stdin.buffer)
        threading.Thread(target=_end_with, args=(sys.stdin.fileno(),), daemon=True).start()
        code = _search(task)
    sys.exit(code)


def _end_with(pipe: int) -> None:
    """End this process at once when nobody holds the other end any more; the log is whole at any time."""
    while os.read(pipe, 1):  # not by the file, whose lock would be held at the end
        pass
    os._exit(INTERRUPTED)


def _search(task: _Task) -> int:
    try:
        prepared = plan(task.request, task.folder, task.fold)
        typer.echo(f"{task.fold}; {prepared.folder}, {prepared.ends}")
        log, outcome = execute(
            prepared,
            workers=task.workers,
            batch=None,
            lag=None,
            address=task.address,
            page=False,
            say=typer.echo,
        )
        log.close()
    except PassivbotError as error:
        typer.echo(f"{_ERROR}{redacted(str(error))}", err=True)
        return 2
    return 0 if outcome is None or outcome.finished else INTERRUPTED
