"""Bitget V2: ``api.bitget.com``, USDT futures, public endpoints. Sizes are coins."""

from typing import Any

from passivbot.times import DAY_MS
from passivbot.venue.arithmetic import plain
from passivbot.venue.market import VenueMarket
from passivbot.venue.public.base import INTERVAL_MS, PublicDialect, decimals, number
from passivbot.venue.server import Venue
from passivbot.venue.wire import Call, Reply

HOST = "api.bitget.com"
_PRODUCT = "USDT-FUTURES"
_LIMIT, _MOST_RECENT, _MOST_HISTORY = 100, 1000, 200
_RECENT_MS = 30 * DAY_MS


class BitgetPublic(PublicDialect):
    """See :class:`PublicDialect`."""

    exchange = "bitget"

    def install(self) -> None:
        """Add the endpoints to the venue."""
        self.add("markets", HOST, "/api/v2/mix/market/contracts", self._contracts)
        self.add("markets", HOST, "/api/v2/spot/public/coins", self._nothing)
        self.add("markets", HOST, "/api/v2/spot/public/symbols", self._nothing)
        self.add("markets", HOST, "/api/v2/margin/currencies", self._nothing)
        self.add("candles", HOST, "/api/v2/mix/market/candles", self._recent)
        self.add("candles", HOST, "/api/v2/mix/market/history-candles", self._history)
        self.add("tickers", HOST, "/api/v2/mix/market/tickers", self._tickers)
        self.add("tickers", HOST, "/api/v2/mix/market/ticker", self._tickers)
        self.add("time", HOST, "/api/v2/public/time", self._time)

    def symbol(self, coin: str) -> str:
        """Return the exchange's name of a coin's perpetual."""
        return f"{coin}USDT"

    def limited(self, seconds: float) -> Reply:
        """Return the exchange's own answer to too many requests."""
        return self._reply(None, "429", "Too Many Requests", 429)

    def refused(self, message: str) -> Reply:
        """Return the exchange's own answer to a request it can't make sense of."""
        return self._reply(None, "40017", f"Parameter verification failed {message}", 400)

    def _reply(self, data: Any, code: str = "00000", message: str = "success", status: int = 200) -> Reply:
        body = {"code": code, "msg": message, "requestTime": self.venue.wall_ms(), "data": data}
        return Reply(body, status)

    async def _time(self, call: Call) -> Reply:
        return self._reply({"serverTime": str(self.venue.wall_ms())})

    async def _nothing(self, call: Call) -> Reply:
        return self._reply([])

    async def _contracts(self, call: Call) -> Reply:
        wanted = call.query.get("productType", "").upper() == _PRODUCT
        return self._reply([self._market(market) for market in self.listed() if wanted])

    def _market(self, market: VenueMarket) -> dict[str, Any]:
        rules = market.rules
        places = decimals(rules.price_step)
        return {
            "symbol": self.symbol(market.coin),
            "baseCoin": market.coin,
            "quoteCoin": "USDT",
            "buyLimitPriceRatio": "0.05",
            "sellLimitPriceRatio": "0.05",
            "feeRateUpRatio": "0.005",
            "makerFeeRate": plain(market.maker_fee),
            "takerFeeRate": plain(market.taker_fee),
            "openCostUpRatio": "0.01",
            "supportMarginCoins": ["USDT"],
            "minTradeNum": plain(rules.min_qty),
            "priceEndStep": str(round(rules.price_step * 10**places)),
            "volumePlace": str(decimals(rules.qty_step)),
            "pricePlace": str(places),
            "sizeMultiplier": plain(rules.qty_step),
            "symbolType": "perpetual",
            "minTradeUSDT": plain(rules.min_cost),
            "maxSymbolOrderNum": "200",
            "maxProductOrderNum": "1000",
            "maxPositionNum": "150",
            "symbolStatus": "normal" if market.active else "off",
            "offTime": "-1",
            "limitOpenTime": "-1",
            "deliveryTime": "",
            "deliveryStartTime": "",
            "deliveryPeriod": "",
            "launchTime": "",
            "fundInterval": "8",
            "minLever": "1",
            "maxLever": plain(market.max_leverage),
            "posLimit": "0.05",
            "maintainTime": "",
            "openTime": "",
            "maxMarketOrderQty": "220",
            "maxOrderQty": "1200",
            "isRwa": "NO",
        }

    async def _recent(self, call: Call) -> Reply:
        return self._candles(call, _MOST_RECENT, self.clock.now_ms - _RECENT_MS)

    async def _history(self, call: Call) -> Reply:
        return self._candles(call, _MOST_HISTORY, 0)

    def _candles(self, call: Call, most: int, oldest_ms: int) -> Reply:
        coin = self.coin(call.query.get("symbol", ""))
        if coin is None:
            return self.refused("symbol")
        step = INTERVAL_MS[call.query["granularity"]]
        limit = min(number(call, "limit") or _LIMIT, most)
        start, end = number(call, "startTime") or 0, number(call, "endTime")
        rows = self.bars(coin, step, max(start, oldest_ms), 2**53 if end is None else end)[-limit:]
        return self._reply(
            [
                [str(int(t)), plain(o), plain(h), plain(low), plain(c), plain(v), plain(v * c)]
                for t, o, h, low, c, v in rows.tolist()
            ]
        )

    async def _tickers(self, call: Call) -> Reply:
        wanted, product = call.query.get("symbol"), call.query.get("productType", "").upper()
        return self._reply(
            [
                self._ticker(market.coin)
                for market in self.listed()
                if product == _PRODUCT and market.active and wanted in (None, self.symbol(market.coin))
            ]
        )

    def _ticker(self, coin: str) -> dict[str, Any]:
        opened, high, low, last = self.extremes(coin)
        coins, quote = self.turnover(coin)
        tick = self.source.market(coin).rules.price_step
        return {
            "symbol": self.symbol(coin),
            "lastPr": plain(last),
            "askPr": plain(round(last + tick, 12)),
            "bidPr": plain(last),
            "bidSz": "1",
            "askSz": "1",
            "high24h": plain(high),
            "low24h": plain(low),
            "ts": str(self.clock.now_ms),
            "change24h": f"{last / opened - 1:.5f}",
            "baseVolume": plain(coins),
            "quoteVolume": plain(quote),
            "usdtVolume": plain(quote),
            "openUtc": plain(opened),
            "changeUtc24h": f"{last / opened - 1:.5f}",
            "indexPrice": plain(last),
            "fundingRate": "0.0001",
            "holdingAmount": "1000",
            "deliveryStartTime": None,
            "deliveryTime": None,
            "deliveryStatus": "",
            "open24h": plain(opened),
            "markPrice": plain(last),
        }


def install(venue: Venue) -> PublicDialect:
    """Let a venue speak this dialect."""
    return BitgetPublic(venue)
