"""Gate V4: ``api.gateio.ws``, USDT perpetuals, public endpoints. Sizes are contracts of ``c_mult`` coins."""

from typing import Any

from passivbot.venue.arithmetic import plain
from passivbot.venue.market import VenueMarket
from passivbot.venue.public.base import INTERVAL_MS, PublicDialect, number
from passivbot.venue.public.files import GateFiles
from passivbot.venue.server import Venue
from passivbot.venue.wire import Call, Reply

HOST = "api.gateio.ws"
_LIMIT, _MOST = 100, 2000
_KEPT_BARS = 10_000
"""Since February 2026 older candles of futures are refused."""


class GatePublic(PublicDialect):
    """See :class:`PublicDialect`."""

    exchange = "gate"

    def install(self) -> None:
        """Add the endpoints to the venue."""
        self.add("markets", HOST, "/api/v4/futures/{settle}/contracts", self._contracts)
        self.add("markets", HOST, "/api/v4/delivery/{settle}/contracts", self._nothing)
        self.add("markets", HOST, "/api/v4/spot/currencies", self._nothing)
        self.add("markets", HOST, "/api/v4/spot/currency_pairs", self._nothing)
        self.add("markets", HOST, "/api/v4/margin/currency_pairs", self._nothing)
        self.add("markets", HOST, "/api/v4/options/underlyings", self._nothing)
        self.add("candles", HOST, "/api/v4/futures/{settle}/candlesticks", self._candlesticks)
        self.add("tickers", HOST, "/api/v4/futures/{settle}/tickers", self._tickers)
        self.add("time", HOST, "/api/v4/spot/time", self._time)
        GateFiles(self)

    def symbol(self, coin: str) -> str:
        """Return the exchange's name of a coin's perpetual."""
        return f"{coin}_USDT"

    def limited(self, seconds: float) -> Reply:
        """Return the exchange's own answer to too many requests."""
        reset = str(round(self.venue.wall_ms() / 1000 + seconds))
        headers = {
            "X-Gate-RateLimit-Limit": "200",
            "X-Gate-RateLimit-Requests-Remain": "0",
            "X-Gate-RateLimit-Reset-Timestamp": reset,
        }
        body = {"label": "TOO_MANY_REQUESTS", "message": "Request Rate Limit Exceeded"}
        return Reply(body, 429, headers)

    def refused(self, message: str) -> Reply:
        """Return the exchange's own answer to a request it can't make sense of."""
        return Reply({"label": "INVALID_PARAM_VALUE", "message": message}, 400)

    async def _time(self, call: Call) -> Reply:
        return Reply({"server_time": self.venue.wall_ms()})

    async def _nothing(self, call: Call) -> Reply:
        return Reply([])

    async def _contracts(self, call: Call) -> Reply:
        usdt = call.path_params["settle"] == "usdt"
        return Reply([self._market(market) for market in self.listed() if usdt])

    def _market(self, market: VenueMarket) -> dict[str, Any]:
        rules = market.rules
        price = plain(self.source.last_price(market.coin, self.clock.now_ms))
        listed = market.listed_ms // 1000
        whole = rules.qty_step >= 1
        return {
            "name": self.symbol(market.coin),
            "type": "direct",
            "quanto_multiplier": plain(rules.c_mult),
            "ref_discount_rate": "0",
            "order_price_deviate": "0.5",
            "maintenance_rate": "0.005",
            "mark_type": "index",
            "last_price": price,
            "mark_price": price,
            "index_price": price,
            "funding_rate_indicative": "0.0001",
            "mark_price_round": plain(rules.price_step),
            "funding_offset": 0,
            "in_delisting": not market.active,
            "risk_limit_base": "1000000",
            "interest_rate": "0.0003",
            "order_price_round": plain(rules.price_step),
            "order_size_min": int(rules.min_qty) if whole else plain(rules.min_qty),
            "enable_decimal": not whole,
            "ref_rebate_rate": "0.2",
            "funding_interval": 28800,
            "risk_limit_step": "1000000",
            "leverage_min": "1",
            "leverage_max": plain(market.max_leverage),
            "risk_limit_max": "8000000",
            "maker_fee_rate": "-0.0001",
            "taker_fee_rate": "0.00075",
            "funding_rate": "0.0001",
            "order_size_max": 1000000,
            "funding_next_apply": listed,
            "short_users": 977,
            "config_change_time": listed,
            "trade_size": 28530850594,
            "position_size": 5223816,
            "long_users": 455,
            "funding_impact_value": "60000",
            "orders_limit": 100,
            "trade_id": 10851092,
            "orderbook_id": 2129638396,
            "enable_bonus": True,
            "enable_credit": True,
            "create_time": listed,
            "launch_time": listed,
            "funding_cap_ratio": "0.75",
            "cross_leverage_default": "10",
            "voucher_leverage": "0",
            "is_pre_market": False,
            "status": "trading" if market.active else "delisted",
            "enable_circuit_breaker": False,
            "funding_rate_limit": "0.003",
            "market_order_slip_ratio": "0.05",
            "market_order_size_max": "0",
            "contract_type": "",
        }

    async def _candlesticks(self, call: Call) -> Reply:
        coin = self.coin(call.query.get("contract", ""))
        if coin is None:
            return Reply({"label": "CONTRACT_NOT_FOUND", "message": "contract not found"}, 400)
        step = INTERVAL_MS[call.query["interval"]]
        begin, end, limit = number(call, "from"), number(call, "to"), number(call, "limit")
        if begin is None and end is None:
            rows = self.bars(coin, step, 0, 2**53)[-(limit or _LIMIT) :]
        elif limit is not None and begin is not None:
            return self.refused("limit conflicts with from and to")
        else:
            last = self.clock.now_ms if end is None else end * 1000
            first = last - (limit or _LIMIT) * step if begin is None else begin * 1000
            if (last - first) // step >= _MOST:
                return self.refused(
                    "Candlestick range too broad. Maximum 2000 data points are allowed per request"
                )
            if first < self.clock.now_ms - _KEPT_BARS * step:
                return self.refused("Candlestick too long ago. Maximum 10000 points recently are allowed")
            rows = self.bars(coin, step, first, last + 1)
        return Reply(
            [
                {
                    "t": int(t) // 1000,
                    "v": self._size(coin, v),
                    "c": plain(c),
                    "h": plain(h),
                    "l": plain(low),
                    "o": plain(o),
                    "sum": plain(v * c),
                }
                for t, o, h, low, c, v in rows.tolist()
            ]
        )

    def _size(self, coin: str, coins: float) -> int | str:
        size = self.contracts(coin, coins)
        return int(size) if self.source.market(coin).rules.qty_step >= 1 else plain(size)

    async def _tickers(self, call: Call) -> Reply:
        wanted = call.query.get("contract")
        usdt = call.path_params["settle"] == "usdt"
        return Reply(
            [
                self._ticker(market.coin)
                for market in self.listed()
                if usdt and market.active and wanted in (None, self.symbol(market.coin))
            ]
        )

    def _ticker(self, coin: str) -> dict[str, Any]:
        opened, high, low, last = self.extremes(coin)
        coins, quote = self.turnover(coin)
        tick = self.source.market(coin).rules.price_step
        return {
            "contract": self.symbol(coin),
            "last": plain(last),
            "change_percentage": f"{(last / opened - 1) * 100:.2f}",
            "total_size": "5223816",
            "low_24h": plain(low),
            "high_24h": plain(high),
            "volume_24h": str(round(self.contracts(coin, coins))),
            "volume_24h_btc": "0",
            "volume_24h_usd": str(round(quote)),
            "volume_24h_base": plain(coins),
            "volume_24h_quote": plain(quote),
            "volume_24h_settle": plain(quote),
            "mark_price": plain(last),
            "funding_rate": "0.0001",
            "funding_rate_indicative": "0.0001",
            "index_price": plain(last),
            "quanto_base_rate": "",
            "highest_bid": plain(last),
            "highest_size": "10",
            "lowest_ask": plain(round(last + tick, 12)),
            "lowest_size": "10",
            "change_price": plain(round(last - opened, 12)),
            "change_utc0": "0",
            "change_utc0_price": "0",
            "change_utc8": "0",
            "change_utc8_price": "0",
        }


def install(venue: Venue) -> PublicDialect:
    """Let a venue speak this dialect."""
    return GatePublic(venue)
