"""Where the configuration comes from: a promoted one, or a file; both are taken over between two cycles."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from passivbot.config import Config, load_config
from passivbot.config.findings import Finding
from passivbot.errors import PassivbotError
from passivbot.versions import LIVE, Follower

Tell = Callable[[str, str], None]
GUARD = "configuration"
_LOOK_SECONDS = 5.0


class Source(Protocol):
    """A configuration that may change."""

    now: Config
    name: str
    label: str
    version: int | None
    cap: float | None
    """Of the account's exposure, × balance, that the configuration was promoted with; None: it was not."""
    findings: tuple[Finding, ...]
    """What in the configuration is most likely not meant, as it was at the beginning."""

    def poll(self, tell: Tell) -> Config | None:
        """Return the configuration if it changed since the last call; what can't be read is told."""
        ...


class Fixed:
    """A configuration that does not change.

    Parameters
    ----------
    config
        The configuration.
    label
        Its name, for people.
    """

    def __init__(self, config: Config, label: str = "a configuration") -> None:
        self.now, self.name, self.label = config, label, label
        self.version: int | None = None
        self.cap: float | None = None
        self.findings: tuple[Finding, ...] = ()
        self._next: Config | None = None

    def change(self, config: Config) -> None:
        """Give the bot another one at its next look."""
        self._next = config

    def poll(self, tell: Tell) -> Config | None:
        """Return another configuration if one was given."""
        found, self._next = self._next, None
        if found is not None:
            self.now = found
        return found


class FileSource:
    """A configuration file; it and the coin lists that it names are read again while the bot runs.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    ConfigError
        It is no configuration.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name, self.label = path.name, str(path)
        self.version: int | None = None
        self.cap: float | None = None
        loaded = load_config(path)
        self.now: Config = loaded.config
        self.findings = loaded.findings
        self._looked = time.monotonic()
        self._problem = ""

    def poll(self, tell: Tell) -> Config | None:
        """Return the configuration if the file or a coin list changed."""
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return None
        self._looked = time.monotonic()
        try:
            loaded = load_config(self._path)
        except PassivbotError as error:
            if str(error) != self._problem:
                tell(GUARD, f"{error}; the bot keeps the configuration that it has")
            self._problem = str(error)
            return None
        self._problem = ""
        found = loaded.config
        if found.to_dict() == self.now.to_dict():
            return None
        for finding in set(loaded.findings) - set(self.findings):
            tell(GUARD, str(finding))
        self.now, self.findings = found, loaded.findings
        return found


class PromotedSource:
    """The current version of a live configuration.

    Parameters
    ----------
    name
        Of the live configuration.
    root
        Folder of the live configurations.

    Raises
    ------
    PromotionError
        Nothing is promoted to it.
    """

    def __init__(self, name: str, root: Path = LIVE) -> None:
        self._follower = Follower(name, root)
        self.name = name
        self.findings: tuple[Finding, ...] = ()
        self._take()

    def _take(self) -> None:
        promoted = self._follower.now
        self.cap: float | None = promoted.max_exposure
        self.account = promoted.account
        self.now: Config = promoted.config
        self.label = str(promoted)
        self.version: int | None = promoted.version

    def poll(self, tell: Tell) -> Config | None:
        """Return the configuration if another version became current."""
        try:
            promoted = self._follower.poll()
            if promoted is None:
                return None
            if promoted.account != self.account:
                tell(GUARD, f"{promoted} is for account {promoted.account}; the bot keeps {self.label}")
                return None
            self._take()
        except PassivbotError as error:
            tell(GUARD, f"{error}; the bot keeps {self.label}")
            return None
        return self.now
