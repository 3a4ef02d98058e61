"""The specification's arithmetic of fills (trading-semantics §4), operation by operation."""

import math
from decimal import Decimal


def nint(value: float) -> float:
    """Round to the nearest integer, halves away from zero (§1)."""
    size = abs(value)
    whole = math.floor(size)
    return math.copysign(whole + 1.0 if size - whole >= 0.5 else float(whole), value)


def dec10(value: float) -> float:
    """Clean up decimals: to a multiple of 1e-10."""
    return nint(value * 1e10) / 1e10


def round_near(value: float, step: float) -> float:
    """Round to the nearest multiple of a step."""
    return dec10(nint(value / step) * step)


def average(size: float, held_at: float, qty: float, price: float, step: float) -> tuple[float, float]:
    """Merge a fill into a position; all signed (``combine`` of the specification).

    Returns
    -------
    size, price
        Of the position after it; (0, 0) if nothing is left.
    """
    if qty == 0:
        return size, held_at
    if size == 0:
        return qty, price
    after = round_near(size + qty, step)
    if after == 0:
        return 0.0, 0.0
    return after, held_at * (size / after) + price * (qty / after)


def profit(side: str, entry: float, close: float, qty: float, c_mult: float) -> float:
    """Return the profit of closing a quantity."""
    return abs(qty) * c_mult * (close - entry if side == "long" else entry - close)


def is_multiple(value: float, step: float) -> bool:
    """Tell whether a value is a multiple of a step, as decimals and with the noise of floats forgiven."""
    ratio = value / step
    return abs(ratio - round(ratio)) <= 1e-6 * max(1.0, abs(ratio) * 1e-6)


def plain(value: float) -> str:
    """Write a number as exchanges do: the shortest digits that mean it, never an exponent."""
    text = format(Decimal(repr(float(value))), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
