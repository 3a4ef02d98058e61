from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__version__: str
SIDE_PARAMETERS: list[str]
METRICS: list[str]
WATCHED_METRICS: list[str]
STOPPED_MINUTE: str
INSTRUCTION_SETS: list[str]
ORDER_TYPES: list[str]

class Engine:
    coins: list[str]
    bars: int
    interval_minutes: int
    def __init__(
        self,
        candles: pa.Table,
        markets: Mapping[str, tuple[float, ...]],
        starting_balance: float,
        maker_fee: float,
        btc_usd: NDArray[np.float64] | None,
        requested_start_ms: int | None,
        prepared: pa.Table | None,
        instructions: str | None,
    ) -> None: ...
    def prepare(self) -> pa.Table: ...
    def lives(self) -> list[tuple[int, int]]: ...
    def backtest(
        self,
        bot: Mapping[str, Any],
        coin_overrides: Mapping[str, Any] | None,
        warmup: NDArray[np.int64] | None,
        coin_warmup: NDArray[np.int64] | None,
        limits: Mapping[str, float] | None,
    ) -> tuple[pa.Table, pa.Table, dict[str, dict[str, float | None]], int | None]: ...
    def evaluate(
        self,
        bots: Sequence[Mapping[str, Any]],
        metrics: Sequence[str],
        coin_overrides: Mapping[str, Any] | None,
        warmup: NDArray[np.int64] | None,
        coin_warmup: NDArray[np.int64] | None,
        limits: Mapping[str, float] | None,
    ) -> NDArray[np.float64]: ...
    def evaluate_matrix(
        self,
        parameters: NDArray[np.float64],
        template: Mapping[str, Any],
        metrics: Sequence[str],
        coin_overrides: Mapping[str, Any] | None,
        warmup: NDArray[np.int64] | None,
        coin_warmup: NDArray[np.int64] | None,
        limits: Mapping[str, float] | None,
    ) -> NDArray[np.float64]: ...

class Planner:
    def __init__(
        self,
        coins: Sequence[str],
        markets: Sequence[tuple[float, ...]],
        bot: Mapping[str, Any],
        coin_overrides: Mapping[str, Any] | None,
        first_ms: int,
        kept: int,
    ) -> None: ...
    def next_ms(self, coin: int) -> int | None: ...
    def set_rules(self, coin: int, rules: tuple[float, ...]) -> None: ...
    def absorb(self, coin: int, start_ms: int, candles: NDArray[np.float64]) -> None: ...
    def indicators(self) -> NDArray[np.float64]: ...
    def plan(
        self,
        balance: float,
        realised_sum: float,
        realised_peak: float,
        may_unstuck: bool,
        now: NDArray[np.float64],
        ladder: int,
    ) -> tuple[list[tuple[int, str, float, float]], NDArray[np.float64], NDArray[np.bool_]]: ...

def round_significant(values: NDArray[np.float64], digits: int) -> NDArray[np.float64]: ...
def trailing_flip(
    high: NDArray[np.float64],
    low: NDArray[np.float64],
    close: NDArray[np.float64],
    adx_1: NDArray[np.float64],
    adx_2: NDArray[np.float64],
    parameters: Mapping[str, float],
) -> tuple[pa.Table, NDArray[np.float64]]: ...
