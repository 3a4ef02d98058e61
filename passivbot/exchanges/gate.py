"""Gate, classic futures account.

Sizes are signed contracts; that an order closes says ``reduce_only``, that a fill did says ``close_size``.
Realised profits stand in the account's book. The private stream wants the user's number, which is asked for
once.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

from passivbot.exchanges.base import Exchange
from passivbot.exchanges.errors import ExchangeFault, Verdicts
from passivbot.exchanges.types import (
    Balance,
    Failure,
    Fill,
    Hint,
    MarginMode,
    Market,
    NewOrder,
    OpenOrder,
    Paging,
    Permissions,
    Position,
    PositionSide,
)

_PAGE = 100


class Gate(Exchange):
    """See :class:`~passivbot.exchanges.base.Exchange`."""

    name = "gate"
    ccxt_id = "gate"
    batch = 10
    paging = Paging(1999, 10_000)
    id_prefix = "t-"
    options: ClassVar[Mapping[str, Any]] = {
        "unifiedAccount": False,
        "fetchMarkets": {"types": ["swap"]},
        "watchPositions": {"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False},
    }
    verdicts = Verdicts(
        {
            "BALANCE_NOT_ENOUGH": Failure.FUNDS,
            "CONTRACT_IN_DELISTING": Failure.CLOSED,
            "CONTRACT_NOT_FOUND": Failure.CLOSED,
            "EMPTY_POSITION": Failure.REDUCE_ONLY,
            "FORBIDDEN": Failure.AUTH,
            "FUTURES_BALANCE_NOT_ENOUGH": Failure.FUNDS,
            "INCREASE_POSITION": Failure.REDUCE_ONLY,
            "INSUFFICIENT_AVAILABLE": Failure.FUNDS,
            "INVALID_CREDENTIALS": Failure.AUTH,
            "INVALID_KEY": Failure.AUTH,
            "INVALID_SIGNATURE": Failure.AUTH,
            "IP_FORBIDDEN": Failure.AUTH,
            "MAINTENANCE": Failure.MAINTENANCE,
            "MARGIN_BALANCE_NOT_ENOUGH": Failure.FUNDS,
            "NO_CHANGE": Failure.UNCHANGED,
            "ORDER_CLOSED": Failure.GONE,
            "ORDER_FINISHED": Failure.GONE,
            "ORDER_NOT_FOUND": Failure.GONE,
            "POC_FILL_IMMEDIATELY": Failure.WOULD_CROSS,
            "POSITION_EMPTY": Failure.REDUCE_ONLY,
            "POSITION_HOLDING": Failure.BUSY,
            "READ_ONLY": Failure.AUTH,
            "REPEATED_CREATION": Failure.EXISTS,
            "REQUEST_EXPIRED": Failure.CLOCK,
            "SERVER_ERROR": Failure.UNKNOWN,
            "TOO_BUSY": Failure.UNKNOWN,
            "TOO_MANY_REQUESTS": Failure.RATE_LIMIT,
        },
        code_keys=("label",),
    )

    def candle_volume_unit(self, market: Market) -> float:
        """Return the coins of a contract: candles count contracts."""
        return market.rules.c_mult

    def order_parameters(self, order: NewOrder) -> dict[str, Any]:
        """Return the exchange's own parameters of an order; ccxt puts the prefix before its id."""
        closes = (order.qty < 0) == (order.position_side == "long")
        parameters: dict[str, Any] = {"clientOrderId": order.client_id, "reduceOnly": closes}
        if order.price is not None:
            parameters["timeInForce"] = "PO" if order.post_only else "GTC"
        return parameters

    def element_failure(self, row: Mapping[str, Any]) -> tuple[Failure, str] | None:
        """Return why one element of a batch failed."""
        info = row["info"]
        if info.get("succeeded") is not False and not info.get("label"):
            return None
        return self.verdicts.of_body(info) or Failure.REFUSED, f"{info.get('label')} {info.get('detail', '')}"

    def parse_balance(self, row: Any) -> Balance:
        """Read the account: the total is without unrealised profit."""
        (account,) = row["info"]
        wallet = float(account["total"])
        return Balance(wallet, wallet + float(account.get("unrealised_pnl") or 0.0))

    def position_side_of(self, row: Mapping[str, Any]) -> PositionSide | None:
        """Return the position side: what buys opens a long one, unless it closes."""
        info = row["info"]
        if "close_size" in info:
            closes = float(info["close_size"] or 0.0) != 0.0
        else:
            closes = bool(info.get("is_reduce_only"))
        return "long" if (row["side"] == "buy") != closes else "short"

    async def read_hedge_mode(self) -> bool | None:
        """Ask whether the account is in hedge mode."""
        row = await self.client.privateFuturesGetSettleAccounts({"settle": self.quote.lower()})
        return bool(row["in_dual_mode"])

    async def read_positions(self) -> list[Position]:
        """Ask for the positions, all pages of them."""
        rows = await self._pages(self.client.privateFuturesGetSettlePositions, {"holding": "true"})
        found = (self.parse_position(self.client.parse_position(row)) for row in rows)
        return [position for position in found if position is not None]

    async def read_open_orders(self) -> list[OpenOrder]:
        """Ask for the open orders, all pages of them."""
        rows = await self._pages(self.client.privateFuturesGetSettleOrders, {"status": "open"})
        found = (self.parse_order(self.client.parse_order(row)) for row in rows)
        return [order for order in found if order is not None]

    async def read_order(self, market: Market, client_id: str) -> Mapping[str, Any]:
        """Ask for one order; its encoded client order id stands in the place of its id."""
        row = await self.client.privateFuturesGetSettleOrdersOrderId(
            {"settle": self.quote.lower(), "order_id": client_id}
        )
        found: Mapping[str, Any] = self.client.parse_order(row)
        return found

    async def read_fills(self, start_ms: int, end_ms: int) -> list[Fill]:
        """Ask for the fills of a span, with the profits that the account's book has of them."""
        query = {"from": start_ms // 1000, "to": -(-end_ms // 1000)}
        rows = await self._pages(self.client.privateFuturesGetSettleMyTradesTimerange, query)
        profits: dict[str, float] = {}
        if any(float(row.get("close_size") or 0.0) != 0.0 for row in rows):
            book = await self._pages(self.client.privateFuturesGetSettleAccountBook, {**query, "type": "pnl"})
            profits = {str(line["trade_id"]): float(line["change"]) for line in book}
        fills: list[Fill] = []
        for row in reversed(rows):
            parsed = self.client.parse_trade(row)
            closed = float(row.get("close_size") or 0.0) != 0.0
            parsed["profit"] = profits.get(str(parsed["id"])) if closed else 0.0
            fee = sum(float(part["cost"]) for part in parsed.get("fees") or () if part["cost"] is not None)
            if (fill := self.parse_fill({**parsed, "fee": {"cost": fee}})) is not None:
                fills.append(fill)
        return fills

    def fill_client_id(self, row: Mapping[str, Any]) -> str | None:
        """Return the client order id of a fill."""
        return str(row["info"].get("text") or "")

    def fill_pnl(self, row: Mapping[str, Any]) -> float | None:
        """Return the realised profit of a fill."""
        return row.get("profit")

    def send_margin_mode(self, symbol: str, margin_mode: MarginMode, leverage: float) -> Any:
        """Leave it: the mode is set together with the leverage."""
        return self._with_leverage(margin_mode)

    def send_leverage(self, symbol: str, leverage: float, margin_mode: MarginMode) -> Any:
        """Return the request that sets leverage and with it the mode: 0 means cross."""
        cross = margin_mode == "cross"
        query = {"leverage": "0" if cross else f"{leverage:g}"}
        if cross:
            query["cross_leverage_limit"] = f"{leverage:g}"
        return self.client.privateFuturesPostSettleDualCompPositionsContractLeverage(
            {"settle": self.quote.lower(), "contract": self.client.market_id(symbol), **query}
        )

    async def read_permissions(self) -> Permissions:
        """Ask what the key may do: Gate tells the addresses alone."""
        row = await self.client.privateAccountGetDetail()
        self.client.uid = str(row["user_id"])
        return Permissions(None, None, tuple(row.get("ip_whitelist") or ()))

    async def watch(self) -> AsyncIterator[Hint]:
        """Give hints; the user's number is asked for first if the keys do not hold it."""
        if not self.client.uid:
            await self.permissions()
        async for hint in super().watch():
            yield hint

    async def _with_leverage(self, margin_mode: MarginMode) -> None:
        raise ExchangeFault(Failure.UNCHANGED, f"{margin_mode} is set with the leverage")

    async def _pages(self, endpoint: Any, query: Mapping[str, Any]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        before: list[dict[str, Any]] = []
        while True:
            page = await endpoint(
                {"settle": self.quote.lower(), "limit": _PAGE, "offset": len(rows), **query}
            )
            # The same page again: it does not go by the offset, and never ends.
            if page == before:
                return rows
            rows, before = rows + page, page
            if len(page) < _PAGE:
                return rows


ADAPTER = Gate
