"""Binance USDⓈ-M futures.

Fills are asked for by market (``userTrades`` wants a symbol); which markets had any, the income history
tells.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

from passivbot.exchanges.base import Exchange
from passivbot.exchanges.errors import Verdicts
from passivbot.exchanges.types import Balance, Failure, Fill, NewOrder, Paging, Permissions, Position

_PAGE = 1000
"""Rows of the income history, and of fills, that a request returns."""


class Binance(Exchange):
    """See :class:`~passivbot.exchanges.base.Exchange`."""

    name = "binanceusdm"
    ccxt_id = "binanceusdm"
    paging = Paging(499)  # weight 2; 1000 candles weigh 5
    options: ClassVar[Mapping[str, Any]] = {
        "warnOnFetchOpenOrdersWithoutSymbol": False,
        "fetchMarkets": {"types": ["linear"]},
        # The stream is for hints: no snapshot of positions is asked for before it.
        "watchPositions": {"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False},
    }
    verdicts = Verdicts(
        {
            "-1000": Failure.UNKNOWN,
            "-1001": Failure.UNKNOWN,
            "-1003": Failure.RATE_LIMIT,
            "-1006": Failure.UNKNOWN,
            "-1007": Failure.UNKNOWN,
            "-1008": Failure.RETRY,
            "-1015": Failure.RATE_LIMIT,
            "-1016": Failure.MAINTENANCE,
            "-1021": Failure.CLOCK,
            "-1022": Failure.AUTH,
            "-1109": Failure.AUTH,
            "-1111": Failure.REFUSED,
            "-1121": Failure.CLOSED,
            "-1125": Failure.GONE,
            "-2011": Failure.GONE,
            "-2013": Failure.GONE,
            "-2014": Failure.AUTH,
            "-2015": Failure.AUTH,
            "-2018": Failure.FUNDS,
            "-2019": Failure.FUNDS,
            "-2021": Failure.WOULD_CROSS,
            "-2022": Failure.REDUCE_ONLY,
            "-2024": Failure.REDUCE_ONLY,
            "-2025": Failure.REFUSED,
            "-4046": Failure.UNCHANGED,
            "-4047": Failure.BUSY,
            "-4048": Failure.BUSY,
            "-4059": Failure.UNCHANGED,
            "-4061": Failure.MODE,
            "-4067": Failure.BUSY,
            "-4068": Failure.BUSY,
            "-4111": Failure.EXISTS,
            "-4116": Failure.EXISTS,
            "-4118": Failure.REDUCE_ONLY,
            "-4140": Failure.CLOSED,
            "-4192": Failure.REFUSED,
            "-5022": Failure.WOULD_CROSS,
        },
        texts=(("send status unknown|execution status unknown", Failure.UNKNOWN),),
    )

    def order_parameters(self, order: NewOrder) -> dict[str, Any]:
        """Return the exchange's own parameters of an order."""
        parameters: dict[str, Any] = {
            "newClientOrderId": self.encode_id(order.client_id),
            "positionSide": order.position_side.upper(),
        }
        if order.price is not None:
            parameters["timeInForce"] = "GTX" if order.post_only else "GTC"
        return parameters

    def element_failure(self, row: Mapping[str, Any]) -> tuple[Failure, str] | None:
        """Return why one element of a batch failed."""
        info = row["info"]
        if "code" not in info:
            return None
        return self.verdicts.of_body(info) or Failure.REFUSED, f"{info['code']} {info.get('msg', '')}"

    def forget_stream_key(self) -> None:
        """Let ccxt ask for a new listen key: an expired one it would go on using."""
        for kind in ("linear", "future", "swap"):
            if isinstance(self.client.options.get(kind), dict):
                self.client.options[kind] = {**self.client.options[kind], "lastAuthenticatedTime": 0}

    def parse_balance(self, row: Any) -> Balance:
        """Read the account: the wallet of cross margin, which holds no unrealised profit."""
        info = row["info"]
        return Balance(float(info["totalCrossWalletBalance"]), float(info["totalMarginBalance"]))

    async def read_tickers(self, symbols: list[str] | None) -> Mapping[str, Mapping[str, Any]]:
        """Ask for the book and the last prices: ccxt asks for a day's figures, which have no bid and no ask.

        Together they weigh 7 of a minute's 2400; a day's figures of all markets weigh 40.
        """
        books, prices = await asyncio.gather(
            self.client.fetch_bids_asks(symbols), self.client.fetch_last_prices(symbols)
        )
        return {
            symbol: {**row, "last": prices[symbol]["price"]}
            for symbol, row in books.items()
            if symbol in prices
        }

    async def read_hedge_mode(self) -> bool | None:
        """Ask whether the account is in hedge mode."""
        return bool((await self.client.fapiPrivateGetPositionSideDual())["dualSidePosition"])

    async def read_positions(self) -> list[Position]:
        """Ask for the positions, by one request: ccxt would ask for leverage brackets too."""
        rows = await self.client.fapiPrivateV3GetPositionRisk()
        found: list[Position] = []
        for row in rows:
            coin = self.coin(self.client.safe_symbol(row["symbol"], None, None, "swap"))
            size = float(row["positionAmt"])
            if coin is None or size == 0.0:
                continue
            # Without a side, and in one-way mode, the sign tells it.
            side = str(row.get("positionSide") or "BOTH")
            long = size > 0 if side == "BOTH" else side == "LONG"
            mode = "cross" if float(row.get("isolatedMargin") or 0.0) == 0.0 else "isolated"
            found.append(
                Position(
                    coin=coin,
                    side="long" if long else "short",
                    size=abs(size) if long else -abs(size),
                    price=float(row["entryPrice"]),
                    margin_mode="cross" if mode == "cross" else "isolated",
                )
            )
        return found

    async def read_fills(self, start_ms: int, end_ms: int) -> list[Fill]:
        """Ask for the fills of a span: the markets that had any, then each of them."""
        fills: list[Fill] = []
        for symbol in sorted(await self._traded(start_ms, end_ms)):
            fills += await self._fills_of_market(symbol, start_ms, end_ms)
        return fills

    async def read_permissions(self) -> Permissions:
        """Ask what the key may do."""
        row = await self.client.sapiGetAccountApiRestrictions()
        return Permissions(
            trade=bool(row.get("enableFutures")),
            withdraw=bool(row.get("enableWithdrawals")),
            addresses=None if row.get("ipRestrict") else (),
        )

    def fill_pnl(self, row: Mapping[str, Any]) -> float | None:
        """Return the realised profit of a fill."""
        text = row["info"].get("realizedPnl")
        return None if text is None else float(text)

    async def _traded(self, start_ms: int, end_ms: int) -> set[str]:
        symbols: set[str] = set()
        while start_ms <= end_ms:
            rows = await self.client.fapiPrivateGetIncome(
                {
                    "incomeType": "COMMISSION",
                    "startTime": start_ms,
                    "endTime": end_ms,
                    "limit": _PAGE,
                }
            )
            names = (self.client.safe_symbol(row["symbol"], None, None, "swap") for row in rows)
            symbols |= {name for name in names if self.coin(name) is not None}
            last_ms = max((int(row["time"]) for row in rows), default=end_ms)
            # Rows of the last millisecond may go on; a page of one millisecond alone can only be passed over.
            if len(rows) < _PAGE or last_ms >= end_ms:
                break
            start_ms = max(last_ms, start_ms + 1)
        return symbols

    async def _fills_of_market(self, symbol: str, start_ms: int, end_ms: int) -> list[Fill]:
        found: dict[str, Fill] = {}
        parameters: dict[str, Any] = {"until": end_ms}
        since: int | None = start_ms
        while True:
            rows = await self.client.fetch_my_trades(symbol, since, _PAGE, parameters)
            page = [fill for row in rows if (fill := self.parse_fill(row)) is not None]
            new = [fill for fill in page if fill.id not in found]
            found |= {fill.id: fill for fill in new}
            if not new or len(rows) < _PAGE or max(fill.time_ms for fill in new) > end_ms:
                return [fill for fill in found.values() if fill.time_ms <= end_ms]
            # From here on by id: several fills share a millisecond.
            since = None
            parameters = {"fromId": str(max(int(fill.id) for fill in new) + 1)}


ADAPTER = Binance
