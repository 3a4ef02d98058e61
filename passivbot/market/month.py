"""One file of the store: the candles of one market in one month, and what is known of them.

A Parquet file, zstd, with a checksum on every page. Columns ``timestamp`` (int64, UTC milliseconds of the
minute's start), ``open``, ``high``, ``low``, ``close`` (quote per base) and ``volume`` (base units), float64;
minutes ascend and none occurs twice. What is known stands in the schema's metadata as JSON under
:data:`KEY`; see :class:`Facts`. The bytes of a file depend on its content and its facts alone, not on the
order in which its parts came.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from passivbot.errors import CandleError, first_line
from passivbot.market.clean import Floats, Ints
from passivbot.market.spans import Span, minus, month_span, union
from passivbot.times import DAY_MS, MINUTE_MS

COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
SCHEMA = pa.schema([("timestamp", pa.int64()), *((name, pa.float64()) for name in COLUMNS[1:])])
KEY = b"passivbot.candles"
FORMAT = 1


class Fetched(NamedTuple):
    """A stretch that was fetched whole: a minute of it without a candle is one that the source has not.

    Parameters
    ----------
    begin_ms, end_ms
        Half open, UTC milliseconds.
    source
        Where it comes from, such as ``archive`` or ``import freqtrade``.
    date
        Day on which it came, ``YYYY-MM-DD``, UTC.
    """

    begin_ms: int
    end_ms: int
    source: str
    date: str

    @property
    def span(self) -> Span:
        """The stretch alone."""
        return Span(self.begin_ms, self.end_ms)


@dataclass(frozen=True)
class Facts:
    """What a month's file says of its candles; all of it can be had without reading them.

    Parameters
    ----------
    exchange, coin, month, symbol
        What it holds; ``symbol`` is the exchange's name of the market, empty where nobody said it.
    rows
        Number of candles.
    first_ms, last_ms
        Minutes of the first and the last candle; 0 without candles.
    fetched
        In order, none overlapping. Minutes in none of them were never asked for.
    days
        Day (UTC milliseconds of its start) → (candles, quote volume: sum of volume × close in the order of
        the minutes).
    inconsistent, idle
        Candles whose open or close lies outside low … high, and candles without volume.
    repairs
        What was changed in the candles after they came, one line each.
    sha256
        Over the columns' bytes and everything above.
    """

    exchange: str
    coin: str
    month: str
    symbol: str
    rows: int
    first_ms: int
    last_ms: int
    fetched: tuple[Fetched, ...]
    days: dict[int, tuple[int, float]]
    inconsistent: int
    idle: int
    repairs: tuple[str, ...]
    sha256: str

    @property
    def spans(self) -> tuple[Span, ...]:
        """What was fetched, joined."""
        return union(part.span for part in self.fetched)

    @property
    def whole(self) -> bool:
        """Whether no minute is missing between the first and the last candle."""
        return self.rows > 0 and (self.last_ms - self.first_ms) // MINUTE_MS + 1 == self.rows

    def to_json(self) -> dict[str, Any]:
        """Return the facts without the checksum, as they are stored."""
        return {
            "format": FORMAT,
            "exchange": self.exchange,
            "coin": self.coin,
            "month": self.month,
            "symbol": self.symbol,
            "rows": self.rows,
            "first_ms": self.first_ms,
            "last_ms": self.last_ms,
            "fetched": [list(part) for part in self.fetched],
            "days": [[day, rows, volume] for day, (rows, volume) in sorted(self.days.items())],
            "inconsistent": self.inconsistent,
            "idle": self.idle,
            "repairs": list(self.repairs),
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Return the facts of a stored document; KeyError, TypeError or ValueError if it is none."""
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']}, readable is {FORMAT}")
        return cls(
            exchange=str(document["exchange"]),
            coin=str(document["coin"]),
            month=str(document["month"]),
            symbol=str(document["symbol"]),
            rows=int(document["rows"]),
            first_ms=int(document["first_ms"]),
            last_ms=int(document["last_ms"]),
            fetched=tuple(Fetched(int(b), int(e), str(s), str(d)) for b, e, s, d in document["fetched"]),
            days={int(day): (int(rows), float(volume)) for day, rows, volume in document["days"]},
            inconsistent=int(document["inconsistent"]),
            idle=int(document["idle"]),
            repairs=tuple(map(str, document["repairs"])),
            sha256=str(document["sha256"]),
        )


