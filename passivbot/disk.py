"""Files that matter: written beside their name and renamed, so that they are old or new and never half."""

import contextlib
import errno
import os
import secrets
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
def part_of(path: Path) -> Iterator[Path]:
    """Give a name beside ``path`` to write to; what is left there afterwards is removed.

    For writers that want a name; :func:`replacing` gives an open file.
    """
    # Other threads write here too, and in a shared folder processes of other machines.
    part = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{PART}")
    try:
        yield part
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def settle(part: Path, path: Path, *, durable: bool = True) -> None:
    """Give what was written its name.

    Parameters
    ----------
    part, path
        What was written, in the folder of what it becomes.
    durable
        Whether it survives a power cut as soon as this returns; costs a write to the disk.
    """
    if durable:
        _sync(part)
    part.replace(path)
    if durable:
        _sync(path.parent)


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
        As for :func:`settle`.

    Raises
    ------
    PassivbotError
        ``kind`` or ResourceError: it can't be written; the old one stays.
    """
    try:
        with part_of(path) as part:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            with os.fdopen(descriptor, "wb") as file:
                yield file
            settle(part, path, durable=durable)
    except OSError as error:
        raise unwritable(path, error, kind) from error


def replace_file(
    path: Path, content: bytes, kind: type[PassivbotError], *, mode: int = 0o644, durable: bool = True
) -> None:
    """Write a file as :func:`replacing` does."""
    with replacing(path, kind, mode=mode, durable=durable) as file:
        file.write(content)


def _sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
