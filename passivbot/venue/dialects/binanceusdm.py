"""Binance USDⓈ-M futures, private side: ``fapi.binance.com`` and the user stream on ``fstream.binance.com``.

Shapes and codes as in Binance's documentation of USDⓈ-M futures; signatures are HMAC-SHA256 over the whole
query (and body), held against ``timestamp`` and ``recvWindow``.
"""

import hashlib
import hmac
import json
import secrets
from typing import Any, ClassVar

from aiohttp import web

from passivbot.times import DAY_MS
from passivbot.venue.account import Account, ApiKey
from passivbot.venue.arithmetic import plain
from passivbot.venue.dialects.base import Dialect, ErrorTable, NotAllowed, Stream, position_side
from passivbot.venue.orders import Event, Execution, Held, MarginMode, Order, PositionSide, Refused, Side
from passivbot.venue.server import Venue
from passivbot.venue.wire import Call, Reply

HOST = "fapi.binance.com"
WALLET_HOST = "api.binance.com"
STREAM_HOST = "fstream.binance.com"

_STATUS = {
    "open": "NEW",
    "partial": "PARTIALLY_FILLED",
    "filled": "FILLED",
    "canceled": "CANCELED",
    "expired": "EXPIRED",
    "rejected": "EXPIRED",
}
_TICK = "0.00000000"


