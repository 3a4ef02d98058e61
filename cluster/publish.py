"""What a running study tells the cluster, and what it hears: from a thread of its own.

Nothing here may slow a study or end it. The head leaves its progress and takes what was heard last, without
waiting; whatever fails is tried again a second later.
"""

import importlib
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from cluster.board import LIVE, Board, Notice, State
from cluster.display import Progress
from cluster.metrics import Metrics
from cluster.nodes import Demand, machines, total_cpus, useful_workers
from cluster.shares import Claim, fair_shares
from passivbot.study import Front, StudyLog
from passivbot.study.study import study_id

SECONDS = 1.0
_FRONT_SECONDS = 5.0
_COST = 20.0  # what takes t seconds is not done again for that many times t
_CLOSING_SECONDS = 5.0
_log = logging.getLogger("cluster.publish")


@dataclass(frozen=True)
class Wishes:
    """What others want of a study.

    Attributes
    ----------
    stop
        Whether it should end.
    workers
        Its share of the workers; None while it is alone.
    """

    stop: bool = False
    workers: int | None = None


class Link(Protocol):
    """What the head needs of a publisher."""

    @property
    def wishes(self) -> Wishes:
        """What was heard last."""

    def exchange(self, progress: Progress, front: Front, demand: int) -> Wishes:
        """Leave where the study is, take what others want of it; returns at once."""


class Publisher:
    """Tells the board of one study, every second, until :meth:`close`.

    Parameters
    ----------
    board
        Of the cluster that this process is joined to.
    log
        Of the study, open; it is read by a connection of its own.
    weight
        Share of the cluster that the study asks for, relative to others.
    with_front
        Whether to send the front as well: for a page that can't read the study's folder.
    metrics
        Makes the metrics; None for none.
    """

    def __init__(
        self,
        board: Board,
        log: StudyLog,
        *,
        weight: float = 1.0,
        with_front: bool = True,
        metrics: Callable[[str], Metrics] | None = Metrics,
    ) -> None:
        self._board = board
        self._folder = log.folder.absolute()
        self._definition = log.definition
        self._with_front = with_front
        self._make_metrics = metrics
        self._metrics: Metrics | None = None
        self._mutex = threading.Lock()
        now = time.time()
        self._notice = Notice(
            id=study_id(self._folder, socket.gethostname()),
            name=self._folder.name,
            folder=str(self._folder),
            host=socket.gethostname(),
            pid=os.getpid(),
            state="starting",
            weight=weight,
            started=now,
            updated=now,
        )
        self._progress: Progress | None = None
        self._front: Front | None = None
        self._last_front: Front | None = None
        self._sent_front: tuple[int, int] | None = None
        self._next_front = 0.0
        self._wishes = Wishes()
        self._closing = threading.Event()
        self._complained: set[str] = set()
        self._machines = Demand()
        self._introduce()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

        self.state: State = "failed"
        """How the study ended, as far as it is known."""

    @property
    def id(self) -> str:
        """The study's key on the board."""
        return self._notice.id

    @property
    def wishes(self) -> Wishes:
        """What was heard last."""
        return self._wishes

    def exchange(self, progress: Progress, front: Front, demand: int) -> Wishes:
        """Leave where the study is, take what others want of it; returns at once."""
        state: State = "stopping" if progress.stopping else "running"
        with self._mutex:
            self._progress = progress
            self._notice = replace(self._notice, state=state, demand=demand, workers=progress.workers_ready)
            self._last_front = front
            if self._with_front and time.monotonic() >= self._next_front:
                self._front = front.snapshot()
        return self._wishes

    def close(self) -> None:
        """Say how the study ended and what its front is then, and end the thread."""
        with self._mutex:
            self._notice = replace(self._notice, state=self.state)
            if self._with_front and self._last_front is not None:
                self._front = self._last_front.snapshot()
        self._closing.set()
        self._thread.join(_CLOSING_SECONDS)

    def _introduce(self) -> None:
        """Say that the study is there, before it asks for workers. Wishes to an earlier run are gone."""
        with self._trying("the board"):
            self._board.put("control", self.id, b"{}")
            self._board.put("definition", self.id, self._definition.to_json().encode())
            self._board.put("study", self.id, self._notice.to_json())
            self._board.tidy()
            self._listen()

    def _run(self) -> None:
        if self._make_metrics is not None:
            with self._trying("metrics"):
                self._metrics = self._make_metrics(self._notice.name)
        while not self._closing.wait(SECONDS):
            self._tell()
        self._tell(last=True)

    def _tell(self, *, last: bool = False) -> None:
        with self._mutex:
            notice = self._notice = replace(
                self._notice,
                updated=time.time(),
                progress=asdict(self._progress) if self._progress else {},
            )
            progress, front = self._progress, self._front
        with self._trying("the board"):
            self._board.put("study", notice.id, notice.to_json())
            self._listen()
        if progress is not None and self._metrics is not None:
            with self._trying("metrics"):
                self._metrics.show(progress)
        if progress is not None:
            with self._trying("the job"):
                _note_in_job(progress)
        if front is not None and (last or time.monotonic() >= self._next_front):
            with self._trying("the front"):
                self._send_front(front)

    def _listen(self) -> None:
        control = json.loads(self._board.get("control", self.id) or b"{}")
        weight = control.get("weight")
        if isinstance(weight, int | float) and weight > 0 and weight != self._notice.weight:
            with self._mutex:
                self._notice = replace(self._notice, weight=float(weight))
        others = [one for one in self._board.studies() if one.live and one.id != self.id]
        running = [one for one in (self._notice, *others) if one.state in LIVE]
        self._machines.ask(sum(map(useful_workers, running)))
        workers = None
        if others:
            claims = [Claim.of(one) for one in (self._notice, *others)]
            workers = fair_shares(claims, total_cpus(machines()))[self.id]
        self._wishes = Wishes(stop=bool(control.get("stop")), workers=workers)

    def _send_front(self, front: Front) -> None:
        from passivbot.study.page_data import page_data
        from passivbot.study.publish import default_marks
        from passivbot.study.study import Study

        stamp = (front.told, len(front))
        if stamp == self._sent_front:
            return
        began = time.monotonic()
        with StudyLog.open(self._folder) as log:
            study = Study(log)
            members = study.members(front)
            data = page_data(study, front, members, default_marks(members))
        self._board.put("front", self.id, json.dumps(data, allow_nan=False).encode())
        self._sent_front = stamp
        self._next_front = time.monotonic() + max(_FRONT_SECONDS, _COST * (time.monotonic() - began))

    def _trying(self, what: str) -> "_Trying":
        return _Trying(what, self._complained)


