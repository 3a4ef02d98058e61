"""Bitget v2 futures, private side of the classic account: ``api.bitget.com`` and ``ws.bitget.com``.

Shapes and codes as in Bitget's v2 documentation; signatures are HMAC-SHA256 in base64 over time, method,
path and body. In hedge mode ``side`` names the position, and ``tradeSide`` whether it is opened or closed. A
post-only order that would trade is taken and cancelled at once.
"""

import secrets
from typing import Any, ClassVar, TypeVar

from aiohttp import web

from passivbot.venue.account import Account
from passivbot.venue.arithmetic import plain
from passivbot.venue.dialects.base import Dialect, ErrorTable, NotAllowed, Stream, unchanged_is_fine
from passivbot.venue.dialects.passphrase import PassphraseDialect
from passivbot.venue.orders import Event, Execution, Held, MarginMode, Order, PositionSide, Refused, Side
from passivbot.venue.server import Venue
from passivbot.venue.wire import Call, Reply

HOST = "api.bitget.com"
STREAM_HOST = "ws.bitget.com"
PRODUCT = "USDT-FUTURES"

_STATUS = {
    "open": "live",
    "partial": "partially_filled",
    "filled": "filled",
    "canceled": "canceled",
    "expired": "canceled",
    "rejected": "canceled",
}
_PAGE = 100

Row = TypeVar("Row", Order, Execution)


