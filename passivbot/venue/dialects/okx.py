"""OKX v5, private side: ``www.okx.com`` and the stream on ``ws.okx.com``.

Shapes and codes as in OKX's v5 documentation; signatures are HMAC-SHA256 in base64 over time, method, path
and body. A post-only order that would trade is taken and cancelled at once, as OKX does.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from aiohttp import web

from passivbot.venue.account import Account
from passivbot.venue.arithmetic import plain
from passivbot.venue.dialects.base import (
    Dialect,
    ErrorTable,
    NotAllowed,
    Stream,
    position_side,
    unchanged_is_fine,
)
from passivbot.venue.dialects.passphrase import PassphraseDialect
from passivbot.venue.orders import Event, Execution, Held, Order, Refused
from passivbot.venue.server import Venue
from passivbot.venue.wire import Call, Reply

HOST = "www.okx.com"
STREAM_HOST = "ws.okx.com"

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


class Okx(PassphraseDialect):
    """See :class:`~passivbot.venue.dialects.base.Dialect`."""

    name = "okx"
    header_prefix = "ok-access"
    ERRORS: ClassVar[ErrorTable] = {
        "duplicate": (200, "51016", "Client order ID already exists."),
        "gone": (
            200,
            "51400",
            "Cancellation failed as the order has been filled, canceled or does not exist.",
        ),
        "no_order": (200, "51603", "Order does not exist"),
        "funds": (200, "51008", "Order failed. Insufficient USDT margin in account"),
        "reduce_only": (
            200,
            "51169",
            "Order failed because you don't have any positions in this direction to reduce or close.",
        ),
        "min_qty": (200, "51020", "Your order should meet or exceed the minimum order amount."),
        "min_cost": (200, "51020", "Your order should meet or exceed the minimum order amount."),
        "price_step": (200, "51000", "Parameter px error"),
        "qty_step": (200, "51121", "Order quantity must be a multiple of the lot size."),
        "leverage": (200, "59102", "Leverage exceeds the maximum limit. Please lower the leverage."),
        "inactive": (200, "51028", "Contract under delivery."),
        "too_many": (200, "51005", "Your order amount exceeds the max order amount."),
        "position_mode": (200, "51000", "Parameter posSide error"),
        "busy": (
            200,
            "59000",
            "Setting failed. Cancel any open orders, close positions, and stop trading bots first.",
        ),
        "symbol": (200, "51001", "Instrument ID doesn't exist."),
        "invalid": (200, "51000", "Parameter error"),
        "auth": (401, "50119", "API key doesn't exist"),
        "signature": (401, "50113", "Invalid Sign"),
        "passphrase": (401, "50105", "Request header OK-ACCESS-PASSPHRASE incorrect."),
        "clock": (401, "50102", "Timestamp request expired"),
        "permission": (401, "50120", "This API key doesn't have permission to use this function"),
        "address": (401, "50110", "Your IP 127.0.0.1 is not included in your API key's IP whitelist."),
        "maintenance": (503, "50001", "Service temporarily unavailable. Please try again later"),
        "server": (500, "50026", "System error. Please try again later."),
        "timeout": (
            200,
            "50004",
            "API endpoint request timeout (does not mean that the request was successful)",
        ),
    }

    def __init__(self, venue: Venue, account: Account) -> None:
        super().__init__(venue, account)
        for method, path, operation, answer, writes in (
            ("POST", "trade/order", "create", self._create, True),
            ("POST", "trade/batch-orders", "create", self._create, True),
            ("POST", "trade/cancel-order", "cancel", self._cancel, True),
            ("POST", "trade/cancel-batch-orders", "cancel", self._cancel, True),
            ("GET", "trade/order", "order", self._order, False),
            ("GET", "trade/orders-pending", "open_orders", self._pending, False),
            ("GET", "trade/fills", "fills", self._fills, False),
            ("GET", "trade/fills-history", "fills", self._fills, False),
            ("GET", "account/balance", "balance", self._balance, False),
            ("GET", "account/positions", "positions", self._positions, False),
            ("GET", "account/config", "permissions", self._config, False),
            ("POST", "account/set-position-mode", "set_position_mode", self._set_position_mode, True),
            ("POST", "account/set-leverage", "set_leverage", self._set_leverage, True),
        ):
            self.add(operation, HOST, method, f"/api/v5/{path}", answer, writes=writes)
        venue.websocket(self.name, STREAM_HOST, "/ws/v5/private", self._stream)

    def time_of(self, text: str) -> float:
        """Return the time that a header tells in ISO 8601."""
        return datetime.fromisoformat(text).timestamp() * 1000.0

    def failure(self, status: int, code: Any, text: str) -> Reply:
        """Return an error as OKX writes it."""
        return Reply({"code": code, "data": [], "msg": text}, status)

    @staticmethod
    def _ok(data: list[Any]) -> dict[str, Any]:
        return {"code": "0", "data": data, "msg": ""}

    # ---- orders

    def _create(self, call: Call) -> Any:
        return self._each(call.json, self._place)

    def _cancel(self, call: Call) -> Any:
        return self._each(call.json, self._end)

    def _each(self, body: Any, do: Callable[[dict[str, Any]], Order]) -> Any:
        """Do one thing for each element; the code is 1 if all failed and 2 if some did."""
        elements = body if isinstance(body, list) else [body]
        if not 0 < len(elements) <= 20:
            raise Refused("invalid", "1 to 20 elements a batch")
        rows: list[dict[str, Any]] = []
        failed = 0
        for element in elements:
            row = {
                "clOrdId": element.get("clOrdId", ""),
                "ordId": "",
                "sCode": "0",
                "sMsg": "",
                "tag": "",
                "ts": str(self.venue.clock.now_ms),
            }
            try:
                row["ordId"] = str(do(element).id)
            except Refused as refusal:
                _, row["sCode"], row["sMsg"] = self.error(refusal.why)
                failed += 1
            rows.append(row)
        code = "0" if not failed else "1" if failed == len(rows) else "2"
        now = str(self.venue.wall_ms() * 1000)
        text = "" if not failed else "All operations failed" if code == "1" else "Bulk operation partially ok"
        return {"code": code, "data": rows, "inTime": now, "msg": text, "outTime": now}

    def _place(self, form: dict[str, Any]) -> Order:
        return self.core.create(
            client_id=form.get("clOrdId", ""),
            coin=self.coin(form["instId"]),
            side="buy" if form["side"] == "buy" else "sell",
            qty=float(form["sz"]),
            price=None if form["ordType"] == "market" else float(form["px"]),
            position_side=position_side(form.get("posSide", "")),
            post_only=form["ordType"] == "post_only",
            reduce_only=str(form.get("reduceOnly", False)).lower() == "true",
            post_only_cancels=True,
        )

    def _end(self, form: dict[str, Any]) -> Order:
        order = self._find(form)
        if order is None:
            raise Refused("gone", "no such order")
        return self.core.cancel(order_id=order.id)

    def _find(self, form: dict[str, Any]) -> Order | None:
        return self.find(form.get("ordId"), form.get("clOrdId"))

    def _order(self, call: Call) -> Any:
        order = self._find(call.query)
        if order is None:
            raise NotAllowed("no_order")
        return self._ok([self._shown(order)])

    def _pending(self, call: Call) -> Any:
        query = call.query
        coin = self.coin_or_all(query.get("instId"))
        orders = [order for order in self.core.open_orders if coin in (None, order.coin)]
        return self._ok([self._shown(order) for order in self._page(orders, query)])

    @staticmethod
    def _page(rows: list[Row], query: dict[str, str]) -> list[Row]:
        """Return one page, newest first: what is older than ``after``, newer than ``before``."""
        after = int(query["after"]) if query.get("after") else None
        before = int(query["before"]) if query.get("before") else None
        found = [
            row
            for row in reversed(rows)
            if (after is None or row.id < after) and (before is None or row.id > before)
        ]
        return found[: min(int(query.get("limit", _PAGE)), _PAGE)]

    def _shown(self, order: Order) -> dict[str, Any]:
        kind = "market" if order.market else "post_only" if order.post_only else "limit"
        ended = order.status == "canceled"
        return {
            "accFillSz": plain(order.filled),
            "algoClOrdId": "",
            "algoId": "",
            "attachAlgoClOrdId": "",
            "attachAlgoOrds": [],
            "avgPx": plain(order.average) if order.filled else "",
            "cTime": str(order.created_ms),
            "cancelSource": ("31" if order.post_only and order.created_ms == order.updated_ms else "1")
            if ended
            else "",
            "cancelSourceReason": "",
            "category": "normal",
            "ccy": "",
            "clOrdId": order.client_id,
            "fee": plain(-order.fee),
            "feeCcy": "USDT",
            "fillPx": plain(order.average) if order.filled else "",
            "fillSz": plain(order.filled),
            "fillTime": str(order.updated_ms) if order.filled else "",
            "instId": self.symbol(order.coin),
            "instType": "SWAP",
            "isTpLimit": "false",
            "lever": plain(self.core.setting(order.coin).leverage),
            "linkedAlgoOrd": {"algoId": ""},
            "ordId": str(order.id),
            "ordType": kind,
            "pnl": "0",
            "posSide": order.position_side if order.hedged else "net",
            "px": "" if order.market else plain(order.price),
            "pxType": "",
            "pxUsd": "",
            "pxVol": "",
            "quickMgnType": "",
            "rebate": "0",
            "rebateCcy": "USDT",
            "reduceOnly": "true" if order.reduce_only else "false",
            "side": order.side,
            "slOrdPx": "",
            "slTriggerPx": "",
            "slTriggerPxType": "",
            "source": "",
            "state": _STATUS[order.status],
            "stpId": "",
            "stpMode": "cancel_maker",
            "sz": plain(order.qty),
            "tag": "",
            "tdMode": self.core.setting(order.coin).margin_mode,
            "tgtCcy": "",
            "tpOrdPx": "",
            "tpTriggerPx": "",
            "tpTriggerPxType": "",
            "tradeId": "",
            "uTime": str(order.updated_ms),
        }

    # ---- account

    def _balance(self, call: Call) -> Any:
        money = self.money()
        now = str(self.venue.clock.now_ms)
        coin = {
            "availBal": plain(money.free),
            "availEq": plain(money.free),
            "borrowFroz": "0",
            "cashBal": plain(money.wallet),
            "ccy": "USDT",
            "crossLiab": "0",
            "disEq": plain(money.equity),
            "eq": plain(money.equity),
            "eqUsd": plain(money.equity),
            "fixedBal": "0",
            "frozenBal": plain(money.held + money.asked),
            "imr": plain(money.held + money.asked),
            "interest": "0",
            "isoEq": "0",
            "isoLiab": "0",
            "isoUpl": "0",
            "liab": "0",
            "maxLoan": "0",
            "mgnRatio": "",
            "mmr": plain(money.held * 0.1),
            "notionalLever": "",
            "ordFrozen": plain(money.asked),
            "rewardBal": "0",
            "spotInUseAmt": "0",
            "stgyEq": "0",
            "twap": "0",
            "uTime": now,
            "upl": plain(money.profit),
            "uplLiab": "0",
        }
        account = {
            "adjEq": "",
            "borrowFroz": "",
            "details": [coin],
            "imr": "",
            "isoEq": "0",
            "mgnRatio": "",
            "mmr": "",
            "notionalUsd": "",
            "ordFroz": "",
            "totalEq": plain(money.equity),
            "uTime": now,
            "upl": "",
        }
        return self._ok([account])

    def _positions(self, call: Call) -> Any:
        wanted = call.query.get("instId")
        coins = [self.coin(name) for name in wanted.split(",")] if wanted else None
        return self._ok(
            [
                self._position(held)
                for held in self.core.positions.values()
                if coins is None or held.coin in coins
            ]
        )

    def _position(self, held: Held) -> dict[str, Any]:
        rules = self.venue.source.market(held.coin).rules
        setting = self.core.setting(held.coin)
        mark = self.core.last_price(held.coin)
        value = abs(held.size) * mark * rules.c_mult
        cross = setting.margin_mode == "cross"
        profit = plain(0.0 if held.size == 0.0 else self.core.unrealised(held))
        hedged = self.core.hedge_mode
        return {
            "adl": "2",
            "availPos": plain(abs(held.size)) if hedged else "",
            "avgPx": plain(held.price),
            "baseBal": "",
            "baseBorrowed": "",
            "bizRefId": "",
            "cTime": str(held.opened_ms),
            "ccy": "USDT",
            "closeOrderAlgo": [],
            "fee": "0",
            "fundingFee": "0",
            "idxPx": plain(mark),
            "imr": plain(value / setting.leverage) if cross else "",
            "instId": self.symbol(held.coin),
            "instType": "SWAP",
            "interest": "",
            "last": plain(mark),
            "lever": plain(setting.leverage),
            "liab": "",
            "liabCcy": "",
            "liqPenalty": "0",
            "liqPx": "",
            "margin": "" if cross else plain(value / setting.leverage),
            "markPx": plain(mark),
            "mgnMode": setting.margin_mode,
            "mgnRatio": "99",
            "mmr": plain(value * 0.004),
            "notionalUsd": plain(value),
            "optVal": "",
            "pnl": "0",
            # Net positions tell their side by the sign; others are positive.
            "pos": plain(abs(held.size) if hedged else held.size),
            "posCcy": "",
            "posId": f"{held.opened_ms}",
            "posSide": held.side if hedged else "net",
            "realizedPnl": "0",
            "tradeId": "1",
            "uTime": str(held.updated_ms),
            "upl": profit,
            "uplLastPx": profit,
            "uplRatio": "0",
            "usdPx": "1",
        }

    def _fills(self, call: Call) -> Any:
        query = call.query
        begin = int(query["begin"]) if query.get("begin") else 0
        end = int(query["end"]) if query.get("end") else 10**15
        coin = self.coin_or_all(query.get("instId"))
        return self._ok([self._fill(f) for f in self._page(self.executions(begin, end, coin), query)])

    def _fill(self, fill: Execution) -> dict[str, Any]:
        return {
            "billId": str(fill.id),
            "clOrdId": fill.client_id,
            "execType": "M" if fill.maker else "T",
            "fee": plain(-fill.fee),
            "feeCcy": "USDT",
            "feeRate": "-0.0002",
            "fillFwdPx": "",
            "fillIdxPx": plain(fill.price),
            "fillMarkPx": plain(fill.price),
            "fillMarkVol": "",
            "fillPnl": plain(fill.pnl),
            "fillPx": plain(fill.price),
            "fillPxUsd": "",
            "fillPxVol": "",
            "fillSz": plain(fill.qty),
            "fillTime": str(fill.time_ms),
            "instId": self.symbol(fill.coin),
            "instType": "SWAP",
            "ordId": str(fill.order_id),
            "posSide": fill.position_side if fill.hedged else "net",
            "side": fill.side,
            "subType": "1",
            "tag": "",
            "tradeId": str(fill.id),
            "ts": str(fill.time_ms),
        }

    # ---- settings

    def _config(self, call: Call) -> Any:
        key = self.asking(call)
        granted = ["read_only"] + [name for name in ("withdraw", "trade") if name in key.permissions]
        return self._ok(
            [
                {
                    "acctLv": "2",
                    "acctStpMode": "cancel_maker",
                    "autoLoan": False,
                    "ctIsoMode": "automatic",
                    "enableSpotBorrow": False,
                    "greeksType": "PA",
                    "ip": ",".join(key.addresses),
                    "kycLv": "3",
                    "label": "bot",
                    "level": "Lv1",
                    "levelTmp": "",
                    "liquidationGear": "-1",
                    "mainUid": self.account.user_id,
                    "mgnIsoMode": "automatic",
                    "opAuth": "1",
                    "perm": ",".join(granted),
                    "posMode": "long_short_mode" if self.core.hedge_mode else "net_mode",
                    "roleType": "0",
                    "spotBorrowAutoRepay": False,
                    "spotOffsetType": "",
                    "spotRoleType": "0",
                    "spotTraderInsts": [],
                    "traderInsts": [],
                    "type": "0",
                    "uid": self.account.user_id,
                }
            ]
        )

    def _set_position_mode(self, call: Call) -> Any:
        mode = call.json["posMode"]
        with unchanged_is_fine():
            self.core.set_hedge_mode(mode == "long_short_mode", busy_first=True)
        return self._ok([{"posMode": mode}])

    def _set_leverage(self, call: Call) -> Any:
        form = call.json
        coin = self.coin(form["instId"])
        self.core.set_leverage(coin, float(form["lever"]))
        self.core.setting(coin).margin_mode = "isolated" if form["mgnMode"] == "isolated" else "cross"
        row = {"instId": form["instId"], "lever": plain(float(form["lever"])), "mgnMode": form["mgnMode"]}
        return self._ok([{**row, "posSide": form.get("posSide", "")}])

    # ---- stream

    async def _stream(self, ws: web.WebSocketResponse, call: Call) -> None:
        async def on_message(stream: Stream, message: Any) -> None:
            if message == "ping":
                stream.say("pong")
            elif not isinstance(message, dict):
                stream.say(
                    {"event": "error", "code": "60012", "msg": "Illegal request", "connId": "a4d3ae55"}
                )
            elif message.get("op") == "login":
                good = self.log_in(stream, message["args"][0], "GET/users/self/verify")
                code, text = ("0", "") if good else ("60009", "Login failed.")
                stream.say(
                    {"event": "login" if good else "error", "code": code, "msg": text, "connId": "a4d3ae55"}
                )
            elif message.get("op") == "subscribe" and stream.key is not None:
                for argument in message["args"]:
                    stream.channels.add(argument["channel"])
                    stream.say({"event": "subscribe", "arg": argument, "connId": "a4d3ae55"})
            else:
                stream.say({"event": "error", "code": "60011", "msg": "Please log in", "connId": "a4d3ae55"})

        await self.serve(ws, on_message)

    def messages(self, event: Event) -> list[tuple[str, Any]]:
        """Return an event as OKX's private channels tell it: fills are told by their orders."""
        _, thing = event
        uid = self.account.user_id
        if isinstance(thing, Order):
            argument = {"channel": "orders", "instType": "SWAP", "uid": uid}
            row = {**self._shown(thing), "amendResult": "", "code": "0", "msg": "", "reqId": ""}
            return [("orders", {"arg": argument, "data": [row]})]
        if isinstance(thing, Held):
            argument = {"channel": "positions", "instType": "ANY", "uid": uid}
            row = {**self._position(thing), "pTime": str(self.venue.clock.now_ms)}
            return [("positions", {"arg": argument, "data": [row]})]
        return []


def install(venue: Venue, account: Account) -> Dialect:
    """Add OKX's private side to a venue."""
    return Okx(venue, account)
