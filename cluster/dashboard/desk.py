"""The studies of a cluster: running ones as they say they are, done ones in the study folders of the head."""

import os
import threading
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from cluster.board import Board, Notice
from cluster.dashboard.remote import RemoteView
from passivbot.errors import PassivbotError, StudyError
from passivbot.study.definition import Definition
from passivbot.study.log import LOG_FILE, StudyLog
from passivbot.study.serve.desk import Desk, Shown
from passivbot.study.study import STUDIES

FOLDERS = "PASSIVBOT_STUDIES"
"""Environment of the head: folders of studies, separated as in PATH; default: ``studies`` in Ray's."""
_FRESH_SECONDS = 1.0  # for so long what the store said is not asked again


def make_desk() -> Desk:
    """Return the desk of the dashboard's process, which is joined to the key-value store."""
    named = [Path(part) for part in os.environ.get(FOLDERS, "").split(os.pathsep) if part]
    return ClusterDesk(Board(), roots=named or [STUDIES.absolute()])


class ClusterDesk(Desk):
    """Studies of the cluster's board and of folders.

    A study whose folder is on this machine is read from its log; of another one is shown what its driver last
    put on the board.

    Parameters
    ----------
    board
        Of the cluster.
    folders, roots
        As :class:`passivbot.study.serve.desk.Desk` takes them.
    """

    def __init__(self, board: Board, folders: Iterable[Path] = (), roots: Iterable[Path] = ()) -> None:
        super().__init__(folders, roots)
        self._board = board
        self._asked = 0.0
        self._notices: dict[str, Notice] = {}
        self._here: dict[tuple[str, float], bool] = {}  # (id, start of the run) → whether it is here
        self._remote: dict[str, tuple[float, RemoteView]] = {}  # id → start of the run, and its view
        self._board_mutex = threading.Lock()

    def notices(self) -> dict[str, Notice]:
        """Return id → what each study last said of itself."""
        with self._board_mutex:
            if time.monotonic() - self._asked > _FRESH_SECONDS:
                self._notices = {notice.id: notice for notice in self._board.studies()}
                self._asked = time.monotonic()
            return self._notices

    def places(self) -> dict[str, Path]:
        """Return id → folder of every study that is on this machine."""
        local = {key: folder for key, notice in self.notices().items() if (folder := self._folder(notice))}
        named = {folder.resolve() for folder in local.values()}
        beside = sorted(
            {folder.absolute().parent for folder in local.values()} - {r.absolute() for r in self.roots}
        )
        found = {key: folder for key, folder in super().places().items() if folder.resolve() not in named}
        found |= {
            key: folder
            for key, folder in Desk(roots=beside).places().items()
            if folder.resolve() not in named
        }
        return found | local

    def cards(self) -> list[dict[str, Any]]:
        """Return one entry per study for the list, those that run first, then the newest."""
        notices = self.notices()
        cards = {card["id"]: card for card in super().cards()}
        for key, notice in notices.items():
            card = cards.setdefault(key, self._card_of(notice))
            card.update(_brief(notice))
        return sorted(
            cards.values(), key=lambda card: (card["state"] == "running", card["created"]), reverse=True
        )

    def _view(self, key: str) -> Shown:
        notice = self.notices().get(key)
        if notice is None or self._folder(notice):
            return super()._view(key)
        with self._board_mutex:
            started, view = self._remote.get(key, (0.0, None))
            if view is None or started != notice.started:  # it may be another study by now, in that folder
                read = partial(self._board.get, "front", key)
                view = RemoteView(self._definition(notice), Path(notice.folder), read)
                self._remote[key] = notice.started, view
            return view

    def progress(self, key: str) -> dict[str, Any]:
        """Return how far a running study is, by its own account; nothing of one that does not run."""
        notice = self.notices().get(key)
        if notice is None or (not notice.live and self._folder(notice)):
            return {}
        told = notice.progress
        rate, left = told.get("rate"), told.get("left")
        return {
            "state": "running" if notice.live else _ended(notice),
            "writer": f"pid {notice.pid} on {notice.host}",
            "logged": told.get("logged"),
            "budget": told.get("budget"),
            "rate": rate,
            "workers": notice.workers,
            "seconds_left": left / rate if rate and left is not None else None,
        }

    def _folder(self, notice: Notice) -> Path | None:
        """Return the folder of a study on the board if it is this very study's on this machine."""
        folder = Path(notice.folder)
        if not folder.is_absolute() or not (folder / LOG_FILE).is_file():
            return None
        run = (notice.id, notice.started)
        if run not in self._here:
            try:
                self._here[run] = self._same(notice, folder)
            except PassivbotError:
                return None  # a log that can't be read now may be later
        return folder if self._here[run] else None

    def _same(self, notice: Notice, folder: Path) -> bool:
        text = self._board.get("definition", notice.id)
        with StudyLog.open(folder) as log:
            return text is None or log.definition.to_json() == _canonical(text)

    def _definition(self, notice: Notice) -> Definition:
        text = self._board.get("definition", notice.id)
        if text is None:
            raise StudyError(f"{notice.name}: the study has not said yet what it is")
        return Definition.from_json(text.decode(), file=f"study {notice.id} in the cluster's store")

    def _card_of(self, notice: Notice) -> dict[str, Any]:
        """Return the entry of a study of which no log is here."""
        card: dict[str, Any] = {"id": notice.id, "name": notice.name, "folder": notice.folder, "created": ""}
        try:
            definition = self._definition(notice)
        except PassivbotError:
            return card
        scoring = definition.config.get("optimize", {}).get("scoring", [])
        return {
            **card,
            "created": definition.created,
            "search": definition.search,
            "coins": list(definition.scenario.get("coins", ())),
            "objectives": [str(name) for name in scoring],
        }


def _brief(notice: Notice) -> dict[str, Any]:
    """Return what a study says of itself for the list."""
    told = notice.progress
    brief: dict[str, Any] = {
        "state": "running" if notice.live else _ended(notice),
        "writer": f"pid {notice.pid} on {notice.host}",
    }
    if told.get("logged") is not None:
        brief["candidates"] = told["logged"]
    if told.get("front") is not None:
        brief["front"] = {"size": told["front"], "hypervolume": told.get("hypervolume")}
    return brief


def _ended(notice: Notice) -> str:
    """Return the state of a study that does not run; silence is how a killed one ends."""
    return {"finished": "done", "stopped": "stopped", "failed": "failed"}.get(notice.state, "silent")


def _canonical(text: bytes) -> str:
    return Definition.from_json(text.decode(), file="the cluster's store").to_json()
