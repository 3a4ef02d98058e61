"""The configuration that a bot trades now: ``live/NAME/current`` and the version that it points to.

::

    live/NAME/current                  {"sha256": "…", "version": 3}; replaced by a rename, never written into
    live/NAME/history/000003.json      one file per version, written once

A version is read by its number and must have the digest of the pointer, so a file that somebody edited is
refused instead of traded.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passivbot.config import Config
from passivbot.errors import ConfigError, PromotionError, located, nearest

LIVE = Path("live")
CURRENT = "current"
HISTORY = "history"
BOTS = "bots"
"""Folder below ``live/`` of what bots write; no configuration has this name."""
FORMAT = "passivbot-live/1"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, eq=False)
class Promoted:
    """One version of a live configuration.

    Parameters
    ----------
    name
        Of the live configuration: its folder below ``live/``.
    version
        Its number, from 1 on.
    sha256
        Of the version's file.
    config
        What the bot trades.
    document
        The whole file: besides ``config`` where it comes from (``study``, ``candidate``, ``metrics``,
        ``engine_version``, ``config_sha256``), what was checked (``checks``), when, by whom, for which
        ``account``, and what was live before (``previous``).
    """

    name: str
    version: int
    sha256: str
    config: Config
    document: Mapping[str, Any]

    @property
    def account(self) -> str:
        """Name of the account that it was promoted for."""
        return str(self.document["account"])

    @property
    def max_exposure(self) -> float | None:
        """Cap of the account's exposure, × balance, that it was checked against; None: it tells none.

        Raises
        ------
        PromotionError
            The file says something else.
        """
        cap = self.document.get("max_exposure")
        if cap is None:
            return None
        if isinstance(cap, bool) or not isinstance(cap, int | float) or not cap >= 0.0:
            raise PromotionError(located(str(self), "max_exposure", cap, "a number from 0 on"))
        return float(cap)

    def __str__(self) -> str:
        study, candidate = self.document.get("study"), self.document.get("candidate")
        return f"{self.name} version {self.version} (candidate {candidate} of {study})"


def folder_of(name: str, root: Path = LIVE) -> Path:
    """Return the folder of a live configuration, whether it is there or not.

    Raises
    ------
    PromotionError
        The name is none.
    """
    if not _NAME.fullmatch(name) or name == BOTS:
        allowed = f"letters, digits, dots, dashes and underscores, and not {BOTS!r}"
        raise PromotionError(located("the command line", "NAME", name, allowed))
    return root / name


def exists(name: str, root: Path = LIVE) -> bool:
    """Return whether ``name`` is a live configuration that a bot could take."""
    return _NAME.fullmatch(name) is not None and (root / name / CURRENT).is_file()


def names(root: Path = LIVE) -> list[str]:
    """Return the live configurations below ``root``."""
    if not root.is_dir():
        return []
    return sorted(path.name for path in root.iterdir() if exists(path.name, root))


def read(name: str, root: Path = LIVE) -> Promoted:
    """Return the version of a live configuration that is current.

    Raises
    ------
    PromotionError
        There is none, or pointer or version can't be read or are not what was promoted.
    """
    folder = folder_of(name, root)
    pointer = read_pointer(folder)
    if pointer is None:
        near = nearest(name, names(root))
        hint = f" (nearest: {near})" if near else ""
        raise PromotionError(f"{folder / CURRENT}: nothing is promoted to {name}{hint}")
    return read_version(folder, *pointer)


def read_pointer(folder: Path) -> tuple[int, str] | None:
    """Return (version, digest of its file) of what is current in a folder, or None if nothing is.

    Raises
    ------
    PromotionError
        The pointer is damaged.
    """
    path = folder / CURRENT
    try:
        pointer = json.loads(path.read_bytes())
        return int(pointer["version"]), str(pointer["sha256"])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PromotionError(f"{path}: can't be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise PromotionError(f"{path}: is damaged ({error!r}); promote or roll back again") from None


def version_path(folder: Path, version: int) -> Path:
    """Return the file of a version."""
    return folder / HISTORY / f"{version:06d}.json"


def read_version(folder: Path, version: int, sha256: str | None = None) -> Promoted:
    """Return one version of a live configuration.

    Parameters
    ----------
    folder
        Of the live configuration.
    version
        Its number.
    sha256
        Digest that its file must have; None: any.

    Raises
    ------
    PromotionError
        It is missing, damaged, or not the file that was promoted.
    """
    path = version_path(folder, version)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise PromotionError(f"{path}: version {version} is missing") from None
    except OSError as error:
        raise PromotionError(f"{path}: can't be read ({error.strerror})") from error
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        raise PromotionError(
            f"{path}: was changed after it was promoted (digest {found[:12]}, promoted {sha256[:12]}); "
            "promote again instead of editing it"
        )
    try:
        document = json.loads(content)
        if document["format"] != FORMAT:
            raise PromotionError(located(path, "format", document["format"], FORMAT))
        config = Config.from_dict(document["config"], file=path)
        return Promoted(folder.name, int(document["version"]), found, config, document)
    except (ValueError, KeyError, TypeError) as error:
        raise PromotionError(f"{path}: is damaged ({error!r})") from None
    except ConfigError as error:
        raise PromotionError(str(error)) from error


class Follower:
    """Reads a live configuration again whenever another version becomes current.

    ::

        follower = Follower("main")
        promoted = follower.now
        while True:
            try:
                promoted = follower.poll() or promoted
            except PromotionError as error:
                ...                             # go on with the version at hand; it is raised once a change
            ...                                 # one cycle

    Raises
    ------
    PromotionError
        As :func:`read`.
    """

    def __init__(self, name: str, root: Path = LIVE) -> None:
        self.folder = folder_of(name, root)
        self._seen = self._mark()
        self.now = read(name, root)

    def poll(self) -> Promoted | None:
        """Return the version that became current since the last look, or None; costs one ``stat``.

        Raises
        ------
        PromotionError
            What became current can't be read. It is raised once; ``now`` stays what it was.
        """
        mark = self._mark()
        if mark == self._seen:
            return None
        self._seen = mark
        pointer = read_pointer(self.folder)
        if pointer is None:
            raise PromotionError(
                f"{self.folder / CURRENT}: is gone; the bot keeps version {self.now.version}"
            )
        if pointer == (self.now.version, self.now.sha256):
            return None
        self.now = read_version(self.folder, *pointer)
        return self.now

    def _mark(self) -> tuple[int, int, int] | None:
        try:
            stat = os.stat(self.folder / CURRENT)  # noqa: PTH116 a path object costs more than the call
        except OSError:
            return None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size
