"""One copy of the candles a node.

``ray.put`` writes the panel into the object store of the head's node; Ray copies it once to each further node
that a worker reads it on. Every worker of a node then has the same read-only pages mapped: Arrow buffers
aligned to 64 bytes, which the engine reads where they lie.
"""

import importlib
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@dataclass(frozen=True)
class SharedCandles:
    """The panel and the BTC prices in the object store; small, so it travels to the workers itself.

    Attributes
    ----------
    table, btc_usd
        References of the panel and of the BTC/USD closes (None without BTC collateral). Whoever holds them
        keeps the objects alive.
    nbytes
        Size of both in the object store.
    """

    table: Any
    btc_usd: Any
    nbytes: int

    @classmethod
    def place(cls, table: pa.Table, btc_usd: NDArray[np.float64] | None) -> Self:
        """Copy the candles into the object store of this node."""
        ray = importlib.import_module("ray")
        return cls(
            table=ray.put(table),
            btc_usd=None if btc_usd is None else ray.put(btc_usd),
            nbytes=panel_bytes(table, btc_usd),
        )

    def read(self) -> tuple[pa.Table, NDArray[np.float64] | None]:
        """Return both as views of the node's copy."""
        ray = importlib.import_module("ray")
        return ray.get(self.table), None if self.btc_usd is None else ray.get(self.btc_usd)


def panel_bytes(table: pa.Table, btc_usd: NDArray[np.float64] | None) -> int:
    """Return how many bytes the candles take in an object store."""
    return int(table.nbytes) + (0 if btc_usd is None else int(btc_usd.nbytes))
