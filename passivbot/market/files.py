"""Files of the store: written beside their name and renamed, one writer a folder at a time."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from passivbot.errors import CandleError, ResourceError

LOCK = ".lock"
PART = ".part"
"""Ending of what is being written; after a crash the next writer of the folder removes it."""


def unwritable(path: Path, error: OSError) -> ResourceError | CandleError:
    """Return the message for a file that could not be written: full disk, quota, rights, read-only mount."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceError(
            f"{path}: the disk is full ({os.strerror(error.errno)}); what was written before stays"
        )
    return CandleError(f"{path}: can't be written ({os.strerror(error.errno) if error.errno else error})")


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
    """Write a file beside its name, bring it to the disk, and rename it: it is old or new, never half.

    Raises
    ------
    CandleError, ResourceError
        It can't be written; the old one stays.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise unwritable(path, error) from None


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