def overlaid(old: Iterable[Fetched], new: Iterable[Fetched]) -> tuple[Fetched, ...]:
    """Return what was fetched after something new came: the new replaces the old where both lie.

    Neighbours of one source and day are joined, so that the result does not depend on the size of the steps.
    """
    newest = sorted(part for part in new if part.end_ms > part.begin_ms)
    covered = [part.span for part in newest]
    kept = [Fetched(*left, part.source, part.date) for part in old for left in minus(part.span, covered)]
    joined: list[Fetched] = []
    for part in sorted([*kept, *newest]):
        last = joined[-1] if joined else None
        if last and last.end_ms == part.begin_ms and last[2:] == part[2:]:
            joined[-1] = Fetched(last.begin_ms, part.end_ms, *last[2:])
        else:
            joined.append(part)
    return tuple(joined)


def encode(
    table: pa.Table,
    *,
    exchange: str,
    coin: str,
    month: str,
    symbol: str,
    fetched: Sequence[Fetched],
    repairs: Sequence[str] = (),
) -> tuple[bytes, Facts]:
    """Return the bytes of a month's file and its facts.

    Parameters
    ----------
    table
        Candles of the month, in the schema :data:`SCHEMA`, ascending.
    """
    table = table.select(COLUMNS).cast(SCHEMA).combine_chunks()
    timestamp: Ints = table.column("timestamp").to_numpy()
    facts = Facts(
        exchange=exchange,
        coin=coin,
        month=month,
        symbol=symbol,
        rows=table.num_rows,
        first_ms=int(timestamp[0]) if table.num_rows else 0,
        last_ms=int(timestamp[-1]) if table.num_rows else 0,
        fetched=tuple(fetched),
        days=_days(table),
        inconsistent=int(inconsistent(table).sum()),
        idle=int((table.column("volume").to_numpy() == 0.0).sum()),
        repairs=tuple(repairs),
        sha256="",
    )
    document = facts.to_json()
    document["sha256"] = checksum(table, facts)
    sink = pa.BufferOutputStream()
    metadata = {KEY: json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)}
    pq.write_table(
        table.replace_schema_metadata(metadata),
        sink,
        compression="zstd",
        compression_level=3,
        use_dictionary=list(COLUMNS[1:]),
        column_encoding={"timestamp": "DELTA_BINARY_PACKED"},
        write_page_checksum=True,
        store_schema=True,
    )
    return sink.getvalue().to_pybytes(), Facts.from_json(document)


def checksum(table: pa.Table, facts: Facts) -> str:
    """Return the SHA-256 over the columns' bytes and the facts beside it."""
    digest = hashlib.sha256(json.dumps(facts.to_json(), sort_keys=True, separators=(",", ":")).encode())
    for name in COLUMNS:
        digest.update(np.ascontiguousarray(table.column(name).to_numpy()).data)
    return digest.hexdigest()


def read_facts(path: Path) -> Facts:
    """Return what a month's file says of its candles.

    Raises
    ------
    CandleError
        The file can't be read, or was not written by the store.
    """
    with opened(path) as file:
        return facts_of(path, file)


def facts_of(path: Path, file: pq.ParquetFile) -> Facts:
    """Return the facts of an opened file."""
    metadata = file.schema_arrow.metadata or {}
    try:
        return Facts.from_json(json.loads(metadata[KEY]))
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, f"its facts are not readable: {error!r}") from None