class Bitget(PassphraseDialect):
    """See :class:`~passivbot.venue.dialects.base.Dialect`."""

    name = "bitget"
    header_prefix = "access"
    ERRORS: ClassVar[ErrorTable] = {
        "duplicate": (400, "40786", "Duplicate clientOid"),
        "gone": (400, "22001", "No order to cancel"),
        "no_order": (400, "40768", "Order does not exist"),
        "funds": (400, "40762", "The order amount exceeds the balance"),
        "reduce_only": (400, "22002", "No position to close"),
        "min_qty": (400, "45111", "less than the minimum order quantity"),
        "min_cost": (400, "45110", "less than the minimum amount 5 USDT"),
        "price_step": (400, "45115", "The price you enter should be a multiple of the price step"),
        "qty_step": (400, "40808", "Parameter verification exception size checkBDScale error"),
        "leverage": (400, "40797", "Exceeded the maximum settable leverage"),
        "inactive": (400, "40309", "The contract has been removed"),
        "too_many": (400, "45114", "Reach the maximum number of open orders"),
        "position_mode": (
            400,
            "40774",
            "The order type for unilateral position must also be the unilateral position type.",
        ),
        "busy": (400, "40920", "Position or order exists, the position mode cannot be adjusted"),
        "symbol": (400, "40034", "Parameter symbol does not exist"),
        "invalid": (400, "40017", "Parameter verification failed"),
        "auth": (400, "40037", "Apikey does not exist"),
        "signature": (400, "40009", "sign signature error"),
        "passphrase": (400, "40012", "apikey/password is incorrect"),
        "clock": (400, "40008", "Request timestamp expired"),
        "permission": (400, "40014", "Incorrect permissions, need futures order write permissions"),
        "address": (400, "40018", "Invalid IP"),
        "maintenance": (400, "40200", "Server upgrade, please try again later"),
        "server": (500, "40015", "System is abnormal, please try again later"),
        "timeout": (400, "40010", "Request timed out"),
    }

    def __init__(self, venue: Venue, account: Account) -> None:
        super().__init__(venue, account)
        for method, path, operation, answer, writes in (
            ("POST", "mix/order/place-order", "create", self._create, True),
            ("POST", "mix/order/batch-place-order", "create", self._create_batch, True),
            ("POST", "mix/order/cancel-order", "cancel", self._cancel, True),
            ("GET", "mix/order/detail", "order", self._detail, False),
            ("GET", "mix/order/orders-pending", "open_orders", self._pending, False),
            ("GET", "mix/order/fills", "fills", self._fills, False),
            ("GET", "mix/order/fill-history", "fills", self._fills, False),
            ("GET", "mix/position/all-position", "positions", self._positions, False),
            ("GET", "mix/account/accounts", "balance", self._accounts, False),
            ("GET", "mix/account/account", "account", self._one_account, False),
            ("POST", "mix/account/set-position-mode", "set_position_mode", self._set_position_mode, True),
            ("POST", "mix/account/set-margin-mode", "set_margin_mode", self._set_margin_mode, True),
            ("POST", "mix/account/set-leverage", "set_leverage", self._set_leverage, True),
            ("GET", "spot/account/info", "permissions", self._info, False),
        ):
            self.add(operation, HOST, method, f"/api/v2/{path}", answer, writes=writes)
        venue.websocket(self.name, STREAM_HOST, "/v2/ws/private", self._stream)

    def failure(self, status: int, code: Any, text: str) -> Reply:
        """Return an error as Bitget writes it."""
        body = {"code": code, "msg": text, "requestTime": self.venue.wall_ms(), "data": None}
        return Reply(body, status)

    def _ok(self, data: Any) -> dict[str, Any]:
        return {"code": "00000", "msg": "success", "requestTime": self.venue.wall_ms(), "data": data}

    # ---- orders

    def _create(self, call: Call) -> Any:
        order = self._place(call.json)
        return self._ok({"orderId": str(order.id), "clientOid": order.client_id})

    def _create_batch(self, call: Call) -> Any:
        body = call.json
        placed: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        for element in body["orderList"]:
            try:
                order = self._place({**element, "symbol": body["symbol"]})
                placed.append({"orderId": str(order.id), "clientOid": order.client_id})
            except Refused as refusal:
                _, code, text = self.error(refusal.why)
                failed.append(
                    {
                        "orderId": "",
                        "clientOid": element.get("clientOid", ""),
                        "errorMsg": text,
                        "errorCode": code,
                    }
                )
        return self._ok({"successList": placed, "failureList": failed})

    def _place(self, form: dict[str, Any]) -> Order:
        trade_side = str(form.get("tradeSide", "")).lower()
        side: Side = "buy" if form["side"] == "buy" else "sell"
        position_side: PositionSide | None = None
        if trade_side:
            position_side = "long" if side == "buy" else "short"
            if trade_side == "close":
                side = "sell" if side == "buy" else "buy"
        return self.core.create(
            client_id=form.get("clientOid") or secrets.token_hex(10),
            coin=self.coin(form["symbol"]),
            side=side,
            qty=float(form["size"]),
            price=None if form["orderType"] == "market" else float(form["price"]),
            position_side=position_side,
            post_only=form.get("force") == "post_only",
            reduce_only=form.get("reduceOnly") == "YES",
            post_only_cancels=True,
        )

    def _find(self, form: dict[str, Any]) -> Order | None:
        return self.find(form.get("orderId"), form.get("clientOid"))

    def _cancel(self, call: Call) -> Any:
        order = self._find(call.json)
        if order is None:
            raise Refused("gone", "no such order")
        self.core.cancel(order_id=order.id)
        return self._ok({"orderId": str(order.id), "clientOid": order.client_id})

    def _detail(self, call: Call) -> Any:
        order = self._find(call.query)
        if order is None:
            raise NotAllowed("no_order")
        return self._ok({**self._shown(order), "state": _STATUS[order.status]})

    def _pending(self, call: Call) -> Any:
        coin = self.coin_or_all(call.query.get("symbol"))
        orders = [order for order in self.core.open_orders if coin in (None, order.coin)]
        page, end = self._page(orders, call.query)
        rows = [{**self._shown(order), "status": _STATUS[order.status]} for order in page]
        return self._ok({"entrustedList": rows or None, "endId": end})

    @staticmethod
    def _page(rows: list[Row], query: dict[str, str]) -> tuple[list[Row], str]:
        """Return one page, newest first, and the id that the next one is asked by."""
        older = int(query["idLessThan"]) if query.get("idLessThan") else None
        found = [row for row in reversed(rows) if older is None or row.id < older]
        page = found[: min(int(query.get("limit", _PAGE)), _PAGE)]
        return page, str(page[-1].id) if page else ""

    def _shown(self, order: Order) -> dict[str, Any]:
        side = order.side
        if order.hedged:
            side = "buy" if order.position_side == "long" else "sell"
        return {
            "symbol": self.symbol(order.coin),
            "size": plain(order.qty),
            "orderId": str(order.id),
            "clientOid": order.client_id,
            "baseVolume": plain(order.filled),
            "fee": plain(-order.fee),
            "price": "" if order.market else plain(order.price),
            "priceAvg": plain(order.average) if order.filled else "",
            "side": side,
            "force": "post_only" if order.post_only else "gtc",
            "totalProfits": "0",
            "posSide": order.position_side if order.hedged else "net",
            "marginCoin": "USDT",
            "quoteVolume": plain(order.cost),
            "leverage": plain(self.core.setting(order.coin).leverage),
            "marginMode": "crossed" if self.core.setting(order.coin).margin_mode == "cross" else "isolated",
            "enterPointSource": "API",
            "tradeSide": self._trade_side(order.closes, order.side, order.hedged),
            "posMode": "hedge_mode" if order.hedged else "one_way_mode",
            "orderType": "market" if order.market else "limit",
            "orderSource": "normal",
            "presetStopSurplusPrice": "",
            "presetStopLossPrice": "",
            "reduceOnly": "YES" if order.reduce_only else "NO",
            "cTime": str(order.created_ms),
            "uTime": str(order.updated_ms),
        }

    @staticmethod
    def _trade_side(closes: bool, side: Side, hedged: bool) -> str:
        if hedged:
            return "close" if closes else "open"
        return f"{side}_single"

    # ---- account

    def _accounts(self, call: Call) -> Any:
        money = self.money()
        equity, free = plain(money.equity), plain(money.free)
        return self._ok(
            [
                {
                    "marginCoin": "USDT",
                    "locked": plain(money.asked),
                    # Of available, the profit of positions is no part; accountEquity has it.
                    "available": plain(money.wallet),
                    "crossedMaxAvailable": free,
                    "isolatedMaxAvailable": free,
                    "maxTransferOut": free,
                    "accountEquity": equity,
                    "usdtEquity": equity,
                    "btcEquity": "0",
                    "crossedRiskRate": "0",
                    "unrealizedPL": plain(money.profit),
                    "coupon": "0",
                    "unionTotalMargin": "0",
                    "unionAvailable": "0",
                    "unionMm": "0",
                    "isolatedMargin": "0",
                    "crossedMargin": plain(money.held),
                    "crossedUnrealizedPL": plain(money.profit),
                    "isolatedUnrealizedPL": "0",
                    "assetMode": "single",
                    "assetList": [{"coin": "USDT", "balance": plain(money.wallet), "available": free}],
                }
            ]
        )

    def _one_account(self, call: Call) -> Any:
        coin = self.coin(call.query["symbol"])
        setting = self.core.setting(coin)
        leverage = plain(setting.leverage)
        row = self._accounts(call)["data"][0]
        return self._ok(
            {
                **{name: value for name, value in row.items() if name != "assetList"},
                "crossedMarginLeverage": leverage,
                "isolatedLongLever": leverage,
                "isolatedShortLever": leverage,
                "marginMode": "crossed" if setting.margin_mode == "cross" else "isolated",
                "posMode": "hedge_mode" if self.core.hedge_mode else "one_way_mode",
            }
        )

    def _positions(self, call: Call) -> Any:
        return self._ok([self._position(held) for held in self.core.positions.values()])

    def _position(self, held: Held) -> dict[str, Any]:
        setting = self.core.setting(held.coin)
        mark = self.core.last_price(held.coin)
        size = abs(held.size)
        return {
            "marginCoin": "USDT",
            "symbol": self.symbol(held.coin),
            "holdSide": held.side,
            "openDelegateSize": "0",
            "marginSize": plain(size * held.price / setting.leverage),
            "available": plain(size),
            "locked": "0",
            "total": plain(size),
            "leverage": plain(setting.leverage),
            "achievedProfits": "0",
            "openPriceAvg": plain(held.price),
            "marginMode": "crossed" if setting.margin_mode == "cross" else "isolated",
            "posMode": "hedge_mode" if self.core.hedge_mode else "one_way_mode",
            "unrealizedPL": plain(0.0 if size == 0.0 else self.core.unrealised(held)),
            "liquidationPrice": "0",
            "keepMarginRate": "0.004",
            "markPrice": plain(mark),
            "marginRatio": "0.01",
            "breakEvenPrice": plain(held.price),
            "totalFee": "",
            "deductedFee": "0",
            "grant": "",
            "assetMode": "single",
            "autoMargin": "off",
            "takeProfit": "",
            "stopLoss": "",
            "takeProfitId": "",
            "stopLossId": "",
            "cTime": str(held.opened_ms),
            "uTime": str(held.updated_ms),
        }

    def _fills(self, call: Call) -> Any:
        query = call.query
        start = int(query["startTime"]) if query.get("startTime") else 0
        end = int(query["endTime"]) if query.get("endTime") else 10**15
        rows = self.executions(start, end, self.coin_or_all(query.get("symbol")))
        page, last = self._page(rows, query)
        return self._ok({"fillList": [self._fill(fill) for fill in page] or None, "endId": last})

    def _fill(self, fill: Execution) -> dict[str, Any]:
        side = fill.side
        if fill.hedged:
            side = "buy" if fill.position_side == "long" else "sell"
        fee = {
            "deduction": "no",
            "feeCoin": "USDT",
            "totalDeductionFee": "",
            "totalFee": plain(-fill.fee),
        }
        return {
            "tradeId": str(fill.id),
            "symbol": self.symbol(fill.coin),
            "orderId": str(fill.order_id),
            "price": plain(fill.price),
            "baseVolume": plain(fill.qty),
            "feeDetail": [fee],
            "side": side,
            "quoteVolume": plain(fill.qty * fill.price),
            "profit": plain(fill.pnl),
            "enterPointSource": "api",
            "tradeSide": self._trade_side(fill.closes, fill.side, fill.hedged),
            "posMode": "hedge_mode" if fill.hedged else "one_way_mode",
            "tradeScope": "maker" if fill.maker else "taker",
            "cTime": str(fill.time_ms),
        }

    # ---- settings

    def _set_position_mode(self, call: Call) -> Any:
        mode = call.json["posMode"]
        with unchanged_is_fine():
            self.core.set_hedge_mode(mode == "hedge_mode", busy_first=True)
        return self._ok({"posMode": mode})

    def _set_margin_mode(self, call: Call) -> Any:
        form = call.json
        coin = self.coin(form["symbol"])
        mode: MarginMode = "cross" if form["marginMode"] == "crossed" else "isolated"
        with unchanged_is_fine():
            self.core.set_margin_mode(coin, mode, busy_first=True)
        leverage = plain(self.core.setting(coin).leverage)
        return self._ok(
            {
                "symbol": form["symbol"],
                "marginCoin": "USDT",
                "longLeverage": leverage,
                "shortLeverage": leverage,
                "marginMode": form["marginMode"],
            }
        )

    def _set_leverage(self, call: Call) -> Any:
        form = call.json
        coin = self.coin(form["symbol"])
        self.core.set_leverage(coin, float(form["leverage"]))
        return self._ok(
            {
                "symbol": form["symbol"],
                "marginCoin": "USDT",
                "longLeverage": form["leverage"],
                "shortLeverage": form["leverage"],
                "crossMarginLeverage": form["leverage"],
                "marginMode": "crossed",
            }
        )

    def _info(self, call: Call) -> Any:
        key = self.asking(call)
        granted = ["coor", "cpor"]
        if "trade" in key.permissions:
            granted += ["coow", "cpow"]
        if "withdraw" in key.permissions:
            granted += ["wwow"]
        return self._ok(
            {
                "userId": self.account.user_id,
                "inviterId": "",
                "channelCode": "",
                "channel": "",
                "ips": ",".join(key.addresses),
                "authorities": granted,
                "parentId": int(self.account.user_id),
                "traderType": "not_trader",
                "regisTime": "1700000000000",
            }
        )

    # ---- stream

    async def _stream(self, ws: web.WebSocketResponse, call: Call) -> None:
        async def on_message(stream: Stream, message: Any) -> None:
            if message == "ping":
                stream.say("pong")
            elif not isinstance(message, dict):
                stream.say({"event": "error", "code": 30003, "msg": "INVALID op"})
            elif message.get("op") == "login":
                good = self.log_in(stream, message["args"][0], "GET/user/verify")
                stream.say(
                    {"event": "login", "code": 0}
                    if good
                    else {"event": "error", "code": 30005, "msg": "login error"}
                )
            elif message.get("op") == "subscribe" and stream.key is not None:
                for argument in message["args"]:
                    stream.channels.add(argument["channel"])
                    stream.say({"event": "subscribe", "arg": argument})
            else:
                stream.say({"event": "error", "code": 30004, "msg": "not logged in"})

        await self.serve(ws, on_message)

    def messages(self, event: Event) -> list[tuple[str, Any]]:
        """Return an event as Bitget's private channels tell it."""
        _, thing = event
        if isinstance(thing, Order):
            row = {
                **self._shown(thing),
                "instId": self.symbol(thing.coin),
                "accBaseVolume": plain(thing.filled),
                "status": _STATUS[thing.status],
                "feeDetail": [{"feeCoin": "USDT", "fee": plain(-thing.fee)}],
                "newTradePrice": "",
                "notionalUsd": plain(thing.qty * thing.price),
                "pnl": "0",
                "stpMode": "none",
            }
            return [("orders", self._message("orders", row))]
        if isinstance(thing, Held):
            row = {**self._position(thing), "instId": self.symbol(thing.coin), "posId": str(thing.opened_ms)}
            return [("positions", self._message("positions", row))]
        return []

    def _message(self, channel: str, row: dict[str, Any]) -> dict[str, Any]:
        argument = {"instType": PRODUCT, "channel": channel, "instId": "default"}
        return {"action": "snapshot", "arg": argument, "data": [row], "ts": self.venue.wall_ms()}


def install(venue: Venue, account: Account) -> Dialect:
    """Add Bitget's private side to a venue."""
    return Bitget(venue, account)
