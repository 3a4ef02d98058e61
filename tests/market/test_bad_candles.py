"""Every kind of unusable candles gives one line that names the file and the first offending timestamp."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from passivbot.errors import CandleError
from passivbot.market import CandleFolder, build_panel
from passivbot.times import MINUTE_MS

from .conftest import START_MS, Write


def message(folder: Path, coin: str = "BTC") -> str:
    with pytest.raises(CandleError) as caught:
        build_panel(CandleFolder.open(folder), [coin])
    return str(caught.value)


def with_value(name: str, row: int, value: float) -> dict[str, Any]:
    usual = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 10.0, "volume": 3.0}[name]
    column = np.full(5, usual)
    column[row] = value
    return {name: column}


def test_missing_folder(tmp_path: Path) -> None:
    assert message(tmp_path / "no") == f"{tmp_path}/no: there is no such candle folder"


def test_folder_is_a_file(write: Write) -> None:
    path = write()
    assert message(path) == f"{path}: is a file; a candle folder is needed, with one Parquet file a coin"


def test_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    assert message(tmp_path) == (
        f"{tmp_path}: holds no candles; needed is one Parquet file a coin (BTC.parquet …)"
    )


def test_two_files_of_one_coin(write: Write, tmp_path: Path) -> None:
    write("BTC")
    write("BTCUSDT")
    assert message(tmp_path) == f"{tmp_path}: BTC.parquet and BTCUSDT.parquet are both of BTC; keep one"


def test_unknown_coin_names_the_nearest(write: Write, tmp_path: Path) -> None:
    write("DOGE")
    write("BTC")
    assert message(tmp_path, "DOG") == f"{tmp_path}: has no candles of DOG; the nearest is DOGE"
    assert message(tmp_path, "XXX") == f"{tmp_path}: has no candles of XXX; it has BTC, DOGE"


def test_file_is_not_parquet(tmp_path: Path) -> None:
    path = tmp_path / "BTC.parquet"
    path.write_text("timestamp,open,high,low,close,volume\n")
    assert message(tmp_path).startswith(
        f"{path}: is not a readable Parquet file (Parquet magic bytes not found"
    )


def test_truncated_parquet(write: Write, tmp_path: Path) -> None:
    path = write("BTC", range(5000))
    path.write_bytes(path.read_bytes()[:-200])
    assert message(tmp_path).startswith(f"{path}: is not a readable Parquet file (")


def test_damaged_pages(write: Write, tmp_path: Path) -> None:
    path = write("BTC", range(50_000), close=10.0 + np.random.default_rng(1).random(50_000))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = b"\xff" * 4000
    path.write_bytes(content)
    assert message(tmp_path).startswith(f"{path}: ")


def test_missing_column(write: Write, tmp_path: Path) -> None:
    path = write(volume=None)
    assert message(tmp_path) == (
        f"{path}: has no column volume; needed are timestamp, high, low, close, volume; "
        "found: timestamp, open, high, low, close"
    )


@pytest.mark.parametrize(
    ("name", "values", "found", "allowed"),
    [
        ("timestamp", np.arange(5.0) * MINUTE_MS, "double", "int64"),
        ("close", ["1", "2", "3", "4", "5"], "string", "double"),
        ("open", np.ones(5, dtype=np.float32), "float", "double"),
        ("volume", np.arange(5), "int64", "double"),
    ],
)
def test_wrong_type(write: Write, tmp_path: Path, name: str, values: Any, found: str, allowed: str) -> None:
    path = write(**{name: values})
    assert message(tmp_path) == f"{path}: column {name} is {found}; allowed is {allowed}"


def test_no_rows(write: Write, tmp_path: Path) -> None:
    path = write("BTC", [])
    assert message(tmp_path) == f"{path}: holds no candles"


def test_duplicated_minute(write: Write, tmp_path: Path) -> None:
    path = write("BTC", [0, 1, 2, 2, 3, 3])
    assert message(tmp_path) == f"{path}: 2024-05-01 00:02 (timestamp 1714521720000) is there twice"


def test_unsorted_minutes(write: Write, tmp_path: Path) -> None:
    path = write("BTC", [0, 1, 3, 2, 4])
    assert message(tmp_path) == (
        f"{path}: 2024-05-01 00:02 (timestamp 1714521720000) comes after a later minute; "
        "the file must be sorted"
    )


def test_timestamp_off_the_minute(write: Write, tmp_path: Path) -> None:
    path = write(timestamp=START_MS + np.array([0, 1, 2, 3, 4]) * MINUTE_MS + np.array([0, 0, 7, 0, 0]))
    assert message(tmp_path) == (
        f"{path}: 2024-05-01 00:02 (timestamp 1714521720007) is not the start of a minute; "
        "allowed are UTC milliseconds"
    )


def test_high_below_low(write: Write, tmp_path: Path) -> None:
    path = write(**with_value("high", 3, 8.5))
    assert (
        message(tmp_path)
        == f"{path}: high 8.5 is below low 9.0 at 2024-05-01 00:03 (timestamp 1714521780000)"
    )


@pytest.mark.parametrize("name", ["open", "close"])
@pytest.mark.parametrize("value", [8.0, 13.0])
def test_open_or_close_outside(write: Write, tmp_path: Path, name: str, value: float) -> None:
    path = write(**with_value(name, 1, value))
    assert message(tmp_path) == (
        f"{path}: {name} {value} lies outside low 9.0 … high 12.0 "
        "at 2024-05-01 00:01 (timestamp 1714521660000)"
    )


@pytest.mark.parametrize("name", ["open", "high", "low", "close"])
@pytest.mark.parametrize("value", [-1.0, 0.0, np.inf, -np.inf, np.nan])
def test_price_that_is_none(write: Write, tmp_path: Path, name: str, value: float) -> None:
    path = write(**with_value(name, 4, value))
    assert message(tmp_path) == (
        f"{path}: {name} is {value} at 2024-05-01 00:04 (timestamp 1714521840000); "
        "allowed is a finite number above 0"
    )


@pytest.mark.parametrize("value", [-0.5, np.inf, np.nan])
def test_wrong_volume(write: Write, tmp_path: Path, value: float) -> None:
    path = write(**with_value("volume", 2, value))
    assert message(tmp_path) == (
        f"{path}: volume is {value} at 2024-05-01 00:02 (timestamp 1714521720000); "
        "allowed is a finite number of at least 0"
    )


def test_wrong_row_after_the_first_stretch(write: Write, tmp_path: Path) -> None:
    close = np.full(200_000, 10.0)
    close[150_000] = -10.0
    path = write("BTC", range(200_000), close=close)
    stamp = START_MS + 150_000 * MINUTE_MS
    assert f"{path}: close is -10.0 at 2024-08-13 04:00 (timestamp {stamp}); " in message(tmp_path)


def test_coin_of_nothing_but_nan(write: Write, tmp_path: Path) -> None:
    nothing = np.full(5, np.nan)
    path = write(open=nothing, high=nothing, low=nothing, close=nothing, volume=nothing)
    assert message(tmp_path) == f"{path}: every close is NaN; the coin has no candles"


def test_nulls(write: Write, tmp_path: Path) -> None:
    path = write(close=pa.array([10.0, None, 10.0, None, 10.0]))
    assert message(tmp_path) == f"{path}: close is null at 2024-05-01 00:01 (timestamp 1714521660000)"
    path = write(timestamp=pa.array([START_MS, None, None, None, None], pa.int64()))
    assert message(tmp_path) == f"{path}: timestamp is null in row 1"


def test_no_overlap_of_window_and_candles(write: Write, tmp_path: Path) -> None:
    write()
    with pytest.raises(CandleError) as caught:
        build_panel(CandleFolder.open(tmp_path), ["BTC"], start_ms=START_MS + 86_400_000, end_ms=None)
    assert str(caught.value) == (
        f"{tmp_path}: no candles between 2024-05-02 00:00 and their end; those of the chosen coins run from "
        "2024-05-01 00:00 to 2024-05-01 00:04"
    )


def test_candles_of_the_warmup_alone_are_no_overlap(write: Write, tmp_path: Path) -> None:
    write()
    with pytest.raises(CandleError, match="no candles between 2024-05-01 00:30 and their end"):
        build_panel(
            CandleFolder.open(tmp_path), ["BTC"], start_ms=START_MS + 30 * MINUTE_MS, warmup_minutes=60
        )
