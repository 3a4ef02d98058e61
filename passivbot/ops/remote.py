"""A copy of the log lines to another machine, which may be slow, or gone, without the bot noticing."""

import contextlib
import logging
import logging.handlers
import queue
import threading
import urllib.error
import urllib.request
from typing import Protocol
from urllib.parse import urlsplit

from passivbot.errors import LiveError
from passivbot.ops.redact import register

ALLOWED = "https://HOST/PATH, http://HOST/PATH or syslog://HOST:PORT"
_WAITING = 10_000
_BATCH = 500
_TIMEOUT = 10.0
_PAUSES = (1.0, 5.0, 30.0)


class _Sink(Protocol):
    def send(self, lines: list[str]) -> None:
        """Send lines, or raise OSError."""

    def close(self) -> None:
        """Let go of the connection."""


class RemoteHandler(logging.Handler):
    """Sends formatted lines from a thread of its own; what waits too long is dropped and counted.

    Raises
    ------
    LiveError
        The address is none of the allowed ones.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self.dropped = 0
        self._sink = _sink(url)
        self._queue: queue.Queue[str | None] = queue.Queue(_WAITING)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="remote log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line to the thread; never waits."""
        try:
            self._queue.put_nowait(self.format(record))
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Send what is left, for at most some seconds."""
        if not self._closing.is_set():
            self._closing.set()
            with contextlib.suppress(queue.Full):
                self._queue.put_nowait(None)
            self._thread.join(5.0)
            self._sink.close()
        super().close()

    def _run(self) -> None:
        while True:
            lines, last = self._taken()
            if lines:
                self._deliver(lines)
            if last:
                return

    def _taken(self) -> tuple[list[str], bool]:
        """Return the lines that wait, at least one, and whether they are the last."""
        lines: list[str] = []
        line = self._queue.get()
        while line is not None:
            lines.append(line)
            if len(lines) >= _BATCH:
                return lines, False
            try:
                line = self._queue.get_nowait()
            except queue.Empty:
                return lines, self._closing.is_set()
        return lines, True

    def _deliver(self, lines: list[str]) -> None:
        for pause in (*_PAUSES, None):
            try:
                self._sink.send(lines)
                return
            except (OSError, ValueError):
                if pause is None or self._closing.wait(pause):
                    break
        self.dropped += len(lines)


def _sink(url: str) -> _Sink:
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and parts.hostname:
        register([url])  # it may hold a token
        return _Http(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme == "syslog" and parts.hostname:
        return _Syslog(parts.hostname, port or 514)
    raise LiveError(
        f"the address of the remote log has the form {parts.scheme or '?'}:…; allowed is {ALLOWED}"
    )


class _Http:
    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, lines: list[str]) -> None:
        request = urllib.request.Request(
            self._url,
            data=("\n".join(lines) + "\n").encode(),
            headers={"Content-Type": "application/x-ndjson"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT):
            pass

    def close(self) -> None:
        pass


class _Syslog:
    def __init__(self, host: str, port: int) -> None:
        self._handler = logging.handlers.SysLogHandler(address=(host, port))
        self._handler.ident = "passivbot: "
        self._handler.append_nul = False

    def send(self, lines: list[str]) -> None:
        for line in lines:
            self._handler.emit(logging.makeLogRecord({"msg": line, "levelno": logging.INFO}))

    def close(self) -> None:
        self._handler.close()
