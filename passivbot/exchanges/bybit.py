"""Bybit, unified account.

Open orders and fills come in pages with a cursor. Realised profits stand apart from the fills and may come
later: a fill whose profit isn't known yet has none. A post-only order that would trade is taken and
cancelled.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from passivbot.exchanges.base import Exchange
from passivbot.exchanges.errors import ExchangeFault, Verdicts
from passivbot.exchanges.types import (
    Balance,
    Failure,
    Fill,
    MarginMode,
    Market,
    NewOrder,
    OpenOrder,
    Paging,
    Permissions,
    Position,
    PositionSide,
)

_INDEX: Mapping[PositionSide, int] = {"long": 1, "short": 2}
_ORDERS = 50
"""Orders a request returns at most; without a limit it is 20."""
_FILLS = 100
"""Fills, and profits, that a request returns at most."""


class Bybit(Exchange):
    """See :class:`~passivbot.exchanges.base.Exchange`."""

    name = "bybit"
    ccxt_id = "bybit"
    batch = 10
    paging = Paging(1000)
    post_only_is_silent = True
    options: ClassVar[Mapping[str, Any]] = {
        "fetchMarkets": {"types": ["linear"]},
        "watchPositions": {"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False},
    }
    verdicts = Verdicts(
        {
            "10000": Failure.UNKNOWN,
            "10002": Failure.CLOCK,
            "10003": Failure.AUTH,
            "10004": Failure.AUTH,
            "10005": Failure.AUTH,
            "10006": Failure.RATE_LIMIT,
            "10007": Failure.AUTH,
            "10010": Failure.AUTH,
            "10016": Failure.UNKNOWN,
            "10018": Failure.RATE_LIMIT,
            "10027": Failure.CLOSED,
            "10429": Failure.RATE_LIMIT,
            "33004": Failure.AUTH,
            "110001": Failure.GONE,
            "110004": Failure.FUNDS,
            "110006": Failure.FUNDS,
            "110007": Failure.FUNDS,
            "110008": Failure.GONE,
            "110010": Failure.GONE,
            "110012": Failure.FUNDS,
            "110014": Failure.FUNDS,
            "110017": Failure.REDUCE_ONLY,
            "110019": Failure.GONE,
            "110024": Failure.BUSY,
            "110025": Failure.UNCHANGED,
            "110026": Failure.UNCHANGED,
            "110028": Failure.BUSY,
            "110043": Failure.UNCHANGED,
            "110045": Failure.FUNDS,
            "110052": Failure.FUNDS,
            "110066": Failure.CLOSED,
            "110072": Failure.EXISTS,
            "110074": Failure.CLOSED,
            "110079": Failure.RETRY,
            "170001": Failure.UNKNOWN,
            "170007": Failure.UNKNOWN,
            "170213": Failure.GONE,
        },
        texts=(
            ("position idx not match position mode", Failure.MODE),
            ("system upgrading", Failure.MAINTENANCE),
        ),
        code_keys=("retCode", "code"),
    )

    def order_parameters(self, order: NewOrder) -> dict[str, Any]:
        """Return the exchange's own parameters of an order."""
        parameters: dict[str, Any] = {
            "orderLinkId": self.encode_id(order.client_id),
            "positionIdx": _INDEX[order.position_side],
            "reduceOnly": order.reduce_only,
        }
        if order.price is not None:
            parameters["timeInForce"] = "PostOnly" if order.post_only else "GTC"
        return parameters

    def element_failure(self, row: Mapping[str, Any]) -> tuple[Failure, str] | None:
        """Return why one element of a batch failed."""
        info = row["info"]
        if str(info.get("code", "0")) == "0":
            return None
        return self.verdicts.of_body(info) or Failure.REFUSED, f"{info['code']} {info.get('msg', '')}"

    def parse_balance(self, row: Any) -> Balance:
        """Read the account: the wallet of the quote coin, which holds no unrealised profit."""
        (account,) = row["info"]["result"]["list"]
        for coin in account["coin"]:
            if coin["coin"] == self.quote:
                return Balance(float(coin["walletBalance"]), float(coin["equity"]))
        return Balance(0.0, 0.0)

    def position_side_of(self, row: Mapping[str, Any]) -> PositionSide | None:
        """Return the position side of an order or a fill."""
        info = row["info"]
        if "positionIdx" in info:
            index = int(info["positionIdx"])
            return "long" if index == 1 else "short" if index == 2 else None
        if "closedSize" in info:
            # Fills tell only whether they closed something.
            closes = float(info["closedSize"] or 0.0) > 0.0
            return "long" if (row["side"] == "buy") != closes else "short"
        return None

    async def read_positions(self) -> list[Position]:
        """Ask for open positions, of all pages."""
        query = {"category": "linear", "settleCoin": self.quote, "limit": 200}
        rows = await self._pages(self.client.privateGetV5PositionList, query)
        parsed = (self.parse_position(self.client.parse_position(row)) for row in rows)
        return [position for position in parsed if position is not None]

    async def read_open_orders(self) -> list[OpenOrder]:
        """Ask for resting orders, of all pages."""
        query = {"category": "linear", "settleCoin": self.quote, "limit": _ORDERS, "openOnly": 0}
        rows = await self._pages(self.client.privateGetV5OrderRealtime, query)
        parsed = (self.parse_order(self.client.parse_order(row)) for row in rows)
        return [order for order in parsed if order is not None]

    async def read_order(self, market: Market, client_id: str) -> Mapping[str, Any]:
        """Look an order up among the open ones and the last ended ones, then in the history."""
        query = {"category": "linear", "symbol": self.client.market_id(market.symbol)}
        query["orderLinkId"] = client_id
        for endpoint in (self.client.privateGetV5OrderRealtime, self.client.privateGetV5OrderHistory):
            rows = (await endpoint(query))["result"]["list"]
            if rows:
                found: Mapping[str, Any] = self.client.parse_order(rows[0])
                return found
        raise ExchangeFault(Failure.GONE, f"no order {client_id}")

    async def read_fills(self, start_ms: int, end_ms: int) -> list[Fill]:
        """Ask for the fills of a span, with the profits that are known."""
        query = {"category": "linear", "startTime": start_ms, "endTime": end_ms, "limit": _FILLS}
        rows = await self._pages(self.client.privateGetV5ExecutionList, {**query, "execType": "Trade"})
        closing = any(float(row.get("closedSize") or 0.0) > 0.0 for row in rows)
        entries: dict[str, float] = {}
        if closing:
            profits = await self._pages(self.client.privateGetV5PositionClosedPnl, query)
            entries = {row["orderId"]: float(row["avgEntryPrice"]) for row in profits}
        fills: list[Fill] = []
        for row in reversed(rows):  # newest first
            parsed = self.client.parse_trade({**row, "category": "linear"})
            parsed["entered"] = entries.get(row["orderId"])
            if (fill := self.parse_fill(parsed)) is not None:
                fills.append(fill)
        return fills

    def fill_client_id(self, row: Mapping[str, Any]) -> str | None:
        """Return the client order id of a fill."""
        return str(row["info"].get("orderLinkId") or "")

    def fill_pnl(self, row: Mapping[str, Any]) -> float | None:
        """Return the realised profit of a fill: 0 of one that closed nothing."""
        closed = float(row["info"].get("closedSize") or 0.0)
        if closed == 0.0:
            return 0.0
        entered = row.get("entered")
        if entered is None:
            return None
        gain = float(row["price"]) - float(entered)
        return closed * (gain if row["side"] == "sell" else -gain)

    def send_margin_mode(self, symbol: str, margin_mode: MarginMode, leverage: float) -> Any:
        """Set the account's margin mode where it is another one."""
        return self._margin_mode("ISOLATED_MARGIN" if margin_mode == "isolated" else "REGULAR_MARGIN")

    def send_hedge_mode(self) -> Any:
        """Return the request that sets hedge mode, for all markets of the quote coin."""
        return self.client.privatePostV5PositionSwitchMode(
            {"category": "linear", "coin": self.quote, "mode": 3}
        )

    async def read_permissions(self) -> Permissions:
        """Ask what the key may do."""
        row = (await self.client.privateGetV5UserQueryApi())["result"]
        granted = row.get("permissions") or {}
        trades = str(row.get("readOnly")) == "0" and bool(
            granted.get("ContractTrade") or granted.get("Derivatives")
        )
        addresses = tuple(address for address in row.get("ips") or () if address != "*")
        return Permissions(
            trade=trades, withdraw="Withdraw" in (granted.get("Wallet") or ()), addresses=addresses
        )

    async def _margin_mode(self, mode: str) -> None:
        row = await self.client.privateGetV5AccountInfo()
        if row["result"].get("marginMode") == mode:
            raise ExchangeFault(Failure.UNCHANGED, mode)
        await self.client.privatePostV5AccountSetMarginMode({"setMarginMode": mode})

    async def _pages(self, endpoint: Any, query: Mapping[str, Any]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        cursor = ""
        while True:
            asked = {**query, "cursor": cursor} if cursor else dict(query)
            result = (await endpoint(asked))["result"]
            rows += result["list"]
            following = result.get("nextPageCursor") or ""
            if not following or following == cursor or not result["list"]:
                return rows
            cursor = following


ADAPTER = Bybit
