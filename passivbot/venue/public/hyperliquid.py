"""Hyperliquid: ``api.hyperliquid.xyz``, perpetuals in USDC; all public questions go to ``POST /info``.

Sizes are coins. Of each length of bar it keeps the last 5000. It tells sizes by decimals and prices by
significant digits; steps and minima follow from these.
"""

from typing import Any

from passivbot.venue.arithmetic import plain
from passivbot.venue.public.base import INTERVAL_MS, PublicDialect, decimals
from passivbot.venue.server import Venue
from passivbot.venue.wire import Call, Reply

HOST = "api.hyperliquid.xyz"
_KEPT_BARS = 5000


class HyperliquidPublic(PublicDialect):
    """See :class:`PublicDialect`."""

    exchange = "hyperliquid"

    def install(self) -> None:
        """Add the endpoints to the venue, one a type of question."""
        for operation, kind, handler in (
            ("markets", "meta", self._meta),
            ("markets", "metaAndAssetCtxs", self._meta_and_contexts),
            ("markets", "spotMeta", self._spot_meta),
            ("markets", "spotMetaAndAssetCtxs", self._spot_meta_and_contexts),
            ("markets", "perpDexs", self._dexs),
            ("candles", "candleSnapshot", self._candles),
            ("tickers", "allMids", self._mids),
            ("time", "exchangeStatus", self._status),
        ):
            self.add(operation, HOST, f"/info#{kind}", handler, "POST")

    def symbol(self, coin: str) -> str:
        """Return the exchange's name of a coin's perpetual."""
        return coin

    def limited(self, seconds: float) -> Reply:
        """Return the exchange's own answer to too many requests."""
        return Reply(None, 429)

    def refused(self, message: str) -> Reply:
        """Return the exchange's own answer to a request it can't make sense of."""
        return Reply(b"Failed to deserialize the JSON body into the target type", 422)

    async def _status(self, call: Call) -> Reply:
        return Reply({"specialStatuses": None, "time": self.venue.wall_ms()})

    async def _dexs(self, call: Call) -> Reply:
        return Reply([None])

    async def _spot_meta(self, call: Call) -> Reply:
        return Reply(_SPOT)

    async def _spot_meta_and_contexts(self, call: Call) -> Reply:
        return Reply([_SPOT, []])

    async def _meta(self, call: Call) -> Reply:
        return Reply(self._universe())

    async def _meta_and_contexts(self, call: Call) -> Reply:
        if call.json.get("dex"):
            return Reply([{"universe": [], "marginTables": [], "collateralToken": 0}, []])
        return Reply([self._universe(), [self._context(market.coin) for market in self.listed()]])

    def _universe(self) -> dict[str, Any]:
        universe: list[dict[str, Any]] = []
        for market in self.listed():
            row: dict[str, Any] = {
                "szDecimals": decimals(market.rules.qty_step),
                "name": market.coin,
                "maxLeverage": int(market.max_leverage),
                "marginTableId": 56,
            }
            universe.append(row if market.active else row | {"isDelisted": True})
        return {"universe": universe, "marginTables": [], "collateralToken": 0}

    def _context(self, coin: str) -> dict[str, Any]:
        opened, _, _, last = self.extremes(coin)
        coins, quote = self.turnover(coin)
        price = plain(last)
        return {
            "funding": "0.0000125",
            "openInterest": "24689.05",
            "prevDayPx": plain(opened),
            "dayNtlVlm": plain(quote),
            "premium": "-0.00018",
            "oraclePx": price,
            "markPx": price,
            "midPx": price,
            "impactPxs": [price, plain(round(last + self.source.market(coin).rules.price_step, 12))],
            "dayBaseVlm": plain(coins),
        }

    async def _mids(self, call: Call) -> Reply:
        now = self.clock.now_ms
        return Reply({coin: plain(self.source.last_price(coin, now)) for coin in self.source.coins})

    async def _candles(self, call: Call) -> Reply:
        asked = call.json["req"]
        coin = self.coin(asked["coin"])
        if coin is None:
            return Reply(None, 500)
        step = INTERVAL_MS[asked["interval"]]
        oldest = self.clock.now_ms // step * step - _KEPT_BARS * step
        rows = self.bars(coin, step, max(int(asked["startTime"]), oldest), int(asked["endTime"]) + 1)
        return Reply(
            [
                {
                    "t": int(t),
                    "T": int(t) + step - 1,
                    "s": asked["coin"],
                    "i": asked["interval"],
                    "o": plain(o),
                    "c": plain(c),
                    "h": plain(h),
                    "l": plain(low),
                    "v": plain(v),
                    "n": int(v > 0),
                }
                for t, o, h, low, c, v in rows.tolist()
            ]
        )


_SPOT: dict[str, Any] = {
    "universe": [],
    "tokens": [
        {
            "name": "USDC",
            "szDecimals": 8,
            "weiDecimals": 8,
            "index": 0,
            "tokenId": "0x6d1e7cde53ba9467b783cb7c530ce054",
            "isCanonical": True,
            "evmContract": None,
            "fullName": None,
            "deployerTradingFeeShare": "0.0",
        }
    ],
}


def install(venue: Venue) -> PublicDialect:
    """Let a venue speak this dialect."""
    return HyperliquidPublic(venue)
