"""SQLite as the log needs it: its errors in words, and reading where nothing may be written."""

import shutil
import sqlite3
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from passivbot import sqlite
from passivbot.errors import StudyError
from passivbot.sqlite import NO_ACCESS


def sqlite_errors(path: Path) -> AbstractContextManager[None]:
    """Turn SQLite's errors about a study's log into ours; a full or failing disk is a ResourceError."""
    return sqlite.sqlite_errors(path, StudyError, "a study")


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
            if error.sqlite_errorcode & 0xFF not in (*NO_ACCESS, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL):
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
