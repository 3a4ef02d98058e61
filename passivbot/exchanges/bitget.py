"""Bitget, classic account.

In hedge mode an order's ``side`` names the position, and ``tradeSide`` whether it is opened or closed; here
buying and selling mean what they say. A batch holds one market's orders. A post-only order that would trade
is taken and cancelled.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from passivbot.exchanges.base import Exchange
from passivbot.exchanges.errors import Verdicts
from passivbot.exchanges.types import (
    Balance,
    Failure,
    Fill,
    NewOrder,
    OpenOrder,
    Paging,
    Permissions,
    PositionSide,
)

_PAGE = 100
_PRODUCT = "USDT-FUTURES"


class Bitget(Exchange):
    """See :class:`~passivbot.exchanges.base.Exchange`."""

    name = "bitget"
    ccxt_id = "bitget"
    batch = 20
    batch_of_one_market = True
    # Whatever the limit, its history answers for 90 days at most.
    paging = Paging(200, days=90)
    post_only_is_silent = True
    options: ClassVar[Mapping[str, Any]] = {
        # The classic account: else ccxt asks at the first request, and takes an error for an answer.
        "uta": False,
        "fetchMarkets": {"types": ["swap"]},
    }
    verdicts = Verdicts(
        {
            "429": Failure.RATE_LIMIT,
            "22001": Failure.GONE,
            "22002": Failure.REDUCE_ONLY,
            "30007": Failure.RATE_LIMIT,
            "40001": Failure.AUTH,
            "40002": Failure.AUTH,
            "40005": Failure.CLOCK,
            "40006": Failure.AUTH,
            "40008": Failure.CLOCK,
            "40009": Failure.AUTH,
            "40010": Failure.UNKNOWN,
            "40012": Failure.AUTH,
            "40014": Failure.AUTH,
            "40015": Failure.UNKNOWN,
            "40018": Failure.AUTH,
            "40029": Failure.GONE,
            "40037": Failure.AUTH,
            "40200": Failure.MAINTENANCE,
            "40309": Failure.CLOSED,
            "40725": Failure.UNKNOWN,
            "40754": Failure.FUNDS,
            "40762": Failure.FUNDS,
            "40768": Failure.GONE,
            "40774": Failure.MODE,
            "40786": Failure.EXISTS,
            "40920": Failure.BUSY,
            "43001": Failure.GONE,
            "43004": Failure.GONE,
            "43012": Failure.FUNDS,
            "43025": Failure.GONE,
            "45001": Failure.UNKNOWN,
            "45117": Failure.BUSY,
        },
        code_keys=("errorCode", "code"),
    )

    def order_parameters(self, order: NewOrder) -> dict[str, Any]:
        """Return the exchange's own parameters of an order."""
        closes = (order.qty < 0) == (order.position_side == "long")
        parameters: dict[str, Any] = {
            "clientOid": self.encode_id(order.client_id),
            "hedged": True,
            "reduceOnly": closes,
            "marginMode": self.margin_mode_of(order.coin),
        }
        if order.post_only:
            parameters["postOnly"] = True
        return parameters

    def element_failure(self, row: Mapping[str, Any]) -> tuple[Failure, str] | None:
        """Return why one element of a batch failed."""
        info = row["info"]
        if not info.get("errorCode"):
            return None
        return (
            self.verdicts.of_body(info) or Failure.REFUSED,
            f"{info['errorCode']} {info.get('errorMsg', '')}",
        )

    def parse_balance(self, row: Any) -> Balance:
        """Read the account: its equity without the profit of open positions."""
        for coin in row["info"]:
            if coin["marginCoin"] == self.quote:
                equity = float(coin["accountEquity"])
                return Balance(equity - float(coin.get("unrealizedPL") or 0.0), equity)
        return Balance(0.0, 0.0)

    def position_side_of(self, row: Mapping[str, Any]) -> PositionSide | None:
        """Return the position side: in hedge mode the exchange's side names it."""
        info = row["info"]
        if info.get("posMode") != "hedge_mode":
            return None
        return "long" if info.get("side") == "buy" else "short"

    def parse_order(self, row: Mapping[str, Any]) -> OpenOrder | None:
        """Read an order of ccxt."""
        return super().parse_order(self._with_real_side(row))

    def parse_fill(self, row: Mapping[str, Any]) -> Fill | None:
        """Read a trade of ccxt."""
        return super().parse_fill(self._with_real_side(row))

    def fill_pnl(self, row: Mapping[str, Any]) -> float | None:
        """Return the realised profit of a fill."""
        text = row["info"].get("profit")
        return None if text in (None, "") else float(text)

    async def read_hedge_mode(self) -> bool | None:
        """Ask whether the account is in hedge mode: any market tells it."""
        symbol = self.client.market_id(next(iter(self.markets.values())).symbol)
        query = {"symbol": symbol, "productType": _PRODUCT, "marginCoin": self.quote}
        row = (await self.client.privateMixGetV2MixAccountAccount(query))["data"]
        return bool(row["posMode"] == "hedge_mode")

    def send_hedge_mode(self) -> Any:
        """Return the request that sets hedge mode."""
        return self.client.privateMixPostV2MixAccountSetPositionMode(
            {"productType": _PRODUCT, "posMode": "hedge_mode"}
        )

    async def read_open_orders(self) -> list[OpenOrder]:
        """Ask for the open orders, all pages of them."""
        rows = await self._pages(self.client.privateMixGetV2MixOrderOrdersPending, {}, "entrustedList")
        found = (self.parse_order(self.client.parse_order(row)) for row in rows)
        return [order for order in found if order is not None]

    async def read_fills(self, start_ms: int, end_ms: int) -> list[Fill]:
        """Ask for the fills of a span, all pages of them."""
        query = {"startTime": start_ms, "endTime": end_ms}
        rows = await self._pages(self.client.privateMixGetV2MixOrderFillHistory, query, "fillList")
        found = (self.parse_fill(self.client.parse_trade(row)) for row in reversed(rows))
        return [fill for fill in found if fill is not None]

    async def read_permissions(self) -> Permissions:
        """Ask what the key may do."""
        row = (await self.client.privateSpotGetV2SpotAccountInfo())["data"]
        granted = {str(name).lower() for name in row.get("authorities") or ()}
        if not granted:
            return Permissions(None, None)
        addresses = tuple(address for address in str(row.get("ips") or "").split(",") if address)
        return Permissions(
            trade=bool(granted & {"coow", "trade"}),
            withdraw=bool(granted & {"wwow", "withdraw"}),
            addresses=addresses,
        )

    @staticmethod
    def _with_real_side(row: Mapping[str, Any]) -> dict[str, Any]:
        info = row["info"]
        side = row["side"]
        if info.get("posMode") == "hedge_mode":
            opens = info.get("tradeSide") == "open"
            side = "buy" if (info.get("side") == "buy") == opens else "sell"
        return {**row, "side": side}

    async def _pages(self, endpoint: Any, query: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        older = ""
        while True:
            asked = {"productType": _PRODUCT, "limit": str(_PAGE), **query}
            data = (await endpoint({**asked, "idLessThan": older} if older else asked))["data"]
            page = data.get(name) or []
            rows += page
            following = str(data.get("endId") or "")
            if len(page) < _PAGE or not following or following == older:
                return rows
            older = following


ADAPTER = Bitget
