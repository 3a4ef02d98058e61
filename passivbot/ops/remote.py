"""A copy of the log lines to another machine, which may be slow, or gone, without the bot noticing."""

import contextlib
import json
import logging
import queue
import socket
import threading
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import ClassVar, Protocol
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
        """Send lines, or raise OSError, ValueError or HTTPException."""

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
        self._sink = _sink(url)
        super().__init__()
        self.dropped = 0
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
        except Exception:  # a line that can't be made is logging's to report, and no end of the bot
            self.handleError(record)

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
            except (OSError, ValueError, HTTPException):
                if pause is None or self._closing.wait(pause):
                    break
        self.dropped += len(lines)


def is_http(url: str) -> bool:
    """Return whether a text is the address of something that takes HTTP, as far as that shows."""
    try:
        parts = urlsplit(url)
        # Asking for the port reads it; a name that DNS can't have would fail at each message.
        named = bool(parts.hostname and parts.hostname.encode("idna")) and (parts.port or 1) > 0
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and named


def _sink(url: str) -> _Sink:
    if is_http(url):
        register([url])  # it may hold a token
        return _Http(url)
    with contextlib.suppress(ValueError):  # no number, or no address at all
        parts = urlsplit(url)
        if parts.scheme == "syslog" and parts.hostname:
            return _Syslog(parts.hostname, parts.port or 514)
    raise LiveError(f"the address of the remote log is not usable; allowed is {ALLOWED}")


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
    """RFC 3164 over UDP: facility user, the level's severity."""

    _SEVERITY: ClassVar[Mapping[str, int]] = {"warning": 4, "error": 3, "critical": 2, "info": 6}
    _DEBUG, _USER = 7, 8

    def __init__(self, host: str, port: int) -> None:
        # The name is looked up when something is sent: at the start of a machine there may be no network.
        self._address = host, port
        self._socket: socket.socket | None = None

    def send(self, lines: list[str]) -> None:
        if self._socket is None:
            (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
                *self._address, type=socket.SOCK_DGRAM
            )
            self._socket = socket.socket(family, kind, protocol)
            self._socket.connect(address)
        for line in lines:
            level = json.loads(line)["level"]
            priority = self._USER + self._SEVERITY.get(level, self._DEBUG)
            self._socket.send(f"<{priority}>passivbot: {line}".encode())

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
