"""Hints from the private websockets: that something changed, never what is true."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Literal

import ccxt  # type: ignore[import-untyped]

from passivbot.exchanges.errors import retry_after, shortened
from passivbot.exchanges.types import Hint

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_CLOSE_S = 5.0


async def hints(
    client: Any, coins: Mapping[str, str], renew: asyncio.Event, forget_key: Callable[[], None]
) -> AsyncIterator[Hint]:
    """Give hints until cancelled; a broken connection is a hint too, and is opened again.

    Parameters
    ----------
    client
        ccxt.pro's client.
    coins
        Symbol → coin.
    renew
        When it is set, the streams are closed and opened anew with new keys.
    forget_key
        Lets the client forget the stream's key.
    """
    renew.clear()
    queue: asyncio.Queue[Hint] = asyncio.Queue()
    keeper = asyncio.create_task(_keep(client, coins, queue, renew, forget_key))
    try:
        while True:
            yield await queue.get()
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


async def _keep(
    client: Any,
    coins: Mapping[str, str],
    queue: asyncio.Queue[Hint],
    renew: asyncio.Event,
    forget_key: Callable[[], None],
) -> None:
    while True:
        tasks = [asyncio.create_task(_follow(client, client.watch_orders, "order", coins, queue))]
        if client.has.get("watchPositions"):
            following = _follow(client, client.watch_positions, "position", coins, queue)
            tasks.append(asyncio.create_task(following))
        try:
            await renew.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        renew.clear()
        # ccxt leaves who waits on a closed stream waiting for ever; so nobody does any more.
        forget_key()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_S):
                await client.close_ws_clients()
        queue.put_nowait(Hint("lost", text="opened anew"))


async def _follow(
    client: Any,
    watch: Any,
    kind: Literal["order", "position"],
    coins: Mapping[str, str],
    queue: asyncio.Queue[Hint],
) -> None:
    pause = _FIRST_PAUSE_S
    while True:
        try:
            for row in await watch():
                coin = coins.get(str(row.get("symbol")), "")
                queue.put_nowait(Hint(kind, coin, str(row.get("status") or "")))
            pause = _FIRST_PAUSE_S
        except asyncio.CancelledError:
            raise
        except Exception as error:  # whatever broke: hints may fail, the bot looks by REST
            queue.put_nowait(Hint("lost", text=f"{kind}: {shortened(error)}"))
            # A stream's key and address come by REST, which may be asked for a rest.
            limited = isinstance(error, ccxt.DDoSProtection | ccxt.RateLimitExceeded)
            await asyncio.sleep(max(pause, retry_after(client.limit_headers) if limited else 0.0))
            pause = min(2 * pause, _LONGEST_PAUSE_S)
