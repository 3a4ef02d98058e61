"""How one exchange differs from the next: its codes, its requests, and the rows of its answers.

All is ccxt's unified call unless an exchange overrides it. What is here talks to ccxt and may raise what ccxt
raises; :class:`passivbot.exchanges.base.Exchange` puts the contract on top.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from passivbot.errors import ExchangeError, nearest
from passivbot.exchanges.errors import ExchangeFault, Verdicts
from passivbot.exchanges.reading import choose_markets
from passivbot.exchanges.types import (
    CLIENT_ID_DIGITS,
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
from passivbot.times import DAY_MS


class Dialect:
    """The differences of an exchange, over ccxt's client of it."""

    name: ClassVar[str]
    """As configurations and the store name it."""
    ccxt_id: ClassVar[str]
    quote: ClassVar[str] = "USDT"
    verdicts: ClassVar[Verdicts]
    options: ClassVar[Mapping[str, Any]] = {}
    """Options of ccxt."""
    hedge: ClassVar[bool] = True
    """Whether the exchange has a hedge mode."""
    batch: ClassVar[int] = 5
    """Most orders in one request; 1: one by one."""
    batch_of_one_market: ClassVar[bool] = False
    """Whether a batch may hold one market's orders only."""
    post_only_is_silent: ClassVar[bool] = False
    """Whether a post-only order that would trade is taken and ended without a word, instead of refused."""
    fills_span_ms: ClassVar[int] = 7 * DAY_MS
    """Longest span of time that may be asked for in one request of fills."""
    paging: ClassVar[Paging] = Paging(500)
    """Of candles; an exchange may skip minutes, or refuse, where it is asked for more."""
    tells_profits: ClassVar[bool] = True
    """Whether fills that close come with their realised profit."""
    markets_parameters: ClassVar[Mapping[str, Any]] = {}
    """Parameters of ccxt's loading of markets."""
    has: ClassVar[Mapping[str, Any]] = {}
    """What of ccxt's abilities is not to be used here."""
    id_prefix: ClassVar[str] = ""
    """What goes before the digits of a client order id."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._markets: dict[str, Market] = {}
        self._coins: dict[str, str] = {}
        self._margin_modes: dict[str, MarginMode] = {}
        self._leverages: dict[str, float] = {}

    # ---- markets, and what was set up for them

    @property
    def markets(self) -> Mapping[str, Market]:
        """Coin → its perpetual market, quoted in :attr:`quote`."""
        return self._markets

    def market(self, coin: str) -> Market:
        """Return a coin's market.

        Raises
        ------
        ExchangeError
            There is none; names the nearest.
        """
        if coin not in self._markets:
            near = nearest(coin, self._markets)
            hint = f"; the nearest is {near}" if near else ""
            raise ExchangeError(f"{self.name} has no perpetual market of {coin} in {self.quote}{hint}")
        return self._markets[coin]

    def coin(self, symbol: str) -> str | None:
        """Return the coin of a symbol of ccxt; None: not one of the markets."""
        return self._coins.get(symbol)

    def _take_markets(self, loaded: Mapping[str, Any]) -> None:
        markets = choose_markets(loaded, self.quote)
        if not markets:
            raise ExchangeFault(Failure.RETRY, f"{self.name} lists no perpetual market in {self.quote}")
        self._markets = markets
        self._coins = {market.symbol: coin for coin, market in markets.items()}

    def margin_mode_of(self, coin: str) -> MarginMode:
        """Return the margin mode that was set up for a coin; cross if none was."""
        return self._margin_modes.get(coin, "cross")

    def leverage_of(self, coin: str) -> float:
        """Return the leverage that was set up for a coin; 1 if none was."""
        return self._leverages.get(coin, 1.0)

    # ---- orders

    def encode_id(self, client_id: str) -> str:
        """Return a client order id as the exchange takes it."""
        return self.id_prefix + client_id

    def decode_id(self, text: str | None) -> str:
        """Return a client order id without what :meth:`encode_id` added."""
        text = text or ""
        digits = text.removeprefix(self.id_prefix)
        ours = len(digits) == CLIENT_ID_DIGITS and all(c in "0123456789abcdef" for c in digits)
        return digits if ours and text.startswith(self.id_prefix) else text

    def order_parameters(self, order: NewOrder) -> dict[str, Any]:
        """Return the exchange's own parameters of an order, the client order id among them."""
        raise NotImplementedError

    async def market_price(self, coin: str) -> float | None:
        """Return the price a market order needs; None: it needs none."""
        return None

    def element_failure(self, row: Mapping[str, Any]) -> tuple[Failure, str] | None:
        """Return why one element of a batch failed; None: it did not."""
        raise NotImplementedError

    def element_id(self, row: Mapping[str, Any]) -> str:
        """Return the client order id of a batch's element where ccxt did not find it."""
        return ""

    def batch_elements(self, body: Any) -> list[Mapping[str, Any]] | None:
        """Return the elements in the answer of a batch that failed as a whole."""
        return None

    # ---- settings

    async def read_hedge_mode(self) -> bool | None:
        """Ask whether the account is in hedge mode; None: setting it where it is so does no harm."""
        return None

    def send_hedge_mode(self) -> Any:
        """Return the request that sets hedge mode."""
        return self.client.set_position_mode(True)

    def send_leverage(self, symbol: str, leverage: float, margin_mode: MarginMode) -> Any:
        """Return the request that sets leverage."""
        return self.client.set_leverage(leverage, symbol)

    def send_margin_mode(self, symbol: str, margin_mode: MarginMode, leverage: float) -> Any:
        """Return the request that sets the margin mode."""
        return self.client.set_margin_mode(margin_mode, symbol)

    def send_cancel(self, order: OpenOrder, market: Market) -> Any:
        """Return the request that ends an order."""
        return self.client.cancel_order(order.id, market.symbol)

    def forget_stream_key(self) -> None:
        """Let ccxt forget the key of its private stream, where it keeps one."""

    # ---- requests that read

    async def read_tickers(self, symbols: list[str] | None) -> Mapping[str, Mapping[str, Any]]:
        """Ask for the best prices and the last ones, as ccxt's tickers by symbol; None: of all markets."""
        found: Mapping[str, Mapping[str, Any]] = await self.client.fetch_tickers(symbols)
        return found

    async def read_balance(self) -> Balance:
        """Ask for the balance."""
        return self.parse_balance(await self.client.fetch_balance())

    async def read_positions(self) -> list[Position]:
        """Ask for the positions."""
        found = (self.parse_position(row) for row in await self.client.fetch_positions())
        return [position for position in found if position is not None]

    async def read_open_orders(self) -> list[OpenOrder]:
        """Ask for the open orders, all pages of them."""
        found = (self.parse_order(row) for row in await self.client.fetch_open_orders())
        return [order for order in found if order is not None]

    async def read_order(self, market: Market, client_id: str) -> Mapping[str, Any]:
        """Ask for one order by its encoded client order id; raises that it is gone if there is none."""
        row: Mapping[str, Any] = await self.client.fetch_order(
            "", market.symbol, {"clientOrderId": client_id}
        )
        return row

    async def read_fills(self, start_ms: int, end_ms: int) -> list[Fill]:
        """Ask for the fills of a span (inclusive), all pages of them, in any order."""
        raise NotImplementedError

    async def read_permissions(self) -> Permissions:
        """Ask what the key may do."""
        raise NotImplementedError

    # ---- rows

    def parse_balance(self, row: Any) -> Balance:
        """Read ccxt's balance."""
        raise NotImplementedError

    def parse_position(self, row: Mapping[str, Any]) -> Position | None:
        """Read a position of ccxt; None: it is empty or of another market."""
        coin = self._coins.get(str(row.get("symbol")))
        size = float(row.get("contracts") or 0.0)
        side = row.get("side")
        if coin is None or size == 0.0:
            return None
        if side not in ("long", "short"):
            raise ExchangeFault(Failure.RETRY, f"a position of {coin} without its side")
        mode = row.get("marginMode")
        return Position(
            coin=coin,
            side=side,
            size=abs(size) if side == "long" else -abs(size),
            price=float(row.get("entryPrice") or 0.0),
            leverage=float(row["leverage"]) if row.get("leverage") else None,
            margin_mode=mode if mode in ("cross", "isolated") else None,
        )

    def parse_order(self, row: Mapping[str, Any]) -> OpenOrder | None:
        """Read an order of ccxt; None: of another market."""
        coin = self._coins.get(str(row.get("symbol")))
        if coin is None:
            return None
        sign = 1.0 if row.get("side") == "buy" else -1.0
        qty, filled = float(row.get("amount") or 0.0), float(row.get("filled") or 0.0)
        ended = row.get("status") not in ("open", None)
        return OpenOrder(
            id=str(row["id"]),
            client_id=self.decode_id(row.get("clientOrderId")),
            coin=coin,
            position_side=self.position_side_of(row),
            qty=sign * (filled if ended else qty),
            price=float(row.get("price") or 0.0),
            filled=filled,
            reduce_only=bool(row.get("reduceOnly")),
            created_ms=int(row.get("timestamp") or 0),
        )

    def parse_fill(self, row: Mapping[str, Any]) -> Fill | None:
        """Read a trade of ccxt; None: of another market."""
        coin = self._coins.get(str(row.get("symbol")))
        if coin is None:
            return None
        sign = 1.0 if row.get("side") == "buy" else -1.0
        fee = row.get("fee") or {}
        return Fill(
            id=str(row["id"]),
            order_id=str(row.get("order") or ""),
            client_id=self.decode_id(self.fill_client_id(row)),
            coin=coin,
            position_side=self.position_side_of(row),
            qty=sign * float(row["amount"]),
            price=float(row["price"]),
            fee=float(fee.get("cost") or 0.0),
            pnl=self.fill_pnl(row),
            time_ms=int(row["timestamp"]),
        )

    def position_side_of(self, row: Mapping[str, Any]) -> PositionSide | None:
        """Return the position side of an order or a fill of ccxt."""
        text = str(_info(row).get("positionSide") or _info(row).get("posSide") or "").lower()
        return "long" if text == "long" else "short" if text == "short" else None

    def fill_client_id(self, row: Mapping[str, Any]) -> str | None:
        """Return the client order id of a fill, where the exchange tells it."""
        return _info(row).get("clientOrderId")

    def fill_pnl(self, row: Mapping[str, Any]) -> float | None:
        """Return the realised profit of a fill, where the exchange tells it."""
        return None

    def candle_volume_unit(self, market: Market) -> float:
        """Return how many coins one unit of a candle's volume is."""
        return 1.0


def _info(row: Mapping[str, Any]) -> Mapping[str, Any]:
    info = row.get("info")
    return info if isinstance(info, Mapping) else {}
