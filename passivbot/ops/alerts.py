"""Messages to a person by webhook: a guard tripped, a connection is gone, something keeps failing.

:meth:`Alerts.send` only puts a message into a short queue; a task posts it. The same matter is told at most
once in five minutes, with the number of times that it was held back, and all matters together at most thirty
times an hour; that the bot stopped is always told. A webhook that is down costs the bot nothing but the
message.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp

from passivbot.errors import LiveError
from passivbot.ops.metrics import Metrics
from passivbot.ops.redact import cleaned, register
from passivbot.ops.remote import is_http

log = logging.getLogger(__name__)

Kind = Literal["guard", "disconnected", "failing", "stopped", "version", "recovered"]
SAME_MATTER_SECONDS = 300.0
HOUR_SECONDS = 3600.0
MOST_AN_HOUR = 30
FAILURES = 5
"""Consecutive failures of one thing that are worth an alert."""
_WAITING = 100
_TIMEOUT_SECONDS = 10.0
_PAUSES = (1.0, 5.0, 20.0)


@dataclass(frozen=True)
class Alert:
    """One message: ``kind``, a line for a person, facts, and how many like it were held back before."""

    kind: Kind
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    held_back: int = 0


class Alerts:
    """Alerts of one bot.

    Parameters
    ----------
    url
        Webhook: Slack's, Discord's, or any that takes a JSON object by POST; None: alerts are only logged.
    account, name
        Stand in every message.
    metrics
        Counts what became of the alerts.
    clock
        Monotonic seconds.

    Raises
    ------
    LiveError
        ``url`` is no address.
    """

    def __init__(
        self,
        url: str | None,
        account: str,
        name: str,
        metrics: Metrics | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if url is not None:
            if not is_http(url):
                raise LiveError("the address of the webhook is none; allowed is https://HOST/PATH")
            register([url])  # whoever knows it can write to the channel
        self._url, self.account, self.name = url, account, name
        self._metrics, self._clock = metrics, clock
        self._queue: asyncio.Queue[Alert] = asyncio.Queue(_WAITING)
        self._last: dict[tuple[str, str], float] = {}
        self._held: dict[tuple[str, str], int] = {}
        self._sent: deque[float] = deque()
        self._failures: dict[str, int] = {}

    def send(self, kind: Kind, text: str, *, matter: str = "", **facts: Any) -> None:
        """Tell something; returns at once.

        Parameters
        ----------
        kind
            What sort of thing it is.
        text
            One line for a person.
        matter
            What is told at most once in five minutes (a guard's name, a coin); all of the kind if empty.
        **facts
            Go along as JSON.
        """
        log.log(
            logging.INFO if kind in ("version", "recovered") else logging.WARNING,
            "alert: %s",
            text,
            extra={"kind": kind, **facts},
        )
        now, key = self._clock(), (kind, matter)
        while self._sent and now - self._sent[0] >= HOUR_SECONDS:
            self._sent.popleft()
        last = self._last.get(key)
        often = last is not None and now - last < SAME_MATTER_SECONDS
        if kind != "stopped" and (often or len(self._sent) >= MOST_AN_HOUR):
            self._held[key] = self._held.get(key, 0) + 1
            self._count("held back")
            return
        self._last[key] = now
        self._sent.append(now)
        if self._url is None:
            return
        try:
            self._queue.put_nowait(Alert(kind, text, facts, self._held.pop(key, 0)))
        except asyncio.QueueFull:
            self._count("dropped")

    def failed(self, what: str, error: BaseException | str) -> None:
        """Note a failure of something; the fifth in a row is an alert, as is every fifth after it."""
        count = self._failures[what] = self._failures.get(what, 0) + 1
        if count % FAILURES == 0:
            self.send(
                "failing", f"{what} failed {count} times in a row: {error}", matter=what, failures=count
            )

    def succeeded(self, what: str) -> None:
        """Note that something works; tells it if its failures were told."""
        count = self._failures.pop(what, 0)
        if count >= FAILURES:
            self.send("recovered", f"{what} works again after {count} failures", matter=what, failures=count)

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator["Alerts"]:
        """Post what is sent while the block runs; at its end wait some seconds for what is left."""
        if self._url is None:
            yield self
            return
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            task = asyncio.create_task(self._deliver(session, self._url), name="alerts")
            try:
                yield self
            finally:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._queue.join(), _TIMEOUT_SECONDS)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _deliver(self, session: aiohttp.ClientSession, url: str) -> None:
        while True:
            alert = await self._queue.get()
            try:
                body = cleaned(self._body(alert))
                self._count("sent" if await _post(session, url, body) else "failed")
            finally:
                self._queue.task_done()

    def _body(self, alert: Alert) -> dict[str, Any]:
        more = f" ({alert.held_back} more like it since the last message)" if alert.held_back else ""
        text = f"passivbot {self.account}/{self.name}: {alert.text}{more}"
        host = urlsplit(self._url or "").hostname or ""
        if host == "discord.com" or host.endswith(".discord.com"):
            return {"content": text[:2000]}
        if host.endswith("slack.com"):
            return {"text": text}
        return {
            "account": self.account,
            "facts": dict(alert.facts),
            "held_back": alert.held_back,
            "kind": alert.kind,
            "name": self.name,
            "text": text,
        }

    def _count(self, outcome: str) -> None:
        if self._metrics is not None:
            self._metrics.alerts.labels(outcome).inc()


async def _post(session: aiohttp.ClientSession, url: str, body: Mapping[str, Any]) -> bool:
    """Post one message; try again where that may help. Return whether it was taken."""
    cause = ""
    for pause in (*_PAUSES, None):
        try:
            async with session.post(url, json=body, allow_redirects=False) as answer:
                if answer.status < 300:
                    return True
                cause = f"it answers {answer.status}"
                if answer.status < 500 and answer.status != 429:
                    break
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            cause = type(error).__name__
        if pause is not None:
            await asyncio.sleep(pause)
    log.warning("the webhook did not take an alert: %s", cause)
    return False
