"""What travels between the venue's server and its dialects: request, reply, route, line of the log."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl

Kind = Literal["public", "private", "write"]
"""Of an operation: needs no key; reads with a key; changes the account."""


@dataclass(frozen=True)
class Call:
    """One request as a dialect sees it.

    Parameters
    ----------
    method, host, path
        As sent; the path without query.
    raw_query, body
        Undecoded, as signatures cover them.
    headers
        Names in lower case.
    path_params
        What stood in the place of ``{name}`` in the route's path.
    """

    method: str
    host: str
    path: str
    raw_query: str
    body: str
    headers: Mapping[str, str]
    path_params: Mapping[str, str] = field(default_factory=dict)

    @property
    def query(self) -> dict[str, str]:
        """Decoded parameters of the query."""
        return dict(parse_qsl(self.raw_query, keep_blank_values=True))

    @property
    def form(self) -> dict[str, str]:
        """Decoded parameters of query and form body together."""
        return self.query | dict(parse_qsl(self.body, keep_blank_values=True))

    @property
    def json(self) -> Any:
        """The body, decoded; an empty object where there is none."""
        return json.loads(self.body) if self.body else {}


@dataclass
class Reply:
    """What a dialect answers.

    Parameters
    ----------
    body
        Anything JSON can hold; bytes are sent as they are.
    status
        HTTP status.
    headers
        Beside those of the content.
    """

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """Return the body as bytes."""
        if isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body, separators=(",", ":")).encode()

    @property
    def content_type(self) -> str:
        """The type that goes with the body."""
        if not isinstance(self.body, bytes):
            return "application/json"
        return "text/html" if self.body.startswith(b"<html>") else "application/octet-stream"


Handler = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True)
class Route:
    """One endpoint.

    Parameters
    ----------
    exchange
        Whose it is, as in :data:`passivbot.exchanges.registry.NAMES`.
    operation
        What it does, in words shared by all dialects; see :data:`OPERATIONS`.
    kind
        Whether it needs a key and whether it changes anything.
    handler
        Answers it.
    """

    exchange: str
    operation: str
    kind: Kind
    handler: Handler


OPERATIONS = (
    "time",
    "markets",
    "candles",
    "tickers",
    "archive",
    "balance",
    "positions",
    "open_orders",
    "order",
    "fills",
    "profits",
    "permissions",
    "account",
    "stream_key",
    "create",
    "cancel",
    "set_position_mode",
    "set_margin_mode",
    "set_leverage",
)
"""Names of operations; faults and the log of requests are matched by them."""


@dataclass(frozen=True)
class Seen:
    """One line of the log of requests."""

    exchange: str
    operation: str
    kind: Kind
    method: str
    host: str
    path: str
    status: int
    fault: str
    market_ms: int
    wall_s: float
