"""The lock that keeps a study to one writer."""

import contextlib
import fcntl
import os
import socket
from pathlib import Path

from passivbot import disk
from passivbot.errors import PassivbotError, StudyError

LOCK_FILE = "study.lock"


def unwritable(path: Path, error: OSError) -> PassivbotError:
    """Return the error for a file that could not be written: StudyError, or ResourceError on a full disk."""
    return disk.unwritable(path, error, StudyError)


class Lock:
    """An exclusive ``flock`` on ``study.lock`` of a study's folder, held until it is closed.

    The kernel releases it with the process, however that ends; child processes do not inherit the descriptor.
    The text in the file (pid and host) is only for the message of whoever finds it locked.

    Raises
    ------
    StudyError
        Another process (or another object of this one) holds the lock, or the folder can't be written.
    ResourceError
        The disk is full.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / LOCK_FILE
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise unwritable(path, error) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 200, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise StudyError(
                f"{folder}: study already in use by {holder or 'a process that just started'}"
            ) from error
        except OSError as error:
            os.close(self._descriptor)
            raise unwritable(path, error) from error
        before = os.fstat(self._descriptor).st_size
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"pid {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        except OSError as error:
            if not before:  # made by us just now: no room for a study here, so leave nothing behind
                path.unlink(missing_ok=True)
            os.close(self._descriptor)
            raise unwritable(path, error) from error

    def close(self) -> None:
        """Release the lock; the file stays, since removing it would race with another taker."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def holder(folder: Path) -> str | None:
    """Return "pid N on HOST" of the process that writes this study now, or None."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
    except OSError:
        return None
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    return None
