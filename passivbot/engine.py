"""Typed face of the compiled engine (placeholder of names; filled in below as the engine grows)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from passivbot import _engine

SIDE_PARAMETERS: tuple[str, ...] = tuple(_engine.SIDE_PARAMETERS)
PARAMETERS: tuple[str, ...] = tuple(f"{side}_{name}" for side in ("long", "short") for name in SIDE_PARAMETERS)


@dataclass(frozen=True, slots=True)
class MarketRules:
    """What an exchange accepts for one coin."""

    qty_step: float
    price_step: float
    min_qty: float
    min_cost: float
    c_mult: float


def round_significant(values: ArrayLike, digits: int) -> NDArray[np.float64]:
    """Round each value to ``digits`` significant digits."""
    array = np.asarray(values, dtype=np.float64)
    return np.asarray(_engine.round_significant(array.ravel(), digits)).reshape(array.shape)
