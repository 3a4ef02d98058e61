"""KuCoin futures: ``api-futures.kucoin.com``, USDT perpetuals, public endpoints.

Sizes are lots of ``c_mult`` coins. Minutes without a trade have no candle.
"""

from typing import Any

from passivbot.times import MINUTE_MS
from passivbot.venue.arithmetic import plain
from passivbot.venue.market import VenueMarket
from passivbot.venue.public.base import INTERVAL_MS, PublicDialect, number
from passivbot.venue.server import Venue
from passivbot.venue.wire import Call, Reply

HOST = "api-futures.kucoin.com"
_SPOT_HOST = "api.kucoin.com"
_MOST = 200


class KucoinPublic(PublicDialect):
    """See :class:`PublicDialect`."""

    exchange = "kucoinfutures"

    def install(self) -> None:
        """Add the endpoints to the venue."""
        self.add("markets", HOST, "/api/v1/contracts/active", self._contracts)
        self.add("markets", _SPOT_HOST, "/api/v3/currencies", self._nothing)
        self.add("candles", HOST, "/api/v1/kline/query", self._kline)
        self.add("tickers", HOST, "/api/v1/allTickers", self._tickers)
        self.add("time", HOST, "/api/v1/timestamp", self._time)

    def symbol(self, coin: str) -> str:
        """Return the exchange's name of a coin's perpetual."""
        return f"{'XBT' if coin == 'BTC' else coin}USDTM"

    def limited(self, seconds: float) -> Reply:
        """Return the exchange's own answer to too many requests."""
        headers = {
            "gw-ratelimit-limit": "2000",
            "gw-ratelimit-remaining": "0",
            "gw-ratelimit-reset": str(round(seconds * 1000)),
        }
        return Reply({"code": "429000", "msg": "Too many requests in a short period of time"}, 429, headers)

    def refused(self, message: str) -> Reply:
        """Return the exchange's own answer to a request it can't make sense of."""
        return Reply({"code": "100001", "msg": message}, 400)

    def _reply(self, data: Any) -> Reply:
        return Reply({"code": "200000", "data": data})

    async def _time(self, call: Call) -> Reply:
        return self._reply(self.venue.wall_ms())

    async def _nothing(self, call: Call) -> Reply:
        return self._reply([])

    async def _contracts(self, call: Call) -> Reply:
        # What was delisted is not in the answer at all.
        return self._reply([self._market(market) for market in self.listed() if market.active])

    def _market(self, market: VenueMarket) -> dict[str, Any]:
        rules = market.rules
        symbol = self.symbol(market.coin)
        _, high, low, last = self.extremes(market.coin)
        coins, quote = self.turnover(market.coin)
        return {
            "symbol": symbol,
            "rootSymbol": "USDT",
            "type": "FFWCSX",
            "firstOpenDate": market.listed_ms,
            "expireDate": None,
            "settleDate": None,
            "baseCurrency": symbol.removesuffix("USDTM"),
            "quoteCurrency": "USDT",
            "settleCurrency": "USDT",
            "maxOrderQty": 1000000,
            "maxPrice": 1000000.0,
            "lotSize": int(rules.qty_step) if rules.qty_step >= 1 else rules.qty_step,
            "tickSize": rules.price_step,
            "indexPriceTickSize": rules.price_step,
            "multiplier": rules.c_mult,
            "initialMargin": 0.01,
            "maintainMargin": 0.005,
            "maxRiskLimit": 1000000,
            "minRiskLimit": 1000000,
            "riskStep": 500000,
            "makerFeeRate": market.maker_fee,
            "takerFeeRate": market.taker_fee,
            "takerFixFee": 0.0,
            "makerFixFee": 0.0,
            "settlementFee": None,
            "isDeleverage": True,
            "isQuanto": True,
            "isInverse": False,
            "markMethod": "FairPrice",
            "fairMethod": "FundingRate",
            "fundingBaseSymbol": f".{market.coin}INT8H",
            "fundingQuoteSymbol": ".USDTINT8H",
            "fundingRateSymbol": f".{symbol}FPI8H",
            "indexSymbol": f".K{market.coin}USDT",
            "settlementSymbol": "",
            "status": "Open",
            "fundingFeeRate": 0.0001,
            "predictedFundingFeeRate": 0.0001,
            "fundingRateGranularity": 28800000,
            "openInterest": "8724443",
            "turnoverOf24h": quote,
            "volumeOf24h": coins,
            "markPrice": last,
            "indexPrice": last,
            "lastTradePrice": last,
            "nextFundingRateTime": 25481884,
            "maxLeverage": int(market.max_leverage),
            "sourceExchanges": ["okex", "binance", "kucoin"],
            "premiumsSymbol1M": f".{symbol}PI",
            "premiumsSymbol8H": f".{symbol}PI8H",
            "fundingBaseSymbol1M": f".{market.coin}INT",
            "fundingQuoteSymbol1M": ".USDTINT",
            "lowPrice": low,
            "highPrice": high,
            "priceChgPct": 0.0046,
            "priceChg": 21.15,
            "k": 490.0,
            "m": 300.0,
            "f": 1.3,
            "mmrLimit": 0.3,
            "mmrLevConstant": 125.0,
            "supportCross": True,
        }

    async def _kline(self, call: Call) -> Reply:
        coin = self.coin(call.query.get("symbol", ""))
        if coin is None or not self.source.market(coin).active:
            return Reply({"code": "100001", "msg": "symbol not exists"}, 400)
        minutes = number(call, "granularity") or 1
        step = INTERVAL_MS[str(minutes)] if minutes > 1 else MINUTE_MS
        begin, end = number(call, "from") or 0, number(call, "to")
        rows = self.bars(coin, step, begin, 2**53 if end is None else end + 1)
        rows = rows[rows[:, 5] > 0][:_MOST]
        return self._reply(
            [[int(t), o, h, low, c, self._size(coin, v), v * c] for t, o, h, low, c, v in rows.tolist()]
        )

    def _size(self, coin: str, coins: float) -> int | float:
        size = self.contracts(coin, coins)
        return int(size) if size.is_integer() else size

    async def _tickers(self, call: Call) -> Reply:
        return self._reply([self._ticker(market.coin) for market in self.listed() if market.active])

    def _ticker(self, coin: str) -> dict[str, Any]:
        last = self.source.last_price(coin, self.clock.now_ms)
        tick = self.source.market(coin).rules.price_step
        return {
            "sequence": 1707992727046,
            "symbol": self.symbol(coin),
            "side": "sell",
            "size": 21,
            "tradeId": "1784299761369",
            "price": plain(last),
            "bestBidPrice": plain(last),
            "bestBidSize": 2566,
            "bestAskPrice": plain(round(last + tick, 12)),
            "bestAskSize": 44,
            "ts": self.clock.now_ms * 1_000_000,
        }


def install(venue: Venue) -> PublicDialect:
    """Let a venue speak this dialect."""
    return KucoinPublic(venue)
