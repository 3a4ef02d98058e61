"""Everything that watches a bot, set up by one call and taken down at its end."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TextIO

from passivbot.errors import LiveError, located
from passivbot.ops.alerts import Alerts
from passivbot.ops.environment import LOG_REMOTE, WEBHOOK
from passivbot.ops.health import LATE_SECONDS, Health, serving
from passivbot.ops.logs import logging_to
from passivbot.ops.metrics import Metrics
from passivbot.ops.status import LOG, StatusFile, bot_folder
from passivbot.versions import LIVE

PORT = "PASSIVBOT_PORT"
_STATUS_SECONDS = 5.0


@dataclass(frozen=True)
class Settings:
    """How a bot is watched.

    Parameters
    ----------
    root
        Folder of the live configurations; the bot's own files lie in ``bots/ACCOUNT`` below it.
    level
        0 (warnings) … 3 (trace).
    webhook
        Where alerts go; None: only into the log.
    log_remote
        Where a copy of the log goes; None: nowhere.
    port
        Of the endpoint on loopback; 0: a free one; None: no endpoint.
    console
        Where lines for people go; None: nowhere.
    late_seconds
        Without a finished cycle for so long the bot is not well.
    """

    root: Path = LIVE
    level: int = 1
    webhook: str | None = None
    log_remote: str | None = None
    port: int | None = 0
    console: TextIO | None = sys.stderr
    late_seconds: float = LATE_SECONDS

    @classmethod
    def from_environment(cls, *, root: Path = LIVE, level: int = 1) -> Self:
        """Return the settings of ``PASSIVBOT_WEBHOOK``, ``PASSIVBOT_LOG_REMOTE`` and ``PASSIVBOT_PORT``.

        Raises
        ------
        LiveError
            The port is no number from 0 to 65535.
        """
        text = os.environ.get(PORT, "0").strip()
        if not text.isdecimal() or int(text) > 65535:
            raise LiveError(located("environment", PORT, text, "a number from 0 to 65535"))
        return cls(
            root=root,
            level=level,
            webhook=os.environ.get(WEBHOOK) or None,
            log_remote=os.environ.get(LOG_REMOTE) or None,
            port=int(text),
        )


@dataclass(frozen=True)
class Ops:
    """What the loop of a bot talks to.

    ``health.beat(…)`` after each cycle, ``health.stop(reason)`` when a guard stops the bot; ``alerts.send``,
    ``.failed``, ``.succeeded``; the figures of ``metrics``; logging by :mod:`logging`. ``folder`` is for the
    bot's own files (journal).
    """

    folder: Path
    metrics: Metrics
    health: Health
    alerts: Alerts
    port: int | None

    def tripped(self, guard: str, text: str, **facts: Any) -> None:
        """Note that a guard did something: counted, logged, alerted."""
        self.metrics.guard_trips.labels(guard).inc()
        self.alerts.send("guard", text, matter=guard, guard=guard, **facts)


@asynccontextmanager
async def operating(account: str, name: str, settings: Settings) -> AsyncIterator[Ops]:
    """Set up logs, metrics, alerts, endpoint and status file of a bot while the block runs.

    Parameters
    ----------
    account
        Its account.
    name
        Its live configuration, or the name of the file it trades.
    settings
        How it is watched.

    Raises
    ------
    LiveError
        An address is none, the port is taken, or the log can't be written.
    ResourceError
        The disk is full.
    """
    folder = bot_folder(account, settings.root)
    async with AsyncExitStack() as stack:
        stack.enter_context(
            logging_to(
                folder / LOG, level=settings.level, console=settings.console, remote=settings.log_remote
            )
        )
        metrics = Metrics(account, name)
        health = Health(metrics, settings.late_seconds)
        alerts = Alerts(settings.webhook, account, name, metrics)
        await stack.enter_async_context(alerts.delivering())
        port = None
        if settings.port is not None:
            port = await stack.enter_async_context(serving(health, settings.port))
        file = StatusFile(folder, {"account": account, "name": name, "port": port})
        file.write(health.document())
        task = asyncio.create_task(_keep_writing(file, health), name="status file")
        try:
            yield Ops(folder, metrics, health, alerts, port)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            file.write({**health.document(), "problem": health.stopped, "ended": True})


async def _keep_writing(file: StatusFile, health: Health) -> None:
    while True:
        await asyncio.sleep(_STATUS_SECONDS)
        file.write(health.document())
