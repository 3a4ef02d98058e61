"""What the private dialects share: routes, the way from a request to the core, the stream of events.

A dialect is a translation. It checks the signature as its exchange documents it, reads the parameters, asks
the core, and writes the documented answer in full; a refusal becomes the exchange's own code.
"""

import abc
import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from aiohttp import WSMsgType, web

from passivbot.venue.account import Account, ApiKey, Permission
from passivbot.venue.orders import Event, Execution, Order, PositionSide, Refused
from passivbot.venue.server import Venue, decode
from passivbot.venue.wire import Call, Kind, Reply

Answer = Callable[[Call], Awaitable[Any] | Any]
ErrorTable = dict[str, tuple[int, Any, str]]
"""Name of the error → HTTP status, code, text."""


class NotAllowed(Exception):
    """The request is not let in; ``name`` is a key of the dialect's table of errors."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True)
class Money:
    """An account's money at the last prices, in the quote coin."""

    wallet: float
    profit: float
    """Of open positions."""
    held: float
    """Margin of positions."""
    asked: float
    """Margin of resting orders."""

    @property
    def equity(self) -> float:
        """The wallet with the profit of open positions."""
        return self.wallet + self.profit

    @property
    def free(self) -> float:
        """What new orders may take as margin."""
        return max(0.0, self.equity - self.held - self.asked)


