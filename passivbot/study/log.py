"""The log of a study: one SQLite file, the only truth about what was evaluated.

``study.sqlite`` holds the definition, one row per candidate and the events of the run. The head alone writes,
one transaction per batch; anybody may read meanwhile. Front, display, page and a resumed search are derived
from it.

Durability, decided: WAL with ``synchronous=NORMAL``. A killed process loses nothing that was committed. A
power cut may lose the last seconds of rows, never the consistency of the file: a study is a function of its
log, so the lost candidates are simply evaluated again, with the same results, and the log need not wait for
the disk at every batch. Creation and events (a changed lag changes later candidates) are synchronised before
they count.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from passivbot.errors import StudyError
from passivbot.lock import Lock
from passivbot.study.definition import Definition, canonical
from passivbot.study.form import (
    COLUMNS,
    INSERT,
    bring_up_to_date,
    open_for_writing,
    read_definition,
    select,
    write_new,
)
from passivbot.study.lock import LOCK_FILE, lock_study, unwritable
from passivbot.study.rows import Evaluation, Event, LogBatch, Rows, matrix, record, records
from passivbot.study.sqlite import open_for_reading, sqlite_errors

LOG_FILE = "study.sqlite"
_AFTER = "WHERE number > ? ORDER BY number LIMIT ?"
_NAMED = "WHERE number IN (SELECT value FROM json_each(?)) ORDER BY number"


class StudyLog:
    """The log of one study; :meth:`create` and :meth:`open` make one. Usable from several threads."""

    def __init__(
        self, folder: Path, connection: sqlite3.Connection, definition: Definition, lock: Lock | None
    ) -> None:
        self.folder = folder
        self.path = folder / LOG_FILE
        self.definition = definition
        self._connection = connection
        self._lock = lock
        self._mutex = threading.RLock()
        self._select = select(connection)

    @classmethod
    def create(
        cls,
        folder: str | Path,
        definition: Definition,
        fill: Callable[[sqlite3.Connection], None] | None = None,
    ) -> Self:
        """Create the folder and the log in it, open for writing.

        A log appears under its name only when it is complete.

        Parameters
        ----------
        folder, definition
            Of the study.
        fill
            Writes the rows and events that it has from the start.

        Raises
        ------
        StudyError
            There is a study already, another process is creating it, or the folder can't be written.
        ResourceError
            The disk is full.
        """
        folder = Path(folder)
        try:
            new = not folder.exists()
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(folder, error) from error
        lock = None
        part = folder / f".{LOG_FILE}.part"
        try:
            lock = lock_study(folder)
            path = folder / LOG_FILE
            if path.exists():
                raise StudyError(f"{folder}: the study exists; --resume continues it, --study names another")
            write_new(part, definition, fill)
            part.replace(path)
            log = cls(folder, open_for_writing(path), definition, lock)
            if fill is None:
                log.event("created", {"engine": definition.engine})
            return log
        except BaseException as error:
            for leftover in (part, Path(f"{part}-wal"), Path(f"{part}-shm")):
                with suppress(OSError):
                    leftover.unlink()
            if lock:
                lock.close()
            if new:
                _remove_empty(folder, locked=lock is not None)
            if isinstance(error, OSError):
                raise unwritable(part, error) from error
            raise

    @classmethod
    def open(cls, folder: str | Path, *, write: bool = False) -> Self:
        """Open an existing study; ``write`` takes the lock.

        Reading needs no right to write: a study on a read-only mount or a full disk can be read.

        Raises
        ------
        StudyError
            No study there, in use by another process, damaged, or made by a newer version of the program.
        ResourceError
            The disk is full.
        """
        folder = Path(folder)
        path = folder / LOG_FILE
        if not path.is_file():
            raise StudyError(f"{folder}: not a study: there is no {LOG_FILE} in it")
        lock = lock_study(folder) if write else None
        connection = None
        try:
            connection = open_for_writing(path) if write else open_for_reading(path)
            definition = read_definition(connection, path)
            if write:
                bring_up_to_date(connection, path)
            return cls(folder, connection, definition, lock)
        except BaseException:
            if connection:
                connection.close()
            if lock:
                lock.close()
            raise

    def close(self) -> None:
        """Close the file and release the lock."""
        with self._mutex:
            self._connection.close()
            if self._lock:
                self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, rows: Iterable[Evaluation]) -> int:
        """Log a batch in one transaction: all of it or nothing. Return how many rows were new.

        The first result of a candidate wins.

        Raises
        ------
        ResourceError
            The disk is full; nothing of the batch was written, the log goes on working once there is room.
        StudyError
            The file can't be written, or the log is open for reading only.
        """
        now = time.time()
        width, depth = len(self.definition.space.names), len(self.definition.metrics)
        found = [record(row, width, depth, now) for row in rows]
        with self._transaction() as connection:
            before = connection.total_changes
            connection.executemany(INSERT, found)
            return connection.total_changes - before

    def append_batch(self, batch: LogBatch) -> int:
        """Log many results in one transaction, without an object for each; otherwise as :meth:`append`."""
        now = time.time()
        width, depth = len(self.definition.space.names), len(self.definition.metrics)
        found = records(batch, width, depth, now)
        with self._transaction() as connection:
            before = connection.total_changes
            connection.executemany(INSERT, found)
            return connection.total_changes - before

    def event(self, kind: str, payload: Mapping[str, Any] | None = None) -> None:
        """Log an event; it is on the disk when this returns. Raises as :meth:`append`."""
        record = (time.time(), kind, canonical(dict(payload or {})))
        with self._mutex:
            self._require_writable()
            self._connection.execute("PRAGMA synchronous=FULL")
            try:
                with self._transaction() as connection:
                    connection.execute("INSERT INTO events (at, kind, payload) VALUES (?, ?, ?)", record)
            finally:
                self._connection.execute("PRAGMA synchronous=NORMAL")

    def change_lag(self, candidate: int, lag: int) -> None:
        """Log that from ``candidate`` on the search runs with ``lag``."""
        self.event("lag", {"from": candidate, "lag": lag})

    def lags(self) -> tuple[tuple[int, int], ...]:
        """Return (first candidate, lag) of every stretch of the study, the definition's lag first."""
        changes = [(int(e.payload["from"]), int(e.payload["lag"])) for e in self.events() if e.kind == "lag"]
        return ((0, self.definition.lag), *changes)

    def events(self) -> tuple[Event, ...]:
        """Return all events in the order in which they were logged."""
        with self._reading() as connection:
            found = connection.execute("SELECT at, kind, payload FROM events ORDER BY id").fetchall()
        return tuple(Event(at, kind, json.loads(payload)) for at, kind, payload in found)

    def read(self, after: int = -1, limit: int | None = None) -> Rows:
        """Return the rows of all candidates above ``after``, at most ``limit`` of them, by number.

        Results arrive out of order: who follows a running study passes the last candidate up to which none
        was missing, and meets the few after it again.
        """
        return self._rows(_AFTER, (after, -1 if limit is None else limit))

    def chunks(self, after: int = -1, size: int = 20_000) -> Iterator[Rows]:
        """Yield the rows above ``after`` in pieces: a large study does not have to fit into memory."""
        while len(rows := self.read(after, size)):
            yield rows
            after = int(rows.numbers[-1])

    def rows(self, numbers: Sequence[int] | NDArray[np.int64]) -> Rows:
        """Return the rows of the named candidates, by number.

        Raises
        ------
        StudyError
            One of them is not in the log.
        """
        wanted = sorted({int(n) for n in numbers})
        found = self._rows(_NAMED, (json.dumps(wanted),))
        if len(found) != len(wanted):
            missing = min(set(wanted) - {int(n) for n in found.numbers})
            raise StudyError(f"{self.path}: candidate {missing} is not in the log")
        return found

    def numbers(self, after: int = -1) -> NDArray[np.int64]:
        """Return the logged candidates above ``after`` (n,), ascending."""
        with self._reading() as connection:
            query = "SELECT number FROM evaluations WHERE number > ? ORDER BY number"
            return np.fromiter((row[0] for row in connection.execute(query, (after,))), np.int64)

    def records(self, numbers: Sequence[int]) -> list[tuple[Any, ...]]:
        """Return the rows of the named candidates as they stand in the table, by number."""
        with self._reading() as connection:
            return connection.execute(f"{self._select} {_NAMED}", (json.dumps(list(numbers)),)).fetchall()

    def sample(self, size: int) -> Rows:
        """Return at most ``size`` candidates, spread evenly over the log."""
        last = self.last()
        wanted = range(0, last + 1, max(1, -(-(last + 1) // size)))
        return self._rows(_NAMED, (json.dumps(list(wanted)),))

    def count(self, below: int = 2**63 - 1) -> int:
        """Return the number of logged candidates, or of those below a number."""
        with self._reading() as connection:
            query = "SELECT count(*) FROM evaluations WHERE number < ?"
            return int(connection.execute(query, (below,)).fetchone()[0])

    def statuses(self) -> dict[str, int]:
        """Return status → number of candidates."""
        with self._reading() as connection:
            query = "SELECT status, count(*) FROM evaluations GROUP BY status ORDER BY status"
            return dict(connection.execute(query).fetchall())

    def last(self) -> int:
        """Return the largest logged candidate number, −1 if there is none."""
        with self._reading() as connection:
            return int(connection.execute("SELECT coalesce(max(number), -1) FROM evaluations").fetchone()[0])

    def last_logged(self, before: float) -> float | None:
        """Return when the last row before that time was logged, seconds since 1970; None if there is none."""
        with self._reading() as connection:
            query = "SELECT max(logged) FROM evaluations WHERE logged < ?"
            found: float | None = connection.execute(query, (before,)).fetchone()[0]
        return found

    def _rows(self, which: str, arguments: tuple[object, ...]) -> Rows:
        with self._reading() as connection:
            found = connection.execute(f"{self._select} {which}", arguments).fetchall()
        numbers, parameters, metrics, status, worker, seconds, error, logged, stopped = (
            zip(*found, strict=True) if found else ((),) * len(COLUMNS)
        )
        try:
            return Rows(
                numbers=np.array(numbers, dtype=np.int64),
                parameters=matrix(parameters, len(self.definition.space.names)),
                metrics=matrix(metrics, len(self.definition.metrics)),
                status=np.array(status, dtype=np.str_),
                worker=worker,
                seconds=np.array(seconds, dtype=np.float64),
                error=error,
                logged=np.array(logged, dtype=np.float64),
                stopped=stopped,
            )
        except ValueError as error_:
            raise StudyError(
                f"{self.path}: a row does not have the length that the definition states"
            ) from error_

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._mutex, sqlite_errors(self.path):
            yield self._connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._mutex, sqlite_errors(self.path):
            self._require_writable()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself on a full disk; a second roll-back is then an error to
                # ignore.
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def _require_writable(self) -> None:
        if not self._lock:
            raise StudyError(f"{self.path}: opened for reading only")


def _remove_empty(folder: Path, *, locked: bool) -> None:
    """Undo the creation of a folder in which no study came to be; the lock file only if it was ours."""
    with suppress(OSError):
        if locked:
            (folder / LOCK_FILE).unlink()
        folder.rmdir()
