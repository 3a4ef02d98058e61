"""Which bots run, and how they are: ``live/bots/ACCOUNT/status.json``, and the endpoint it names.

The file says where the bot's endpoint is and how it was at its last cycle, which is also the last that is
known of a bot that was killed.
"""

import json
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from passivbot.disk import replace_file
from passivbot.errors import LiveError, PassivbotError
from passivbot.ops.redact import cleaned
from passivbot.versions import BOTS, LIVE

STATUS = "status.json"
LOG = "bot.log"
_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True)
class Bot:
    """A bot that runs or ran.

    Parameters
    ----------
    account
        Whose folder it is.
    running
        Whether its process is there.
    document
        What it said last: ``name``, ``version``, ``pid``, ``port``, ``problem``, ``seconds_since_cycle`` and
        what the loop adds.
    """

    account: str
    running: bool
    document: Mapping[str, Any]

    @property
    def state(self) -> str:
        """How it is, in words."""
        problem = self.document.get("problem")
        state = "running" if self.running else "ended" if self.document.get("ended") else "died"
        return f"{state}: {problem}" if problem else state

    @property
    def well(self) -> bool:
        """Whether it runs, or was ended by a person, and nothing is wrong with it."""
        return self.state in ("running", "ended")


def bot_folder(account: str, root: Path = LIVE) -> Path:
    """Return the folder of a bot's own files: status, log, journal."""
    return root / BOTS / account


class StatusFile:
    """Writes what a bot says of itself; failing to is no reason to stop trading.

    Parameters
    ----------
    folder
        :func:`bot_folder`.
    facts
        What does not change: account, name, port.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        process = psutil.Process()
        self._path = folder / STATUS
        self._facts = {**facts, "pid": process.pid, "started": process.create_time()}

    def write(self, document: Mapping[str, Any]) -> bool:
        """Replace the file; return whether that worked."""
        text = json.dumps(cleaned({**document, **self._facts, "at": time.time()}), indent=2)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            replace_file(self._path, f"{text}\n".encode(), LiveError, mode=0o600, durable=False)
        except (OSError, PassivbotError):
            return False
        return True


def bots(root: Path = LIVE, account: str | None = None) -> list[Bot]:
    """Return the bots that have a folder, by account; a running one is asked how it is.

    Raises
    ------
    LiveError
        ``account`` has none.
    """
    found = sorted(root.glob(f"{BOTS}/*/{STATUS}"))
    known = [_bot(path) for path in found if account is None or path.parent.name == account]
    if account is not None and not known:
        raise LiveError(f"{root / BOTS / account}: no bot has run on {account} from this folder")
    return known


def _bot(path: Path) -> Bot:
    account = path.parent.name
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        running = not document.get("ended") and _runs(int(document["pid"]), float(document["started"]))
        document["seconds_since_status"] = since = round(time.time() - float(document["at"]), 1)
        if "seconds_since_cycle" in document:
            document["seconds_since_cycle"] += since
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Bot(account, False, {"problem": f"{path} can't be read ({error!r})"})
    if running and document.get("port"):
        try:
            document |= _asked(int(document["port"]))
        except (OSError, ValueError) as error:
            document["problem"] = f"its endpoint does not answer ({error})"
    return Bot(account, running, document)


def _runs(pid: int, started: float) -> bool:
    """Return whether this very process lives: a number is given to another one some day."""
    try:
        return bool(abs(psutil.Process(pid).create_time() - started) < 1.0)
    except psutil.Error:
        return False


def _asked(port: int) -> dict[str, Any]:
    # No proxy of the environment: the address is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/status", timeout=_TIMEOUT_SECONDS) as answer:
        document: dict[str, Any] = json.loads(answer.read())
    return document
