"""Files of the store: written beside their name and renamed, one writer a folder at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from passivbot import disk
from passivbot.disk import PART
from passivbot.errors import CandleError, PassivbotError

LOCK = ".lock"


def unwritable(path: Path, error: OSError) -> PassivbotError:
    """Return the error for a file that could not be written: CandleError, or ResourceError on a full disk."""
    return disk.unwritable(path, error, CandleError)


def make_folder(path: Path) -> None:
    """Make a folder and those above it.

    Raises
    ------
    CandleError, ResourceError
        It can't be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from None


def replace_file(path: Path, content: bytes) -> None:
    """Write a file: it is old or new, never half.

    Raises
    ------
    CandleError, ResourceError
        It can't be written; the old one stays.
    """
    disk.replace_file(path, content, CandleError)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only writer below a folder; waits for another. The kernel releases it with the process.

    Raises
    ------
    CandleError, ResourceError
        The lock can't be made.
    """
    path = folder / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise unwritable(path, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Whoever wrote these is gone: it would hold the lock.
        for left in folder.glob(f".*{PART}"):
            left.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)
