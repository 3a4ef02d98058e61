"""Structured logs: a JSON object a line, rotated; the same for people on a terminal; a copy to elsewhere.

Call sites use :mod:`logging` as anybody does; facts go into ``extra`` by their own names::

    log = logging.getLogger(__name__)
    log.info("order placed", extra={"coin": "BTC", "price": 61250.0})

Secrets are taken out of the finished line, so neither a message, a fact nor a traceback shows one.
"""

import json
import logging
import logging.handlers
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from passivbot.disk import unwritable
from passivbot.errors import LiveError
from passivbot.ops.redact import cleaned, redacted
from passivbot.ops.remote import RemoteHandler

TRACE = 5
LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG, TRACE)
"""``logging.level`` of a configuration, 0 … 3 → level of :mod:`logging`."""
MAX_BYTES = 20_000_000
KEPT_FILES = 9
ROOT = "passivbot"
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def facts(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a call gave in ``extra``."""
    return {key: value for key, value in record.__dict__.items() if key not in _OWN and key[0] != "_"}


class JsonFormatter(logging.Formatter):
    """One JSON object a record: ``at`` (UTC), ``level``, ``logger``, ``message``, the facts, ``error``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without secrets."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "at": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **facts(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(cleaned(line), ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """A line for people: time, level where it is not info, message, facts, error."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without secrets."""
        at = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%d %H:%M:%S")
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        given = "".join(f" {key}={_short(value)}" for key, value in facts(record).items())
        text = f"{at} {level}{record.getMessage()}{given}"
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            text += f": {type(error).__name__}: {error} (the traceback stands in the log file)"
        return redacted(text)


class _PrivateFile(logging.handlers.RotatingFileHandler):
    """A rotated file that only its owner can read: it tells positions and balances."""

    def _open(self) -> Any:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return os.fdopen(descriptor, "a", encoding=self.encoding)

    def handleError(self, record: logging.LogRecord) -> None:
        """Go on without the log: a full disk must not stop a bot that has to close a position."""


@contextmanager
def logging_to(
    file: Path | None,
    *,
    level: int = 1,
    console: TextIO | None = sys.stderr,
    remote: str | None = None,
    max_bytes: int = MAX_BYTES,
    kept: int = KEPT_FILES,
) -> Iterator[None]:
    """Set up the logs of a process while the block runs.

    Parameters
    ----------
    file
        Log of JSON lines; rotated to ``file.1`` …; None: no file.
    level
        0 (warnings) … 3 (trace), as ``logging.level`` of a configuration.
    console
        Where lines for people go; None: nowhere.
    remote
        Where a copy of the JSON lines goes: ``https://…`` (posted, newline-delimited), or
        ``syslog://HOST:PORT`` (UDP); None: nowhere.
    max_bytes, kept
        Size of a log file, and how many old ones are kept.

    Raises
    ------
    LiveError
        The file can't be written, or ``remote`` is no such address.
    ResourceError
        The disk is full.
    """
    logging.addLevelName(TRACE, "TRACE")
    handlers: list[logging.Handler] = []
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handler: logging.Handler = _PrivateFile(
                file, maxBytes=max_bytes, backupCount=kept, encoding="utf-8"
            )
        except OSError as error:
            raise unwritable(file, error, LiveError) from error
        handler.setFormatter(JsonFormatter())
        handlers.append(handler)
    if console is not None:
        handler = logging.StreamHandler(console)
        handler.setFormatter(TextFormatter())
        handlers.append(handler)
    if remote is not None:
        handler = RemoteHandler(remote)
        handler.setFormatter(JsonFormatter())
        handlers.append(handler)
    root, ours = logging.getLogger(), logging.getLogger(ROOT)
    before = root.level, ours.level
    # Libraries speak up only when something is wrong: ccxt's and aiohttp's debug lines show whole requests.
    root.setLevel(logging.WARNING)
    ours.setLevel(LEVELS[min(max(level, 0), len(LEVELS) - 1)])
    for handler in handlers:
        root.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
        root.setLevel(before[0])
        ours.setLevel(before[1])


def _short(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)
