"""The lock that keeps a study to one writer."""

from pathlib import Path

from passivbot import disk
from passivbot import lock as locks
from passivbot.errors import PassivbotError, StudyError
from passivbot.lock import Lock

LOCK_FILE = "study.lock"


def unwritable(path: Path, error: OSError) -> PassivbotError:
    """Return the error for a file that could not be written: StudyError, or ResourceError on a full disk."""
    return disk.unwritable(path, error, StudyError)


def lock_study(folder: Path) -> Lock:
    """Take the lock of a study's folder.

    Raises
    ------
    StudyError
        Another process (or another object of this one) has it, or the folder can't be written.
    ResourceError
        The disk is full.
    """
    return Lock(folder / LOCK_FILE, lambda holder: f"{folder}: study already in use by {holder}", StudyError)


def holder(folder: Path) -> str | None:
    """Return "pid N on HOST" of the process that writes this study now, or None."""
    return locks.holder(folder / LOCK_FILE)
