"""OKX V5: ``www.okx.com``, USDT swaps, public endpoints. Sizes are contracts of ``c_mult`` coins."""

from typing import Any

from passivbot.market.clean import Floats
from passivbot.venue.arithmetic import plain
from passivbot.venue.market import VenueMarket
from passivbot.venue.public.base import INTERVAL_MS, PublicDialect, number
from passivbot.venue.server import Venue
from passivbot.venue.wire import Call, Reply

HOST = "www.okx.com"
_LIMIT, _MOST = 100, 300
_RECENT_BARS = 1440


class OkxPublic(PublicDialect):
    """See :class:`PublicDialect`."""

    exchange = "okx"

    def install(self) -> None:
        """Add the endpoints to the venue."""
        self.add("markets", HOST, "/api/v5/public/instruments", self._instruments)
        self.add("candles", HOST, "/api/v5/market/candles", self._recent)
        self.add("candles", HOST, "/api/v5/market/history-candles", self._history)
        self.add("tickers", HOST, "/api/v5/market/tickers", self._tickers)
        self.add("tickers", HOST, "/api/v5/market/ticker", self._tickers)
        self.add("time", HOST, "/api/v5/public/time", self._time)

    def symbol(self, coin: str) -> str:
        """Return the exchange's name of a coin's perpetual."""
        return f"{coin}-USDT-SWAP"

    def limited(self, seconds: float) -> Reply:
        """Return the exchange's own answer to too many requests."""
        return self._reply([], "50011", "Too Many Requests", 429)

    def refused(self, message: str) -> Reply:
        """Return the exchange's own answer to a request it can't make sense of."""
        return self._reply([], "51000", f"Parameter {message} error")

    def _reply(self, data: list[Any], code: str = "0", message: str = "", status: int = 200) -> Reply:
        return Reply({"code": code, "data": data, "msg": message}, status)

    async def _time(self, call: Call) -> Reply:
        return self._reply([{"ts": str(self.venue.wall_ms())}])

    async def _instruments(self, call: Call) -> Reply:
        kind = call.query.get("instType", "")
        # What was delisted is not in the answer at all.
        return self._reply(
            [self._market(market) for market in self.listed() if kind == "SWAP" and market.active]
        )

    def _market(self, market: VenueMarket) -> dict[str, Any]:
        rules = market.rules
        return {
            "alias": "",
            "auctionEndTime": "",
            "baseCcy": "",
            "category": "1",
            "contTdSwTime": str(market.listed_ms),
            "ctMult": "1",
            "ctType": "linear",
            "ctVal": plain(rules.c_mult),
            "ctValCcy": market.coin,
            "expTime": "",
            "futureSettlement": False,
            "instFamily": f"{market.coin}-USDT",
            "instId": self.symbol(market.coin),
            "instIdCode": 10000 + self.source.coins.index(market.coin),
            "instType": "SWAP",
            "lever": plain(market.max_leverage),
            "listTime": str(market.listed_ms),
            "lotSz": plain(rules.qty_step),
            "maxIcebergSz": "100000000",
            "maxLmtAmt": "20000000",
            "maxLmtSz": "100000000",
            "maxMktAmt": "",
            "maxMktSz": "12000",
            "maxStopSz": "12000",
            "maxTriggerSz": "100000000",
            "maxTwapSz": "100000000",
            "minSz": plain(rules.min_qty),
            "openType": "",
            "optType": "",
            "preMktSwTime": "",
            "quoteCcy": "",
            "ruleType": "normal",
            "settleCcy": "USDT",
            "state": "live",
            "stk": "",
            "tickSz": plain(rules.price_step),
            "tradeQuoteCcyList": [],
            "uly": f"{market.coin}-USDT",
        }

    async def _recent(self, call: Call) -> Reply:
        return self._candles(call, recent=True)

    async def _history(self, call: Call) -> Reply:
        return self._candles(call, recent=False)

    def _candles(self, call: Call, *, recent: bool) -> Reply:
        symbol = call.query.get("instId", "")
        coin = self.coin(symbol)
        if coin is None:
            return self._reply([], "51001", "Instrument ID doesn't exist.")
        step = INTERVAL_MS[call.query.get("bar", "1m")]
        limit = min(number(call, "limit") or _LIMIT, _MOST)
        before, after = number(call, "before"), number(call, "after")
        start = 0 if before is None else before + 1
        if recent:
            start = max(start, self.clock.now_ms - _RECENT_BARS * step)
        rows = self.bars(coin, step, start, 2**53 if after is None else after)[-limit:]
        if not recent:
            rows = rows[rows[:, 0] + step <= self.clock.now_ms]
        return self._reply([self._candle(coin, row, step) for row in rows[::-1]])

    def _candle(self, coin: str, row: Floats, step: int) -> list[str]:
        t, o, h, low, c, v = row.tolist()
        sizes = [plain(self.contracts(coin, v)), plain(v), plain(v * c)]
        finished = "1" if t + step <= self.clock.now_ms else "0"
        return [str(int(t)), plain(o), plain(h), plain(low), plain(c), *sizes, finished]

    async def _tickers(self, call: Call) -> Reply:
        kind, wanted = call.query.get("instType"), call.query.get("instId")
        return self._reply(
            [
                self._ticker(market.coin)
                for market in self.listed()
                if market.active and (kind == "SWAP" or wanted == self.symbol(market.coin))
            ]
        )

    def _ticker(self, coin: str) -> dict[str, Any]:
        opened, high, low, last = self.extremes(coin)
        coins, _ = self.turnover(coin)
        tick = self.source.market(coin).rules.price_step
        return {
            "instType": "SWAP",
            "instId": self.symbol(coin),
            "last": plain(last),
            "lastSz": "1",
            "askPx": plain(round(last + tick, 12)),
            "askSz": "10",
            "bidPx": plain(last),
            "bidSz": "10",
            "open24h": plain(opened),
            "high24h": plain(high),
            "low24h": plain(low),
            "volCcy24h": plain(coins),
            "vol24h": plain(self.contracts(coin, coins)),
            "ts": str(self.clock.now_ms),
            "sodUtc0": plain(opened),
            "sodUtc8": plain(opened),
        }


def install(venue: Venue) -> PublicDialect:
    """Let a venue speak this dialect."""
    return OkxPublic(venue)
