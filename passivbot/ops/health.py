"""``/metrics``, ``/health`` and ``/status`` of a bot, on loopback.

``/health`` answers 200 while cycles end in time and nothing stopped the bot, else 503, with the reason.
"""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from passivbot.errors import LiveError
from passivbot.ops.loopback import HOST, local_only
from passivbot.ops.metrics import Metrics
from passivbot.ops.redact import cleaned

LATE_SECONDS = 180.0
"""Without a finished cycle for so long a bot is not well: three candles."""


@dataclass
class Health:
    """What a bot says of itself; the loop writes, the endpoint and the status file read.

    Parameters
    ----------
    metrics
        Its figures.
    late_seconds
        Without a finished cycle for so long it is not well.
    clock
        Monotonic seconds.
    status
        JSON-able facts for ``passivbot live status``; see :mod:`passivbot.ops.status`.
    """

    metrics: Metrics
    late_seconds: float = LATE_SECONDS
    clock: Callable[[], float] = time.monotonic
    status: dict[str, Any] = field(default_factory=dict)
    stopped: str | None = None

    def __post_init__(self) -> None:
        self._last = self.clock()
        self._cycles = 0

    def beat(self, **status: Any) -> None:
        """Note the end of a cycle, and what is to be shown of it."""
        self._last = self.clock()
        self._cycles += 1
        self.status.update(status)
        self.metrics.last_cycle.set(time.time())

    def stop(self, reason: str) -> None:
        """Note that the bot stopped or sends nothing until a person looks at it."""
        self.stopped = reason

    @property
    def problem(self) -> str | None:
        """Why the bot is not well; None: it is."""
        if self.stopped is not None:
            return self.stopped
        age = self.clock() - self._last
        return f"no cycle ended for {age:.0f} s" if age > self.late_seconds else None

    def document(self) -> dict[str, Any]:
        """Return what ``/status`` answers."""
        return {
            **self.status,
            "cycles": self._cycles,
            "problem": self.problem,
            "seconds_since_cycle": round(self.clock() - self._last, 1),
        }


@asynccontextmanager
async def serving(health: Health, port: int) -> AsyncIterator[int]:
    """Serve while the block runs; gives the port, a free one if ``port`` is 0.

    Raises
    ------
    LiveError
        The port is taken.
    """

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=health.metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def well(_: web.Request) -> web.Response:
        problem = health.problem
        return web.json_response(
            {"ok": problem is None, "problem": problem}, status=200 if problem is None else 503, dumps=_dumps
        )

    async def status(_: web.Request) -> web.Response:
        return web.json_response(health.document(), dumps=_dumps)

    app = web.Application(middlewares=[local_only])
    app.add_routes([web.get("/metrics", metrics), web.get("/health", well), web.get("/status", status)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, port)
        try:
            await site.start()
        except OSError as error:
            raise LiveError(f"{HOST}:{port}: can't listen ({error.strerror}); choose another port") from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _dumps(value: Any) -> str:
    return json.dumps(cleaned(value))
