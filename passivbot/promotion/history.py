"""Writing a version and making it current: append, then swap one pointer.

The version's file is complete and on the disk before the pointer is renamed onto ``current``. A kill at any
step leaves the old version current and readable, or the new one: at most a version that was never taken, or
a ``.part`` that the next promotion removes. Each version names the digest of the file before it, so a
history that somebody edited or shortened shows it.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passivbot.disk import PART, replace_file, unwritable
from passivbot.errors import PromotionError
from passivbot.lock import Lock
from passivbot.versions import (
    CURRENT,
    FORMAT,
    HISTORY,
    Promoted,
    read_pointer,
    read_version,
    version_path,
)

LOCK = ".lock"
_VERSION = re.compile(r"(\d{6,})\.json")


@dataclass(frozen=True, eq=False)
class Entry:
    """One version of the history: ``state`` is ``current``, ``past`` or ``never taken``."""

    promoted: Promoted
    state: str


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a live configuration to one promotion at a time.

    Raises
    ------
    PromotionError
        Another one is under way, or the folder can't be written.
    ResourceError
        The disk is full.
    """
    try:
        (folder / HISTORY).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error, PromotionError) from error
    lock = Lock(
        folder / LOCK, lambda holder: f"{folder}: {holder} promotes or rolls back now", PromotionError
    )
    with contextlib.closing(lock):
        # Whoever wrote these is gone: it would hold the lock.
        for place in (folder, folder / HISTORY):
            for left in place.glob(f".*{PART}"):
                left.unlink(missing_ok=True)
        yield


def versions(folder: Path) -> list[int]:
    """Return the numbers of all versions, ascending."""
    history = folder / HISTORY
    if not history.is_dir():
        return []
    found = (_VERSION.fullmatch(path.name) for path in history.iterdir())
    return sorted(int(match[1]) for match in found if match)


def entries(folder: Path) -> list[Entry]:
    """Return all versions, ascending, after checking that none was changed or taken away.

    Raises
    ------
    PromotionError
        A version is missing, damaged or changed, or the pointer is damaged.
    """
    pointer = read_pointer(folder)
    read: dict[int, Promoted] = {}
    before: str | None = None
    for expected, version in enumerate(versions(folder), 1):
        if version != expected:
            raise PromotionError(f"{version_path(folder, expected)}: version {expected} is missing")
        promoted = read_version(folder, version)
        if promoted.document.get("before") != before:
            raise PromotionError(
                f"{version_path(folder, version - 1)}: was changed after version {version} was made"
            )
        read[version], before = promoted, promoted.sha256
    lived: set[int] = set()
    step: int | None = None
    if pointer is not None:
        step = read_version(folder, *pointer).version
    while step is not None and step not in lived:
        lived.add(step)
        step = read[step].document["previous"] if step in read else None
    return [
        Entry(p, "current" if pointer and v == pointer[0] else "past" if v in lived else "never taken")
        for v, p in read.items()
    ]


def append(folder: Path, document: Mapping[str, Any]) -> Promoted:
    """Write the next version; it is not current yet. The caller holds :func:`locked`.

    Parameters
    ----------
    folder
        Of the live configuration.
    document
        What :class:`~passivbot.versions.Promoted` lists, without ``format``, ``name``, ``version``,
        ``previous`` and ``before``.

    Raises
    ------
    PromotionError
        The folder can't be written, or the last version is damaged.
    ResourceError
        The disk is full.
    """
    known = versions(folder)
    pointer = read_pointer(folder)
    last = known[-1] if known else 0
    complete = {
        **document,
        "before": read_version(folder, last).sha256 if last else None,
        "format": FORMAT,
        "name": folder.name,
        "previous": pointer[0] if pointer else None,
        "version": last + 1,
    }
    text = json.dumps(complete, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
    replace_file(version_path(folder, last + 1), text.encode(), PromotionError, mode=0o444)
    return read_version(folder, last + 1, hashlib.sha256(text.encode()).hexdigest())


def swap(folder: Path, promoted: Promoted) -> None:
    """Make a version current, by one rename. The caller holds :func:`locked`.

    Raises
    ------
    PromotionError, ResourceError
        As :func:`append`.
    """
    pointer = {"sha256": promoted.sha256, "version": promoted.version}
    text = json.dumps(pointer, sort_keys=True) + "\n"
    replace_file(folder / CURRENT, text.encode(), PromotionError)
