"""Hyperliquid, private side: ``api.hyperliquid.xyz``. What an account holds is public; actions are signed.

Shapes as in Hyperliquid's documentation. An action is hashed as message pack with its nonce, wrapped as
typed data (EIP-712) and signed on secp256k1; the venue checks that with the wallet's public key, without
ccxt's signer. There is no hedge mode, refusals come as sentences, and market orders are limit orders that
end at once.
"""

import re
from typing import Any, ClassVar

from aiohttp import web
from ccxt.static_dependencies import keccak, msgpack  # type: ignore[import-untyped]
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from passivbot.times import DAY_MS
from passivbot.venue.account import Account, ApiKey
from passivbot.venue.arithmetic import plain
from passivbot.venue.dialects.base import Dialect, ErrorTable, NotAllowed, Stream
from passivbot.venue.orders import Event, Execution, Held, Order, Refused
from passivbot.venue.server import Venue
from passivbot.venue.wire import Call, Reply

HOST = "api.hyperliquid.xyz"

_STATUS = {
    "open": "open",
    "partial": "open",
    "filled": "filled",
    "canceled": "canceled",
    "expired": "reduceOnlyCanceled",
    "rejected": "rejected",
}
_FILLS = 2000


class Hyperliquid(Dialect):
    """See :class:`~passivbot.venue.dialects.base.Dialect`."""

    name = "hyperliquid"
    ERRORS: ClassVar[ErrorTable] = {
        "duplicate": (200, None, "Duplicate cloid: an order with it exists. asset={asset}"),
        "gone": (200, None, "Order was never placed, already canceled, or filled. asset={asset}"),
        "funds": (200, None, "Insufficient margin to place order. asset={asset}"),
        "post_only": (
            200,
            None,
            "Post only order would have immediately matched, bbo was 1@1. asset={asset}",
        ),
        "reduce_only": (200, None, "Reduce only order would increase position. asset={asset}"),
        "min_qty": (200, None, "Order has zero size. asset={asset}"),
        "min_cost": (200, None, "Order must have minimum value of $10. asset={asset}"),
        "price_step": (200, None, "Price must be divisible by tick size. asset={asset}"),
        "qty_step": (200, None, "Order has invalid size. asset={asset}"),
        "leverage": (200, None, "Invalid leverage value"),
        "inactive": (200, None, "Trading is halted. asset={asset}"),
        "too_many": (200, None, "Too many open orders. asset={asset}"),
        "position_mode": (200, None, "Order is invalid. asset={asset}"),
        "symbol": (200, None, "Asset not found"),
        "invalid": (200, None, "Order is invalid. asset={asset}"),
        "nonce": (200, None, "Invalid nonce: not within the window or used before"),
        "signature": (
            200,
            None,
            "User or API Wallet 0x0000000000000000000000000000000000000000 does not exist.",
        ),
        "server": (502, None, "Bad Gateway"),
        "timeout": (504, None, "Gateway Timeout"),
    }

    def __init__(self, venue: Venue, account: Account) -> None:
        super().__init__(venue, account)
        self.core.hedgeable = False
        self.core.hedge_mode = False
        self._nonces: set[int] = set()
        for operation, kind, answer in (
            ("balance", "clearinghouseState", self._state),
            ("open_orders", "frontendOpenOrders", self._open_orders),
            ("open_orders", "openOrders", self._open_orders),
            ("order", "orderStatus", self._order_status),
            ("fills", "userFillsByTime", self._fills),
            ("account", "userAbstraction", self._abstraction),
        ):
            venue.route(self.name, operation, HOST, "POST", f"/info#{kind}", self._public(answer), "private")
        for operation, kind, action in (
            ("create", "order", self._create),
            ("cancel", "cancel", self._cancel),
            ("cancel", "cancelByCloid", self._cancel),
            ("set_leverage", "updateLeverage", self._leverage),
        ):
            self.add(operation, HOST, "POST", f"/exchange#{kind}", action, writes=True)
        venue.websocket(self.name, HOST, "/ws", self._stream)

    def authenticate(self, call: Call) -> ApiKey:
        """Check the signature of an action by the public keys of the account's wallets."""
        body = call.json
        nonce = int(body["nonce"])
        if nonce in self._nonces or not -2 * DAY_MS < nonce - self.venue.wall_ms() < DAY_MS:
            raise NotAllowed("nonce")
        digest = _digest(body["action"], nonce)
        signature = body["signature"]
        pair = encode_dss_signature(int(signature["r"], 16), int(signature["s"], 16))
        for key in self.account.keys.values():
            private = ec.derive_private_key(int(key.secret, 16), ec.SECP256K1())
            try:
                private.public_key().verify(pair, digest, ec.ECDSA(Prehashed(SHA256())))
            except InvalidSignature:
                continue
            self._nonces.add(nonce)
            return key
        raise NotAllowed("signature")

    def failure(self, status: int, code: Any, text: str) -> Reply:
        """Return an error as Hyperliquid writes it: a sentence."""
        if status != 200:
            return Reply(f"<html>{text}</html>".encode(), status)
        return Reply({"status": "err", "response": text.format(asset=0)})

    def _public(self, answer: Any) -> Any:
        async def handler(call: Call) -> Reply:
            known = call.json.get("user", "").lower().removeprefix("0x") in self.account.keys
            return Reply(answer(call.json, known))

        return handler

    @staticmethod
    def _ok(kind: str, statuses: list[Any]) -> dict[str, Any]:
        return {"status": "ok", "response": {"type": kind, "data": {"statuses": statuses}}}

    # ---- actions

    def _create(self, call: Call) -> Any:
        return self._ok("order", [self._placed(element) for element in call.json["action"]["orders"]])

    def _placed(self, form: dict[str, Any]) -> Any:
        coins = self.venue.source.coins
        asset = int(form["a"])
        tif = form["t"]["limit"]["tif"]
        try:
            if not 0 <= asset < len(coins):
                raise Refused("symbol", "asset")
            price = float(form["p"])
            self._check_price(coins[asset], price)
            order = self.core.create(
                client_id=form.get("c", ""),
                coin=coins[asset],
                side="buy" if form["b"] else "sell",
                qty=float(form["s"]),
                price=None if tif == "Ioc" else price,
                post_only=tif == "Alo",
                reduce_only=bool(form["r"]),
            )
        except Refused as refusal:
            return {"error": self.error(refusal.why)[2].format(asset=asset)}
        named = {"cloid": order.client_id} if order.client_id else {}
        if order.status == "filled":
            shown = {"totalSz": plain(order.filled), "avgPx": plain(order.average), "oid": order.id}
            return {"filled": shown | named}
        return {"resting": {"oid": order.id} | named}

    @staticmethod
    def _check_price(coin: str, price: float) -> None:
        """Prices have five significant digits, or are whole."""
        if price != int(price) and float(f"{price:.5g}") != price:
            raise Refused("price_step", f"{coin}: more than five significant digits")

    def _cancel(self, call: Call) -> Any:
        action = call.json["action"]
        statuses: list[Any] = []
        for element in action["cancels"]:
            asset = int(element["asset" if "asset" in element else "a"])
            try:
                if "cloid" in element:
                    self.core.cancel(client_id=element["cloid"])
                else:
                    self.core.cancel(order_id=int(element["o"]))
                statuses.append("success")
            except Refused as refusal:
                statuses.append({"error": self.error(refusal.why)[2].format(asset=asset)})
        return self._ok("cancel", statuses)

    def _leverage(self, call: Call) -> Any:
        action = call.json["action"]
        coin = self.venue.source.coins[int(action["asset"])]
        self.core.set_leverage(coin, float(action["leverage"]))
        self.core.setting(coin).margin_mode = "cross" if action["isCross"] else "isolated"
        return {"status": "ok", "response": {"type": "default"}}

    # ---- what anybody may ask

    def _state(self, body: dict[str, Any], known: bool) -> Any:
        wallet = self.core.reported_balance() if known else 0.0
        positions = list(self.core.positions.values()) if known else []
        profit = sum(self.core.unrealised(held) for held in positions)
        used, _ = self.core.margin_used() if known else (0.0, 0.0)
        notional = sum(abs(held.size) * self.core.last_price(held.coin) for held in positions)
        raw = wallet + profit - sum(held.size * self.core.last_price(held.coin) for held in positions)
        summary = {
            "accountValue": plain(wallet + profit),
            "totalMarginUsed": plain(used),
            "totalNtlPos": plain(notional),
            "totalRawUsd": plain(raw),
        }
        return {
            "assetPositions": [self._position(held) for held in positions],
            "crossMaintenanceMarginUsed": plain(used * 0.1),
            "crossMarginSummary": summary,
            "marginSummary": summary,
            "time": self.venue.clock.now_ms,
            "withdrawable": plain(max(0.0, wallet + profit - used)),
        }

    def _position(self, held: Held) -> dict[str, Any]:
        setting = self.core.setting(held.coin)
        mark = self.core.last_price(held.coin)
        leverage = {
            "type": "cross" if setting.margin_mode == "cross" else "isolated",
            "value": int(setting.leverage),
        }
        return {
            "type": "oneWay",
            "position": {
                "coin": held.coin,
                "cumFunding": {"allTime": "0.0", "sinceChange": "0.0", "sinceOpen": "0.0"},
                "entryPx": plain(held.price),
                "leverage": leverage,
                "liquidationPx": None,
                "marginUsed": plain(abs(held.size) * mark / setting.leverage),
                "maxLeverage": int(self.venue.source.market(held.coin).max_leverage),
                "positionValue": plain(abs(held.size) * mark),
                "returnOnEquity": "0.0",
                "szi": plain(held.size),
                "unrealizedPnl": plain(0.0 if held.size == 0.0 else self.core.unrealised(held)),
            },
        }

    def _open_orders(self, body: dict[str, Any], known: bool) -> Any:
        return [self._shown(order) for order in self.core.open_orders] if known else []

    def _shown(self, order: Order) -> dict[str, Any]:
        return {
            "coin": order.coin,
            "side": "B" if order.side == "buy" else "A",
            "limitPx": plain(order.price),
            "sz": plain(order.left),
            "oid": order.id,
            "timestamp": order.created_ms,
            "triggerCondition": "N/A",
            "isTrigger": False,
            "triggerPx": "0.0",
            "children": [],
            "isPositionTpsl": False,
            "reduceOnly": order.reduce_only,
            "orderType": "Limit",
            "origSz": plain(order.qty),
            "tif": "Ioc" if order.market else "Alo" if order.post_only else "Gtc",
            "cloid": order.client_id or None,
        }

    def _order_status(self, body: dict[str, Any], known: bool) -> Any:
        name = body["oid"]
        order = None
        if known and isinstance(name, str):
            order = self.core.find(client_id=name)
        elif known:
            order = self.core.find(order_id=int(name))
        if order is None:
            return {"status": "unknownOid"}
        about = {
            "order": self._shown(order),
            "status": _STATUS[order.status],
            "statusTimestamp": order.updated_ms,
        }
        return {"status": "order", "order": about}

    def _fills(self, body: dict[str, Any], known: bool) -> Any:
        start, end = int(body["startTime"]), int(body.get("endTime") or 10**15)
        rows = self.executions(start, end) if known else []
        return [self._fill(fill) for fill in rows[:_FILLS]]

    def _fill(self, fill: Execution) -> dict[str, Any]:
        before = fill.size_after - (fill.qty if fill.side == "buy" else -fill.qty)
        return {
            "coin": fill.coin,
            "px": plain(fill.price),
            "sz": plain(fill.qty),
            "side": "B" if fill.side == "buy" else "A",
            "time": fill.time_ms,
            "startPosition": plain(before),
            "dir": f"{'Close' if fill.closes else 'Open'} {fill.position_side.capitalize()}",
            "closedPnl": plain(fill.pnl),
            "hash": f"0x{fill.id:064x}",
            "oid": fill.order_id,
            "crossed": not fill.maker,
            "fee": plain(fill.fee),
            "tid": fill.id,
            "cloid": fill.client_id or None,
            "feeToken": "USDC",
        }

    def _abstraction(self, body: dict[str, Any], known: bool) -> Any:
        return "default"

    # ---- stream

    async def _stream(self, ws: web.WebSocketResponse, call: Call) -> None:
        async def on_message(stream: Stream, message: Any) -> None:
            method = message.get("method")
            if method == "ping":
                stream.say({"channel": "pong"})
            elif method == "subscribe":
                subscription = message["subscription"]
                user = str(subscription.get("user", "")).lower().removeprefix("0x")
                if user in self.account.keys:
                    stream.channels.add(subscription["type"])
                stream.say({"channel": "subscriptionResponse", "data": message})

        await self.serve(ws, on_message)

    def messages(self, event: Event) -> list[tuple[str, Any]]:
        """Return an event as Hyperliquid's streams tell it."""
        _, thing = event
        if isinstance(thing, Order):
            shown = self._shown(thing)
            row = {
                "order": {
                    name: shown[name]
                    for name in ("coin", "side", "limitPx", "sz", "oid", "timestamp", "origSz", "cloid")
                },
                "status": _STATUS[thing.status],
                "statusTimestamp": self.venue.clock.now_ms,
            }
            return [("orderUpdates", {"channel": "orderUpdates", "data": [row]})]
        if isinstance(thing, Held):
            user = f"0x{next(iter(self.account.keys), '')}"
            data = {"dex": "", "user": user, "clearinghouseState": self._state({}, True)}
            return [("clearinghouseState", {"channel": "clearinghouseState", "data": data})]
        return []


