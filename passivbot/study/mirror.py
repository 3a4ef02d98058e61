"""A copy of a running study elsewhere, so that its machine may be lost: any place that pyarrow reaches.

A mirror is a folder of its own, local or of an object store:

==================  =====================================================================================
``mirror.json``     name and definition of the study, written once
``events.json``     its events
``rows/*.parquet``  rows of the log, each file those that came since the last one; bits as in the log
==================  =====================================================================================

A study is a function of its log, and a candidate depends on those before it alone. Rows go to the mirror in
snapshots, by number, and events go first, since a changed lag changes later candidates: so whatever part of
the mirror is there, it is a log to go on from, and what it lacks is evaluated again, with the same results.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from passivbot.errors import StudyError, first_line
from passivbot.study.definition import Definition, canonical
from passivbot.study.form import INSERT
from passivbot.study.log import StudyLog
from passivbot.study.place import Place
from passivbot.study.rows import Event

SECONDS = 3.0
_COST = 10.0  # a cycle that takes t seconds is followed by a rest of that many times t
_CLOSING_SECONDS = 60.0
_AT_ONCE = 50_000  # rows a file, at most
_SMALL_BYTES = 4_000_000
_MERGE = 64  # so many small files become one
_FORMAT = 1
_HEAD, _EVENTS, _ROWS = "mirror.json", "events.json", "rows"
_SCHEMA = pa.schema(
    [
        ("number", pa.int64()),
        ("parameters", pa.binary()),
        ("metrics", pa.binary()),
        ("status", pa.string()),
        ("worker", pa.string()),
        ("seconds", pa.float64()),
        ("error", pa.string()),
        ("logged", pa.float64()),
        ("stopped", pa.int64()),
    ]
)
_TOKEN_BYTES = 4


class Mirror:
    """Keeps a mirror of a study that this process runs, in a thread of its own, until :meth:`close`.

    Parameters
    ----------
    log
        Of the study; it is read by a connection of the mirror's own.
    uri
        Folder or URI of the mirror; it is this study's alone.
    say
        Prints one line.

    Raises
    ------
    StudyError
        The place can't be written, or holds a mirror of another study.
    """

    def __init__(self, log: StudyLog, uri: str, say: Callable[[str], None]) -> None:
        self._folder = log.folder
        self._definition = log.definition
        self._place = Place(uri)
        self._say = say
        self._token = secrets.token_hex(_TOKEN_BYTES)
        self._told = -1
        """Every logged candidate up to this one is in the mirror."""
        self._ahead: set[int] = set()
        """Those above it that are."""
        self._events = 0
        self._next = 0
        self._small: dict[str, int] = {}
        self._failing = False
        self._closing = threading.Event()
        with _errors(self._place):
            self._begin()
        self._log = StudyLog.open(self._folder)
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        self._thread.start()

    @property
    def uri(self) -> str:
        """Where the mirror lies: what ``--from-mirror`` takes."""
        return self._place.uri

    def close(self) -> None:
        """Bring the mirror up to date once more and end the thread."""
        self._closing.set()
        self._thread.join(_CLOSING_SECONDS)
        if self._thread.is_alive() or self._failing:
            self._say(f"mirror {self.uri}: not up to date; the study itself is complete in {self._folder}")

    def _begin(self) -> None:
        """Write the definition, or compare it; find out what is there already."""
        text = self._place.read(_HEAD)
        mine = {
            "format": _FORMAT,
            "name": self._folder.absolute().name,
            "definition": self._definition.to_json(),
        }
        if text is None:
            self._place.write(_HEAD, json.dumps(mine, indent=2).encode())
            return
        if _head(self._place, text)[1] != self._definition:
            raise StudyError(f"{self.uri}: holds the mirror of another study; name another place")
        for name, size in self._place.files(_ROWS).items():
            self._ahead.update(self._place.table(name, ["number"]).column("number").to_pylist())
            self._note(name, size)
        self._advance()

    def _run(self) -> None:
        last = False
        while not last:
            last = self._closing.is_set()
            began = time.monotonic()
            try:
                self._bring_up_to_date(self._log)
                if self._failing:
                    self._say(f"mirror {self.uri}: up to date again")
                self._failing = False
            # A file system may raise anything of its own; none of it is worth a study.
            except Exception as error:
                if not self._failing:
                    self._say(f"mirror {self.uri}: can't be written, trying again: {first_line(error)}")
                self._failing = True
            self._closing.wait(max(SECONDS, _COST * (time.monotonic() - began)))
        self._log.close()

    def _bring_up_to_date(self, log: StudyLog) -> None:
        """Write what the log has now and the mirror has not."""
        new = [n for n in log.numbers(self._told).tolist() if n not in self._ahead]
        # Events are read after the rows are chosen, and written before them.
        events = log.events()
        if len(events) != self._events:
            self._place.write(_EVENTS, json.dumps([_plain(event) for event in events]).encode())
            self._events = len(events)
        for start in range(0, len(new), _AT_ONCE):
            part = new[start : start + _AT_ONCE]
            self._write_rows(f"{self._next:08d}-{self._token}", _table(log.records(part)))
            self._ahead.update(part)
        self._advance()
        if len(self._small) >= _MERGE:
            self._merge()

    def _write_rows(self, stem: str, table: pa.Table) -> None:
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", use_dictionary=["status", "worker"])
        content = sink.getvalue()
        name = f"{_ROWS}/{stem}.parquet"
        self._place.write(name, content)
        self._note(name, content.size)

    def _note(self, name: str, size: int) -> None:
        index = name.rpartition("/")[2].partition("-")[0]
        self._next = max(self._next, int(index) + 1 if index.isdigit() else 0)
        if size < _SMALL_BYTES:
            self._small[name] = size

    def _merge(self) -> None:
        """Write the small files as one, then remove them; rows that are there twice do no harm."""
        parts = list(self._small)
        merged = pa.concat_tables([self._place.table(name) for name in parts])
        self._small.clear()
        self._write_rows(f"{self._next:08d}-{self._token}", merged)
        for name in parts:
            self._place.delete(name)

    def _advance(self) -> None:
        while self._told + 1 in self._ahead:
            self._told += 1
            self._ahead.remove(self._told)


def restore(uri: str, folder: Path | None = None, *, root: Path = Path("studies")) -> tuple[Path, int]:
    """Write a study from its mirror; it appears when it is complete.

    Parameters
    ----------
    uri
        Of the mirror.
    folder
        Where the study goes; None: under its name in ``root``.

    Returns
    -------
    The folder, and the number of candidates in the log.

    Raises
    ------
    StudyError
        There is no mirror, it can't be read, or there is a study in the folder.
    ResourceError
        The disk is full.
    """
    place = Place(uri)
    with _errors(place):
        text = place.read(_HEAD)
        if text is None:
            raise StudyError(f"{uri}: no mirror of a study: there is no {_HEAD}")
        name, definition = _head(place, text)
        events = [_event(row) for row in json.loads(place.read(_EVENTS) or b"[]")]
        files = list(place.files(_ROWS))
        target = folder or root / name

        def fill(connection: Any) -> None:
            for file in files:
                table = place.table(file).select(_SCHEMA.names)
                connection.executemany(INSERT, zip(*(c.to_pylist() for c in table.columns), strict=True))
            connection.executemany(
                "INSERT INTO events (at, kind, payload) VALUES (?, ?, ?)",
                [(event.at, event.kind, canonical(dict(event.payload))) for event in events],
            )

        with StudyLog.create(target, definition, fill) as log:
            log.event("restored", {"mirror": uri, "logged": log.count()})
            return target, log.count()


def _head(place: Place, text: bytes) -> tuple[str, Definition]:
    try:
        head = json.loads(text)
        name, form, definition = str(head["name"]), int(head["format"]), str(head["definition"])
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{place.uri}/{_HEAD}: not of a mirror ({error})") from error
    if form > _FORMAT:
        raise StudyError(
            f"{place.uri}/{_HEAD}: the mirror has format {form}, written by a newer version of the program; "
            f"allowed is up to {_FORMAT}"
        )
    return name, Definition.from_json(definition, file=f"{place.uri}/{_HEAD}")


def _table(records: list[tuple[Any, ...]]) -> pa.Table:
    columns = zip(*records, strict=True)
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA
    )


def _plain(event: Event) -> dict[str, Any]:
    return {"at": event.at, "kind": event.kind, "payload": dict(event.payload)}


def _event(row: dict[str, Any]) -> Event:
    return Event(float(row["at"]), str(row["kind"]), dict(row["payload"]))


@contextmanager
def _errors(place: Place) -> Iterator[None]:
    """Turn what a file system raises into one line."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise StudyError(f"{place.uri}: the mirror can't be reached: {first_line(error)}") from error
