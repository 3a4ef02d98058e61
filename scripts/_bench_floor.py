"""The streaming floor of a panel: the crate ``engine-rs/floor``, loaded with ctypes.

A floor reads high, low and close once, carries three averages and compares twice a minute; the definition
stands in ``engine-rs/floor/src/lib.rs``.
"""

import ctypes
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passivbot.engine import Engine

ROOT = Path(__file__).resolve().parent.parent

NUMBERED = ("baseline", "avx2", "avx512")
"""In the order of their numbers in the library."""

LANES = 8


class Floor:
    """The floor's kernels over the valid candles of an engine's panel."""

    def __init__(self, table: Any, engine: Engine) -> None:
        self._library = _load()
        columns = [
            [
                np.ascontiguousarray(table[f"{coin}.{field}"].to_numpy()[first : last + 1])
                for field in ("high", "low", "close")
            ]
            for coin, first, last in zip(engine.coins, engine.first_valid, engine.last_valid, strict=True)
        ]
        self._columns = columns  # the pointers below lead into them
        self._coins = [(*map(_pointer, fields), len(fields[0])) for fields in columns]
        self.instruction_sets = tuple(
            name for number, name in enumerate(NUMBERED) if self._library.passivbot_floor_has(number)
        )
        """Those that this machine has, worst first."""

    def scalar(self, bot: Mapping[str, Any], instructions: str) -> Callable[[], int]:
        """Return a walk over all coins for one candidate; it gives the number of compares that held."""
        bands, number = _bands([bot]), NUMBERED.index(instructions)
        walk, pointer = self._library.passivbot_floor_scalar, _pointer(bands)

        def run(bands: object = bands) -> int:
            return sum(walk(*coin, pointer, number) for coin in self._coins)

        return run

    def lanes(self, bots: Sequence[Mapping[str, Any]], instructions: str) -> Callable[[], list[int]]:
        """Return a walk over all coins for eight candidates at once; it gives the same for each of them."""
        bands, number = _bands(bots), NUMBERED.index(instructions)
        walk, pointer = self._library.passivbot_floor_lanes, _pointer(bands)
        beyond = np.zeros(LANES, np.uint64)
        counts = _pointer(beyond)

        def run(bands: object = bands) -> list[int]:
            total = np.zeros(LANES, np.uint64)
            for coin in self._coins:
                walk(*coin, pointer, counts, number)
                total += beyond
            return [int(count) for count in total]

        return run


def _bands(bots: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """Return three smoothing factors and two factors of the bands, shape (5, n).

    The spans are those of the long side, the distances those of both sides' first entries.
    """
    rows = []
    for bot in bots:
        long, short = bot["long"], bot["short"]
        spans = (long["ema_span_0"], long["ema_span_1"], (long["ema_span_0"] * long["ema_span_1"]) ** 0.5)
        rows.append(
            [2 / (span + 1) for span in spans]
            + [1 - long["entry_initial_ema_dist"], 1 + short["entry_initial_ema_dist"]]
        )
    return np.ascontiguousarray(np.array(rows).T)


def _pointer(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _load() -> ctypes.CDLL:
    """Build the library, which takes a second, and load it."""
    manifest = ROOT / "engine-rs" / "Cargo.toml"
    build = ["cargo", "build", "--quiet", "--release", "--locked", "--package", "passivbot-floor"]
    subprocess.run([*build, "--manifest-path", str(manifest)], check=True)
    suffix = {"darwin": "dylib"}.get(sys.platform, "so")
    library = ctypes.CDLL(str(ROOT / "engine-rs" / "target" / "release" / f"libpassivbot_floor.{suffix}"))
    pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32
    library.passivbot_floor_has.argtypes = [number]
    library.passivbot_floor_has.restype = ctypes.c_bool
    library.passivbot_floor_scalar.argtypes = [pointer, pointer, pointer, size, pointer, number]
    library.passivbot_floor_scalar.restype = ctypes.c_uint64
    library.passivbot_floor_lanes.argtypes = [pointer, pointer, pointer, size, pointer, pointer, number]
    library.passivbot_floor_lanes.restype = ctypes.c_bool
    return library
