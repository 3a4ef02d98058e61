"""Bybit V5: ``api.bybit.com``, linear perpetuals, public endpoints."""

from typing import Any

from passivbot.venue.arithmetic import plain
from passivbot.venue.market import VenueMarket
from passivbot.venue.public.base import INTERVAL_MS, PublicDialect, decimals, number
from passivbot.venue.public.files import BybitFiles
from passivbot.venue.server import Venue
from passivbot.venue.wire import Call, Reply

HOST = "api.bybit.com"
_LIMIT, _MOST = 200, 1000


class BybitPublic(PublicDialect):
    """See :class:`PublicDialect`."""

    exchange = "bybit"

    def install(self) -> None:
        """Add the endpoints to the venue."""
        self.add("markets", HOST, "/v5/market/instruments-info", self._instruments)
        self.add("candles", HOST, "/v5/market/kline", self._kline)
        self.add("tickers", HOST, "/v5/market/tickers", self._tickers)
        self.add("time", HOST, "/v5/market/time", self._time)
        BybitFiles(self)

    def symbol(self, coin: str) -> str:
        """Return the exchange's name of a coin's perpetual."""
        return f"{coin}USDT"

    def limited(self, seconds: float) -> Reply:
        """Return the exchange's own answer to too many requests."""
        reset = self.venue.wall_ms() + round(seconds * 1000)
        return Reply(
            {
                "retCode": 10006,
                "retMsg": "Too many visits. Exceeded the API Rate Limit.",
                "result": {},
                "retExtInfo": {},
                "time": self.venue.wall_ms(),
            },
            headers={
                "X-Bapi-Limit": "10",
                "X-Bapi-Limit-Status": "0",
                "X-Bapi-Limit-Reset-Timestamp": str(reset),
            },
        )

    def refused(self, message: str) -> Reply:
        """Return the exchange's own answer to a request it can't make sense of."""
        return self._reply({}, 10001, f"params error: {message}")

    def _reply(self, result: dict[str, Any], code: int = 0, message: str = "OK") -> Reply:
        return Reply(
            {
                "retCode": code,
                "retMsg": message,
                "result": result,
                "retExtInfo": {},
                "time": self.venue.wall_ms(),
            }
        )

    async def _time(self, call: Call) -> Reply:
        now = self.venue.wall_ms()
        return self._reply({"timeSecond": str(now // 1000), "timeNano": str(now * 1_000_000)})

    async def _instruments(self, call: Call) -> Reply:
        category, status = call.query.get("category", ""), call.query.get("status", "Trading")
        # Asked for by category alone, it gives what trades; what was closed has to be asked for by status.
        markets = [
            self._market(market)
            for market in self.listed()
            if category == "linear" and status == ("Trading" if market.active else "Closed")
        ]
        return self._reply({"category": category, "list": markets, "nextPageCursor": ""})

    def _market(self, market: VenueMarket) -> dict[str, Any]:
        rules = market.rules
        return {
            "symbol": self.symbol(market.coin),
            "contractType": "LinearPerpetual",
            "status": "Trading" if market.active else "Closed",
            "baseCoin": market.coin,
            "quoteCoin": "USDT",
            "launchTime": str(market.listed_ms),
            "deliveryTime": "0",
            "deliveryFeeRate": "",
            "priceScale": str(decimals(rules.price_step)),
            "leverageFilter": {
                "minLeverage": "1",
                "maxLeverage": f"{market.max_leverage:.2f}",
                "leverageStep": "0.01",
            },
            "priceFilter": {
                "minPrice": plain(rules.price_step),
                "maxPrice": "1999999.80",
                "tickSize": plain(rules.price_step),
            },
            "lotSizeFilter": {
                "maxOrderQty": "1190.000",
                "minOrderQty": plain(rules.min_qty),
                "qtyStep": plain(rules.qty_step),
                "postOnlyMaxOrderQty": "1190.000",
                "maxMktOrderQty": "500.000",
                "minNotionalValue": plain(rules.min_cost),
            },
            "unifiedMarginTrade": True,
            "fundingInterval": 480,
            "settleCoin": "USDT",
            "copyTrading": "both",
            "upperFundingRate": "0.00375",
            "lowerFundingRate": "-0.00375",
            "isPreListing": False,
            "preListingInfo": None,
            "displayName": "",
        }

    async def _kline(self, call: Call) -> Reply:
        category, symbol = call.query.get("category", ""), call.query.get("symbol", "")
        coin = self.coin(symbol) if category == "linear" else None
        if coin is None:
            return self.refused("Symbol Is Invalid")
        step = INTERVAL_MS[call.query["interval"]]
        limit = number(call, "limit") or _LIMIT
        if not 1 <= limit <= _MOST:
            return self.refused("limit should be between 1 and 1000")
        start, end = number(call, "start"), number(call, "end")
        rows = self.bars(coin, step, start or 0, 2**53 if end is None else end + 1)
        rows = rows[:limit] if start is not None and end is None else rows[-limit:]
        return self._reply(
            {
                "symbol": symbol,
                "category": category,
                "list": [
                    [str(int(t)), plain(o), plain(h), plain(low), plain(c), plain(v), plain(v * c)]
                    for t, o, h, low, c, v in rows[::-1].tolist()
                ],
            }
        )

    async def _tickers(self, call: Call) -> Reply:
        wanted = call.query.get("symbol")
        category = call.query.get("category", "")
        rows = [
            self._ticker(market.coin)
            for market in self.listed()
            if category == "linear" and market.active and wanted in (None, self.symbol(market.coin))
        ]
        if wanted is not None and not rows:
            return self.refused("Symbol Is Invalid")
        return self._reply({"category": category, "list": rows})

    def _ticker(self, coin: str) -> dict[str, Any]:
        opened, high, low, last = self.extremes(coin)
        coins, quote = self.turnover(coin)
        tick = self.source.market(coin).rules.price_step
        return {
            "symbol": self.symbol(coin),
            "lastPrice": plain(last),
            "indexPrice": plain(last),
            "markPrice": plain(last),
            "prevPrice24h": plain(opened),
            "price24hPcnt": f"{last / opened - 1:.6f}",
            "highPrice24h": plain(high),
            "lowPrice24h": plain(low),
            "prevPrice1h": plain(last),
            "openInterest": "1000",
            "openInterestValue": plain(1000 * last),
            "turnover24h": plain(quote),
            "volume24h": plain(coins),
            "fundingRate": "0.0001",
            "nextFundingTime": str(self.clock.now_ms // 28_800_000 * 28_800_000 + 28_800_000),
            "predictedDeliveryPrice": "",
            "basisRate": "",
            "deliveryFeeRate": "",
            "deliveryTime": "0",
            "ask1Size": "1",
            "bid1Price": plain(last),
            "ask1Price": plain(round(last + tick, 12)),
            "bid1Size": "1",
            "basis": "",
            "preOpenPrice": "",
            "preQty": "",
            "curPreListingPhase": "",
            "fundingIntervalHour": "8",
            "basisRateYear": "",
            "fundingCap": "0.00375",
        }


def install(venue: Venue) -> PublicDialect:
    """Let a venue speak this dialect."""
    return BybitPublic(venue)