class Dialect(abc.ABC):
    """One exchange's private side.

    A subclass sets ``name`` and :attr:`ERRORS`, adds its routes as it is made, and implements the abstract
    methods. Errors are called by names that all dialects share: the reasons of
    :data:`passivbot.venue.orders.Why`, and ``auth`` (unknown key), ``signature``, ``passphrase``, ``clock``
    (timestamp outside the window), ``no_order`` (asked for one that isn't there), ``permission``, ``address``
    (not on the key's list), ``maintenance``, ``server``, ``timeout`` (the outcome of a write is unknown).
    """

    name: ClassVar[str]
    ERRORS: ClassVar[ErrorTable]

    def __init__(self, venue: Venue, account: Account) -> None:
        self.venue = venue
        self.account = account
        self.core = account.core
        self.public = venue.publics[self.name]
        self.streams: set[Stream] = set()
        self.core.listeners.append(self._on_event)

    # ---- to be written for each exchange

    @abc.abstractmethod
    def authenticate(self, call: Call) -> ApiKey:
        """Check key, signature and time of a request; raises :class:`NotAllowed`."""

    @abc.abstractmethod
    def failure(self, status: int, code: Any, text: str) -> Reply:
        """Return an error as the exchange writes it."""

    @abc.abstractmethod
    def messages(self, event: Event) -> list[tuple[str, Any]]:
        """Return an event as (channel, message) of the exchange's private stream."""

    def expire_stream_keys(self) -> None:
        """Let open streams lose what they were allowed: they stay open and say nothing more."""
        for stream in self.streams:
            stream.key = None
            stream.channels.clear()

    def unknown_body(self) -> Any:
        """Return the body of an answer that leaves open whether a request was carried out."""
        return self.error_reply("timeout").body

    # ---- shared

    def error(self, name: str) -> tuple[int, Any, str]:
        """Return HTTP status, code and text of an error called by its shared name."""
        return self.ERRORS[name if name in self.ERRORS else "invalid"]

    def error_reply(self, name: str) -> Reply:
        """Return the exchange's answer for an error called by its shared name."""
        return self.failure(*self.error(name))

    def add(
        self,
        operation: str,
        host: str,
        method: str,
        path: str,
        answer: Answer,
        *,
        writes: bool = False,
    ) -> None:
        """Add a private endpoint: signature first, permission next, then the answer."""
        needed: Permission = "trade" if writes else "read"
        kind: Kind = "write" if writes else "private"

        async def handler(call: Call) -> Reply:
            try:
                key = self.authenticate(call)
                self.check_key(key, needed)
                result = answer(call)
                if isinstance(result, Awaitable):
                    result = await result
            except NotAllowed as problem:
                return self.error_reply(problem.name)
            except Refused as refusal:
                return self.error_reply(refusal.why)
            except (KeyError, ValueError):  # a parameter is missing, or is no number
                return self.error_reply("invalid")
            return result if isinstance(result, Reply) else Reply(result)

        self.venue.route(self.name, operation, host, method, path, handler, kind)

    def check_key(self, key: ApiKey, needed: Permission) -> None:
        """Check what a key may do; raises :class:`NotAllowed`."""
        if key.revoked:
            raise NotAllowed("auth")
        if not key.listed:
            raise NotAllowed("address")
        if needed not in key.permissions:
            raise NotAllowed("permission")

    def key_of(self, name: str | None) -> ApiKey:
        """Return the key a request names; raises :class:`NotAllowed`."""
        if name is None or name not in self.account.keys:
            raise NotAllowed("auth")
        return self.account.keys[name]

    def coin(self, symbol: str | None) -> str:
        """Return the coin of a symbol; raises :class:`Refused`."""
        coin = self.public.coin(symbol or "")
        if coin is None:
            raise Refused("symbol", f"unknown symbol {symbol}")
        return coin

    def coin_or_all(self, symbol: str | None) -> str | None:
        """Return the coin of a symbol, None where a request names none; raises :class:`Refused`."""
        return self.coin(symbol) if symbol else None

    def symbol(self, coin: str) -> str:
        """Return the exchange's name of a market."""
        return self.public.symbol(coin)

    def find(self, order_id: Any, client_id: str | None) -> Order | None:
        """Return the order that a request names by either id; the exchange's own goes first."""
        if order_id:
            return self.core.find(order_id=int(order_id)) if str(order_id).isdigit() else None
        return self.core.find(client_id=client_id or "")

    def executions(self, start_ms: int, end_ms: int, coin: str | None = None) -> list[Execution]:
        """Return the fills of a span (inclusive) and of a coin, None for all; oldest first."""
        return [
            fill
            for fill in self.core.executions
            if start_ms <= fill.time_ms <= end_ms and coin in (None, fill.coin)
        ]

    def money(self) -> Money:
        """Return the account's money as it is told now."""
        wallet = self.core.reported_balance()
        profit = sum(self.core.unrealised(held) for held in self.core.positions.values())
        return Money(wallet, profit, *self.core.margin_used())

    def check_time(self, sent_ms: float, window_ms: float = 5000.0) -> None:
        """Check a request's timestamp against the window; raises :class:`NotAllowed`."""
        now = self.venue.wall_ms()
        if not now - window_ms <= sent_ms < now + 1000:
            raise NotAllowed("clock")

    # ---- streams

    def _on_event(self, event: Event) -> None:
        if not self.streams or self.venue.is_silent(self.name):
            return
        for channel, message in self.messages(event):
            for stream in list(self.streams):
                stream.offer(channel, message)

    async def serve(self, ws: web.WebSocketResponse, on_message: "OnMessage", *, open_to: str = "") -> None:
        """Run one websocket: events to the client, its messages to ``on_message``.

        Parameters
        ----------
        ws
            The socket.
        on_message
            Gets the stream and a decoded message.
        open_to
            A channel the stream is subscribed to from the start.
        """
        stream = Stream(ws)
        if open_to:
            stream.channels.add(open_to)
        self.streams.add(stream)
        sender = asyncio.create_task(stream.send())
        try:
            async for message in ws:
                if message.type is WSMsgType.TEXT:
                    if self.venue.is_silent(self.name):
                        continue
                    await on_message(stream, decode(message.data))
        finally:
            self.streams.discard(stream)
            sender.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await sender


class Stream:
    """One client's private websocket."""

    def __init__(self, ws: web.WebSocketResponse) -> None:
        self.ws = ws
        self.channels: set[str] = set()
        self.key: ApiKey | None = None
        self._queue: asyncio.Queue[Any] = asyncio.Queue()

    def offer(self, channel: str, message: Any) -> None:
        """Send a message if the client is subscribed to its channel."""
        if channel in self.channels:
            self._queue.put_nowait(message)

    def say(self, message: Any) -> None:
        """Send a message in any case."""
        self._queue.put_nowait(message)

    async def send(self) -> None:
        """Write what is queued until the socket is gone."""
        while True:
            message = await self._queue.get()
            if isinstance(message, str):
                await self.ws.send_str(message)
            else:
                await self.ws.send_json(message)


OnMessage = Callable[[Stream, Any], Awaitable[None]]


@contextlib.contextmanager
def unchanged_is_fine() -> Iterator[None]:
    """Let a setting pass that is so already, where the exchange doesn't mind."""
    try:
        yield
    except Refused as refusal:
        if refusal.why != "no_change":
            raise


def position_side(text: str) -> PositionSide | None:
    """Return the position side that a request states; None: none, as in one-way mode."""
    text = text.lower()
    return "long" if text == "long" else "short" if text == "short" else None
