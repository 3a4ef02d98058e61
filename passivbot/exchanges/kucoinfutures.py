"""KuCoin futures, classic account.

Sizes are whole contracts. Fills do not tell the profit they realised. Orders carry margin mode and leverage.
The stream's address comes by REST and is asked for again when the stream's key is forgotten.
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
)

_PAGE = 100
# Keys of the second version may trade everything or nothing; "transfer" takes money out of the account.
_TRADE = frozenset({"futures", "trade"})
_WITHDRAW = frozenset({"transfer", "withdrawal", "withdraw"})


class Kucoin(Exchange):
    """See :class:`~passivbot.exchanges.base.Exchange`."""

    name = "kucoinfutures"
    ccxt_id = "kucoinfutures"
    batch = 10
    paging = Paging(200)
    post_only_is_silent = True
    tells_profits = False
    # Positions are watched by another account model's stream alone.
    has: ClassVar[Mapping[str, Any]] = {"watchPositions": False}
    options: ClassVar[Mapping[str, Any]] = {"uta": False, "hf": False}
    # With keys ccxt would ask for the spot markets that may be traded on margin.
    markets_parameters: ClassVar[Mapping[str, Any]] = {"marginables": False}
    verdicts = Verdicts(
        {
            "100003": Failure.CLOSED,
            "100004": Failure.GONE,
            "200002": Failure.RATE_LIMIT,
            "200005": Failure.FUNDS,
            "300001": Failure.CLOSED,
            "300002": Failure.MAINTENANCE,
            "300003": Failure.FUNDS,
            "300004": Failure.GONE,
            "300009": Failure.REDUCE_ONLY,
            "300018": Failure.EXISTS,
            "330010": Failure.BUSY,
            "330011": Failure.MODE,
            "400001": Failure.AUTH,
            "400002": Failure.CLOCK,
            "400003": Failure.AUTH,
            "400004": Failure.AUTH,
            "400005": Failure.AUTH,
            "400006": Failure.AUTH,
            "400007": Failure.AUTH,
            "411100": Failure.AUTH,
            "429000": Failure.RATE_LIMIT,
            "500000": Failure.UNKNOWN,
        },
        # 100001 is any wrong parameter, and an order that does not exist.
        texts=(("orderNotExist", Failure.GONE), ("no open positions to close", Failure.REDUCE_ONLY)),
    )

    def candle_volume_unit(self, market: Market) -> float:
        """Return the coins of a lot: candles count lots."""
        return market.rules.c_mult

    def order_parameters(self, order: NewOrder) -> dict[str, Any]:
        """Return the exchange's own parameters of an order."""
        closes = (order.qty < 0) == (order.position_side == "long")
        parameters: dict[str, Any] = {
            "clientOid": self.encode_id(order.client_id),
            "positionSide": order.position_side.upper(),
            "reduceOnly": closes,
            "marginMode": self.margin_mode_of(order.coin),
            "leverage": self.leverage_of(order.coin),
        }
        if order.post_only:
            parameters["postOnly"] = True
        return parameters

    def element_failure(self, row: Mapping[str, Any]) -> tuple[Failure, str] | None:
        """Return why one element of a batch failed."""
        info = row["info"]
        code = str(info.get("code") or "200000")
        if code == "200000":
            return None
        return self.verdicts.of_body(info) or Failure.REFUSED, f"{code} {info.get('msg', '')}"

    async def read_hedge_mode(self) -> bool | None:
        """Ask whether the account is in hedge mode."""
        row = (await self.client.futuresPrivateGetPositionGetPositionMode())["data"]
        return str(row["positionMode"]) == "1"

    async def read_balance(self) -> Balance:
        """Ask for the account: its equity without the profit of open positions."""
        row = (await self.client.futuresPrivateGetAccountOverview({"currency": self.quote}))["data"]
        equity = float(row["accountEquity"])
        return Balance(equity - float(row.get("unrealisedPNL") or 0.0), equity)

    async def read_tickers(self, symbols: list[str] | None) -> Mapping[str, Mapping[str, Any]]:
        """Ask for the tickers: ccxt would ask for the contracts, which have no bid and no ask."""
        found: Mapping[str, Mapping[str, Any]] = await self.client.fetch_tickers(
            symbols, {"method": "futuresPublicGetAllTickers"}
        )
        return found

    async def read_open_orders(self) -> list[OpenOrder]:
        """Ask for the open orders, all pages of them."""
        rows = await self._pages(self.client.futuresPrivateGetOrders, {"status": "active"})
        found = (self.parse_order(self.client.parse_order(row)) for row in rows)
        return [order for order in found if order is not None]

    async def read_order(self, market: Market, client_id: str) -> Mapping[str, Any]:
        """Ask for one order by its client order id."""
        answer = await self.client.futuresPrivateGetOrdersByClientOid({"clientOid": client_id})
        found: Mapping[str, Any] = self.client.parse_order(answer["data"])
        return found

    async def read_fills(self, start_ms: int, end_ms: int) -> list[Fill]:
        """Ask for the fills of a span, all pages of them."""
        query = {"startAt": start_ms, "endAt": end_ms}
        rows = await self._pages(self.client.futuresPrivateGetFills, query)
        found = (self.parse_fill(self._read_trade(row)) for row in reversed(rows))
        return [fill for fill in found if fill is not None]

    def fill_pnl(self, row: Mapping[str, Any]) -> float | None:
        """Return 0 for a fill that opened; the exchange tells no more."""
        side = row["info"].get("positionSide")
        closes = (side, row["side"]) in (("LONG", "sell"), ("SHORT", "buy"))
        return 0.0 if side in ("LONG", "SHORT") and not closes else None

    def send_leverage(self, symbol: str, leverage: float, margin_mode: MarginMode) -> Any:
        """Return the request that sets leverage; isolated, orders carry it."""
        if margin_mode == "isolated":
            return self._in_orders(leverage)
        return self.client.futuresPrivatePostChangeCrossUserLeverage(
            {"symbol": self.client.market_id(symbol), "leverage": f"{leverage:g}"}
        )

    def forget_stream_key(self) -> None:
        """Let ccxt ask for the stream's address again."""
        self.client.options["urls"] = {}

    async def read_permissions(self) -> Permissions:
        """Ask what the key may do; the spot host tells it for futures too."""
        row = (await self.client.privateGetUserApiKey())["data"]
        granted = {name.strip().lower() for name in str(row["permission"]).split(",")}
        listed = str(row.get("ipWhitelist") or "").split(",")
        return Permissions(
            trade=bool(granted & _TRADE),
            withdraw=bool(granted & _WITHDRAW),
            addresses=tuple(address.strip() for address in listed if address.strip()),
        )

    def _read_trade(self, row: Mapping[str, Any]) -> dict[str, Any]:
        parsed: dict[str, Any] = self.client.parse_trade(row)
        return {**parsed, "timestamp": int(row["createdAt"])}

    async def _in_orders(self, leverage: float) -> None:
        raise ExchangeFault(Failure.UNCHANGED, f"leverage {leverage:g} stands in each order")

    async def _pages(self, endpoint: Any, query: Mapping[str, Any]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        page = 1
        while True:
            data = (await endpoint({"pageSize": _PAGE, "currentPage": page, **query}))["data"]
            rows += data["items"]
            if page >= int(data.get("totalPage") or 0):
                return rows
            page += 1


ADAPTER = Kucoin
