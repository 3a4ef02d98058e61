"""The module that Ray's dashboard runs in a process of its own; it answers below ``/pareto``.

Ray imports this file in the dashboard's head and in the process from which it forks its modules, where an
error would end the dashboard. So nothing of ours is imported before a request comes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web
from ray.dashboard.subprocesses.module import SubprocessModule, SubprocessModuleConfig
from ray.dashboard.subprocesses.routes import SubprocessRouteTable as Routes

_log = logging.getLogger(__name__)


Handler = Callable[["Pareto", web.Request], Awaitable[web.Response]]
get = cast(Callable[[str], Callable[[Handler], Handler]], Routes.get)


class Pareto(SubprocessModule):
    """Serves the page; Ray starts it again if it dies."""

    def __init__(self, config: SubprocessModuleConfig) -> None:
        super().__init__(config)
        self._site: Any = None
        self._mutex = asyncio.Lock()

    @get("/pareto")
    async def without_slash(self, request: web.Request) -> web.Response:
        """Send the browser to where relative addresses fit, whatever stands before the path."""
        return web.Response(status=307, headers={"Location": "pareto/"})

    @get("/pareto/{path:.*}")
    async def page(self, request: web.Request) -> web.Response:
        """Answer a request for the page or its data."""
        try:
            site = await self._made()
            answer = await asyncio.to_thread(site.answer, request.match_info["path"], request.query)
        except Exception as error:
            _log.exception("the page of studies can't answer")
            return web.json_response({"error": f"the page does not work here: {error}"}, status=500)
        from passivbot.study.serve.server import response

        return response(answer)

    async def _made(self) -> Any:
        async with self._mutex:
            if self._site is None:
                # Joins the process to the cluster's key-value store.
                client = self.gcs_client
                self._site = await asyncio.to_thread(_make_site, client)
            return self._site


def _make_site(_client: object) -> Any:
    from cluster.dashboard.desk import make_desk
    from passivbot.study.serve.site import Site

    return Site(make_desk())
