from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passivbot.market import CandleFolder
from passivbot.times import MINUTE_MS

Write = Callable[..., Path]

START_MS = 1_714_521_600_000  # 2024-05-01 00:00


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write one candle file of a few minutes; a keyword replaces a column, None leaves it out."""

    def write(coin: str = "BTC", minutes: Sequence[int] = range(5), /, **columns: Any) -> Path:
        count = len(minutes)
        rows: dict[str, Any] = {
            "timestamp": np.array([START_MS + minute * MINUTE_MS for minute in minutes], dtype=np.int64),
            "open": np.full(count, 10.0),
            "high": np.full(count, 12.0),
            "low": np.full(count, 9.0),
            "close": np.linspace(10.0, 11.0, count),
            "volume": np.full(count, 3.0),
        } | columns
        path = tmp_path / f"{coin}.parquet"
        pq.write_table(pa.table({name: rows[name] for name in rows if rows[name] is not None}), path)
        return path

    return write


def folder_of(path: Path, minutes: Sequence[int], closes: Sequence[float]) -> CandleFolder:
    """Write candles of BTC, a unit of price around their closes, and open their folder."""
    close = np.array(closes)
    columns = {
        "timestamp": START_MS + np.array(minutes, dtype=np.int64) * MINUTE_MS,
        "high": close + 1.0,
        "low": close - 1.0,
        "close": close,
        "volume": np.full(len(minutes), 3.0),
    }
    pq.write_table(pa.table(columns), path / "BTC.parquet")
    return CandleFolder.open(path)
