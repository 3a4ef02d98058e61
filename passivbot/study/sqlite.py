"""SQLite as the log needs it: its errors in words, and reading where nothing may be written."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from passivbot.errors import ResourceError, StudyError

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_NO_ACCESS = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours: full disk, no right to write, damaged file, busy.

    Raises
    ------
    ResourceError
        Disk full or failing.
    StudyError
        Everything else.
    """
    try:
        yield
    except sqlite3.Error as error:
        # An extended code has its primary one in the low byte; errors of the Python module itself have none.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL or (code in (sqlite3.SQLITE_IOERR, *_NO_ACCESS) and _full(path)):
            raise ResourceError(f"{path}: the disk is full; nothing of this batch was written") from error
        if code == sqlite3.SQLITE_IOERR:
            raise ResourceError(f"{path}: the disk can't be read or written ({error})") from error
        if code in _NO_ACCESS:
            raise StudyError(
                f"{path}: can't be opened for writing: read-only, or no right to it ({error})"
            ) from error
        if code in _DAMAGED:
            raise StudyError(f"{path}: damaged, or not a study ({error})") from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StudyError(f"{path}: in use by another process ({error})") from error
        raise StudyError(f"{path}: {error}") from error


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open a log that another process may be writing, or that lies where nothing can be written.

    A reader of a WAL file shares an index with the writer, which SQLite creates if it is missing. Where that
    is not possible (read-only mount, full disk) nobody writes either: without a WAL the file is read as it
    is, with one a copy of both is.
    """
    with sqlite_errors(path):
        try:
            return _checked(f"{path.absolute().as_uri()}?mode=ro")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (*_NO_ACCESS, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL):
                raise
        wal = Path(f"{path}-wal")
        if not wal.exists() or wal.stat().st_size == 0:
            return _checked(f"{path.absolute().as_uri()}?mode=ro&immutable=1")
        with tempfile.TemporaryDirectory(prefix="passivbot-study-") as copy:
            shutil.copyfile(path, Path(copy) / path.name)
            shutil.copyfile(wal, Path(copy) / wal.name)
            source = sqlite3.connect(Path(copy) / path.name)
            try:
                memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
                source.backup(memory)
            finally:
                source.close()
            return memory


def _checked(uri: str) -> sqlite3.Connection:
    """Connect and read one page: SQLite opens files only when it needs them."""
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30, check_same_thread=False)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _full(path: Path) -> bool:
    try:
        room = os.statvfs(path.parent)
    except OSError:
        return False
    # Some room is kept for SQLite's own pages: an open WAL index alone takes 32 KiB.
    return room.f_bavail * room.f_frsize < 65536
