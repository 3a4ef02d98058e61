"""Files that matter: written beside their name and renamed, so that they are old or new and never half."""

import contextlib
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from passivbot.errors import PassivbotError, ResourceError

PART = ".part"
"""Ending of what is being written."""


def unwritable(path: Path, error: OSError, kind: type[PassivbotError]) -> PassivbotError:
    """Return the error for a file that could not be written.

    Parameters
    ----------
    path
        The file.
    error
        What the system said.
    kind
        Of an error that is not for want of room: rights, a read-only mount.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceError(
            f"{path}: the disk is full ({os.strerror(error.errno)}); what was written before stays"
        )
    return kind(f"{path}: can't be written ({os.strerror(error.errno) if error.errno else error})")


@contextmanager
def replacing(
    path: Path, kind: type[PassivbotError], *, mode: int = 0o644, durable: bool = True
) -> Iterator[BinaryIO]:
    """Give a file to write into, which takes the name ``path`` when the block ends well.

    Parameters
    ----------
    path
        In a folder that exists.
    kind
        As for :func:`unwritable`.
    mode
        Of the file.
    durable
        Whether it survives a power cut as soon as this returns; costs a write to the disk.

    Raises
    ------
    PassivbotError
        ``kind`` or ResourceError: it can't be written; the old one stays.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    try:
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        part.replace(path)
        if durable:
            _sync(path.parent)
    except OSError as error:
        raise unwritable(path, error, kind) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def replace_file(
    path: Path, content: bytes, kind: type[PassivbotError], *, mode: int = 0o644, durable: bool = True
) -> None:
    """Write a file as :func:`replacing` does."""
    with replacing(path, kind, mode=mode, durable=durable) as file:
        file.write(content)


def _sync(folder: Path) -> None:
    """Bring a rename to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
