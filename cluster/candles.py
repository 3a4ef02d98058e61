"""One copy of the candles a node.

``ray.put`` writes the panel into the object store of the head's node; Ray copies it once to each further node
that a worker reads it on. Every worker of a node then has the same read-only pages mapped: Arrow buffers
aligned to 64 bytes, which the engine reads where they lie.
"""

import importlib
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


class Candles(Protocol):
    """Candles that lie once on each node."""

    def read(self) -> tuple[pa.Table, NDArray[np.float64] | None, pa.Table]:
        """Return panel, BTC prices and tables as views of the node's copy; the first call may fetch them."""


@dataclass(frozen=True)
class SharedCandles:
    """The panel and the BTC prices in the object store; small, so it travels to the workers itself.

    Attributes
    ----------
    table, btc_usd, prepared
        References of the panel, of the BTC/USD closes (None without BTC collateral) and of the engine's
        tables (``Engine.prepare``). Whoever holds them keeps the objects alive.
    nbytes
        Size of all in the object store.
    """

    table: Any
    btc_usd: Any
    prepared: Any
    nbytes: int

    @classmethod
    def place(cls, table: pa.Table, btc_usd: NDArray[np.float64] | None, prepared: pa.Table) -> Self:
        """Copy the candles and their tables into the object store of this node."""
        ray = importlib.import_module("ray")
        return cls(
            table=ray.put(table),
            btc_usd=None if btc_usd is None else ray.put(btc_usd),
            prepared=ray.put(prepared),
            nbytes=panel_bytes(table, btc_usd) + int(prepared.nbytes),
        )

    def read(self) -> tuple[pa.Table, NDArray[np.float64] | None, pa.Table]:
        """Return panel, BTC prices and tables as views of the node's copy."""
        ray = importlib.import_module("ray")
        btc_usd = None if self.btc_usd is None else ray.get(self.btc_usd)
        return ray.get(self.table), btc_usd, ray.get(self.prepared)


def panel_bytes(table: pa.Table, btc_usd: NDArray[np.float64] | None) -> int:
    """Return how many bytes the candles take in an object store, without the engine's tables."""
    return int(table.nbytes) + (0 if btc_usd is None else int(btc_usd.nbytes))


def prepared_share(interval_minutes: int) -> float:
    """Return the most that the engine's tables take, as a share of the candles.

    They have 8 bytes a bar and 88 an hour for a coin's 32 bytes a bar, and more where days and coins cut
    hours.
    """
    return 0.25 + 0.05 * interval_minutes
