"""The venue's server: TLS on loopback, one address for all host names, dispatch on Host.

A client is pointed at it by its session alone: :meth:`Venue.session` has a resolver that knows the venue's
host names and no other, and a TLS context that trusts the venue's throw-away authority and no other. So the
client library runs unpatched, with the exchanges' real URLs, and a wrong name fails instead of reaching the
world.
"""

import asyncio
import contextlib
import importlib
import json
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import aiohttp
from aiohttp import web

from passivbot.times import DAY_MS
from passivbot.venue.certificates import make_certificates
from passivbot.venue.core import Core
from passivbot.venue.faults import Fault, Faults, spoiled
from passivbot.venue.market import Clock, MarketSource
from passivbot.venue.orders import Execution
from passivbot.venue.reach import Address
from passivbot.venue.wire import Call, Handler, Kind, Reply, Route, Seen

if TYPE_CHECKING:
    from passivbot.venue.account import Account
    from passivbot.venue.dialects.base import Dialect
    from passivbot.venue.public.base import PublicDialect

EXCHANGES = ("binanceusdm", "bybit", "okx", "bitget", "gate", "kucoinfutures", "hyperliquid")
"""Exchanges whose dialects the venue speaks."""

SocketHandler = Callable[[web.WebSocketResponse, Call], Awaitable[None]]

_READ_SIZE = 2**20


