"""Hyperliquid: perpetuals in USDC, one-way, signed by a wallet.

The account's balance holds unrealised profit, which is taken out. Refusals come as sentences. Orders go one
by one: an answer names them by place alone. A key that is the account's own may withdraw; one of an API
wallet may not.
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
    Paging,
    Permissions,
    Position,
    PositionSide,
)
from passivbot.times import DAY_MS

_FILLS = 2000
"""Fills a request returns at most."""


class Hyperliquid(Exchange):
    """See :class:`~passivbot.exchanges.base.Exchange`."""

    name = "hyperliquid"
    ccxt_id = "hyperliquid"
    quote = "USDC"
    hedge = False
    batch = 1
    paging = Paging(5000, 5000)
    # Four zeros before our digits: the exchange wants 128 bits.
    id_prefix = "0x0000"
    fills_span_ms = 366 * DAY_MS
    options: ClassVar[Mapping[str, Any]] = {
        "enableUnifiedMargin": False,
        "fetchMarkets": {"types": ["swap"]},
    }
    verdicts = Verdicts(
        {},
        texts=(
            ("duplicate cloid|cloid.*already", Failure.EXISTS),
            ("never placed, already canceled, or filled|unknownOid", Failure.GONE),
            ("insufficient margin", Failure.FUNDS),
            ("post only order would have immediately matched", Failure.WOULD_CROSS),
            ("reduce only order would increase", Failure.REDUCE_ONLY),
            ("trading is halted|asset not found", Failure.CLOSED),
            ("does not exist|must deposit before", Failure.AUTH),
            ("invalid nonce", Failure.CLOCK),
            ("too many cumulative requests", Failure.RATE_LIMIT),
            ("invalid leverage value", Failure.REFUSED),
        ),
    )

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        # ccxt would sign account actions of its own before the first order: a referrer, and a fee for its
        # builder.
        self.client.initialize_client = _nothing

    def order_parameters(self, order: NewOrder) -> dict[str, Any]:
        """Return the exchange's own parameters of an order."""
        closes = (order.qty < 0) == (order.position_side == "long")
        parameters: dict[str, Any] = {
            "clientOrderId": self.encode_id(order.client_id),
            "reduceOnly": closes,
        }
        if order.price is not None:
            parameters["timeInForce"] = "alo" if order.post_only else "gtc"
        return parameters

    def element_failure(self, row: Mapping[str, Any]) -> tuple[Failure, str] | None:
        """Return why an order failed."""
        info = row["info"]
        if not isinstance(info, Mapping) or not info.get("error"):
            return None
        return self.verdicts.of_body(info) or Failure.REFUSED, str(info["error"])

    async def market_price(self, coin: str) -> float | None:
        """Return the price that a market order is limited about."""
        mids = await self.client.publicPostInfo({"type": "allMids"})
        return float(mids[self.client.market(self.market(coin).symbol)["info"]["name"]])

    async def read_balance(self) -> Balance:
        """Ask for the account: its value without the profit of open positions."""
        state = await self._state()
        value = float(state["marginSummary"]["accountValue"])
        profit = sum(float(row["position"]["unrealizedPnl"]) for row in state["assetPositions"])
        return Balance(value - profit, value)

    async def read_positions(self) -> list[Position]:
        """Ask for the positions."""
        rows = (await self._state())["assetPositions"]
        found = (self.parse_position(self.client.parse_position(row)) for row in rows)
        return [position for position in found if position is not None]

    async def read_fills(self, start_ms: int, end_ms: int) -> list[Fill]:
        """Ask for the fills of a span, all pages of them."""
        found: dict[str, Fill] = {}
        while True:
            rows = await self.client.fetch_my_trades(None, start_ms, None, {"until": end_ms})
            page = [fill for row in rows if (fill := self.parse_fill(row)) is not None]
            new = [fill for fill in page if fill.id not in found]
            found |= {fill.id: fill for fill in new}
            if len(rows) < _FILLS or not new:
                return list(found.values())
            start_ms = max(fill.time_ms for fill in new)

    def position_side_of(self, row: Mapping[str, Any]) -> PositionSide | None:
        """Return the position side of a fill; orders do not tell."""
        direction = str(row["info"].get("dir") or "").lower()
        return "long" if direction.endswith("long") else "short" if direction.endswith("short") else None

    def fill_client_id(self, row: Mapping[str, Any]) -> str | None:
        """Return the client order id of a fill."""
        return str(row["info"].get("cloid") or "")

    def fill_pnl(self, row: Mapping[str, Any]) -> float | None:
        """Return the realised profit of a fill."""
        text = row["info"].get("closedPnl")
        return None if text is None else float(text)

    def send_margin_mode(self, symbol: str, margin_mode: MarginMode, leverage: float) -> Any:
        """Leave it: the mode is set together with the leverage."""
        return self._with_leverage(margin_mode)

    def send_leverage(self, symbol: str, leverage: float, margin_mode: MarginMode) -> Any:
        """Return the request that sets leverage and mode."""
        return self.client.set_leverage(int(leverage), symbol, {"marginMode": margin_mode})

    async def read_permissions(self) -> Permissions:
        """Tell what a key may do: the account's own everything, an API wallet's only trade."""
        own = str(self.client.eth_get_address_from_private_key(self.client.privateKey)).lower()
        return Permissions(trade=True, withdraw=own == str(self.client.walletAddress).lower(), addresses=())

    async def clock_difference_ms(self) -> int:
        """Return 0: nonces may be days off."""
        return 0

    async def _state(self) -> Any:
        return await self.client.publicPostInfo(
            {"type": "clearinghouseState", "user": self.client.walletAddress}
        )

    async def _with_leverage(self, margin_mode: MarginMode) -> None:
        raise ExchangeFault(Failure.UNCHANGED, f"{margin_mode} is set with the leverage")


async def _nothing() -> bool:
    return True


ADAPTER = Hyperliquid
