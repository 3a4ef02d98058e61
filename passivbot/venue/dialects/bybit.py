"""Bybit, private side of the unified account (v5): ``api.bybit.com`` and the stream on ``stream.bybit.com``.

Shapes and codes as in Bybit's v5 documentation; signatures are HMAC-SHA256 over time, key, window and the
query or body. A post-only order that would trade is taken and cancelled at once, as Bybit does.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from aiohttp import web

from passivbot.times import DAY_MS
from passivbot.venue.account import Account, ApiKey
from passivbot.venue.arithmetic import plain
from passivbot.venue.dialects.base import Dialect, ErrorTable, NotAllowed, Stream, unchanged_is_fine
from passivbot.venue.orders import Event, Execution, Held, Order, PositionSide, Refused
from passivbot.venue.server import Venue
from passivbot.venue.wire import Call, Reply

HOST = "api.bybit.com"
STREAM_HOST = "stream.bybit.com"

_STATUS = {
    "open": "New",
    "partial": "PartiallyFilled",
    "filled": "Filled",
    "canceled": "Cancelled",
    "expired": "Cancelled",
    "rejected": "Rejected",
}
_INDEX: dict[PositionSide, int] = {"long": 1, "short": 2}
_BATCH = 20
_WEEK_MS = 7 * DAY_MS

Row = TypeVar("Row")


class Bybit(Dialect):
    """See :class:`~passivbot.venue.dialects.base.Dialect`."""

    name = "bybit"
    ERRORS: ClassVar[ErrorTable] = {
        "duplicate": (200, 110072, "OrderLinkedID is duplicate"),
        "gone": (200, 110001, "order not exists or too late to cancel"),
        "funds": (200, 110007, "ab not enough for new order"),
        "reduce_only": (200, 110017, "current position is zero, cannot fix reduce-only order qty"),
        "min_qty": (200, 10001, "The number of contracts exceeds minimum limit allowed"),
        "min_cost": (200, 110094, "Order does not meet minimum order value 5USDT"),
        "price_step": (200, 10001, "params error: price invalid"),
        "qty_step": (200, 10001, "Qty invalid"),
        "leverage": (200, 110013, "cannot set leverage gt maxLeverage by risk limit"),
        "inactive": (200, 110074, "This contract is not live"),
        "too_many": (200, 110020, "You can't have more than 500 active orders"),
        "position_mode": (200, 10001, "position idx not match position mode"),
        "no_change": (200, 110043, "leverage not modified"),
        "no_change_mode": (200, 110025, "Position mode is not modified"),
        "busy": (200, 110024, "You have an existing position, so position mode cannot be switched"),
        "symbol": (200, 10001, "params error: symbol invalid"),
        "invalid": (200, 10001, "Request parameter error."),
        "auth": (200, 10003, "API key is invalid."),
        "signature": (200, 10004, "error sign! origin_string"),
        "clock": (
            200,
            10002,
            "invalid request, please check your server timestamp or recv_window param.",
        ),
        "permission": (200, 10005, "Permission denied, please check your API key permissions."),
        "address": (200, 10010, "Unmatched IP, please check your API key's bound IP addresses."),
        "maintenance": (503, 10027, "Transactions are banned. System upgrading."),
        "server": (200, 10016, "Internal System Error."),
        "timeout": (200, 10000, "Server Timeout"),
    }

    def __init__(self, venue: Venue, account: Account) -> None:
        super().__init__(venue, account)
        self.core.max_orders = 500
        for method, path, operation, answer, writes in (
            ("POST", "/v5/order/create", "create", self._create, True),
            ("POST", "/v5/order/create-batch", "create", self._create_batch, True),
            ("POST", "/v5/order/cancel", "cancel", self._cancel, True),
            ("POST", "/v5/order/cancel-batch", "cancel", self._cancel_batch, True),
            ("GET", "/v5/order/realtime", "open_orders", self._realtime, False),
            ("GET", "/v5/order/history", "order", self._history, False),
            ("GET", "/v5/account/wallet-balance", "balance", self._balance, False),
            ("GET", "/v5/position/list", "positions", self._positions, False),
            ("GET", "/v5/execution/list", "fills", self._executions, False),
            ("GET", "/v5/position/closed-pnl", "profits", self._closed_pnl, False),
            ("GET", "/v5/user/query-api", "permissions", self._query_api, False),
            ("GET", "/v5/account/info", "account", self._account_info, False),
            ("POST", "/v5/position/switch-mode", "set_position_mode", self._switch_mode, True),
            ("POST", "/v5/account/set-margin-mode", "set_margin_mode", self._set_margin_mode, True),
            ("POST", "/v5/position/set-leverage", "set_leverage", self._set_leverage, True),
        ):
            self.add(operation, HOST, method, path, answer, writes=writes)
        venue.websocket(self.name, STREAM_HOST, "/v5/private", self._stream)

    def authenticate(self, call: Call) -> ApiKey:
        """Check the X-BAPI headers."""
        headers = call.headers
        key = self.key_of(headers.get("x-bapi-api-key"))
        sent, window = headers.get("x-bapi-timestamp", "0"), headers.get("x-bapi-recv-window", "5000")
        payload = call.body if call.method == "POST" else call.raw_query
        signed = f"{sent}{key.key}{window}{payload}"
        expected = hmac.new(key.secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(headers.get("x-bapi-sign", ""), expected):
            raise NotAllowed("signature")
        self.check_time(float(sent), float(window))
        return key

    def failure(self, status: int, code: Any, text: str) -> Reply:
        """Return an error as Bybit writes it."""
        body = {"retCode": code, "retMsg": text, "result": {}, "retExtInfo": {}, "time": self.venue.wall_ms()}
        return Reply(body, status)

    def _ok(self, result: Any, extra: Any = None) -> dict[str, Any]:
        return {
            "retCode": 0,
            "retMsg": "OK",
            "result": result,
            "retExtInfo": extra or {},
            "time": self.venue.wall_ms(),
        }

    # ---- orders

    def _create(self, call: Call) -> Any:
        order = self._place(call.json)
        return self._ok({"orderId": str(order.id), "orderLinkId": order.client_id})

    def _create_batch(self, call: Call) -> Any:
        return self._each(call.json, self._place)

    def _cancel(self, call: Call) -> Any:
        order = self._end(call.json)
        return self._ok({"orderId": str(order.id), "orderLinkId": order.client_id})

    def _cancel_batch(self, call: Call) -> Any:
        return self._each(call.json, self._end)

    def _each(self, body: dict[str, Any], do: Callable[[dict[str, Any]], Order]) -> Any:
        """Do one thing for each element of a batch; the codes come beside the list, by place."""
        rows: list[dict[str, Any]] = []
        codes: list[dict[str, Any]] = []
        if not 0 < len(body["request"]) <= _BATCH:
            raise Refused("invalid", f"1 to {_BATCH} elements a batch")
        for element in body["request"]:
            row = {
                "category": body["category"],
                "symbol": element.get("symbol", ""),
                "orderId": "",
                "orderLinkId": element.get("orderLinkId", ""),
                "createAt": "",
            }
            try:
                order = do(element)
                row |= {
                    "orderId": str(order.id),
                    "orderLinkId": order.client_id,
                    "createAt": str(order.created_ms),
                }
                codes.append({"code": 0, "msg": "OK"})
            except Refused as refusal:
                _, code, text = self.error(refusal.why)
                codes.append({"code": code, "msg": text})
            rows.append(row)
        return self._ok({"list": rows}, {"list": codes})

    def _place(self, form: dict[str, Any]) -> Order:
        index = int(form.get("positionIdx", 0))
        position_side: PositionSide | None = "long" if index == 1 else "short" if index == 2 else None
        return self.core.create(
            client_id=form.get("orderLinkId", ""),
            coin=self.coin(form["symbol"]),
            side="buy" if form["side"] == "Buy" else "sell",
            qty=float(form["qty"]),
            price=None if form["orderType"] == "Market" else float(form["price"]),
            position_side=position_side,
            post_only=form.get("timeInForce") == "PostOnly",
            reduce_only=bool(form.get("reduceOnly", False)),
            post_only_cancels=True,
        )

    def _end(self, form: dict[str, Any]) -> Order:
        order = self._find(form)
        if order is None or order.coin != self.coin(form["symbol"]):
            raise Refused("gone", "no such order")
        return self.core.cancel(order_id=order.id)

    def _find(self, form: dict[str, Any]) -> Order | None:
        return self.find(form.get("orderId"), form.get("orderLinkId"))

    def _realtime(self, call: Call) -> Any:
        query = call.query
        if query.get("orderId") or query.get("orderLinkId"):
            order = self._find(query)
            return self._ok(self._page([order] if order else [], query, self._shown, 20, 50))
        coin = self.coin_or_all(query.get("symbol"))
        orders = [order for order in reversed(self.core.open_orders) if coin in (None, order.coin)]
        return self._ok(self._page(orders, query, self._shown, 20, 50))

    def _history(self, call: Call) -> Any:
        query = call.query
        if query.get("orderId") or query.get("orderLinkId"):
            order = self._find(query)
            return self._ok(self._page([order] if order else [], query, self._shown, 20, 50))
        orders = [order for order in reversed(self.core.orders.values()) if not order.resting]
        return self._ok(self._page(orders, query, self._shown, 20, 50))

    @staticmethod
    def _page(
        rows: list[Row], query: dict[str, str], show: Callable[[Row], Any], usual: int, most: int
    ) -> dict[str, Any]:
        """Return one page: the cursor holds the place of its first row."""
        limit = min(int(query.get("limit", usual)), most)
        start = int(query["cursor"].partition("%3A")[0].partition(":")[0]) if query.get("cursor") else 0
        page = rows[start : start + limit]
        following = start + limit
        cursor = f"{following}%3A{following}" if following < len(rows) else ""
        return {"nextPageCursor": cursor, "category": "linear", "list": [show(row) for row in page]}

    def _shown(self, order: Order) -> dict[str, Any]:
        return {
            "orderId": str(order.id),
            "orderLinkId": order.client_id,
            "blockTradeId": "",
            "symbol": self.symbol(order.coin),
            "price": plain(0.0 if order.market else order.price),
            "qty": plain(order.qty),
            "side": order.side.capitalize(),
            "isLeverage": "",
            "positionIdx": _INDEX[order.position_side] if order.hedged else 0,
            "orderStatus": _STATUS[order.status],
            "createType": "CreateByUser",
            "cancelType": "CancelByUser" if order.status == "canceled" else "UNKNOWN",
            "rejectReason": "EC_PostOnlyWillTakeLiquidity"
            if order.post_only and order.status == "canceled" and order.created_ms == order.updated_ms
            else "EC_NoError",
            "avgPrice": plain(order.average) if order.filled else "",
            "leavesQty": plain(order.left) if order.resting else "0",
            "leavesValue": plain(order.left * order.price) if order.resting else "0",
            "cumExecQty": plain(order.filled),
            "cumExecValue": plain(order.cost),
            "cumExecFee": plain(order.fee),
            "cumFeeDetail": {"USDT": plain(order.fee)},
            "timeInForce": "PostOnly" if order.post_only else "IOC" if order.market else "GTC",
            "orderType": "Market" if order.market else "Limit",
            "stopOrderType": "",
            "orderIv": "",
            "triggerPrice": "",
            "takeProfit": "",
            "stopLoss": "",
            "tpslMode": "",
            "tpTriggerBy": "",
            "slTriggerBy": "",
            "triggerDirection": 0,
            "triggerBy": "",
            "lastPriceOnCreated": "",
            "reduceOnly": order.reduce_only,
            "closeOnTrigger": False,
            "smpType": "None",
            "smpGroup": 0,
            "smpOrderId": "",
            "createdTime": str(order.created_ms),
            "updatedTime": str(order.updated_ms),
        }

    # ---- account

    def _balance(self, call: Call) -> Any:
        money = self.money()
        coin = {
            "coin": "USDT",
            "equity": plain(money.equity),
            "usdValue": plain(money.equity),
            "walletBalance": plain(money.wallet),
            "free": "",
            "locked": "0",
            "spotHedgingQty": "0",
            "borrowAmount": "0",
            "availableToWithdraw": "",
            "accruedInterest": "0",
            "totalOrderIM": plain(money.asked),
            "totalPositionIM": plain(money.held),
            "totalPositionMM": plain(money.held * 0.1),
            "unrealisedPnl": plain(money.profit),
            "cumRealisedPnl": "0",
            "bonus": "0",
            "marginCollateral": True,
            "collateralSwitch": True,
        }
        account = {
            "accountType": "UNIFIED",
            "accountLTV": "",
            "accountIMRate": "0",
            "accountMMRate": "0",
            "totalEquity": plain(money.equity),
            "totalWalletBalance": plain(money.wallet),
            "totalMarginBalance": plain(money.equity),
            "totalAvailableBalance": plain(money.free),
            "totalPerpUPL": plain(money.profit),
            "totalInitialMargin": plain(money.held + money.asked),
            "totalMaintenanceMargin": plain(money.held * 0.1),
            "coin": [coin],
        }
        return self._ok({"list": [account]})

    def _positions(self, call: Call) -> Any:
        query = call.query
        coin = self.coin_or_all(query.get("symbol"))
        held = [p for p in self.core.positions.values() if coin in (None, p.coin)]
        return self._ok(self._page(held, query, self._position, 20, 200))

    def _position(self, held: Held) -> dict[str, Any]:
        setting = self.core.setting(held.coin)
        value = abs(held.size) * held.price
        flat = held.size == 0.0
        return {
            "positionIdx": _INDEX[held.side] if self.core.hedge_mode else 0,
            "riskId": 1,
            "riskLimitValue": "2000000",
            "symbol": self.symbol(held.coin),
            "side": "" if flat else "Buy" if held.side == "long" else "Sell",
            "size": plain(abs(held.size)),
            "avgPrice": plain(held.price),
            "positionValue": plain(value),
            "tradeMode": 0 if setting.margin_mode == "cross" else 1,
            "autoAddMargin": 0,
            "positionStatus": "Normal",
            "leverage": plain(setting.leverage),
            "markPrice": plain(self.core.last_price(held.coin)),
            "liqPrice": "",
            "bustPrice": "",
            "positionIM": plain(value / setting.leverage),
            "positionIMByMp": plain(value / setting.leverage),
            "positionMM": plain(value * 0.005),
            "positionMMByMp": plain(value * 0.005),
            "positionBalance": "0",
            "tpslMode": "Full",
            "takeProfit": "0",
            "stopLoss": "0",
            "trailingStop": "0",
            "sessionAvgPrice": "0",
            "unrealisedPnl": plain(0.0 if flat else self.core.unrealised(held)),
            "curRealisedPnl": "0",
            "cumRealisedPnl": "0",
            "adlRankIndicator": 2,
            "isReduceOnly": False,
            "mmrSysUpdatedTime": "",
            "leverageSysUpdatedTime": "",
            "createdTime": str(held.opened_ms),
            "updatedTime": str(held.updated_ms),
            "seq": -1,
        }

    # ---- history

    def _span(self, query: dict[str, str]) -> list[Execution]:
        """Return the fills of a request's span, newest first; at most seven days."""
        now = self.venue.clock.now_ms
        start = int(query["startTime"]) if query.get("startTime") else None
        end = int(query["endTime"]) if query.get("endTime") else None
        if start is None:
            start = (now if end is None else end) - _WEEK_MS
        if end is None:
            end = start + _WEEK_MS
        if end - start > _WEEK_MS:
            raise Refused("invalid", "more than seven days")
        return self.executions(start, end, self.coin_or_all(query.get("symbol")))[::-1]

    def _executions(self, call: Call) -> Any:
        return self._ok(self._page(self._span(call.query), call.query, self._execution, 50, 100))

    def _execution(self, fill: Execution) -> dict[str, Any]:
        return {
            "symbol": self.symbol(fill.coin),
            "orderId": str(fill.order_id),
            "orderLinkId": fill.client_id,
            "side": fill.side.capitalize(),
            "orderPrice": plain(fill.price),
            "orderQty": plain(fill.qty),
            "leavesQty": "0",
            "createType": "CreateByUser",
            "orderType": "Limit" if fill.maker else "Market",
            "stopOrderType": "UNKNOWN",
            "execFee": plain(fill.fee),
            "execId": f"exec-{fill.id}",
            "execPrice": plain(fill.price),
            "execQty": plain(fill.qty),
            "execType": "Trade",
            "execValue": plain(fill.qty * fill.price),
            "execTime": str(fill.time_ms),
            "feeCurrency": "USDT",
            "isMaker": fill.maker,
            "feeRate": plain(fill.fee / (fill.qty * fill.price)),
            "tradeIv": "",
            "markIv": "",
            "markPrice": plain(fill.price),
            "indexPrice": "",
            "underlyingPrice": "",
            "blockTradeId": "",
            "closedSize": plain(fill.qty if fill.closes else 0.0),
            "seq": fill.id,
        }

    def _closed_pnl(self, call: Call) -> Any:
        closes = [fill for fill in self._span(call.query) if fill.closes]
        return self._ok(self._page(closes, call.query, self._profit, 50, 100))

    def _profit(self, fill: Execution) -> dict[str, Any]:
        return {
            "symbol": self.symbol(fill.coin),
            "orderType": "Limit" if fill.maker else "Market",
            "leverage": plain(self.core.setting(fill.coin).leverage),
            "updatedTime": str(fill.time_ms),
            "side": fill.side.capitalize(),
            "orderId": str(fill.order_id),
            "closedPnl": plain(fill.pnl - fill.fee),
            "openFee": "0",
            "closeFee": plain(fill.fee),
            "avgEntryPrice": plain(fill.price_after),
            "qty": plain(fill.qty),
            "cumEntryValue": plain(fill.qty * fill.price_after),
            "orderPrice": plain(fill.price),
            "closedSize": plain(fill.qty),
            "avgExitPrice": plain(fill.price),
            "execType": "Trade",
            "fillCount": "1",
            "cumExitValue": plain(fill.qty * fill.price),
            "createdTime": str(fill.time_ms),
        }

    # ---- settings

    def _query_api(self, call: Call) -> Any:
        key = self.key_of(call.headers.get("x-bapi-api-key"))
        trades = ["Order", "Position"] if "trade" in key.permissions else []
        return self._ok(
            {
                "id": "13770661",
                "note": "",
                "apiKey": key.key,
                "readOnly": 0 if trades else 1,
                "secret": "",
                "permissions": {
                    "ContractTrade": trades,
                    "Spot": [],
                    "Wallet": ["AccountTransfer", "Withdraw"] if "withdraw" in key.permissions else [],
                    "Options": [],
                    "Derivatives": ["DerivativesTrade"] if trades else [],
                    "CopyTrading": [],
                    "BlockTrade": [],
                    "Exchange": [],
                    "NFT": [],
                    "Affiliate": [],
                    "Earn": [],
                },
                "ips": list(key.addresses) or ["*"],
                "type": 1,
                "deadlineDay": 83,
                "expiredAt": "2030-01-01T00:00:00Z",
                "createdAt": "2025-01-01T00:00:00Z",
                "unified": 0,
                "uta": 1,
                "userID": int(self.account.user_id),
                "inviterID": 0,
                "vipLevel": "No VIP",
                "mktMakerLevel": "0",
                "affiliateID": 0,
                "rsaPublicKey": "",
                "isMaster": True,
                "parentUid": "0",
                "kycLevel": "LEVEL_DEFAULT",
                "kycRegion": "",
            }
        )

    def _account_info(self, call: Call) -> Any:
        isolated = any(self.core.setting(c).margin_mode == "isolated" for c in self.venue.source.coins)
        return self._ok(
            {
                "marginMode": "ISOLATED_MARGIN" if isolated else "REGULAR_MARGIN",
                "updatedTime": str(self.venue.clock.now_ms),
                "unifiedMarginStatus": 6,
                "dcpStatus": "OFF",
                "timeWindow": 10,
                "smpGroup": 0,
                "isMasterTrader": False,
                "spotHedgingStatus": "OFF",
            }
        )

    def _switch_mode(self, call: Call) -> Any:
        try:
            self.core.set_hedge_mode(int(call.json["mode"]) == 3)
        except Refused as refusal:
            name = "no_change_mode" if refusal.why == "no_change" else refusal.why
            raise NotAllowed(name) from None
        return self._ok({})

    def _set_margin_mode(self, call: Call) -> Any:
        """Set the mode of the whole account: the unified account knows no other."""
        isolated = call.json["setMarginMode"] == "ISOLATED_MARGIN"
        for coin in self.venue.source.coins:
            with unchanged_is_fine():
                self.core.set_margin_mode(coin, "isolated" if isolated else "cross")
        return self._ok({"reasons": []})

    def _set_leverage(self, call: Call) -> Any:
        form = call.json
        if not self.core.set_leverage(self.coin(form["symbol"]), float(form["buyLeverage"])):
            raise Refused("no_change", "leverage not modified")
        return self._ok({})

    # ---- stream

    async def _stream(self, ws: web.WebSocketResponse, call: Call) -> None:
        async def on_message(stream: Stream, message: Any) -> None:
            operation = message.get("op") if isinstance(message, dict) else None
            request = message.get("req_id", "") if isinstance(message, dict) else ""
            about = {"req_id": request, "conn_id": "conn", "op": operation}
            if operation == "ping":
                stream.say({**about, "op": "pong", "args": [str(self.venue.wall_ms())]})
            elif operation == "auth":
                good = self._signed(stream, message["args"])
                text = "" if good else "Params Error"
                stream.say({**about, "success": good, "ret_msg": text})
            elif operation == "subscribe" and stream.key is not None:
                stream.channels |= set(message["args"])
                stream.say({**about, "success": True, "ret_msg": ""})
            else:
                stream.say({**about, "success": False, "ret_msg": "Request not authorized"})

        await self.serve(ws, on_message)

    def _signed(self, stream: Stream, arguments: list[Any]) -> bool:
        key = self.account.keys.get(str(arguments[0]))
        if key is None or key.revoked or float(arguments[1]) < self.venue.wall_ms():
            return False
        signed = f"GET/realtime{arguments[1]}".encode()
        expected = hmac.new(key.secret.encode(), signed, hashlib.sha256).hexdigest()
        stream.key = key if hmac.compare_digest(str(arguments[2]), expected) else None
        return stream.key is not None

    def messages(self, event: Event) -> list[tuple[str, Any]]:
        """Return an event as Bybit's private stream tells it."""
        _, thing = event
        if isinstance(thing, Order):
            return [("order", self._message("order", {**self._shown(thing), "category": "linear"}))]
        if isinstance(thing, Execution):
            row = {**self._execution(thing), "category": "linear", "execPnl": plain(thing.pnl)}
            return [("execution", self._message("execution", row))]
        if isinstance(thing, Held):
            row = {**self._position(thing), "category": "linear", "entryPrice": plain(thing.price)}
            return [("position", self._message("position", row))]
        return []

    def _message(self, topic: str, row: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": f"{self.account.user_id}_{topic}_{secrets.token_hex(4)}",
            "topic": topic,
            "creationTime": self.venue.clock.now_ms,
            "data": [row],
        }


def install(venue: Venue, account: Account) -> Dialect:
    """Add Bybit's private side to a venue."""
    return Bybit(venue, account)