@contextmanager
def published(log: StudyLog, weight: float) -> Iterator[Publisher]:
    """Tell the cluster of a study as long as the body runs, which says in the end how it ended."""
    publisher = Publisher(Board(), log, weight=weight)
    try:
        yield publisher
    finally:
        publisher.close()


class _Trying:
    """Lets nothing out that goes wrong inside, and writes it to the program's log once."""

    def __init__(self, what: str, complained: set[str]) -> None:
        self._what = what
        self._complained = complained

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> bool:
        if error is None or not isinstance(error, Exception):
            return error is None
        if self._what not in self._complained:
            self._complained.add(self._what)
            _log.warning("%s can't be told of the study: %s", self._what, error)
        return True


def _note_in_job(progress: Progress) -> None:
    """Put the progress beside the job's own metadata, where this process is one of Ray's jobs."""
    job = job_id()
    if job is None:
        return
    # Not public. The job's supervisor writes its state before this process starts and after it has ended.
    kv = importlib.import_module("ray.experimental.internal_kv")
    common = importlib.import_module("ray.dashboard.modules.job.common")
    key = common.JobInfoStorageClient.JOB_DATA_KEY.format(job_id=job).encode()
    namespace = importlib.import_module("ray._private.ray_constants").KV_NAMESPACE_JOB
    found = kv._internal_kv_get(key, namespace=namespace)
    if not found:
        return
    info = json.loads(found)
    if info.get("status") == "RUNNING":
        text = f"{progress.logged:,} of {progress.budget:,}, front {progress.front_text()}"
        info["metadata"] = {**(info.get("metadata") or {}), "progress": text}
        kv._internal_kv_put(key, json.dumps(info).encode(), overwrite=True, namespace=namespace)


def job_id() -> str | None:
    """Return the submission id of the Ray job that this process is, None if it is none."""
    try:
        metadata = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")).get("metadata", {})
    except ValueError:
        return None
    found = metadata.get("job_submission_id")
    return str(found) if found else None
