"""The exchanges by name: aliases, those that are gone, and those that other packages bring.

Another package adds an exchange by an entry point in the group ``passivbot.exchanges``: its name is the
exchange's name, its object a subclass of :class:`passivbot.exchanges.base.Exchange`.
"""

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

import aiohttp

from passivbot.errors import ExchangeError, located, nearest
from passivbot.exchanges.base import Credentials, Exchange

NAMES: tuple[str, ...] = (
    "binanceusdm",
    "bybit",
    "okx",
    "bitget",
    "gate",
    "kucoinfutures",
    "hyperliquid",
)
"""Exchanges of this package; each is the module of its name."""

ALIASES: Mapping[str, str] = {
    "binance": "binanceusdm",
    "gateio": "gate",
    "kucoin": "kucoinfutures",
    "hyperliquid_perp": "hyperliquid",
    "okex": "okx",
}
"""Other names, as older configurations and key files have them."""

GONE: Mapping[str, str] = {
    "defx": "closed its API, and ccxt removed it in March 2026; close its positions by its own web page",
}
"""Exchanges that v7 knew and that do not exist any more."""

GROUP = "passivbot.exchanges"
"""Entry points of other packages."""


def canonical(name: str, where: str = "the command line", key: str = "exchange") -> str:
    """Return the name of an exchange without aliases.

    Parameters
    ----------
    name
        As the user wrote it.
    where, key
        Where it stands, for the message.

    Raises
    ------
    ExchangeError
        It is gone, or not known; names the nearest.
    """
    lower = name.strip().lower()
    if lower in GONE:
        raise ExchangeError(f"{where}: {key} is {name!r}, but {lower} {GONE[lower]}")
    lower = ALIASES.get(lower, lower)
    known = [*NAMES, *(point.name for point in entry_points(group=GROUP))]
    if lower not in known:
        near = nearest(lower, [*known, *ALIASES])
        hint = f"; the nearest is {near}" if near else ""
        raise ExchangeError(located(where, key, name, ", ".join(known)) + hint)
    return lower


def adapter(name: str) -> type[Exchange]:
    """Return the class of an exchange.

    Raises
    ------
    ExchangeError
        It is not known, gone, or another package's adapter can't be loaded.
    """
    chosen = canonical(name)
    if chosen in NAMES:
        found: Any = importlib.import_module(f"passivbot.exchanges.{chosen}").ADAPTER
        return found  # type: ignore[no-any-return]
    (point, *_) = (point for point in entry_points(group=GROUP) if point.name == chosen)
    try:
        found = point.load()
    except Exception as error:
        raise ExchangeError(f"the exchange {chosen} of {point.value} can't be loaded: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Exchange)):
        raise ExchangeError(f"the exchange {chosen}: {point.value} is no subclass of Exchange")
    return found


def connect(
    name: str,
    credentials: Credentials | None = None,
    *,
    session: aiohttp.ClientSession | None = None,
    rate_limit_ms: float | None = None,
    timeout_s: float = 10.0,
) -> Exchange:
    """Return an adapter, to be used as ``async with connect(…) as exchange``; the parameters are its own.

    Raises
    ------
    ExchangeError
        The exchange is not known or gone.
    """
    return adapter(name)(credentials, session=session, rate_limit_ms=rate_limit_ms, timeout_s=timeout_s)