class Venue:
    """A running venue; use it as ``async with Venue(source) as venue``.

    Parameters
    ----------
    source
        Markets and candles.
    exchanges
        Whose dialects it speaks; each has an account of its own over the one market and the one clock.
    start_ms
        Market time at the beginning; None: a day after the first candle, or its end if it is shorter.
    balance
        Wallet balance of each account.
    private
        False: public endpoints only.
    keep_log
        Requests the log remembers.
    """

    def __init__(
        self,
        source: MarketSource,
        exchanges: Sequence[str] = ("binanceusdm",),
        *,
        start_ms: int | None = None,
        balance: float = 100_000.0,
        private: bool = True,
        keep_log: int = 200_000,
    ) -> None:
        begin = min(source.first_ms + DAY_MS, source.last_ms) if start_ms is None else start_ms
        self.source = source
        self.clock = Clock(begin)
        self.exchanges = tuple(exchanges)
        self.faults = Faults()
        self.log: deque[Seen] = deque(maxlen=keep_log)
        self.counts: Counter[tuple[str, str]] = Counter()
        self.skew_ms = 0
        self.balance = balance
        self.accounts: dict[str, Account] = {}
        self.dialects: dict[str, Dialect] = {}
        self.publics: dict[str, PublicDialect] = {}
        self._private = private
        self._exact: dict[tuple[str, str, str], Route] = {}
        self._patterns: list[tuple[str, str, list[str], Route]] = []
        self._sockets: list[tuple[str, str, str, SocketHandler]] = []
        self._open_sockets: dict[web.WebSocketResponse, str] = {}
        self._silent: set[str] = set()
        self._sessions: list[aiohttp.ClientSession] = []
        self._runner: web.AppRunner | None = None
        self._port = 0
        for exchange in self.exchanges:
            self._install(exchange)

    # ---- what dialects register

    def route(
        self,
        exchange: str,
        operation: str,
        host: str,
        method: str,
        path: str,
        handler: Handler,
        kind: Kind = "public",
    ) -> None:
        """Add an endpoint.

        ``{name}`` in the path is one segment, ``{name*}`` at its end all the rest; ``#word`` after it is the
        ``type`` of a JSON body, where one address answers all questions.
        """
        route = Route(exchange, operation, kind, handler)
        if "{" in path:
            self._patterns.append((host, method, path.split("/"), route))
        else:
            self._exact[host, method, path] = route

    def websocket(self, exchange: str, host: str, path: str, handler: SocketHandler) -> None:
        """Add a websocket endpoint; the path is a prefix."""
        self._sockets.append((exchange, host, path, handler))

    @property
    def hosts(self) -> frozenset[str]:
        """Host names the venue answers for."""
        return frozenset(
            {host for host, _, _ in self._exact}
            | {host for host, _, _, _ in self._patterns}
            | {host for _, host, _, _ in self._sockets}
        )

    def wall_ms(self) -> int:
        """Return the venue's idea of the real time, UTC milliseconds: what signatures are held against."""
        return int(time.time() * 1000) + self.skew_ms

    # ---- what its owner does

    def core(self, exchange: str | None = None) -> Core:
        """Return the account of an exchange; of the only one if it isn't named."""
        return self.accounts[exchange or self.exchanges[0]].core

    def account(self, exchange: str | None = None) -> "Account":
        """Return an exchange's account with its keys."""
        return self.accounts[exchange or self.exchanges[0]]

    def advance(self, minutes: int = 1) -> list[Execution]:
        """Let market time pass: each minute's candle is matched, then the clock moves on.

        Returns
        -------
        All fills of all accounts, in order.
        """
        fills: list[Execution] = []
        for _ in range(minutes):
            for account in self.accounts.values():
                fills += account.core.advance()
            self.clock.advance()
        return fills

    @property
    def address(self) -> Address:
        """How another process reaches this venue while it runs."""
        return Address(self.hosts, self._port, self._authority)

    def session(self, **settings: object) -> aiohttp.ClientSession:
        """Return a client session that reaches this venue and nothing else; closed with the venue."""
        session = self.address.session(**settings)
        self._sessions.append(session)
        return session

    async def drop_websockets(self, exchange: str | None = None) -> int:
        """Break the open websockets; return how many."""
        broken = [ws for ws, owner in self._open_sockets.items() if exchange in (None, owner)]
        for ws in broken:
            transport = ws._req.transport if ws._req is not None else None  # a clean close would be no fault
            if transport is not None:
                transport.abort()
        return len(broken)

    def silence_websockets(self, on: bool = True, exchange: str | None = None) -> None:
        """Let websockets stay open and say nothing, or speak again."""
        names = self.exchanges if exchange is None else (exchange,)
        if on:
            self._silent |= set(names)
        else:
            self._silent -= set(names)

    def is_silent(self, exchange: str) -> bool:
        """Tell whether an exchange's websockets say nothing now."""
        return exchange in self._silent

    def seen(self, operation: str | None = None, exchange: str | None = None, **fields: object) -> list[Seen]:
        """Return the log's lines with these fields."""
        wanted = dict(fields)
        if operation is not None:
            wanted["operation"] = operation
        if exchange is not None:
            wanted["exchange"] = exchange
        return [line for line in self.log if all(getattr(line, k) == v for k, v in wanted.items())]

    # ---- running

    async def __aenter__(self) -> Self:
        server_tls, self._authority = make_certificates(self.hosts)
        app = web.Application(client_max_size=_READ_SIZE)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=server_tls)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for session in self._sessions:
            await session.close()
        for ws in list(self._open_sockets):
            with contextlib.suppress(Exception):
                await ws.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _install(self, exchange: str) -> None:
        public = importlib.import_module(f"passivbot.venue.public.{exchange}")
        self.publics[exchange] = public.install(self)
        if self._private:
            from passivbot.venue.account import Account

            account = Account(Core(self.source, self.clock, balance=self.balance))
            self.accounts[exchange] = account
            module = importlib.import_module(f"passivbot.venue.dialects.{exchange}")
            self.dialects[exchange] = module.install(self, account)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        call = await _call(request)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._serve_socket(request, call)
        found = self._find(call)
        if found is None:
            return web.json_response({"error": f"the venue has no {call.method} {call.path}"}, status=404)
        route, call = found
        fault = self.faults.take(route, call)
        reply = await self._answer(route, call, fault)
        self._note(route, call, reply, fault)
        if reply is None:
            _break(request)
            return web.Response(status=500)
        return web.Response(
            body=reply.encoded(),
            status=reply.status,
            headers=reply.headers | {"Content-Type": reply.content_type},
        )

    async def _answer(self, route: Route, call: Call, fault: Fault | None) -> Reply | None:
        """Return the reply, or None for a connection that breaks."""
        if fault is None:
            return await route.handler(call)
        dialect = self.dialects.get(route.exchange)
        if fault.kind == "drop":
            return None
        if fault.kind == "status":
            return Reply(_gateway_page(fault.status) if fault.body is None else fault.body, fault.status)
        if fault.kind == "limit":
            return self.publics[route.exchange].limited(fault.seconds)
        if fault.kind == "error":
            if dialect is None:
                raise ValueError(f"{route.exchange} has no private dialect to say {fault.name}")
            return dialect.error_reply(fault.name)
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
            return await route.handler(call)
        reply = await route.handler(call)
        if fault.kind == "lost":
            return None
        if fault.kind == "late":
            await asyncio.sleep(fault.seconds)
            return reply
        if fault.kind == "unknown":
            body = fault.body
            if body is None and dialect is not None:
                body = dialect.unknown_body()
            return Reply(body, fault.status)
        return spoiled(fault, reply)

    def _note(self, route: Route, call: Call, reply: Reply | None, fault: Fault | None) -> None:
        self.counts[route.exchange, route.operation] += 1
        self.log.append(
            Seen(
                exchange=route.exchange,
                operation=route.operation,
                kind=route.kind,
                method=call.method,
                host=call.host,
                path=call.path,
                status=0 if reply is None else reply.status,
                fault="" if fault is None else fault.kind,
                market_ms=self.clock.now_ms,
                wall_s=time.time(),
            )
        )

    def _find(self, call: Call) -> tuple[Route, Call] | None:
        exact = self._exact.get((call.host, call.method, call.path)) or self._exact.get(
            (call.host, call.method, f"{call.path}#{_type_of(call)}")
        )
        if exact is not None:
            return exact, call
        parts = call.path.split("/")
        for host, method, pattern, route in self._patterns:
            if (host, method) != (call.host, call.method):
                continue
            values = _fit(pattern, parts)
            if values is not None:
                return route, Call(**{**call.__dict__, "path_params": values})
        return None

    async def _serve_socket(self, request: web.Request, call: Call) -> web.StreamResponse:
        for exchange, host, path, handler in self._sockets:
            if host == call.host and call.path.startswith(path):
                ws = web.WebSocketResponse(autoping=True)
                await ws.prepare(request)
                self._open_sockets[ws] = exchange
                try:
                    await handler(ws, call)
                except (ConnectionError, aiohttp.ClientError, RuntimeError):
                    pass  # the other side is gone
                finally:
                    self._open_sockets.pop(ws, None)
                return ws
        return web.json_response({"error": f"the venue has no websocket {call.path}"}, status=404)


