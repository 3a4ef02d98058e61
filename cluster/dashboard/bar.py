"""An item "Pareto" in the bar of Ray's dashboard: a script put into the index that the dashboard serves."""

import logging
from importlib.resources import files
from pathlib import Path
from typing import Any

from aiohttp import web

_log = logging.getLogger(__name__)
# Matches "/" alone. As a pattern it is a resource of its own: aiohttp refuses a second one for the same text.
_INDEX = "/{nothing:(?:)}"


def install() -> None:
    """Answer the dashboard's index before Ray does; to be called before its server starts.

    The route stands first in the private table from which the server is made. Under token authentication the
    index is public and other files are not, so the script stands in it.
    """
    from ray.dashboard.optional_utils import DashboardHeadRouteTable as Table

    if any(getattr(item.handler, "passivbot", False) for item in _definitions(Table)):
        return

    async def index(request: web.Request) -> web.StreamResponse:
        """Return Ray's index with the script."""
        path = _ray_index()
        try:
            text = with_script(path.read_text("utf-8"))
        except Exception:
            _log.exception("the item for the page of studies is left out")
            return web.FileResponse(path, headers={"Cache-Control": "no-store"})
        return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})

    handler: Any = index
    # By these the table finds whose route it is: that of Ray's own index, which is always bound.
    handler.__route_method__, handler.__route_path__, handler.passivbot = "GET", "/", True
    ours = web.get(_INDEX, handler)
    # If aiohttp does not take it beside Ray's, it says so here, where it can be left out.
    web.Application().add_routes([ours, web.get("/", index)])
    Table._routes._items.insert(0, ours)


def with_script(text: str) -> str:
    """Return an index with our script at the end of its head.

    Raises
    ------
    ValueError
        It has no head: Ray changed it.
    """
    before, end, after = text.partition("</head>")
    if not end:
        raise ValueError("Ray's index has no </head>")
    script = (files("cluster.dashboard") / "bar.js").read_text("utf-8")
    return f"{before}<script>{script}</script>{end}{after}"


def _definitions(table: Any) -> list[web.RouteDef]:
    return [item for item in table._routes._items if isinstance(item, web.RouteDef)]


def _ray_index() -> Path:
    import ray.dashboard

    return Path(str(ray.dashboard.__file__)).parent / "client" / "build" / "index.html"
