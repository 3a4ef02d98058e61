"""KuCoin futures, private side of the classic account: ``api-futures.kucoin.com``; REST tells the stream's
address.

Shapes and codes as in KuCoin's documentation; signatures are HMAC-SHA256 in base64 over time, method, path
and body, and the passphrase is signed too. Sizes are whole contracts. A post-only order that would trade is
taken and cancelled at once.
"""

import json
import secrets
from typing import Any, ClassVar, TypeVar

from aiohttp import web

from passivbot.venue.account import Account, ApiKey
from passivbot.venue.arithmetic import plain
from passivbot.venue.dialects.base import (
    Dialect,
    ErrorTable,
    NotAllowed,
    Stream,
    position_side,
    unchanged_is_fine,
)
from passivbot.venue.dialects.passphrase import PassphraseDialect, sign
from passivbot.venue.orders import Event, Execution, Held, MarginMode, Order, Refused
from passivbot.venue.server import Venue
from passivbot.venue.wire import Call, Reply

HOST = "api-futures.kucoin.com"
SPOT_HOST = "api.kucoin.com"
STREAM_HOST = "ws-api-futures.kucoin.com"

_ORDERS = "/contractMarket/tradeOrders"

Row = TypeVar("Row", Order, Execution)


class Kucoin(PassphraseDialect):
    """See :class:`~passivbot.venue.dialects.base.Dialect`."""

    name = "kucoinfutures"
    header_prefix = "kc-api"
    window_ms = 5000.0
    ERRORS: ClassVar[ErrorTable] = {
        "duplicate": (200, "300018", "clientOid parameter repeated"),
        "gone": (200, "100004", "The order cannot be canceled."),
        "no_order": (200, "100001", "error.getOrder.orderNotExist"),
        "funds": (200, "300003", "Your current balance is insufficient."),
        "reduce_only": (200, "300009", "No open positions to close."),
        "min_qty": (200, "100001", "Quantity parameter invalid"),
        "min_cost": (200, "100001", "Order value is too small"),
        "price_step": (200, "100001", "Price parameter invalid."),
        "qty_step": (200, "100001", "Quantity parameter invalid."),
        "leverage": (200, "300016", "The leverage cannot be greater than 100.00."),
        "inactive": (200, "300001", "Contract paused, order placement is suspended."),
        "too_many": (200, "300000", "The number of open orders exceeds the limit."),
        "position_mode": (200, "330011", "The order's position mode does not match your selected mode."),
        "busy": (200, "330010", "Close all positions and cancel all orders before switching the mode."),
        "symbol": (200, "100003", "Contract parameter invalid."),
        "invalid": (200, "400100", "Parameter error."),
        "auth": (401, "400003", "KC-API-KEY not exists"),
        "passphrase": (401, "400004", "Invalid KC-API-PASSPHRASE"),
        "signature": (401, "400005", "Invalid KC-API-SIGN"),
        "clock": (400, "400002", "KC-API-TIMESTAMP Invalid"),
        "permission": (403, "400007", "Access denied, require more permission."),
        "address": (403, "400006", "The requested ip address is not in the api whitelist"),
        "maintenance": (200, "300002", "The futures service is under maintenance."),
        "server": (500, "500000", "Internal Server Error"),
        "timeout": (504, "500000", "Gateway Timeout"),
    }

    def __init__(self, venue: Venue, account: Account) -> None:
        super().__init__(venue, account)
        self._tokens: dict[str, ApiKey] = {}
        for method, path, operation, answer, writes in (
            ("POST", "/api/v1/orders", "create", self._create, True),
            ("POST", "/api/v1/orders/multi", "create", self._create_batch, True),
            ("DELETE", "/api/v1/orders/{order_id}", "cancel", self._cancel, True),
            ("GET", "/api/v1/orders/byClientOid", "order", self._by_client_id, False),
            ("GET", "/api/v1/orders", "open_orders", self._orders, False),
            ("GET", "/api/v1/fills", "fills", self._fills, False),
            ("GET", "/api/v1/positions", "positions", self._positions, False),
            ("GET", "/api/v1/account-overview", "balance", self._overview, False),
            ("GET", "/api/v2/position/getPositionMode", "account", self._mode, False),
            ("POST", "/api/v2/position/switchPositionMode", "set_position_mode", self._position_mode, True),
            ("POST", "/api/v2/position/changeMarginMode", "set_margin_mode", self._margin_mode, True),
            ("POST", "/api/v2/changeCrossUserLeverage", "set_leverage", self._leverage, True),
            ("POST", "/api/v1/bullet-private", "stream_key", self._bullet, False),
        ):
            self.add(operation, HOST, method, path, answer, writes=writes)
        self.add("permissions", SPOT_HOST, "GET", "/api/v1/user/api-key", self._api_key)
        venue.websocket(self.name, STREAM_HOST, "/", self._stream)

    def passphrase_of(self, key: ApiKey) -> str:
        """Return the passphrase, which is signed too."""
        return sign(key.secret, key.password)

    def failure(self, status: int, code: Any, text: str) -> Reply:
        """Return an error as KuCoin writes it."""
        return Reply({"code": code, "msg": text}, status)

    @staticmethod
    def _ok(data: Any) -> dict[str, Any]:
        return {"code": "200000", "data": data}

    # ---- orders

    def _create(self, call: Call) -> Any:
        order = self._place(call.json)
        return self._ok({"orderId": str(order.id), "clientOid": order.client_id})

    def _create_batch(self, call: Call) -> Any:
        rows: list[dict[str, Any]] = []
        wanted = call.json
        if not 0 < len(wanted) <= 20:
            raise Refused("invalid", "1 to 20 orders per batch")
        for form in wanted:
            row = {"orderId": None, "clientOid": form["clientOid"], "symbol": form["symbol"]}
            try:
                row |= {"orderId": str(self._place(form).id), "code": "200000", "msg": "success"}
            except Refused as refusal:
                _, code, text = self.error(refusal.why)
                row |= {"code": code, "msg": text}
            rows.append(row)
        return self._ok(rows)

    def _place(self, form: dict[str, Any]) -> Order:
        size = float(form["size"])
        if size != int(size):
            raise Refused("qty_step", "sizes are whole contracts")
        return self.core.create(
            client_id=form["clientOid"],
            coin=self.coin(form["symbol"]),
            side="buy" if form["side"] == "buy" else "sell",
            qty=size,
            price=None if form["type"] == "market" else float(form["price"]),
            position_side=position_side(form.get("positionSide", "")),
            post_only=bool(form.get("postOnly", False)),
            reduce_only=bool(form.get("reduceOnly", False)),
            post_only_cancels=True,
        )

    def _cancel(self, call: Call) -> Any:
        name = call.path_params["order_id"]
        order = self.core.cancel(order_id=int(name) if name.isdigit() else -1)
        return self._ok({"cancelledOrderIds": [str(order.id)]})

    def _by_client_id(self, call: Call) -> Any:
        order = self.core.find(client_id=call.query["clientOid"])
        if order is None:
            raise NotAllowed("no_order")
        return self._ok(self._shown(order))

    def _orders(self, call: Call) -> Any:
        query = call.query
        coin = self.coin_or_all(query.get("symbol"))
        active = query.get("status") == "active"
        found = [
            order
            for order in reversed(self.core.orders.values())
            if order.resting == active and coin in (None, order.coin)
        ]
        return self._ok(self._page(found, query, self._shown))

    @staticmethod
    def _page(rows: list[Row], query: dict[str, str], show: Any) -> dict[str, Any]:
        size = min(int(query.get("pageSize", 50)), 1000)
        page = int(query.get("currentPage", 1))
        return {
            "currentPage": page,
            "pageSize": size,
            "totalNum": len(rows),
            "totalPage": -(-len(rows) // size),
            "items": [show(row) for row in rows[(page - 1) * size : page * size]],
        }

    def _shown(self, order: Order) -> dict[str, Any]:
        c_mult = self.venue.source.market(order.coin).rules.c_mult
        canceled = order.status in ("canceled", "expired", "rejected")
        return {
            "id": str(order.id),
            "symbol": self.symbol(order.coin),
            "type": "market" if order.market else "limit",
            "side": order.side,
            "price": None if order.market else plain(order.price),
            "size": int(order.qty),
            "value": plain(order.qty * order.price * c_mult),
            "dealValue": plain(order.cost * c_mult),
            "dealSize": int(order.filled),
            "stp": "",
            "stop": "",
            "stopPriceType": "",
            "stopTriggered": False,
            "stopPrice": None,
            "timeInForce": "GTC",
            "postOnly": order.post_only,
            "hidden": False,
            "iceberg": False,
            "leverage": plain(self.core.setting(order.coin).leverage),
            "forceHold": False,
            "closeOrder": False,
            "visibleSize": None,
            "clientOid": order.client_id,
            "remark": None,
            "tags": None,
            "isActive": order.resting,
            "cancelExist": canceled,
            "createdAt": order.created_ms,
            "updatedAt": order.updated_ms,
            "endAt": None if order.resting else order.updated_ms,
            "orderTime": order.created_ms * 1_000_000,
            "settleCurrency": "USDT",
            "marginMode": self.core.setting(order.coin).margin_mode.upper(),
            "positionSide": order.position_side.upper() if order.hedged else "BOTH",
            "avgDealPrice": plain(order.average),
            "filledSize": int(order.filled),
            "filledValue": plain(order.cost * c_mult),
            "status": "open" if order.resting else "done",
            "reduceOnly": order.reduce_only,
        }

    # ---- account

    def _overview(self, call: Call) -> Any:
        money = self.money()
        free = plain(money.free)
        return self._ok(
            {
                "currency": "USDT",
                "accountEquity": plain(money.equity),
                "unrealisedPNL": plain(money.profit),
                "marginBalance": plain(money.wallet),
                "positionMargin": plain(money.held),
                "orderMargin": plain(money.asked),
                "frozenFunds": "0",
                "availableBalance": free,
                "riskRatio": "0",
                "maxWithdrawAmount": free,
                "availableMargin": free,
            }
        )

    def _positions(self, call: Call) -> Any:
        return self._ok([self._position(held) for held in self.core.positions.values()])

    def _position(self, held: Held) -> dict[str, Any]:
        setting = self.core.setting(held.coin)
        rules = self.venue.source.market(held.coin).rules
        mark = self.core.last_price(held.coin)
        cost, value = held.size * held.price * rules.c_mult, held.size * mark * rules.c_mult
        margin = abs(cost) / setting.leverage
        flat = held.size == 0.0
        return {
            "id": f"{held.opened_ms}",
            "symbol": self.symbol(held.coin),
            "crossMode": setting.margin_mode == "cross",
            "marginMode": setting.margin_mode.upper(),
            "positionSide": held.side.upper() if self.core.hedge_mode else "BOTH",
            "delevPercentage": 0.1,
            "openingTimestamp": held.opened_ms,
            "currentTimestamp": self.venue.clock.now_ms,
            "currentQty": int(held.size),
            "currentCost": cost,
            "currentComm": 0.0,
            "unrealisedCost": cost,
            "realisedGrossCost": 0.0,
            "realisedCost": 0.0,
            "isOpen": not flat,
            "markPrice": mark,
            "markValue": value,
            "posCost": cost,
            "posInit": margin,
            "posMargin": margin,
            "realisedGrossPnl": 0.0,
            "realisedPnl": 0.0,
            "unrealisedPnl": 0.0 if flat else self.core.unrealised(held),
            "unrealisedPnlPcnt": 0.0,
            "unrealisedRoePcnt": 0.0,
            "avgEntryPrice": held.price,
            "liquidationPrice": 0.0,
            "bankruptPrice": 0.0,
            "settleCurrency": "USDT",
            "isInverse": False,
            "maintMarginReq": 0.004,
            "leverage": setting.leverage,
        }

    def _fills(self, call: Call) -> Any:
        query = call.query
        start, end = int(query.get("startAt", 0)), int(query.get("endAt", 10**15))
        rows = self.executions(start, end, self.coin_or_all(query.get("symbol")))
        return self._ok(self._page(rows[::-1], query, self._fill))

    def _fill(self, fill: Execution) -> dict[str, Any]:
        c_mult = self.venue.source.market(fill.coin).rules.c_mult
        fee = plain(fill.fee)
        return {
            "symbol": self.symbol(fill.coin),
            "tradeId": str(fill.id),
            "orderId": str(fill.order_id),
            "side": fill.side,
            "liquidity": "maker" if fill.maker else "taker",
            "forceTaker": False,
            "price": plain(fill.price),
            "size": int(fill.qty),
            "value": plain(fill.qty * fill.price * c_mult),
            "openFeePay": "0" if fill.closes else fee,
            "closeFeePay": fee if fill.closes else "0",
            "stop": "",
            "feeRate": "0.0002",
            "fixFee": "0",
            "feeCurrency": "USDT",
            "tradeTime": fill.time_ms * 1_000_000,
            "subTradeType": None,
            "marginMode": "CROSS",
            "positionSide": fill.position_side.upper() if fill.hedged else "BOTH",
            "displayType": "limit",
            "fee": fee,
            "settleCurrency": "USDT",
            "orderType": "limit" if fill.maker else "market",
            "tradeType": "trade",
            "createdAt": fill.time_ms,
        }

    # ---- settings

    def _mode(self, call: Call) -> Any:
        return self._ok({"positionMode": 1 if self.core.hedge_mode else 0})

    def _position_mode(self, call: Call) -> Any:
        mode = str(call.json["positionMode"])
        with unchanged_is_fine():
            self.core.set_hedge_mode(mode == "1", busy_first=True)
        return self._ok({"positionMode": int(mode)})

    def _margin_mode(self, call: Call) -> Any:
        form = call.json
        mode: MarginMode = "cross" if form["marginMode"] == "CROSS" else "isolated"
        with unchanged_is_fine():
            self.core.set_margin_mode(self.coin(form["symbol"]), mode, busy_first=True)
        return self._ok({"symbol": form["symbol"], "marginMode": form["marginMode"]})

    def _leverage(self, call: Call) -> Any:
        form = call.json
        self.core.set_leverage(self.coin(form["symbol"]), float(form["leverage"]))
        return self._ok({"symbol": form["symbol"], "leverage": form["leverage"]})

    # ---- stream

    def _api_key(self, call: Call) -> Any:
        key = self.asking(call)
        granted = ["General"]
        granted += ["Futures"] if "trade" in key.permissions else []
        granted += ["Transfer"] if "withdraw" in key.permissions else []
        return self._ok(
            {
                "uid": int(self.account.user_id),
                "remark": "bot",
                "apiKey": key.key,
                "apiVersion": 3,
                "permission": ",".join(granted),
                "ipWhitelist": ",".join(key.addresses),
                "isMaster": True,
                "createdAt": 1_698_645_219_000,
            }
        )

    def _bullet(self, call: Call) -> Any:
        token = secrets.token_urlsafe(32)
        self._tokens[token] = self.asking(call)
        server = {
            "endpoint": f"wss://{STREAM_HOST}/",
            "encrypt": True,
            "protocol": "websocket",
            "pingInterval": 18000,
            "pingTimeout": 10000,
        }
        return self._ok({"token": token, "instanceServers": [server]})

    def expire_stream_keys(self) -> None:
        """Forget the tokens: open streams fall silent, and none opens with an old one."""
        for stream in self.streams:
            stream.channels.clear()
        self._tokens.clear()

    async def _stream(self, ws: web.WebSocketResponse, call: Call) -> None:
        key = self._tokens.get(call.query.get("token", ""))
        if key is None or key.revoked:
            await ws.send_str(
                json.dumps({"id": "1", "type": "error", "code": 401, "data": "token is invalid"})
            )
            await ws.close()
            return
        await ws.send_str(json.dumps({"id": call.query.get("connectId", ""), "type": "welcome"}))

        async def on_message(stream: Stream, message: Any) -> None:
            kind = message.get("type")
            if kind == "ping":
                stream.say({"id": message["id"], "type": "pong", "timestamp": self.venue.wall_ms() * 1000})
            elif kind == "subscribe":
                stream.channels.add(message["topic"])
                stream.say({"id": message["id"], "type": "ack"})

        await self.serve(ws, on_message)

    def messages(self, event: Event) -> list[tuple[str, Any]]:
        """Return an event as KuCoin's private channel of orders tells it."""
        _, thing = event
        if isinstance(thing, Order):
            kind = {"open": "open", "partial": "match", "filled": "filled"}.get(thing.status, "canceled")
            return [(_ORDERS, self._message(self._update(thing, kind)))]
        if isinstance(thing, Execution):
            order = self.core.find(order_id=thing.order_id)
            if order is None:
                return []
            row = self._update(order, "match") | {
                "tradeId": str(thing.id),
                "matchPrice": plain(thing.price),
                "matchSize": plain(thing.qty),
                "liquidity": "maker" if thing.maker else "taker",
                "feeType": "makerFee" if thing.maker else "takerFee",
            }
            return [(_ORDERS, self._message(row))]
        return []

    def _update(self, order: Order, kind: str) -> dict[str, Any]:
        canceled = plain(order.left) if kind == "canceled" else "0"
        return {
            "orderId": str(order.id),
            "symbol": self.symbol(order.coin),
            "type": kind,
            "status": "done" if kind in ("filled", "canceled") else kind,
            "orderType": "market" if order.market else "limit",
            "side": order.side,
            "price": plain(order.price),
            "size": plain(order.qty),
            "remainSize": plain(order.left) if order.resting else "0",
            "filledSize": plain(order.filled),
            "canceledSize": canceled,
            "clientOid": order.client_id,
            "marginMode": self.core.setting(order.coin).margin_mode.upper(),
            "positionSide": order.position_side.upper() if order.hedged else "BOTH",
            "orderTime": order.created_ms * 1_000_000,
            "ts": order.updated_ms * 1_000_000,
            "tradeType": "trade",
        }

    def _message(self, row: dict[str, Any]) -> dict[str, Any]:
        return {
            "topic": _ORDERS,
            "type": "message",
            "subject": "orderChange",
            "channelType": "private",
            "userId": self.account.user_id,
            "data": row,
        }


def install(venue: Venue, account: Account) -> Dialect:
    """Add KuCoin's private side to a venue."""
    return Kucoin(venue, account)
