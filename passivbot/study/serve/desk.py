"""The studies that a page shows, found in folders, and their views."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from passivbot.errors import PassivbotError, StudyError
from passivbot.study.lock import holder
from passivbot.study.log import LOG_FILE, StudyLog
from passivbot.study.serve.equity import Replays
from passivbot.study.serve.view import View, last_front, state_of
from passivbot.study.study import Results, Study, listing, study_id

OPEN_VIEWS = 4  # read studies that are kept; each has the sample and the front in memory


class Shown(Protocol):
    """A study as the page needs it, wherever it comes from."""

    lock: threading.Lock
    study: Study
    closed: bool

    def renew(self) -> dict[str, Any] | None:
        """Take what is new; return how far that is if it is not all yet."""

    @property
    def members(self) -> Results:
        """Those of the front that are shown."""

    def find(self, candidate: int) -> Results:
        """Return one candidate; StudyError if there is none."""

    def payload(self, after: int = -1, stamp: int = -1) -> dict[str, Any]:
        """Return what the page shows, see :meth:`.view.View.payload`."""

    def past_front(self, told: int) -> dict[str, Any] | None:
        """Return an earlier front."""

    def close(self) -> None:
        """Let go of files."""


class Desk:
    """Studies in folders.

    Parameters
    ----------
    folders
        Of studies.
    roots
        Folders of which each subfolder may be a study.
    """

    def __init__(self, folders: Iterable[Path] = (), roots: Iterable[Path] = ()) -> None:
        self.folders = [Path(folder) for folder in folders]
        self.roots = [Path(root) for root in roots]
        self.replays = Replays()
        self._views: OrderedDict[str, View] = OrderedDict()
        self._cards: dict[Path, tuple[object, dict[str, Any]]] = {}
        self._mutex = threading.Lock()

    def places(self) -> dict[str, Path]:
        """Return id → folder of every study there is now."""
        found = [*self.folders, *(folder for root in self.roots for folder in listing(root))]
        return {study_id(folder): folder for folder in found}

    def cards(self) -> list[dict[str, Any]]:
        """Return one entry per study for the list, those that run first, then the newest."""
        cards = [self._card(key, folder) for key, folder in self.places().items()]
        return sorted(cards, key=lambda card: (card["state"] == "running", card["created"]), reverse=True)

    @contextmanager
    def using(self, key: str) -> Iterator[tuple[Shown, dict[str, Any] | None]]:
        """Give a study for the body alone, read as far as it goes, and how far that is if it is not all yet.

        Raises
        ------
        StudyError
            There is none of that id, or it can't be read.
        """
        while True:
            view = self._view(key)
            with view.lock:
                # While this waited for the lock the study may have been put away for others.
                if not view.closed:
                    yield view, view.renew()
                    return

    def _view(self, key: str) -> Shown:
        folder = self.places().get(key)
        if folder is None:
            raise StudyError(f"{key}: no such study here")
        with self._mutex:
            view = self._views.get(key)
            if view is None or view.replaced():
                # Who still uses a study that was replaced sees the old one to the end.
                view = self._views[key] = View(folder)
            self._views.move_to_end(key)
            put_away = [self._views.popitem(last=False)[1] for _ in range(len(self._views) - OPEN_VIEWS)]
        for old in put_away:
            with old.lock:
                old.close()
        return view

    def progress(self, key: str) -> dict[str, Any]:
        """Return what is known of a study's progress besides its log; nothing here."""
        return {}

    def close(self) -> None:
        """Close all logs."""
        with self._mutex:
            for view in self._views.values():
                with view.lock:
                    view.close()
            self._views.clear()

    def _card(self, key: str, folder: Path) -> dict[str, Any]:
        state = _state(folder)
        known = self._cards.get(folder)
        if known is None or known[0] != state:
            known = self._cards[folder] = (state, _read_card(folder))
        writer = holder(folder)
        view = self._views.get(key)
        front = None if view is None else view.brief()
        if front is None and not writer:
            front = known[1].get("front")
        return {
            **known[1],
            "id": key,
            "state": "running" if writer else known[1]["state"],
            "writer": writer,
            "front": front,
        }


def _state(folder: Path) -> object:
    """Return what changes when something is logged."""
    found = []
    for path in (folder / LOG_FILE, folder / f"{LOG_FILE}-wal"):
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


def _read_card(folder: Path) -> dict[str, Any]:
    """Return what the list shows of a study; one that can't be read says why."""
    card: dict[str, Any] = {"name": folder.absolute().name, "folder": str(folder.absolute()), "created": ""}
    try:
        with StudyLog.open(folder) as log:
            definition, last = log.definition, log.last()
            scenario, events = definition.scenario, log.events()
            return {
                **card,
                "state": state_of(events, last + 1),
                "front": last_front(events),
                "created": definition.created,
                "search": definition.search,
                "candidates": last + 1,
                "coins": list(scenario.get("coins", ())),
                "objectives": [str(name) for name in _scored(definition.config)],
            }
    except PassivbotError as error:
        return {**card, "state": "unreadable", "error": str(error)}


def _scored(config: Any) -> list[Any]:
    scoring = config.get("optimize", {}).get("scoring", []) if hasattr(config, "get") else []
    return list(scoring) if isinstance(scoring, list | tuple) else []
