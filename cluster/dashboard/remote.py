"""A study whose log is on another machine, as its driver put it on the board."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from passivbot.errors import StudyError
from passivbot.study.definition import Definition
from passivbot.study.log import LOG_FILE, StudyLog
from passivbot.study.rows import Rows
from passivbot.study.study import Results, Study


class _NoLog:
    """What a study takes from its log where there is none."""

    def __init__(self, definition: Definition, folder: Path) -> None:
        self.definition = definition
        self.folder = folder
        self.path = folder / LOG_FILE


class RemoteView:
    """A study of the board; for one thread at a time.

    Its front is complete. Of the other candidates it has a sample, and it has no earlier fronts.

    Parameters
    ----------
    definition, folder
        Of the study.
    read
        Returns what its driver last sent, :func:`passivbot.study.page_data.page_data` as JSON, None if
        nothing.
    """

    def __init__(self, definition: Definition, folder: Path, read: Callable[[], bytes | None]) -> None:
        self.lock = threading.Lock()
        self.closed = False
        self._read = read
        self.study = Study(cast(StudyLog, _NoLog(definition, folder)))
        self.stamp = int(time.time() * 1000)
        self._text: bytes | None = None
        self._data: dict[str, Any] = {}
        self._members: Results | None = None

    def renew(self) -> None:
        """Take what lies on the board now."""
        text = self._read()
        if text is not None and text != self._text:
            self._data, self._text, self._members = json.loads(text), text, None
            self.stamp += 1

    @property
    def members(self) -> Results:
        """Those of the front that are shown."""
        if self._members is None:
            self._members = self._results(self._part("front"))
        return self._members

    def find(self, candidate: int) -> Results:
        """Return one candidate.

        Raises
        ------
        StudyError
            The board has it not.
        """
        for name in ("front", "others"):
            part = self._part(name)
            if candidate in part["candidate"]:
                return self._results(part, [part["candidate"].index(candidate)])
        raise StudyError(
            f"candidate {candidate}: neither on the front nor in the sample that the study's driver sends; "
            f"its log is in {self.study.folder} on the driver's machine"
        )

    def payload(self, after: int = -1, stamp: int = -1) -> dict[str, Any]:
        """Return what the page shows; nothing but the stamp if the page has it already."""
        data = {"stamp": self.stamp, "identity": self.study.definition.created, "told": 0, "progress": {}}
        self._part("front")
        return data if stamp == self.stamp else {**data, **self._data}

    def past_front(self, told: int) -> dict[str, Any] | None:
        """Return None: the board has no earlier fronts."""
        return None

    def close(self) -> None:
        """Do nothing: no file is open."""

    def _part(self, name: str) -> dict[str, Any]:
        if name not in self._data:
            raise StudyError(f"{self.study.name}: the study has not sent its front yet")
        part: dict[str, Any] = self._data[name]
        return part

    def _results(self, part: dict[str, Any], which: list[int] | None = None) -> Results:
        space = self.study.space
        indices = np.arange(len(part["candidate"])) if which is None else np.array(which, np.int64)
        # What the search may not move has the same value in all candidates.
        vectors = np.tile(space.enforce(np.array(space.low)[None, :])[0], (len(indices), 1))
        for name, values in part["parameters"].items():
            vectors[:, space.names.index(name)] = _floats(values)[indices]
        metrics = [_floats(part["metrics"][name])[indices] for name in self.study.definition.metrics]
        count = len(indices)
        return self.study.results(
            Rows(
                numbers=np.array(part["candidate"], np.int64)[indices],
                parameters=vectors,
                metrics=np.column_stack(metrics) if count else np.empty((0, len(metrics))),
                status=np.full(count, "ok"),
                worker=("",) * count,
                seconds=np.zeros(count),
                error=(None,) * count,
                logged=np.zeros(count),
                stopped=(None,) * count,
            )
        )


def _floats(values: list[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)