def _digest(action: Any, nonce: int) -> bytes:
    """Return what is signed for an action: typed data (EIP-712) about its hash."""
    packed = msgpack.packb(action) + nonce.to_bytes(8, "big") + b"\x00"
    connection = _keccak(packed)
    domain_type = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    domain = _keccak(
        _keccak(domain_type) + _keccak(b"Exchange") + _keccak(b"1") + (1337).to_bytes(32, "big") + bytes(32)
    )
    agent = _keccak(_keccak(b"Agent(string source,bytes32 connectionId)") + _keccak(b"a") + connection)
    return _keccak(b"\x19\x01" + domain + agent)


def _keccak(data: bytes) -> bytes:
    return bytes(keccak.SHA3(data))


def address_of(secret: str) -> str:
    """Return the address of a private key, hexadecimal without ``0x``."""
    if not re.fullmatch(r"[0-9a-f]{64}", secret):
        raise ValueError("a private key is 64 hexadecimal digits")
    numbers = ec.derive_private_key(int(secret, 16), ec.SECP256K1()).public_key().public_numbers()
    return _keccak(numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big"))[-20:].hex()


def install(venue: Venue, account: Account) -> Dialect:
    """Add Hyperliquid's private side to a venue."""
    return Hyperliquid(venue, account)
