"""The adapter: what the bot asks of an exchange, implemented once over ccxt.

Contract
--------
* Answers of the exchange are taken over by REST; :meth:`Exchange.watch` gives hints that something changed,
  and no caller decides anything by them.
* Every failure is an :class:`~passivbot.exchanges.errors.ExchangeFault` with a verdict; what a user has to
  mend (unknown coin, wrong key) is one of :mod:`passivbot.errors`.
* :meth:`Exchange.create` and :meth:`Exchange.cancel` do not raise for single orders: they give one outcome
  for each order asked, in the order asked, matched by client order id and never by place.
* A write whose answer did not come has the outcome :attr:`~passivbot.exchanges.types.Failure.UNKNOWN`; asked
  again with the same client order id it is placed at most once.
* Nothing is retried here and nothing is remembered but markets: pace and patience are the bot's.

An exchange is one file: a subclass with its table of codes and the few calls of
:class:`~passivbot.exchanges.dialect.Dialect` where it differs (``docs/exchanges.md``). One conformance suite
holds all of them to this contract (``tests/exchanges``).
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import aiohttp
import ccxt  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from passivbot.exchanges.batch import Element, failed, match, split
from passivbot.exchanges.client import client_class
from passivbot.exchanges.dialect import Dialect
from passivbot.exchanges.errors import ExchangeFault, body_of, classify
from passivbot.exchanges.hints import hints
from passivbot.exchanges.reading import id_key, read_ticker
from passivbot.exchanges.types import (
    Balance,
    Failure,
    Fill,
    Hint,
    MarginMode,
    Market,
    NewOrder,
    OpenOrder,
    Outcome,
    Permissions,
    Position,
    Ticker,
)

Credentials = Mapping[str, str]
"""By their names in ccxt: ``apiKey``, ``secret``, ``password``, ``walletAddress``, ``privateKey``."""

Answer = TypeVar("Answer")


class Exchange(Dialect):
    """One account on one exchange; get one from :func:`passivbot.exchanges.connect`.

    Parameters
    ----------
    credentials
        Keys; None: public requests only.
    session
        What requests go through; None: a session of its own.
    rate_limit_ms
        Least time between two requests; None: as ccxt has it for this exchange.
    timeout_s
        After which a request counts as not answered.
    """

    def __init__(
        self,
        credentials: Credentials | None = None,
        *,
        session: aiohttp.ClientSession | None = None,
        rate_limit_ms: float | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        settings: dict[str, Any] = {
            "enableRateLimit": True,
            "timeout": int(timeout_s * 1000),
            "options": {"defaultType": "swap", **self.options},
            # With keys, loading markets would ask the wallet about currencies: private requests for nothing.
            "has": {"fetchCurrencies": False, **self.has},
        }
        if rate_limit_ms is not None:
            settings["rateLimit"] = rate_limit_ms
        if session is not None:
            settings["session"] = session
        super().__init__(client_class(self.ccxt_id)({**settings, **(credentials or {})}))
        self.private = bool(credentials)
        self._renew = asyncio.Event()

    # ---- life

    async def open(self) -> None:
        """Load the markets."""
        loaded = await self._ask(self.client.load_markets(False, dict(self.markets_parameters)))
        self._take_markets(loaded)

    async def close(self) -> None:
        """Close what was opened."""
        await self.client.close()

    async def __aenter__(self) -> "Exchange":
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def reload_markets(self) -> Mapping[str, Market]:
        """Load the markets again: rules change, coins come and go."""
        self._take_markets(await self._ask(self.client.load_markets(True, dict(self.markets_parameters))))
        return self._markets

    # ---- markets

    async def tickers(self, coins: Iterable[str] | None = None) -> dict[str, Ticker]:
        """Return prices of coins; None: of all."""
        symbols = [self.market(coin).symbol for coin in coins] if coins is not None else None
        if symbols == []:
            return {}  # ccxt would ask for all, or refuse
        return await self._read(self._tickers(symbols))

    async def candles(
        self, coin: str, since_ms: int | None = None, limit: int | None = None
    ) -> NDArray[np.float64]:
        """Return minute candles, oldest first, float64 (n, 6): timestamp, open, high, low, close, volume
        (coins).

        The running minute's candle may be the last one.
        """
        return await self._read(self._candles(self.market(coin), since_ms, limit))

    # ---- account

    async def balance(self) -> Balance:
        """Return the account's money."""
        return await self._read(self.read_balance())

    async def positions(self) -> list[Position]:
        """Return open positions."""
        return await self._read(self.read_positions())

    async def open_orders(self) -> list[OpenOrder]:
        """Return resting orders, of all markets."""
        return await self._read(self.read_open_orders())

    async def order(self, coin: str, client_id: str) -> OpenOrder | None:
        """Look up an order by its client order id, resting or ended; None: the exchange never got it.

        The answer to :attr:`~passivbot.exchanges.types.Failure.UNKNOWN`. An ended order has nothing left.
        """
        request = self.read_order(self.market(coin), self.encode_id(client_id))
        try:
            return self.parse_order(await self._read(request))
        except ExchangeFault as fault:
            if fault.failure is Failure.GONE:
                return None
            raise

    async def fills(self, since_ms: int, until_ms: int | None = None) -> list[Fill]:
        """Return the account's fills from a time on, oldest first, each once.

        Pages are followed to the end; rows that come twice or in another order change nothing. Without an end
        it is the present: with a venue that has a time of its own, say it.
        """
        found: dict[str, Fill] = {}
        end = until_ms if until_ms is not None else self.client.milliseconds()
        start = since_ms
        while start <= end:
            stop = min(start + self.fills_span_ms - 1, end)
            for fill in await self._read(self.read_fills(start, stop)):
                if start <= fill.time_ms <= stop:
                    found[fill.id] = fill
            start = stop + 1
        return sorted(found.values(), key=lambda fill: (fill.time_ms, id_key(fill.id)))

    async def permissions(self) -> Permissions:
        """Return what the key may do."""
        return await self._read(self.read_permissions())

    async def clock_difference_ms(self) -> int:
        """Measure how far this machine's clock is ahead, and let requests be corrected by it.

        Returns
        -------
        Milliseconds; 0 where the exchange does not mind.
        """
        return int(await self._ask(self.client.load_time_difference()) or 0)

    # ---- writing

    async def set_up_account(self) -> str:
        """Bring the account into hedge mode, where there is one.

        Returns
        -------
        What was done, for people.
        """
        if not self.hedge:
            return f"{self.name} has no hedge mode"
        # Some exchanges refuse even what changes nothing while there are positions.
        if await self._read(self.read_hedge_mode()):
            return "hedge mode: was so"
        return await self._set(self.send_hedge_mode(), "hedge mode")

    async def set_up_coin(
        self, coin: str, leverage: float, margin_mode: MarginMode = "cross"
    ) -> tuple[str, ...]:
        """Set a coin's margin mode and leverage.

        Returns
        -------
        What was done, for people.
        """
        symbol = self.market(coin).symbol
        self._margin_modes[coin] = margin_mode
        self._leverages[coin] = leverage
        what = f"{coin} {margin_mode}"
        try:
            mode = await self._set(self.send_margin_mode(symbol, margin_mode, leverage), what)
        except ExchangeFault as fault:
            held = [p for p in await self.positions() if p.coin == coin]
            # Refused because it is held: harmless if it is held in that mode.
            if fault.failure is not Failure.BUSY or any(p.margin_mode != margin_mode for p in held):
                raise
            mode = f"{what}: was so"
        request = self.send_leverage(symbol, leverage, margin_mode)
        return mode, await self._set(request, f"{coin} leverage {leverage:g}")

    async def create(self, orders: Sequence[NewOrder]) -> list[Outcome]:
        """Place orders; one outcome for each, in the order asked. After a rate limit no more is sent."""
        outcomes: dict[str, Outcome] = {}
        limit: Outcome | None = None
        for batch in split(orders, self.batch, of_one_market=self.batch_of_one_market):
            if limit is None:
                outcomes |= await self._create_batch(batch)
                told = (outcomes[order.client_id] for order in batch)
                limit = next((one for one in told if one.failure is Failure.RATE_LIMIT), None)
            else:
                outcomes |= {order.client_id: replace(limit, client_id=order.client_id) for order in batch}
        return [outcomes[order.client_id] for order in orders]

    async def cancel(self, orders: Sequence[OpenOrder]) -> list[Outcome]:
        """End orders; one outcome for each, in the order asked."""
        return list(await asyncio.gather(*(self._cancel_one(order) for order in orders)))

    # ---- hints

    async def watch(self) -> AsyncIterator[Hint]:
        """Give hints until cancelled; a broken connection is a hint too, and is opened again."""
        async for hint in hints(self.client, self._coins, self._renew, self.forget_stream_key):
            yield hint

    async def resubscribe(self) -> None:
        """Let :meth:`watch` close its streams and open new ones with new keys."""
        self._renew.set()

    # ---- what exchanges differ in

    # ---- inside

    async def _read(self, request: Coroutine[Any, Any, Answer]) -> Answer:
        """Await a request that changes nothing; every error of it becomes an :class:`ExchangeFault`."""
        answer: Answer = await self._ask(request)
        return answer

    async def _ask(self, request: Any, *, write: bool = False) -> Any:
        """Await requests of ccxt; every error of them becomes an :class:`ExchangeFault`."""
        try:
            return await request
        except (ccxt.BaseError, aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise self.classified(error, write=write) from error
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            # An answer of a shape that the client library did not expect: cut off, or an error page.
            raise ExchangeFault(
                Failure.UNKNOWN if write else Failure.RETRY,
                f"{self.name} sent an answer that makes no sense ({type(error).__name__}: {error})",
            ) from error

    def classified(self, error: Exception, *, write: bool) -> ExchangeFault:
        """Return what an error means."""
        headers = self.client.limit_headers or self.client.last_response_headers
        return classify(error, self.verdicts, write=write, headers=headers)

    async def _set(self, request: Any, what: str) -> str:
        try:
            await self._ask(request, write=True)
        except ExchangeFault as fault:
            if fault.failure is Failure.UNCHANGED:
                return f"{what}: was so"
            raise
        return f"{what}: set"

    async def _tickers(self, symbols: list[str] | None) -> dict[str, Ticker]:
        found = await self.read_tickers(symbols)
        return {
            self._coins[symbol]: ticker
            for symbol, row in found.items()
            if symbol in self._coins and (ticker := read_ticker(row)) is not None
        }

    async def _candles(self, market: Market, since_ms: int | None, limit: int | None) -> NDArray[np.float64]:
        rows = await self.client.fetch_ohlcv(market.symbol, "1m", since_ms, limit)
        table = np.array(rows, dtype=np.float64).reshape(-1, 6)
        table[:, 5] *= self.candle_volume_unit(market)
        return table

    async def _request(self, order: NewOrder) -> dict[str, Any]:
        price = order.price if order.price is not None else await self.market_price(order.coin)
        return {
            "symbol": self.market(order.coin).symbol,
            "type": "market" if order.price is None else "limit",
            "side": "buy" if order.qty > 0 else "sell",
            "amount": abs(order.qty),
            "price": price,
            "params": self.order_parameters(order),
        }

    async def _create_batch(self, batch: Sequence[NewOrder]) -> dict[str, Outcome]:
        try:
            if self.batch == 1 or len(batch) == 1:
                request = await self._read(self._request(batch[0]))
                rows = [await self._ask(self.client.create_order(**request), write=True)]
            else:
                requests = [await self._read(self._request(order)) for order in batch]
                rows = await self._ask(self.client.create_orders(requests), write=True)
        except ExchangeFault as fault:
            if len(batch) > 1 and (known := self._outcomes_of_error(fault, batch)) is not None:
                return known
            return {order.client_id: failed(order.client_id, fault) for order in batch}
        return self._matched(batch, rows)

    def _matched(self, batch: Sequence[NewOrder], rows: Sequence[Mapping[str, Any]]) -> dict[str, Outcome]:
        wanted = {self.encode_id(order.client_id): order.client_id for order in batch}
        elements = [
            Element(
                client_id=wanted.get(str(row.get("clientOrderId") or self.element_id(row))),
                order_id=str(row.get("id") or ""),
                failed=self.element_failure(row),
            )
            for row in rows
        ]
        return match([order.client_id for order in batch], elements)

    def _outcomes_of_error(
        self, fault: ExchangeFault, batch: Sequence[NewOrder]
    ) -> dict[str, Outcome] | None:
        """Return the outcomes that stand in the answer of a batch that failed as a whole, if they do."""
        cause = fault.__cause__
        elements = self.batch_elements(body_of(cause)) if isinstance(cause, Exception) else None
        return self._matched(batch, [{"info": element} for element in elements]) if elements else None

    async def _cancel_one(self, order: OpenOrder) -> Outcome:
        try:
            await self._ask(self.send_cancel(order, self.market(order.coin)), write=True)
        except ExchangeFault as fault:
            return failed(order.client_id, fault, order.id)
        return Outcome(order.client_id, order.id)
