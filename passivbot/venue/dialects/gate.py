"""Gate futures v4, private side: ``api.gateio.ws`` and the stream on ``fx-ws.gateio.ws``.

Shapes and labels as in Gate's v4 documentation; signatures are HMAC-SHA512 over method, path, query, the
body's SHA-512 and the time. Sizes are signed; in dual mode ``reduce_only`` says that an order closes, and a
fill's ``close_size`` that it did.
"""

import hashlib
import hmac
from typing import Any, ClassVar
from urllib.parse import unquote

from aiohttp import web

from passivbot.venue.account import Account, ApiKey
from passivbot.venue.arithmetic import plain
from passivbot.venue.dialects.base import Dialect, ErrorTable, NotAllowed, Stream
from passivbot.venue.orders import Event, Execution, Held, Order, PositionSide, Refused, Side
from passivbot.venue.server import Venue
from passivbot.venue.wire import Call, Reply

HOST = "api.gateio.ws"
STREAM_HOST = "fx-ws.gateio.ws"
ROOT = "/api/v4/futures/usdt"

_FINISHED = {"filled": "filled", "canceled": "cancelled", "expired": "reduce_only", "rejected": "cancelled"}
_WINDOW_MS = 60_000.0


class Gate(Dialect):
    """See :class:`~passivbot.venue.dialects.base.Dialect`."""

    name = "gate"
    ERRORS: ClassVar[ErrorTable] = {
        "duplicate": (400, "REPEATED_CREATION", "text is used by another order"),
        "gone": (404, "ORDER_NOT_FOUND", "order not found"),
        "funds": (400, "INSUFFICIENT_AVAILABLE", "insufficient available balance"),
        "post_only": (
            400,
            "POC_FILL_IMMEDIATELY",
            "Order would match and take immediately so its cancelled",
        ),
        "reduce_only": (400, "EMPTY_POSITION", "empty position"),
        "min_qty": (400, "SIZE_TOO_SMALL", "order size is too small"),
        "min_cost": (400, "SIZE_TOO_SMALL", "order size is too small"),
        "price_step": (400, "INVALID_PARAM_VALUE", "invalid price"),
        "qty_step": (400, "INVALID_PARAM_VALUE", "invalid size"),
        "leverage": (400, "LEVERAGE_TOO_HIGH", "leverage is too high"),
        "inactive": (400, "CONTRACT_IN_DELISTING", "contract is in delisting"),
        "too_many": (400, "TOO_MANY_ORDERS", "too many open orders"),
        "position_mode": (400, "INVALID_PARAM_VALUE", "position mode"),
        "no_change": (400, "NO_CHANGE", "No change is made"),
        "busy": (400, "POSITION_HOLDING", "position or orders exist"),
        "symbol": (400, "CONTRACT_NOT_FOUND", "contract not found"),
        "invalid": (400, "INVALID_PARAM_VALUE", "invalid parameter"),
        "auth": (401, "INVALID_KEY", "Invalid key provided"),
        "signature": (401, "INVALID_SIGNATURE", "Signature mismatch"),
        "clock": (403, "REQUEST_EXPIRED", "gap between request Timestamp and server time exceeds 60"),
        "permission": (403, "READ_ONLY", "Read only key can't do this"),
        "address": (403, "IP_FORBIDDEN", "Your IP is not in the key's whitelist"),
        "maintenance": (503, "MAINTENANCE", "The system is under maintenance"),
        "server": (500, "SERVER_ERROR", "Internal server error"),
        "timeout": (504, "TOO_BUSY", "System is busy, the request may have been carried out"),
    }

    def __init__(self, venue: Venue, account: Account) -> None:
        super().__init__(venue, account)
        for method, path, operation, answer, writes in (
            ("POST", f"{ROOT}/orders", "create", self._create, True),
            ("POST", f"{ROOT}/batch_orders", "create", self._create_batch, True),
            ("DELETE", f"{ROOT}/orders/{{order_id}}", "cancel", self._cancel, True),
            ("GET", f"{ROOT}/orders/{{order_id}}", "order", self._order, False),
            ("GET", f"{ROOT}/orders", "open_orders", self._orders, False),
            ("GET", f"{ROOT}/my_trades_timerange", "fills", self._trades, False),
            ("GET", f"{ROOT}/account_book", "profits", self._book, False),
            ("GET", f"{ROOT}/accounts", "balance", self._accounts, False),
            ("GET", f"{ROOT}/positions", "positions", self._positions, False),
            ("POST", f"{ROOT}/dual_mode", "set_position_mode", self._dual_mode, True),
            (
                "POST",
                f"{ROOT}/dual_comp/positions/{{contract}}/leverage",
                "set_leverage",
                self._leverage,
                True,
            ),
            ("POST", f"{ROOT}/positions/{{contract}}/leverage", "set_leverage", self._leverage, True),
            ("GET", "/api/v4/account/detail", "permissions", self._detail, False),
        ):
            self.add(operation, HOST, method, path, answer, writes=writes)
        venue.websocket(self.name, STREAM_HOST, "/v4/ws/usdt", self._stream)

    def authenticate(self, call: Call) -> ApiKey:
        """Check KEY, SIGN and Timestamp."""
        headers = call.headers
        key = self.key_of(headers.get("key"))
        sent = headers.get("timestamp", "0")
        body = hashlib.sha512(call.body.encode()).hexdigest()
        signed = "\n".join([call.method, call.path, unquote(call.raw_query), body, sent])
        if not hmac.compare_digest(headers.get("sign", ""), _sign(key.secret, signed)):
            raise NotAllowed("signature")
        if abs(float(sent) * 1000 - self.venue.wall_ms()) > _WINDOW_MS:
            raise NotAllowed("clock")
        return key

    def failure(self, status: int, code: Any, text: str) -> Reply:
        """Return an error as Gate writes it."""
        return Reply({"label": code, "message": text}, status)

    # ---- orders

    def _create(self, call: Call) -> Any:
        return Reply(self._shown(self._place(call.json)), 201)

    def _create_batch(self, call: Call) -> Any:
        wanted = call.json
        if not 0 < len(wanted) <= 10:
            raise Refused("invalid", "1 to 10 orders per batch")
        rows: list[dict[str, Any]] = []
        for form in wanted:
            try:
                rows.append({"succeeded": True, **self._shown(self._place(form))})
            except Refused as refusal:
                _, label, text = self.error(refusal.why)
                rows.append(
                    {"succeeded": False, "label": label, "detail": text, "text": form.get("text", "")}
                )
        return rows

    def _place(self, form: dict[str, Any]) -> Order:
        size = float(form["size"])
        side: Side = "buy" if size > 0 else "sell"
        closes = bool(form.get("reduce_only", False))
        position_side: PositionSide | None = None
        if self.core.hedge_mode:
            position_side = "long" if (side == "buy") != closes else "short"
        price = float(form["price"])
        return self.core.create(
            client_id=form.get("text", ""),
            coin=self.coin(form["contract"]),
            side=side,
            qty=abs(size),
            price=None if price == 0.0 else price,
            position_side=position_side,
            post_only=form.get("tif") == "poc",
            reduce_only=closes,
        )

    def _find(self, name: str) -> Order:
        order = (
            self.core.find(order_id=int(name)) if name.isdigit() else self.core.find(client_id=unquote(name))
        )
        if order is None:
            raise NotAllowed("gone")
        return order

    def _cancel(self, call: Call) -> Any:
        order = self._find(call.path_params["order_id"])
        return self._shown(self.core.cancel(order_id=order.id))

    def _order(self, call: Call) -> Any:
        return self._shown(self._find(call.path_params["order_id"]))

    def _orders(self, call: Call) -> Any:
        query = call.query
        coin = self.coin_or_all(query.get("contract"))
        if query.get("status") == "open":
            orders = list(reversed(self.core.open_orders))
        else:
            orders = [order for order in reversed(self.core.orders.values()) if not order.resting]
        found = [order for order in orders if coin in (None, order.coin)]
        start, limit = int(query.get("offset", 0)), min(int(query.get("limit", 100)), 100)
        return [self._shown(order) for order in found[start : start + limit]]

    def _size(self, value: float) -> Any:
        """Return a size: a whole number, or text where the contract has decimals."""
        return int(value) if value == int(value) else plain(value)

    def _shown(self, order: Order) -> dict[str, Any]:
        sign = 1.0 if order.side == "buy" else -1.0
        row = {
            "id": order.id,
            "user": int(self.account.user_id),
            "create_time": order.created_ms / 1000,
            "update_time": order.updated_ms / 1000,
            "status": "open" if order.resting else "finished",
            "contract": self.symbol(order.coin),
            "size": self._size(sign * order.qty),
            "iceberg": 0,
            "left": self._size(sign * order.left),
            "price": "0" if order.market else plain(order.price),
            "fill_price": plain(order.average),
            "mkfr": plain(self.venue.source.market(order.coin).maker_fee),
            "tkfr": plain(self.venue.source.market(order.coin).taker_fee),
            "tif": "ioc" if order.market else "poc" if order.post_only else "gtc",
            "refu": 0,
            "refr": "0",
            "is_reduce_only": order.reduce_only,
            "reduce_only": order.reduce_only,
            "is_close": False,
            "close": False,
            "is_liq": False,
            "text": order.client_id or "api",
            "biz_info": "-",
            "amend_text": "-",
            "stp_id": 0,
            "stp_act": "-",
        }
        if not order.resting:
            row |= {"finish_time": order.updated_ms / 1000, "finish_as": _FINISHED[order.status]}
        return row

    # ---- account

    def _accounts(self, call: Call) -> Any:
        money = self.money()
        return {
            "user": int(self.account.user_id),
            "currency": "USDT",
            # The wallet: unrealised profit stands beside it.
            "total": plain(money.wallet),
            "unrealised_pnl": plain(money.profit),
            "position_margin": "0",
            "order_margin": plain(money.asked),
            "available": plain(money.free),
            "point": "0",
            "bonus": "0",
            "in_dual_mode": self.core.hedge_mode,
            "enable_credit": False,
            "enable_evolved_classic": True,
            "position_initial_margin": plain(money.held),
            "maintenance_margin": plain(money.held * 0.1),
            "cross_order_margin": plain(money.asked),
            "cross_initial_margin": plain(money.held),
            "cross_maintenance_margin": plain(money.held * 0.1),
            "cross_unrealised_pnl": plain(money.profit),
            "cross_available": plain(money.free),
            "cross_margin_balance": plain(money.equity),
            "cross_mmr": "0",
            "cross_imr": "0",
            "isolated_position_margin": "0",
            "enable_new_dual_mode": True,
            "margin_mode": 0,
            "history": {
                "dnw": plain(money.wallet),
                "pnl": "0",
                "fee": "0",
                "refr": "0",
                "fund": "0",
                "point_dnw": "0",
                "point_fee": "0",
                "point_refr": "0",
                "bonus_dnw": "0",
                "bonus_offset": "0",
            },
        }

    def _positions(self, call: Call) -> Any:
        query = call.query
        rows = [self._position(held) for held in self.core.positions.values()]
        start, limit = int(query.get("offset", 0)), min(int(query.get("limit", 100)), 100)
        return rows[start : start + limit]

    def _position(self, held: Held) -> dict[str, Any]:
        rules = self.venue.source.market(held.coin).rules
        setting = self.core.setting(held.coin)
        mark = self.core.last_price(held.coin)
        value = abs(held.size) * mark * rules.c_mult
        cross = setting.margin_mode == "cross"
        flat = held.size == 0.0
        mode = f"dual_{held.side}" if self.core.hedge_mode else "single"
        return {
            "user": int(self.account.user_id),
            "contract": self.symbol(held.coin),
            "size": self._size(held.size),
            "leverage": "0" if cross else plain(setting.leverage),
            "risk_limit": "1000000",
            "leverage_max": "100",
            "maintenance_rate": "0.005",
            "value": plain(value),
            "margin": plain(value / setting.leverage),
            "entry_price": plain(held.price),
            "liq_price": "0",
            "mark_price": plain(mark),
            "unrealised_pnl": plain(0.0 if flat else self.core.unrealised(held)),
            "initial_margin": plain(value / setting.leverage),
            "maintenance_margin": plain(value * 0.005),
            "realised_pnl": "0",
            "pnl_pnl": "0",
            "pnl_fund": "0",
            "pnl_fee": "0",
            "history_pnl": "0",
            "last_close_pnl": "0",
            "realised_point": "0",
            "history_point": "0",
            "adl_ranking": 5,
            "pending_orders": 0,
            "close_order": None,
            "mode": mode,
            "cross_leverage_limit": plain(setting.leverage) if cross else "0",
            "update_time": held.updated_ms // 1000,
            "update_id": 1,
            "open_time": held.opened_ms // 1000,
        }

    def _trades(self, call: Call) -> Any:
        query = call.query
        rows = self._span(query)
        start, limit = int(query.get("offset", 0)), min(int(query.get("limit", 100)), 1000)
        return [self._trade(fill) for fill in rows[start : start + limit]]

    def _span(self, query: dict[str, str]) -> list[Execution]:
        """Return the fills of a request's contract and span, which is in seconds; newest first."""
        begin = int(query.get("from", 0)) * 1000
        end = int(query.get("to", 10**12)) * 1000 + 999
        return self.executions(begin, end, self.coin_or_all(query.get("contract")))[::-1]

    def _trade(self, fill: Execution) -> dict[str, Any]:
        sign = 1.0 if fill.side == "buy" else -1.0
        return {
            "trade_id": str(fill.id),
            "create_time": fill.time_ms / 1000,
            "contract": self.symbol(fill.coin),
            "order_id": str(fill.order_id),
            "size": self._size(sign * fill.qty),
            "close_size": self._size(sign * fill.qty) if fill.closes else 0,
            "price": plain(fill.price),
            "text": fill.client_id or "api",
            "fee": plain(fill.fee),
            "point_fee": "0",
            "role": "maker" if fill.maker else "taker",
        }

    def _book(self, call: Call) -> Any:
        query = call.query
        rows = [fill for fill in self._span(query) if fill.pnl and query.get("type") in (None, "pnl")]
        start, limit = int(query.get("offset", 0)), min(int(query.get("limit", 100)), 1000)
        return [
            {
                "time": fill.time_ms / 1000,
                "change": plain(fill.pnl),
                "balance": plain(fill.balance_after),
                "text": f"{self.symbol(fill.coin)}:{fill.order_id}",
                "type": "pnl",
                "contract": self.symbol(fill.coin),
                "trade_id": str(fill.id),
                "id": str(fill.id),
            }
            for fill in rows[start : start + limit]
        ]

    # ---- settings

    def _dual_mode(self, call: Call) -> Any:
        form = call.form if call.raw_query else call.json
        self.core.set_hedge_mode(str(form["dual_mode"]).lower() == "true")
        return self._accounts(call)

    def _leverage(self, call: Call) -> Any:
        query = call.query
        coin = self.coin(call.path_params["contract"])
        cross = float(query["leverage"]) == 0.0
        self.core.set_leverage(coin, float(query["cross_leverage_limit"] if cross else query["leverage"]))
        self.core.setting(coin).margin_mode = "cross" if cross else "isolated"
        now = self.venue.clock.now_ms
        return [self._position(Held(coin, side, 0.0, 0.0, now, now)) for side in _SIDES]

    def _detail(self, call: Call) -> Any:
        key = self.key_of(call.headers.get("key"))
        return {
            "user_id": int(self.account.user_id),
            "ip_whitelist": list(key.addresses),
            "currency_pairs": [],
            "key": {"mode": 1},
            "tier": 0,
            "copy_trading_role": 0,
        }

    # ---- stream

    async def _stream(self, ws: web.WebSocketResponse, call: Call) -> None:
        async def on_message(stream: Stream, message: Any) -> None:
            channel, now = message.get("channel", ""), self.venue.wall_ms()
            about = {"time": now // 1000, "time_ms": now, "id": message.get("id"), "channel": channel}
            if channel == "futures.ping":
                stream.say({**about, "channel": "futures.pong", "event": "", "error": None, "result": None})
                return
            good = self._signed(stream, message)
            error = None if good else {"code": 4, "message": "invalid signature"}
            result = {"status": "success" if good else "fail"}
            if good:
                stream.channels.add(channel)
            stream.say({**about, "event": message.get("event"), "error": error, "result": result})

        await self.serve(ws, on_message)

    def _signed(self, stream: Stream, message: dict[str, Any]) -> bool:
        auth = message.get("auth") or {}
        key = self.account.keys.get(str(auth.get("KEY")))
        if key is None or key.revoked or abs(message["time"] * 1000 - self.venue.wall_ms()) > _WINDOW_MS:
            return False
        if (message.get("payload") or [""])[0] != self.account.user_id:
            return False
        signed = f"channel={message['channel']}&event={message['event']}&time={message['time']}"
        stream.key = key if hmac.compare_digest(str(auth.get("SIGN")), _sign(key.secret, signed)) else None
        return stream.key is not None

    def messages(self, event: Event) -> list[tuple[str, Any]]:
        """Return an event as Gate's private channels tell it."""
        _, thing = event
        if isinstance(thing, Order):
            row = {
                **self._shown(thing),
                "create_time_ms": thing.created_ms,
                "update_time": thing.updated_ms,
                "finish_as": "_new" if thing.resting else _FINISHED[thing.status],
                "user": self.account.user_id,
            }
            return [("futures.orders", self._message("futures.orders", row))]
        if isinstance(thing, Held):
            row = {
                **self._position(thing),
                "time_ms": self.venue.clock.now_ms,
                "user": self.account.user_id,
            }
            return [("futures.positions", self._message("futures.positions", row))]
        return []

    def _message(self, channel: str, row: dict[str, Any]) -> dict[str, Any]:
        now = self.venue.wall_ms()
        return {"time": now // 1000, "time_ms": now, "channel": channel, "event": "update", "result": [row]}


_SIDES: tuple[PositionSide, PositionSide] = ("long", "short")


def _sign(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha512).hexdigest()


def install(venue: Venue, account: Account) -> Dialect:
    """Add Gate's private side to a venue."""
    return Gate(venue, account)