def read_table(
    path: Path, columns: Sequence[str] = COLUMNS, *, verify: bool = False
) -> tuple[pa.Table, Facts]:
    """Read a month's candles.

    The checksums of the pages are compared always, so that rotten bits do not pass; with ``verify`` that of
    the whole content too, which needs all columns.

    Raises
    ------
    CandleError
        The file can't be read or is damaged; says which command mends it.
    """
    with opened(path) as file:
        facts = facts_of(path, file)
        try:
            # One thread: files are read side by side.
            table = file.read(columns=list(COLUMNS if verify else columns), use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise damaged(path, first_line(error)) from None
    if table.num_rows != facts.rows:
        raise damaged(path, f"it holds {table.num_rows} candles, its facts say {facts.rows}")
    if verify and checksum(table, facts) != facts.sha256:
        raise damaged(path, "its checksum is not that of its content")
    return table.select(list(columns)), facts


class MonthReader:
    """Reads the columns of one month's file, one at a time; a context manager.

    Parameters
    ----------
    path
        The file.
    facts
        What is known of it; it must not have changed since.

    Raises
    ------
    CandleError
        The file is damaged, or another one than the facts describe.
    """

    def __init__(self, path: Path, facts: Facts) -> None:
        self._path, self._rows = path, facts.rows
        self._file = opened(path)
        if self._file.metadata.num_rows != facts.rows:
            raise damaged(
                path, f"it holds {self._file.metadata.num_rows} candles, its facts say {facts.rows}"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, column: str) -> Any:
        """Return a column: int64 (n,) for ``timestamp``, else float64 (n,)."""
        try:
            # One thread: files are read side by side.
            values = self._file.read(columns=[column], use_threads=False).column(0)
        except (pa.ArrowException, OSError) as error:
            raise damaged(self._path, first_line(error)) from None
        return values.to_numpy()


def opened(path: Path) -> pq.ParquetFile:
    """Open a month's file; its pages are verified as they are read.

    Raises
    ------
    CandleError
        It is missing or no Parquet file.
    """
    try:
        return pq.ParquetFile(path, memory_map=True, page_checksum_verification=True)
    except FileNotFoundError:
        raise CandleError(f"{path}: there is no such file in the store") from None
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, first_line(error)) from None


def damaged(path: Path, why: str) -> CandleError:
    """Return the error for a file that can't be trusted."""
    return CandleError(
        f"{path}: is damaged ({why}); `passivbot data repair` puts it aside and says what to download again"
    )


def inconsistent(table: pa.Table) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which candles contradict themselves: open or close outside low … high."""
    o, h, lo, c = (table.column(name).to_numpy() for name in ("open", "high", "low", "close"))
    wrong: np.ndarray[Any, np.dtype[np.bool_]] = (h < lo) | (o > h) | (o < lo) | (c > h) | (c < lo)
    return wrong


def _days(table: pa.Table) -> dict[int, tuple[int, float]]:
    if not table.num_rows:
        return {}
    timestamp: Ints = table.column("timestamp").to_numpy()
    quote: Floats = table.column("volume").to_numpy() * table.column("close").to_numpy()
    day = timestamp // DAY_MS
    begins = np.concatenate(([0], np.flatnonzero(np.diff(day)) + 1, [day.size]))
    return {
        # cumsum adds in the order of the minutes; numpy's sum does not promise an order.
        int(day[b]) * DAY_MS: (int(e - b), float(np.cumsum(quote[b:e])[-1]))
        for b, e in zip(begins[:-1].tolist(), begins[1:].tolist(), strict=True)
    }


def check_month(path: Path, table: pa.Table, facts: Facts) -> str | None:
    """Return what in a month's candles should not be, or None: order, minutes, bounds, values, places."""
    timestamp: Ints = table.column("timestamp").to_numpy()
    span = month_span(facts.month)
    if (
        path.stem != facts.month
        or path.parent.name != facts.coin
        or path.parent.parent.name != facts.exchange
    ):
        return f"it is of {facts.exchange} {facts.coin} {facts.month}, which its place contradicts"
    if not timestamp.size:
        return None
    if timestamp[0] < span.begin_ms or timestamp[-1] >= span.end_ms:
        return "a candle lies outside the month"
    if (np.diff(timestamp) <= 0).any() or (timestamp % MINUTE_MS != 0).any():
        return "its minutes are not ascending whole minutes"
    prices = np.array([table.column(name).to_numpy() for name in COLUMNS[1:5]])
    volume = table.column("volume").to_numpy()
    if not (
        np.isfinite(prices).all() and (prices > 0).all() and np.isfinite(volume).all() and (volume >= 0).all()
    ):
        return "a price is not a finite number above 0, or a volume not one of at least 0"
    return None
