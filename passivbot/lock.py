"""Exclusive locks on files, which the kernel releases with the process, however that ends."""

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from passivbot.disk import unwritable
from passivbot.errors import PassivbotError

_TRIES = 4
_PAUSE_SECONDS = 0.05


class Lock:
    """An exclusive ``flock`` on a file, held until it is closed; child processes do not inherit it.

    The text in the file (pid and host) is only for the message of whoever finds it locked.

    Parameters
    ----------
    path
        The file; it is made.
    busy
        Says whose it is, given who has it.
    kind
        Of the errors.

    Raises
    ------
    PassivbotError
        ``kind``: another process (or another object of this one) holds the lock, or it can't be written.
    ResourceError
        The disk is full.
    """

    def __init__(self, path: Path, busy: Callable[[str], str], kind: type[PassivbotError]) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise unwritable(path, error, kind) from error
        try:
            _take(self._descriptor)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 200, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise kind(busy(holder or "a process that just started")) from error
        except OSError as error:
            os.close(self._descriptor)
            raise unwritable(path, error, kind) from error
        before = os.fstat(self._descriptor).st_size
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"pid {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        except OSError as error:
            if not before:  # made by us just now: there is no room here, so leave nothing behind
                path.unlink(missing_ok=True)
            os.close(self._descriptor)
            raise unwritable(path, error, kind) from error

    def close(self) -> None:
        """Release the lock; the file stays, since removing it would race with another taker."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _take(descriptor: int) -> None:
    """Lock, or raise BlockingIOError. Whoever only asks for the holder has it for a moment: try again."""
    for _ in range(_TRIES):
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_PAUSE_SECONDS)
    return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def holder(path: Path) -> str | None:
    """Return "pid N on HOST" of the process that holds the lock on this file now, or None."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
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
