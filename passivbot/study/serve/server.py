"""The page on this machine alone: aiohttp on 127.0.0.1, for a browser on the same machine."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

from passivbot.errors import ResourceError
from passivbot.ops.loopback import HOST, local_only
from passivbot.study.serve.site import Answer, Site

PORT = 8788
_TRIED = 20  # ports, where none is named


def listen(port: int | None) -> socket.socket:
    """Return a socket that listens on 127.0.0.1.

    Parameters
    ----------
    port
        Its port, 0 for any; None: the usual one, or the next that is free.

    Raises
    ------
    ResourceError
        The port is taken or not allowed.
    """
    ports = [port] if port is not None else [*range(PORT, PORT + _TRIED), 0]
    for wanted in ports:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, wanted))
            listener.listen(64)
        except OSError as error:
            listener.close()
            reason = error.strerror or str(error)
            continue
        return listener
    raise ResourceError(f"--port {ports[0]}: can't listen on {HOST}:{ports[0]} ({reason})")


def address(listener: socket.socket) -> str:
    """Return the address at which a browser finds the page."""
    return f"http://{HOST}:{listener.getsockname()[1]}/"


def application(site: Site) -> web.Application:
    """Return the server's application; it answers GET and HEAD, to browsers that call it by a local name."""

    async def handle(request: web.Request) -> web.Response:
        return response(await asyncio.to_thread(site.answer, request.match_info["path"], request.query))

    app = web.Application(middlewares=[local_only])
    app.router.add_get("/{path:.*}", handle)

    async def close(_: web.Application) -> None:
        await asyncio.to_thread(site.desk.close)

    app.on_cleanup.append(close)
    return app


def response(answer: Answer) -> web.Response:
    """Return an answer as aiohttp sends it."""
    return web.Response(
        status=answer.status,
        body=answer.body,
        content_type=answer.kind,
        charset="utf-8",
        headers=dict(answer.headers),
    )


async def serve(
    site: Site, listener: socket.socket, until: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Serve the page until ``until`` returns, or for ever."""
    runner = web.AppRunner(application(site), access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        await (until() if until else asyncio.Event().wait())
    finally:
        await runner.cleanup()
