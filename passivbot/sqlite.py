"""SQLite's errors in words, for the files that are databases: a study's log, a bot's journal."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from passivbot.errors import PassivbotError, ResourceError

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
NO_ACCESS = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)
"""Primary codes of a database that can't be opened as it was asked for."""


@contextmanager
def sqlite_errors(path: Path, kind: type[PassivbotError], what: str) -> Iterator[None]:
    """Turn SQLite's errors into ours: full disk, no right to write, damaged file, busy.

    Parameters
    ----------
    path
        The database.
    kind
        Of all errors but those of a full or failing disk, which are a ResourceError.
    what
        The database is, with its article.
    """
    try:
        yield
    except sqlite3.Error as error:
        # An extended code has its primary one in the low byte; errors of the Python module itself have none.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL or (code in (sqlite3.SQLITE_IOERR, *NO_ACCESS) and _full(path)):
            raise ResourceError(f"{path}: the disk is full; nothing of this batch was written") from error
        if code == sqlite3.SQLITE_IOERR:
            raise ResourceError(f"{path}: the disk can't be read or written ({error})") from error
        if code in NO_ACCESS:
            raise kind(
                f"{path}: can't be opened for writing: read-only, or no right to it ({error})"
            ) from error
        if code in _DAMAGED:
            raise kind(f"{path}: damaged, or not {what} ({error})") from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise kind(f"{path}: in use by another process ({error})") from error
        raise kind(f"{path}: {error}") from error


def _full(path: Path) -> bool:
    try:
        room = os.statvfs(path.parent)
    except OSError:
        return False
    # Some room is kept for SQLite's own pages: an open WAL index alone takes 32 KiB.
    return room.f_bavail * room.f_frsize < 65536
