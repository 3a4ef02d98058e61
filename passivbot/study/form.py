"""The form of a study's log: its tables, its formats, and what an older one lacks."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from passivbot.errors import StudyError
from passivbot.study.definition import Definition
from passivbot.study.sqlite import sqlite_errors

SCHEMA_VERSION = 2
APPLICATION_ID = 0x50425354  # "PBST": tells a study from any other SQLite file

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE evaluations (
    number INTEGER PRIMARY KEY,     -- candidate, from 0
    parameters BLOB NOT NULL,       -- float64, little endian, one for each name of the definition's space
    metrics BLOB NOT NULL,          -- the same for each metric of the definition; NaN: null
    status TEXT NOT NULL,           -- ok, failed, stopped
    worker TEXT NOT NULL,
    seconds REAL NOT NULL,          -- in the engine
    error TEXT,
    logged REAL NOT NULL,           -- seconds since 1970
    stopped INTEGER                 -- last minute, if it was stopped early; since format 2
);
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,               -- seconds since 1970
    kind TEXT NOT NULL,
    payload TEXT NOT NULL           -- JSON object
);
"""
# A result that is logged twice (a batch that was taken back and came in after all) keeps its first row.
INSERT = "INSERT INTO evaluations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (number) DO NOTHING"
COLUMNS = ("number", "parameters", "metrics", "status", "worker", "seconds", "error", "logged", "stopped")


def write_new(
    path: Path, definition: Definition, fill: Callable[[sqlite3.Connection], None] | None = None
) -> None:
    """Write a complete log under a temporary name; empty, but for what ``fill`` writes."""
    for leftover in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        leftover.unlink(missing_ok=True)
    with sqlite_errors(path):
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            connection.executescript(f"BEGIN;{_TABLES}COMMIT;")
            connection.execute("INSERT INTO meta VALUES ('definition', ?)", (definition.to_json(),))
            if fill is not None:
                connection.execute("BEGIN")
                fill(connection)
                connection.execute("COMMIT")
        finally:
            connection.close()


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open a log for its one writer.

    Raises
    ------
    StudyError, ResourceError
        It can't be written.
    """
    with sqlite_errors(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            isolation_level=None,
            timeout=30,
            check_same_thread=False,
        )
        try:
            # Takes and gives back the write lock: a read-only mount or a full disk says so here, not at the
            # first batch.
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except BaseException:
            connection.close()
            raise
        return connection


def read_definition(connection: sqlite3.Connection, path: Path) -> Definition:
    """Return the definition in a log.

    Raises
    ------
    StudyError
        It is no log of a study, or one of a newer format.
    """
    with sqlite_errors(path):
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if application != APPLICATION_ID:
            raise StudyError(f"{path}: not the log of a study")
        if version > SCHEMA_VERSION:
            raise StudyError(
                f"{path}: the log has format {version}, written by a newer version of the program; "
                f"allowed is up to {SCHEMA_VERSION}"
            )
        found = connection.execute("SELECT value FROM meta WHERE key = 'definition'").fetchone()
    if found is None:
        raise StudyError(f"{path}: the log has no definition")
    return Definition.from_json(found[0], file=path)


def _has_stops(connection: sqlite3.Connection) -> bool:
    """Whether the log has format 2 or later: the minutes of candidates that were stopped."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0]) > 1


def select(connection: sqlite3.Connection) -> str:
    """Return the query for rows; a log of format 1 that can only be read has no column ``stopped``."""
    columns = COLUMNS if _has_stops(connection) else (*COLUMNS[:-1], "NULL")
    return f"SELECT {', '.join(columns)} FROM evaluations"


def bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    """Give a log of format 1 what format 2 has besides."""
    with sqlite_errors(path):
        if not _has_stops(connection):
            connection.executescript(
                "BEGIN IMMEDIATE; ALTER TABLE evaluations ADD COLUMN stopped INTEGER;"
                f"PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
            )
