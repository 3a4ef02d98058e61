"""Servers for this machine alone: they answer to its own names, so no web page elsewhere can ask them."""

from collections.abc import Awaitable, Callable

from aiohttp import web

HOST = "127.0.0.1"
_NAMES = frozenset({HOST, "localhost", "[::1]"})


@web.middleware
async def local_only(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse a page of somebody else whose name was made to point here (DNS rebinding)."""
    host = request.headers.get("Host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name not in _NAMES:
        raise web.HTTPForbidden(text="this address answers to 127.0.0.1 and localhost only\n")
    return await handler(request)
