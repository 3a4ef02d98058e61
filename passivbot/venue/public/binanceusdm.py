"""Binance USDⓈ-M futures: ``fapi.binance.com``, public endpoints."""

from collections.abc import Callable
from typing import Any

from passivbot.times import DAY_MS
from passivbot.venue.arithmetic import plain
from passivbot.venue.market import VenueMarket
from passivbot.venue.public.base import (
    INTERVAL_MS,
    PublicDialect,
    decimals,
    number,
)
from passivbot.venue.public.files import BinanceFiles
from passivbot.venue.server import Venue
from passivbot.venue.wire import Call, Reply

HOST = "fapi.binance.com"
_LIMIT, _MOST = 500, 1500
_NEVER_MS = 4_133_404_800_000
"""2100-12-25 08:00, which Binance gives as the delivery of a perpetual."""


class BinancePublic(PublicDialect):
    """See :class:`PublicDialect`."""

    exchange = "binanceusdm"

    def install(self) -> None:
        """Add the endpoints to the venue."""
        self.add("markets", HOST, "/fapi/v1/exchangeInfo", self._exchange_info)
        self.add("candles", HOST, "/fapi/v1/klines", self._klines)
        self.add("tickers", HOST, "/fapi/v1/ticker/24hr", self._tickers)
        self.add("tickers", HOST, "/fapi/v1/ticker/bookTicker", self._books)
        self.add("tickers", HOST, "/fapi/v2/ticker/price", self._prices)
        self.add("time", HOST, "/fapi/v1/time", self._time)
        BinanceFiles(self)

    def symbol(self, coin: str) -> str:
        """Return the exchange's name of a coin's perpetual."""
        return f"{coin}USDT"

    def limited(self, seconds: float) -> Reply:
        """Return the exchange's own answer to too many requests; from two minutes on it is a ban, 418."""
        body = {"code": -1003, "msg": "Too many requests; current limit is 2400 requests per minute."}
        return Reply(body, 418 if seconds >= 120 else 429, {"Retry-After": plain(seconds)})

    def refused(self, message: str) -> Reply:
        """Return the exchange's own answer to a request it can't make sense of."""
        return Reply({"code": -1100, "msg": message}, 400)

    async def _time(self, call: Call) -> Reply:
        return Reply({"serverTime": self.venue.wall_ms()})

    async def _exchange_info(self, call: Call) -> Reply:
        return Reply(
            {
                "exchangeFilters": [],
                "rateLimits": [
                    {
                        "interval": "MINUTE",
                        "intervalNum": 1,
                        "limit": 2400,
                        "rateLimitType": "REQUEST_WEIGHT",
                    },
                    {"interval": "MINUTE", "intervalNum": 1, "limit": 1200, "rateLimitType": "ORDERS"},
                    {"interval": "SECOND", "intervalNum": 10, "limit": 300, "rateLimitType": "ORDERS"},
                ],
                "serverTime": self.venue.wall_ms(),
                "futuresType": "U_MARGINED",
                "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
                "symbols": [self._market(market) for market in self.listed()],
                "timezone": "UTC",
            }
        )

    def _market(self, market: VenueMarket) -> dict[str, Any]:
        rules = market.rules
        step, tick = plain(rules.qty_step), plain(rules.price_step)
        return {
            "symbol": self.symbol(market.coin),
            "pair": self.symbol(market.coin),
            "contractType": "PERPETUAL",
            "deliveryDate": _NEVER_MS,
            "onboardDate": market.listed_ms,
            "status": "TRADING" if market.active else "SETTLING",
            "maintMarginPercent": "2.5000",
            "requiredMarginPercent": "5.0000",
            "baseAsset": market.coin,
            "quoteAsset": "USDT",
            "marginAsset": "USDT",
            "pricePrecision": decimals(rules.price_step),
            "quantityPrecision": decimals(rules.qty_step),
            "baseAssetPrecision": 8,
            "quotePrecision": 8,
            "underlyingType": "COIN",
            "underlyingSubType": ["PoW"],
            "triggerProtect": "0.0500",
            "liquidationFee": "0.012500",
            "marketTakeBound": "0.05",
            "maxMoveOrderLimit": 10000,
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "4529764", "tickSize": tick},
                {
                    "filterType": "LOT_SIZE",
                    "minQty": plain(rules.min_qty),
                    "maxQty": "1000000",
                    "stepSize": step,
                },
                {
                    "filterType": "MARKET_LOT_SIZE",
                    "minQty": plain(rules.min_qty),
                    "maxQty": "120000",
                    "stepSize": step,
                },
                {"filterType": "MAX_NUM_ORDERS", "limit": 200},
                {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 10},
                {"filterType": "MIN_NOTIONAL", "notional": plain(rules.min_cost)},
                {
                    "filterType": "PERCENT_PRICE",
                    "multiplierUp": "1.0500",
                    "multiplierDown": "0.9500",
                    "multiplierDecimal": "4",
                },
                {
                    "filterType": "POSITION_RISK_CONTROL",
                    "positionControlSide": "NONE",
                    "notional": "1000000000",
                },
            ],
            "orderTypes": [
                "LIMIT",
                "MARKET",
                "STOP",
                "STOP_MARKET",
                "TAKE_PROFIT",
                "TAKE_PROFIT_MARKET",
                "TRAILING_STOP_MARKET",
            ],
            "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
            "permissionSets": ["GRID", "COPY"],
        }

    async def _klines(self, call: Call) -> Reply:
        coin = self.coin(call.query.get("symbol", ""))
        if coin is None:
            return Reply({"code": -1121, "msg": "Invalid symbol."}, 400)
        step = INTERVAL_MS[call.query["interval"]]
        limit = number(call, "limit") or _LIMIT
        if not 1 <= limit <= _MOST:
            return Reply({"code": -1130, "msg": "Data sent for parameter 'limit' is not valid."}, 400)
        start, end = number(call, "startTime"), number(call, "endTime")
        rows = self.bars(coin, step, start or 0, 2**53 if end is None else end + 1)
        rows = rows[:limit] if start is not None else rows[-limit:]
        return Reply(
            [
                [
                    int(t),
                    plain(o),
                    plain(h),
                    plain(low),
                    plain(c),
                    plain(v),
                    int(t) + step - 1,
                    plain(v * c),
                    int(v > 0),
                    plain(v / 2),
                    plain(v * c / 2),
                    "0",
                ]
                for t, o, h, low, c, v in rows.tolist()
            ]
        )

    async def _tickers(self, call: Call) -> Reply:
        return self._each(call, self._ticker)

    async def _books(self, call: Call) -> Reply:
        return self._each(call, self._book)

    async def _prices(self, call: Call) -> Reply:
        return self._each(call, self._price)

    def _each(self, call: Call, row: Callable[[str], dict[str, Any]]) -> Reply:
        tickers = [row(market.coin) for market in self.listed() if market.active]
        wanted = call.query.get("symbol")
        if wanted is None:
            return Reply(tickers)
        found = [ticker for ticker in tickers if ticker["symbol"] == wanted]
        return Reply(found[0]) if found else Reply({"code": -1121, "msg": "Invalid symbol."}, 400)

    def _ticker(self, coin: str) -> dict[str, Any]:
        opened, high, low, last = self.extremes(coin)
        coins, quote = self.turnover(coin)
        now = self.clock.now_ms
        return {
            "symbol": self.symbol(coin),
            "priceChange": plain(last - opened),
            "priceChangePercent": f"{(last / opened - 1) * 100:.3f}",
            "weightedAvgPrice": plain(quote / coins if coins else last),
            "lastPrice": plain(last),
            "lastQty": plain(self.source.market(coin).rules.qty_step),
            "openPrice": plain(opened),
            "highPrice": plain(high),
            "lowPrice": plain(low),
            "volume": plain(coins),
            "quoteVolume": plain(quote),
            "openTime": now - DAY_MS,
            "closeTime": now - 1,
            "firstId": 1,
            "lastId": 2,
            "count": 2,
        }

    def _book(self, coin: str) -> dict[str, Any]:
        last = self.source.last_price(coin, self.clock.now_ms)
        tick = self.source.market(coin).rules.price_step
        return {
            "symbol": self.symbol(coin),
            "bidPrice": plain(last),
            "bidQty": "1",
            "askPrice": plain(round(last + tick, 12)),
            "askQty": "1",
            "time": self.clock.now_ms,
            "lastUpdateId": 1,
        }

    def _price(self, coin: str) -> dict[str, Any]:
        last = self.source.last_price(coin, self.clock.now_ms)
        return {"symbol": self.symbol(coin), "price": plain(last), "time": self.clock.now_ms}


def install(venue: Venue) -> PublicDialect:
    """Let a venue speak this dialect."""
    return BinancePublic(venue)