class Binance(Dialect):
    """See :class:`~passivbot.venue.dialects.base.Dialect`."""

    name = "binanceusdm"
    ERRORS: ClassVar[ErrorTable] = {
        "duplicate": (400, -4116, "ClientOrderId is duplicated."),
        "gone": (400, -2011, "Unknown order sent."),
        "no_order": (400, -2013, "Order does not exist."),
        "funds": (400, -2019, "Margin is insufficient."),
        "post_only": (
            400,
            -5022,
            "Due to the order could not be executed as maker, the Post Only order will be rejected. "
            "The order will not be recorded in the order history",
        ),
        "reduce_only": (400, -2022, "ReduceOnly Order is rejected."),
        "min_qty": (400, -4003, "Quantity less than or equal to zero."),
        "min_cost": (
            400,
            -4164,
            "Order's notional must be no smaller than 5.0 (unless you choose reduce only)",
        ),
        "price_step": (400, -4014, "Price not increased by tick size."),
        "qty_step": (400, -1111, "Precision is over the maximum defined for this asset."),
        "leverage": (400, -4028, "Leverage 200 is not valid"),
        "inactive": (400, -4140, "Invalid symbol status for opening position."),
        "too_many": (400, -2025, "Reach max open order limit."),
        "position_mode": (400, -4061, "Order's position side does not match user's setting."),
        "no_change": (400, -4046, "No need to change margin type."),
        "no_change_mode": (400, -4059, "No need to change position side."),
        "busy": (400, -4047, "Margin type cannot be changed if there exists open orders."),
        "busy_mode": (400, -4068, "Position side cannot be changed if there exists position."),
        "symbol": (400, -1121, "Invalid symbol."),
        "invalid": (400, -1102, "Mandatory parameter was not sent, was empty/null, or malformed."),
        "auth": (401, -2014, "API-key format invalid."),
        "signature": (400, -1022, "Signature for this request is not valid."),
        "clock": (400, -1021, "Timestamp for this request is outside of the recvWindow."),
        "permission": (401, -2015, "Invalid API-key, IP, or permissions for action."),
        "address": (401, -2015, "Invalid API-key, IP, or permissions for action, request ip: 127.0.0.1"),
        "maintenance": (503, -1016, "This service is no longer available."),
        "server": (500, -1000, "An unknown error occured while processing the request."),
        "timeout": (503, -1007, "Timeout waiting for response from backend server. Send status unknown."),
    }

    def __init__(self, venue: Venue, account: Account) -> None:
        super().__init__(venue, account)
        self._listen_keys: dict[str, ApiKey] = {}
        for method, path, operation, answer, writes in (
            ("POST", "/fapi/v1/order", "create", self._create, True),
            ("POST", "/fapi/v1/batchOrders", "create", self._create_batch, True),
            ("DELETE", "/fapi/v1/order", "cancel", self._cancel, True),
            ("DELETE", "/fapi/v1/batchOrders", "cancel", self._cancel_batch, True),
            ("DELETE", "/fapi/v1/allOpenOrders", "cancel", self._cancel_all, True),
            ("GET", "/fapi/v1/order", "order", self._order, False),
            ("GET", "/fapi/v1/openOrders", "open_orders", self._open_orders, False),
            ("GET", "/fapi/v2/account", "balance", self._account, False),
            ("GET", "/fapi/v3/account", "balance", self._account, False),
            ("GET", "/fapi/v3/balance", "balance", self._balances, False),
            ("GET", "/fapi/v2/positionRisk", "positions", self._positions, False),
            ("GET", "/fapi/v3/positionRisk", "positions", self._positions, False),
            ("GET", "/fapi/v1/userTrades", "fills", self._trades, False),
            ("GET", "/fapi/v1/income", "fills", self._income, False),
            ("GET", "/fapi/v1/symbolConfig", "account", self._symbol_config, False),
            ("GET", "/fapi/v1/positionSide/dual", "account", self._position_mode, False),
            ("POST", "/fapi/v1/positionSide/dual", "set_position_mode", self._set_position_mode, True),
            ("POST", "/fapi/v1/marginType", "set_margin_mode", self._set_margin_mode, True),
            ("POST", "/fapi/v1/leverage", "set_leverage", self._set_leverage, True),
        ):
            self.add(operation, HOST, method, path, answer, writes=writes)
        self.add("permissions", WALLET_HOST, "GET", "/sapi/v1/account/apiRestrictions", self._restrictions)
        for method in ("POST", "PUT", "DELETE"):
            venue.route(
                self.name, "stream_key", HOST, method, "/fapi/v1/listenKey", self._listen_key, "private"
            )
        for path in ("/private/ws", "/ws"):
            venue.websocket(self.name, STREAM_HOST, path, self._stream)

    def authenticate(self, call: Call) -> ApiKey:
        """Check X-MBX-APIKEY, the signature and the time."""
        key = self.key_of(call.headers.get("x-mbx-apikey"))
        payload = call.raw_query + call.body
        signed, _, signature = payload.rpartition("&signature=")
        expected = hmac.new(key.secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signature, expected):
            raise NotAllowed("signature")
        form = call.form
        if "timestamp" not in form:
            raise NotAllowed("invalid")
        self.check_time(float(form["timestamp"]), float(form.get("recvWindow", 5000)))
        return key

    def failure(self, status: int, code: Any, text: str) -> Reply:
        """Return an error as Binance writes it."""
        return Reply({"code": code, "msg": text}, status)

    # ---- orders

    def _create(self, call: Call) -> Any:
        return self._shown(self._place(call.form))

    def _create_batch(self, call: Call) -> Any:
        results: list[Any] = []
        wanted = json.loads(call.form["batchOrders"])
        if not 0 < len(wanted) <= 5:
            raise Refused("invalid", "1 to 5 orders per batch")
        for form in wanted:
            try:
                results.append(self._shown(self._place(form)))
            except Refused as refusal:
                results.append(self.error_reply(refusal.why).body)
        return results

    def _place(self, form: dict[str, str]) -> Order:
        coin = self.coin(form.get("symbol"))
        stated = position_side(form.get("positionSide", ""))
        reduce_only = str(form.get("reduceOnly", "false")).lower() == "true"
        if stated is not None and "reduceOnly" in form:
            raise Refused("invalid", "reduceOnly can't be sent in hedge mode")
        side: Side = "buy" if form["side"] == "BUY" else "sell"
        return self.core.create(
            client_id=form.get("newClientOrderId", secrets.token_hex(10)),
            coin=coin,
            side=side,
            qty=float(form["quantity"]),
            price=None if form["type"] == "MARKET" else float(form["price"]),
            position_side=stated,
            post_only=form.get("timeInForce") == "GTX",
            reduce_only=reduce_only,
        )

    def _named(self, form: dict[str, str], why: str) -> Order:
        """Return the order a request names by either id; raises :class:`NotAllowed` with the error's name."""
        order = None
        if form.get("orderId"):
            order = self.core.find(order_id=int(form["orderId"]))
        elif form.get("origClientOrderId"):
            order = self.core.find(client_id=form["origClientOrderId"])
        if order is None or order.coin != self.coin(form.get("symbol")):
            raise NotAllowed(why)
        return order

    def _cancel(self, call: Call) -> Any:
        order = self._named(call.form, "gone")
        return self._shown(self.core.cancel(order_id=order.id))

    def _cancel_batch(self, call: Call) -> Any:
        form = call.form
        results: list[Any] = []
        for order_id in json.loads(form.get("orderidlist") or form.get("orderIdList") or "[]"):
            try:
                results.append(self._shown(self.core.cancel(order_id=int(order_id))))
            except Refused as refusal:
                results.append(self.error_reply(refusal.why).body)
        return results

    def _cancel_all(self, call: Call) -> Any:
        coin = self.coin(call.form.get("symbol"))
        for order in self.core.open_orders:
            if order.coin == coin:
                self.core.cancel(order_id=order.id)
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def _order(self, call: Call) -> Any:
        return self._shown(self._named(call.form, "no_order"))

    def _open_orders(self, call: Call) -> Any:
        coin = self.coin_or_all(call.form.get("symbol"))
        return [self._shown(order) for order in self.core.open_orders if coin in (None, order.coin)]

    def _shown(self, order: Order) -> dict[str, Any]:
        kind = "MARKET" if order.market else "LIMIT"
        return {
            "orderId": order.id,
            "symbol": self.symbol(order.coin),
            "status": _STATUS[order.status],
            "clientOrderId": order.client_id,
            "price": plain(0.0 if order.market else order.price),
            "avgPrice": plain(order.average),
            "origQty": plain(order.qty),
            "executedQty": plain(order.filled),
            "cumQty": plain(order.filled),
            "cumQuote": plain(order.cost),
            "timeInForce": "GTX" if order.post_only else "GTC",
            "type": kind,
            "reduceOnly": order.reduce_only or (order.hedged and order.closes),
            "closePosition": False,
            "side": order.side.upper(),
            "positionSide": self._side(order.position_side, order.hedged),
            "stopPrice": "0",
            "workingType": "CONTRACT_PRICE",
            "priceProtect": False,
            "origType": kind,
            "priceMatch": "NONE",
            "selfTradePreventionMode": "EXPIRE_MAKER",
            "goodTillDate": 0,
            "time": order.created_ms,
            "updateTime": order.updated_ms,
        }

    @staticmethod
    def _side(side: PositionSide, hedged: bool) -> str:
        return side.upper() if hedged else "BOTH"

    # ---- account

    def _account(self, call: Call) -> Any:
        money = self.money()
        told = {
            "walletBalance": plain(money.wallet),
            "unrealizedProfit": plain(money.profit),
            "marginBalance": plain(money.equity),
            "maintMargin": plain(money.held * 0.1),
            "initialMargin": plain(money.held + money.asked),
            "positionInitialMargin": plain(money.held),
            "openOrderInitialMargin": plain(money.asked),
            "crossWalletBalance": plain(money.wallet),
            "crossUnPnl": plain(money.profit),
            "availableBalance": plain(money.free),
            "maxWithdrawAmount": plain(money.free),
        }
        return {
            "totalInitialMargin": told["initialMargin"],
            "totalMaintMargin": told["maintMargin"],
            "totalWalletBalance": told["walletBalance"],
            "totalUnrealizedProfit": told["unrealizedProfit"],
            "totalMarginBalance": told["marginBalance"],
            "totalPositionInitialMargin": told["positionInitialMargin"],
            "totalOpenOrderInitialMargin": told["openOrderInitialMargin"],
            "totalCrossWalletBalance": told["crossWalletBalance"],
            "totalCrossUnPnl": told["crossUnPnl"],
            "availableBalance": told["availableBalance"],
            "maxWithdrawAmount": told["maxWithdrawAmount"],
            "assets": [{"asset": "USDT", **told, "updateTime": self.venue.clock.now_ms}],
            "positions": [
                {
                    "symbol": self.symbol(p.coin),
                    "positionSide": self._side(p.side, self.core.hedge_mode),
                    "positionAmt": plain(p.size),
                    "unrealizedProfit": plain(self.core.unrealised(p)),
                    "isolatedMargin": "0",
                    "notional": plain(p.size * self.core.last_price(p.coin)),
                    "isolatedWallet": "0",
                    "initialMargin": plain(abs(p.size) * p.price / self.core.setting(p.coin).leverage),
                    "maintMargin": plain(abs(p.size) * p.price * 0.004),
                    "updateTime": p.updated_ms,
                }
                for p in self.core.positions.values()
            ],
        }

    def _balances(self, call: Call) -> Any:
        account = self._account(call)
        return [
            {
                "accountAlias": "SgsR",
                "asset": "USDT",
                "balance": account["totalWalletBalance"],
                "crossWalletBalance": account["totalCrossWalletBalance"],
                "crossUnPnl": account["totalCrossUnPnl"],
                "availableBalance": account["availableBalance"],
                "maxWithdrawAmount": account["maxWithdrawAmount"],
                "marginAvailable": True,
                "updateTime": self.venue.clock.now_ms,
            }
        ]

    def _positions(self, call: Call) -> Any:
        coin = self.coin_or_all(call.form.get("symbol"))
        return [self._position(held) for held in self.core.positions.values() if coin in (None, held.coin)]

    def _position(self, held: Held) -> dict[str, Any]:
        mark = self.core.last_price(held.coin)
        setting = self.core.setting(held.coin)
        margin = abs(held.size) * held.price / setting.leverage
        return {
            "symbol": self.symbol(held.coin),
            "positionSide": self._side(held.side, self.core.hedge_mode),
            "positionAmt": plain(held.size),
            "entryPrice": plain(held.price),
            "breakEvenPrice": plain(held.price),
            "markPrice": plain(mark),
            "unRealizedProfit": plain(self.core.unrealised(held)),
            "liquidationPrice": "0",
            "isolatedMargin": "0" if setting.margin_mode == "cross" else plain(margin),
            "notional": plain(held.size * mark),
            "marginAsset": "USDT",
            "isolatedWallet": "0" if setting.margin_mode == "cross" else plain(margin),
            "initialMargin": plain(margin),
            "maintMargin": plain(abs(held.size) * mark * 0.004),
            "positionInitialMargin": plain(margin),
            "openOrderInitialMargin": "0",
            "adl": 2,
            "bidNotional": "0",
            "askNotional": "0",
            "updateTime": held.updated_ms,
        }

    def _symbol_config(self, call: Call) -> Any:
        return [
            {
                "symbol": self.symbol(coin),
                "marginType": "CROSSED" if self.core.setting(coin).margin_mode == "cross" else "ISOLATED",
                "isAutoAddMargin": False,
                "leverage": int(self.core.setting(coin).leverage),
                "maxNotionalValue": "1000000",
            }
            for coin in self.venue.source.coins
        ]

    # ---- history

    def _trades(self, call: Call) -> Any:
        form = call.form
        coin = self.coin(form.get("symbol"))
        rows = [fill for fill in self.core.executions if fill.coin == coin]
        limit = min(int(form.get("limit", 500)), 1000)
        if "fromId" in form:
            rows = [fill for fill in rows if fill.id >= int(form["fromId"])]
        elif "startTime" in form or "endTime" in form:
            start, end = self._span(form)
            rows = [fill for fill in rows if start <= fill.time_ms <= end]
        else:
            return [self._trade(fill) for fill in rows[-limit:]]
        return [self._trade(fill) for fill in rows[:limit]]

    def _trade(self, fill: Execution) -> dict[str, Any]:
        return {
            "buyer": fill.side == "buy",
            "commission": plain(fill.fee),
            "commissionAsset": "USDT",
            "id": fill.id,
            "maker": fill.maker,
            "orderId": fill.order_id,
            "price": plain(fill.price),
            "qty": plain(fill.qty),
            "quoteQty": plain(fill.qty * fill.price),
            "realizedPnl": plain(fill.pnl),
            "side": fill.side.upper(),
            "positionSide": self._side(fill.position_side, fill.hedged),
            "symbol": self.symbol(fill.coin),
            "time": fill.time_ms,
        }

    def _income(self, call: Call) -> Any:
        form = call.form
        start, end = self._span(form)
        kind = form.get("incomeType")
        rows: list[dict[str, Any]] = []
        for fill in self.executions(start, end):
            amounts = {"COMMISSION": -fill.fee, "REALIZED_PNL": fill.pnl}
            rows += [
                {
                    "symbol": self.symbol(fill.coin),
                    "incomeType": name,
                    "income": plain(amount),
                    "asset": "USDT",
                    "info": str(fill.id),
                    "time": fill.time_ms,
                    "tranId": fill.id,
                    "tradeId": str(fill.id),
                }
                for name, amount in amounts.items()
                if kind in (None, name) and (amount or name == "COMMISSION")
            ]
        return rows[: min(int(form.get("limit", 100)), 1000)]

    @staticmethod
    def _span(form: dict[str, str]) -> tuple[int, int]:
        """Return the span of a history request: at most seven days."""
        week = 7 * DAY_MS
        start = int(form["startTime"]) if "startTime" in form else int(form.get("endTime", week)) - week
        end = int(form["endTime"]) if "endTime" in form else start + week
        if end - start > week:
            raise Refused("invalid", "more than seven days")
        return start, end

    # ---- settings

    def _position_mode(self, call: Call) -> Any:
        return {"dualSidePosition": self.core.hedge_mode}

    def _set_position_mode(self, call: Call) -> Any:
        try:
            self.core.set_hedge_mode(call.form["dualSidePosition"].lower() == "true")
        except Refused as refusal:
            raise NotAllowed(f"{refusal.why}_mode") from None
        return {"code": 200, "msg": "success"}

    def _set_margin_mode(self, call: Call) -> Any:
        mode: MarginMode = "cross" if call.form["marginType"] == "CROSSED" else "isolated"
        self.core.set_margin_mode(self.coin(call.form.get("symbol")), mode)
        return {"code": 200, "msg": "success"}

    def _set_leverage(self, call: Call) -> Any:
        coin, leverage = self.coin(call.form.get("symbol")), int(call.form["leverage"])
        self.core.set_leverage(coin, leverage)
        return {"leverage": leverage, "maxNotionalValue": "1000000", "symbol": self.symbol(coin)}

    def _restrictions(self, call: Call) -> Any:
        key = self.key_of(call.headers.get("x-mbx-apikey"))
        return {
            "ipRestrict": bool(key.addresses),
            "createTime": 1_698_645_219_000,
            "enableReading": "read" in key.permissions,
            "enableWithdrawals": "withdraw" in key.permissions,
            "enableInternalTransfer": False,
            "enableMargin": False,
            "enableFutures": "trade" in key.permissions,
            "permitsUniversalTransfer": False,
            "enableVanillaOptions": False,
            "enableFixApiTrade": False,
            "enableFixReadOnly": False,
            "enableSpotAndMarginTrading": False,
            "enablePortfolioMarginTrading": False,
        }

    # ---- stream

    async def _listen_key(self, call: Call) -> Reply:
        try:
            key = self.key_of(call.headers.get("x-mbx-apikey"))
            self.check_key(key, "read")
        except NotAllowed as problem:
            return self.error_reply(problem.name)
        known = next((name for name, owner in self._listen_keys.items() if owner is key), None)
        if call.method == "POST" and known is None:
            known = secrets.token_hex(32)
            self._listen_keys[known] = key
        if known is None:
            return Reply({"code": -1125, "msg": "This listenKey does not exist."}, 400)
        if call.method == "DELETE":
            del self._listen_keys[known]
            return Reply({})
        return Reply({"listenKey": known})

    def expire_stream_keys(self) -> None:
        """Forget the listen keys: the streams say so and fall silent."""
        for stream in list(self.streams):
            if not self.venue.is_silent(self.name):
                stream.say({"e": "listenKeyExpired", "E": self.venue.wall_ms(), "listenKey": "…"})
            stream.channels.clear()
        self._listen_keys.clear()

    async def _stream(self, ws: web.WebSocketResponse, call: Call) -> None:
        listen_key = call.query.get("listenKey") or call.path.rpartition("/")[2]
        if listen_key not in self._listen_keys:
            await ws.close(code=1008, message=b"invalid listenKey")
            return

        async def on_message(stream: Stream, message: Any) -> None:
            if isinstance(message, dict):
                stream.say({"result": None, "id": message.get("id")})

        await self.serve(ws, on_message, open_to="user")

    def messages(self, event: Event) -> list[tuple[str, Any]]:
        """Return an event as Binance's user stream tells it."""
        _, thing = event
        now = self.venue.clock.now_ms
        if isinstance(thing, Order):
            return [("user", self._order_update(thing, None))]
        if isinstance(thing, Execution):
            order = self.core.find(order_id=thing.order_id)
            return [("user", self._order_update(order, thing))] if order is not None else []
        if isinstance(thing, Held):
            row = {
                "s": self.symbol(thing.coin),
                "pa": plain(thing.size),
                "ep": plain(thing.price),
                "bep": plain(thing.price),
                "cr": "0",
                "up": plain(self.core.unrealised(thing)),
                "mt": self.core.setting(thing.coin).margin_mode,
                "iw": "0",
                "ps": self._side(thing.side, self.core.hedge_mode),
            }
            balance = {
                "a": "USDT",
                "wb": plain(self.core.balance),
                "cw": plain(self.core.balance),
                "bc": "0",
            }
            update = {"m": "ORDER", "B": [balance], "P": [row]}
            return [("user", {"e": "ACCOUNT_UPDATE", "E": now, "T": now, "a": update})]
        return []

    def _order_update(self, order: Order, fill: Execution | None) -> dict[str, Any]:
        kind = "MARKET" if order.market else "LIMIT"
        executed = "TRADE" if fill is not None else {"open": "NEW"}.get(order.status, _STATUS[order.status])
        now = self.venue.clock.now_ms
        return {
            "e": "ORDER_TRADE_UPDATE",
            "E": now,
            "T": now,
            "o": {
                "s": self.symbol(order.coin),
                "c": order.client_id,
                "S": order.side.upper(),
                "o": kind,
                "f": "GTX" if order.post_only else "GTC",
                "q": plain(order.qty),
                "p": plain(order.price),
                "ap": plain(order.average),
                "sp": "0",
                "x": executed,
                "X": _STATUS[order.status],
                "i": order.id,
                "l": plain(fill.qty if fill else 0.0),
                "z": plain(order.filled),
                "L": plain(fill.price if fill else 0.0),
                "N": "USDT",
                "n": plain(fill.fee if fill else 0.0),
                "T": order.updated_ms,
                "t": fill.id if fill else 0,
                "b": "0",
                "a": "0",
                "m": fill.maker if fill else False,
                "R": order.reduce_only,
                "wt": "CONTRACT_PRICE",
                "ot": kind,
                "ps": self._side(order.position_side, order.hedged),
                "cp": False,
                "rp": plain(fill.pnl if fill else 0.0),
                "pP": False,
                "si": 0,
                "ss": 0,
                "V": "EXPIRE_MAKER",
                "pm": "NONE",
                "gtd": 0,
            },
        }


def install(venue: Venue, account: Account) -> Dialect:
    """Add Binance's private side to a venue."""
    return Binance(venue, account)
