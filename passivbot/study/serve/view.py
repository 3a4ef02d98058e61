"""One study as the page sees it, followed through its log while it grows."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passivbot.study.front import CAP, Front, thin
from passivbot.study.lock import holder
from passivbot.study.log import LOG_FILE
from passivbot.study.page_data import front_part, others_part, outline, plain
from passivbot.study.publish import default_marks
from passivbot.study.rows import Event, Rows
from passivbot.study.serve.importance import importance
from passivbot.study.serve.pulse import Pulse
from passivbot.study.study import Results, Study

OTHERS = 4096  # candidates off the front that are sent, at most; half as many at least
CHUNK = 10_000
AT_ONCE = 40_000  # rows read before whoever asked is told how far it is
FRONTS = 24  # earlier fronts that are kept, at most
FRONT_STEP = 32  # candidates between two of them; twice as many each time they are too many
_FRONT_CAP = 300  # members of an earlier front
_STAMPS = 32  # for so many changes it is known what a page has
_BUDGET = "budget"  # the event in which a run says how many candidates it wants


@dataclass(frozen=True, eq=False)
class _Past:
    """The front as it was when ``told`` candidates were known."""

    told: int
    size: int
    metrics: Mapping[str, list[float | None]]
    numbers: NDArray[np.int64]


class View:
    """A study's log, read as far as it goes; :meth:`refresh` reads what came since.

    Thinning is by candidate number: of the candidates off the front every ``stride``-th is kept, ``stride`` a
    power of two. So a page that has those below some number needs only those above it.

    For one thread at a time.
    """

    def __init__(self, folder: Path) -> None:
        self.study = Study.open(folder)
        self.stamp = int(time.time() * 1000)
        """Grows with every change of what is shown, also over a new beginning of this process."""
        self.closed = False
        self._identity = _identity(folder)
        self._name = f"{self.study.definition.created} {self._identity}"
        self._base = self._new_front()
        self._stride = 1
        self._kept: list[Rows] = []
        self._fronts: list[_Past] = []
        self._front_step = FRONT_STEP
        self._pulse = Pulse()
        self._seen = 0
        self._tail: tuple[int, int] = (-1, -1)
        self._shown: Front | None = None
        self._members: Results | None = None
        self._shown_then: dict[int, NDArray[np.int64]] = {}  # stamp → members, of the last stamps
        self._outline = outline(self.study)
        self._importance: tuple[int, dict[str, Any] | None] = (-1, None)
        self.lock = threading.Lock()
        """To be held by whoever uses the view."""

    def close(self) -> None:
        """Close the log."""
        self.closed = True
        self.study.log.close()

    def renew(self) -> dict[str, Any] | None:
        """Read some of what was logged since the last call; return how far that is if it is not all yet."""
        if self.refresh(AT_ONCE):
            return {"told": self.told, "last": self.study.log.last() + 1}
        return None

    def replaced(self) -> bool:
        """Whether another study lies in the folder now."""
        return _identity(self.study.folder) != self._identity

    @property
    def told(self) -> int:
        """Candidates 0 … told − 1 are known."""
        return self._base.told

    @property
    def running(self) -> str | None:
        """Return "pid N on HOST" of the process that writes the study, None if nobody does."""
        return holder(self.study.folder)

    def refresh(self, most: int | None = None) -> bool:
        """Read what was logged since the last call; return whether there is more to read.

        Parameters
        ----------
        most
            Rows to read at most, so that whoever waits can be told how far it is.
        """
        log, read = self.study.log, 0
        self._pulse.see(log.events())
        while most is None or read < most:
            rows = log.read(self._base.told - 1, CHUNK)
            before = self._base.told
            self._take(rows)
            read += len(rows)
            if len(rows) < CHUNK or self._base.told == before:
                self._finish(rows)
                return False
        return True

    def _new_front(self) -> Front:
        return Front(len(self.study.scoring.objectives), population=self.study.definition.population, cap=CAP)

    def _take(self, rows: Rows) -> None:
        """Take the rows that follow each other without a gap."""
        numbers = rows.numbers
        ready = int(np.argmin(np.append(numbers == self._base.told + np.arange(len(rows)), False)))
        while ready:
            boundary = (self._base.told // self._front_step + 1) * self._front_step
            cut = min(ready, boundary - self._base.told)
            part, rows = rows.take(np.arange(cut)), rows.take(np.arange(cut, len(rows)))
            ready -= cut
            self._base.add_rows(part, self.study.definition.metrics, self.study.scoring)
            self._pulse.add(part)
            self._keep(part)
            if self._base.told == boundary:
                self._remember()

    def _keep(self, rows: Rows) -> None:
        kept = rows.take(np.flatnonzero(rows.numbers % self._stride == 0))
        if len(kept):
            self._kept.append(kept)
        while sum(map(len, self._kept)) > OTHERS:
            self._stride *= 2
            thinned = (part.take(np.flatnonzero(part.numbers % self._stride == 0)) for part in self._kept)
            self._kept = [part for part in thinned if len(part)]

    def _remember(self) -> None:
        """Keep the front of this moment; at too many of them every second one goes."""
        if self._base.feasible:
            which = thin(self._base.objectives, _FRONT_CAP)
            numbers = self._base.numbers[which]
            members = self.study.results(self.study.log.rows(numbers))
            metrics = {name: plain(members.metric(name)) for name in self.study.definition.metrics}
            self._fronts.append(_Past(self._base.told, len(self._base), metrics, numbers))
        if len(self._fronts) > FRONTS:
            self._front_step *= 2
            self._fronts = [past for past in self._fronts if past.told % self._front_step == 0]

    def _finish(self, tail: Rows) -> None:
        """Take into account what lies beyond a gap, for what is shown only: the gap may yet be filled."""
        tail = tail.take(np.flatnonzero(tail.numbers >= self._base.told))
        state = (len(tail), self.study.log.last())
        if self._shown is not None and self._seen == self._base.told and self._tail == state:
            return
        self._seen, self._tail = self._base.told, state
        front = self._base
        if len(tail):
            front = self._base.snapshot()
            front.add_rows(tail, self.study.definition.metrics, self.study.scoring, final=True)
            for rows in self.study.log.chunks(after=int(tail.numbers[-1])):
                front.add_rows(rows, self.study.definition.metrics, self.study.scoring, final=True)
        self._shown = front
        self._members = self.study.members(front)
        self.stamp += 1
        self._shown_then[self.stamp] = self._members.numbers
        for old in sorted(self._shown_then)[:-_STAMPS]:
            del self._shown_then[old]

    def find(self, candidate: int) -> Results:
        """Return one candidate.

        Raises
        ------
        StudyError
            It is not in the log, or failed.
        """
        return self.study.results(self.study.row(candidate))

    def sample(self) -> Results:
        """Return every ``stride``-th candidate."""
        if not self._kept:
            return self.study.results(self.study.log.rows([]))
        return self.study.results(join(self._kept))

    @property
    def members(self) -> Results:
        """What is shown of the front."""
        assert self._members is not None
        return self._members

    @property
    def front(self) -> Front:
        """The front of everything read."""
        assert self._shown is not None
        return self._shown

    def payload(self, after: int = -1, stamp: int = -1) -> dict[str, Any]:
        """Return what the page shows, JSON-able; what it has already is left out.

        Parameters
        ----------
        after
            The page has all candidates off the front up to this number; −1: it has none.
        stamp
            Of what the page has; with the present one nothing but ``progress`` is sent. With a recent one
            metrics and parameters of the members that it has are left out.
        """
        data: dict[str, Any] = {
            "stamp": self.stamp,
            "identity": self._name,
            "told": self.told,
            "progress": self.progress(),
        }
        if stamp == self.stamp:
            return data
        free = self.study.definition.space.free
        sample = self.sample()
        if self._importance[0] != self.stamp:
            self._importance = (self.stamp, importance(sample, free))
        fresh = sample.take(sample.numbers > after)
        marks = default_marks(self.members)
        return {
            **data,
            **(self._outline if after < 0 else {}),
            "front": front_part(
                self.study,
                self.front,
                self.members,
                marks,
                self._shown_then.get(stamp) if after >= 0 else None,
            ),
            "others": others_part(fresh, self.members.numbers, free, self._stride, after + 1),
            "series": self._pulse.series(),
            "importance": self._importance[1],
            "fronts": [{"told": past.told, "size": past.size} for past in self._fronts],
        }

    def past_front(self, told: int) -> dict[str, Any] | None:
        """Return the front as it was after ``told`` candidates; None if it was not kept."""
        for past in self._fronts:
            if past.told == told:
                return {"told": told, "candidate": past.numbers.tolist(), "metrics": dict(past.metrics)}
        return None

    def brief(self) -> dict[str, Any] | None:
        """Return size and hypervolume of the front for a list; None before it was read."""
        front = self._shown
        return None if front is None else {"size": len(front), "hypervolume": front.hypervolume}

    def progress(self) -> dict[str, Any]:
        """Return how far the study is: state, logged, budget, rate, workers, seconds left."""
        series, writer = self._pulse.series(), self.running
        events = self.study.log.events()
        budget = budget_of(events)
        logged = self.told + self._tail[0] if self._tail[0] > 0 else self.told
        recent = series["rate"][-3:]
        rate = sum(recent) / len(recent) if recent else 0.0
        running = writer is not None
        return {
            "state": "running" if running else state_of(events, logged),
            "writer": writer,
            "logged": logged,
            "budget": budget,
            "rate": rate if running else None,
            "workers": (series["workers"] or [0])[-1] if running else None,
            "seconds_left": (budget - logged) / rate if running and budget and rate > 0 else None,
        }


def budget_of(events: Sequence[Event]) -> int | None:
    """Return how many candidates the last run wanted; None if no run said it."""
    for event in reversed(events):
        if event.kind == _BUDGET and "iters" in event.payload:
            return int(event.payload["iters"])
    return None


def state_of(events: Sequence[Event], logged: int) -> str:
    """Return ``done`` or ``stopped``, for a study that nobody writes: what its last run was.

    A run that was killed said nothing at its end; then it counts whether all that it wanted is there. One may
    be done with less: its hours were spent, or its hypervolume stood still.
    """
    for event in reversed(events):
        if event.kind == "finished":
            return "done"
        if event.kind in ("stopped", _BUDGET, "resumed"):
            break
    budget = budget_of(events)
    return "done" if budget is not None and logged >= budget else "stopped"


def last_front(events: Sequence[Event]) -> dict[str, Any] | None:
    """Return size and hypervolume of the front as the last run left it; None if it did not say them."""
    for event in reversed(events):
        if event.kind in ("finished", "stopped") and "front" in event.payload:
            return {"size": event.payload["front"], "hypervolume": event.payload.get("hypervolume")}
        if event.kind in ("finished", "stopped", "resumed"):
            break
    return None


def join(parts: list[Rows]) -> Rows:
    """Return rows one after the other."""
    return Rows(
        numbers=np.concatenate([part.numbers for part in parts]),
        parameters=np.concatenate([part.parameters for part in parts]),
        metrics=np.concatenate([part.metrics for part in parts]),
        status=np.concatenate([part.status for part in parts]),
        worker=tuple(name for part in parts for name in part.worker),
        seconds=np.concatenate([part.seconds for part in parts]),
        error=tuple(text for part in parts for text in part.error),
        logged=np.concatenate([part.logged for part in parts]),
        stopped=tuple(minute for part in parts for minute in part.stopped),
    )


def _identity(folder: Path) -> tuple[int, int]:
    """Return what tells a log from another under the same name."""
    try:
        found = (folder / LOG_FILE).stat()
    except OSError:
        return (-1, -1)
    return (found.st_dev, found.st_ino)