async def _call(request: web.Request) -> Call:
    body = await request.text() if request.can_read_body else ""
    path, _, query = request.raw_path.partition("?")
    return Call(
        method=request.method,
        host=request.host.partition(":")[0],
        path=path,
        raw_query=query,
        body=body,
        headers={name.lower(): value for name, value in request.headers.items()},
    )


def _type_of(call: Call) -> object:
    """Return the ``type`` of a JSON body or of the ``action`` in it, or None."""
    body = decode(call.body) if call.body.startswith("{") else None
    if not isinstance(body, dict):
        return None
    action = body.get("action")
    return action.get("type") if isinstance(action, dict) else body.get("type")


def _fit(pattern: Sequence[str], parts: Sequence[str]) -> Mapping[str, str] | None:
    """Return the values of a pattern's names, or None where it does not fit."""
    values: dict[str, str] = {}
    for place, piece in enumerate(pattern):
        if piece.endswith("*}"):
            values[piece[1:-2]] = "/".join(parts[place:])
            return values
        if place >= len(parts):
            return None
        if piece.startswith("{"):
            values[piece[1:-1]] = parts[place]
        elif piece != parts[place]:
            return None
    return values if len(parts) == len(pattern) else None


def _gateway_page(status: int) -> bytes:
    """Return what stands before an exchange when the exchange itself does not answer."""
    return f"<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>".encode()


def _break(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def decode(message: str) -> object:
    """Return a websocket message as JSON, or the text itself where it is none (``ping``)."""
    try:
        return json.loads(message)
    except ValueError:
        return message
