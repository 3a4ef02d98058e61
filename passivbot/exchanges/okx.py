"""OKX.

The margin mode is not a setting but stands in every order, and leverage is set for a mode. Lists come in
pages, newest first, with the last id as cursor. A post-only order that would trade is taken and cancelled.
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
    NewOrder,
    OpenOrder,
    Paging,
    Permissions,
)

_PAGE = 100


class Okx(Exchange):
    """See :class:`~passivbot.exchanges.base.Exchange`."""

    name = "okx"
    ccxt_id = "okx"
    batch = 20
    paging = Paging(300)
    post_only_is_silent = True
    options: ClassVar[Mapping[str, Any]] = {"fetchMarkets": {"types": ["swap"]}}
    verdicts = Verdicts(
        {
            "50001": Failure.MAINTENANCE,
            "50004": Failure.UNKNOWN,
            "50011": Failure.RATE_LIMIT,
            "50013": Failure.UNKNOWN,
            "50026": Failure.UNKNOWN,
            "50040": Failure.RATE_LIMIT,
            "50061": Failure.RATE_LIMIT,
            "50100": Failure.AUTH,
            "50101": Failure.AUTH,
            "50102": Failure.CLOCK,
            "50103": Failure.AUTH,
            "50105": Failure.AUTH,
            "50110": Failure.AUTH,
            "50111": Failure.AUTH,
            "50112": Failure.CLOCK,
            "50113": Failure.AUTH,
            "50114": Failure.AUTH,
            "50119": Failure.AUTH,
            "50120": Failure.AUTH,
            "51001": Failure.CLOSED,
            "51004": Failure.FUNDS,
            "51008": Failure.FUNDS,
            "51016": Failure.EXISTS,
            "51021": Failure.CLOSED,
            "51022": Failure.CLOSED,
            "51024": Failure.AUTH,
            "51027": Failure.CLOSED,
            "51028": Failure.CLOSED,
            "51112": Failure.REDUCE_ONLY,
            "51169": Failure.REDUCE_ONLY,
            "51400": Failure.GONE,
            "51401": Failure.GONE,
            "51402": Failure.GONE,
            "51410": Failure.GONE,
            "51509": Failure.GONE,
            "51603": Failure.GONE,
            "59000": Failure.BUSY,
            "59001": Failure.BUSY,
        },
        texts=(("Parameter posSide", Failure.MODE),),
        code_keys=("sCode", "code"),
    )

    def order_parameters(self, order: NewOrder) -> dict[str, Any]:
        """Return the exchange's own parameters of an order."""
        return {
            "clOrdId": self.encode_id(order.client_id),
            "positionSide": order.position_side,
            "tdMode": self.margin_mode_of(order.coin),
            "reduceOnly": order.reduce_only,
            "postOnly": order.post_only,
        }

    def element_failure(self, row: Mapping[str, Any]) -> tuple[Failure, str] | None:
        """Return why one element of a batch failed."""
        info = row["info"]
        code = str(info.get("sCode") or "0")
        if code == "0":
            return None
        return self.verdicts.of_body(info) or Failure.REFUSED, f"{code} {info.get('sMsg', '')}"

    def element_id(self, row: Mapping[str, Any]) -> str:
        """Return the client order id of an element."""
        return str(row["info"].get("clOrdId") or "")

    def batch_elements(self, body: Any) -> list[Mapping[str, Any]] | None:
        """Return the elements of a batch that failed as a whole."""
        elements = body.get("data") if isinstance(body, dict) else None
        return elements if isinstance(elements, list) and elements else None

    def parse_balance(self, row: Any) -> Balance:
        """Read the account: the cash of the quote coin, which holds no unrealised profit."""
        (account,) = row["info"]["data"]
        for coin in account["details"]:
            if coin["ccy"] == self.quote:
                return Balance(float(coin["cashBal"]), float(coin["eq"]))
        return Balance(0.0, 0.0)

    async def read_hedge_mode(self) -> bool | None:
        """Ask whether the account is in hedge mode."""
        (row,) = (await self.client.privateGetAccountConfig())["data"]
        return bool(row["posMode"] == "long_short_mode")

    async def read_open_orders(self) -> list[OpenOrder]:
        """Ask for the open orders, all pages of them."""
        query = {"instType": "SWAP", "limit": _PAGE}
        rows = await self._pages(self.client.privateGetTradeOrdersPending, query, "ordId")
        found = (self.parse_order(self.client.parse_order(row)) for row in rows)
        return [order for order in found if order is not None]

    async def read_fills(self, start_ms: int, end_ms: int) -> list[Fill]:
        """Ask for the fills of a span, all pages of them."""
        query = {"instType": "SWAP", "begin": start_ms, "end": end_ms, "limit": _PAGE}
        rows = await self._pages(self.client.privateGetTradeFillsHistory, query, "billId")
        found = (self.parse_fill(self.client.parse_trade(row)) for row in reversed(rows))
        return [fill for fill in found if fill is not None]

    def fill_client_id(self, row: Mapping[str, Any]) -> str | None:
        """Return the client order id of a fill."""
        return str(row["info"].get("clOrdId") or "")

    def fill_pnl(self, row: Mapping[str, Any]) -> float | None:
        """Return the realised profit of a fill."""
        text = row["info"].get("fillPnl")
        return None if text in (None, "") else float(text)

    def send_leverage(self, symbol: str, leverage: float, margin_mode: MarginMode) -> Any:
        """Return the request that sets leverage for a mode; isolated, it has one for each side."""
        if margin_mode == "cross":
            return self.client.set_leverage(leverage, symbol, {"mgnMode": "cross"})
        return self._isolated_leverage(symbol, leverage)

    def send_margin_mode(self, symbol: str, margin_mode: MarginMode, leverage: float) -> Any:
        """Remember the mode: orders carry it."""
        return self._in_orders(margin_mode)

    async def read_permissions(self) -> Permissions:
        """Ask what the key may do."""
        (row,) = (await self.client.privateGetAccountConfig())["data"]
        granted = str(row.get("perm") or "").split(",")
        addresses = tuple(address for address in str(row.get("ip") or "").split(",") if address)
        return Permissions(trade="trade" in granted, withdraw="withdraw" in granted, addresses=addresses)

    async def _isolated_leverage(self, symbol: str, leverage: float) -> None:
        for side in ("long", "short"):
            await self.client.set_leverage(leverage, symbol, {"mgnMode": "isolated", "posSide": side})

    async def _in_orders(self, margin_mode: MarginMode) -> None:
        raise ExchangeFault(Failure.UNCHANGED, f"{margin_mode} stands in each order")

    async def _pages(self, endpoint: Any, query: Mapping[str, Any], cursor: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        after = ""
        while True:
            asked = {**query, "after": after} if after else dict(query)
            page = (await endpoint(asked))["data"]
            rows += page
            if len(page) < _PAGE or page[-1][cursor] == after:
                return rows
            after = page[-1][cursor]


ADAPTER = Okx
