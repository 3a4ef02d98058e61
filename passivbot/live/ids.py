"""Client order ids: a function of what an order is, so that the same intent never becomes two orders.

The first two hexadecimal digits are the order's type, the others a hash of account, coin, side, type, price,
quantity and a number. The number counts how often just this order has ended before: an intent whose fate is
not known keeps its id however often it is sent, and the exchange refuses the second one.
"""

import hashlib

from passivbot.engine import ORDER_TYPES
from passivbot.exchanges.types import CLIENT_ID_DIGITS

_TYPE_DIGITS = 2
_KNOWN = tuple(name for name in ORDER_TYPES if name != "empty")
_NUMBER = {name: f"{i:02x}" for i, name in enumerate(_KNOWN)}
_DIGITS = frozenset("0123456789abcdef")
ADOPTED_NUMBERS = 256
"""Repetitions of one order that :func:`is_own` tries."""


def client_id(
    account: str, coin: str, side: str, order_type: str, price: float | None, qty: float, number: int
) -> str:
    """Return the id of an order.

    Parameters
    ----------
    account, coin, side, order_type
        Whose order, of what, which side's, why; ``order_type`` is one of the engine's.
    price
        None: a market order.
    qty
        Signed.
    number
        How many orders just like it have ended before.
    """
    told = "market" if price is None else repr(exact(price))
    text = "\0".join((account, coin, side, order_type, told, repr(exact(qty)), str(number)))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return _NUMBER[order_type] + digest[: CLIENT_ID_DIGITS - _TYPE_DIGITS]


def exact(value: float) -> float:
    """Return a price or quantity without the last digits, which differ between a plan and what comes back."""
    return float(f"{value:.12g}")


def order_type(text: str) -> str | None:
    """Return the type that an id names; None: it has not the form of this bot's ids."""
    if len(text) != CLIENT_ID_DIGITS or not _DIGITS.issuperset(text):
        return None
    place = int(text[:_TYPE_DIGITS], 16)
    return _KNOWN[place] if place < len(_KNOWN) else None


def is_own(text: str, account: str, coin: str, side: str, price: float | None, qty: float) -> bool:
    """Return whether an id is one that a bot of this account gives an order like this one."""
    kind = order_type(text)
    return kind is not None and any(
        client_id(account, coin, side, kind, price, qty, number) == text for number in range(ADOPTED_NUMBERS)
    )
