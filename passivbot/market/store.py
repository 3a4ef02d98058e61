"""The store: candles of many markets, and what their exchanges say of them, in one folder.

::

    candles/
      store.json                     marks the folder, and says its format
      binance/.markets/2026-11-25.json   markets, rules and fees on that day
      binance/BTC/2025-05.parquet    one market, one month (:mod:`passivbot.market.month`)
      .panels/                       panels of earlier runs; may be removed at any time

Times are UTC milliseconds, stretches half open. What a store holds of a market is what its exchange has:
candles as they came, sorted and unique. Several processes may write at a time: each coin has a lock, and each
file is written beside its name and renamed, so that readers need none.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from passivbot.errors import CandleError, nearest
from passivbot.market.clean import Ints
from passivbot.market.files import locked, make_folder, replace_file
from passivbot.market.listings import Market, Markets, last_known
from passivbot.market.month import (
    COLUMNS,
    SCHEMA,
    Facts,
    Fetched,
    encode,
    overlaid,
    read_facts,
    read_table,
)
from passivbot.market.spans import Span, minus, month_span, months, runs, union
from passivbot.times import DAY_MS, MINUTE_MS

MARKER = "store.json"
FORMAT = 1
PANELS = ".panels"
VARIABLE = "PASSIVBOT_STORE"
DEFAULT = "candles"
EXCHANGES = ("binance", "bybit", "okx", "bitget", "gateio", "kucoin", "hyperliquid")
"""Exchanges as configurations name them; each has a folder of that name."""
ALIASES = {"binanceusdm": "binance", "gate": "gateio", "kucoinfutures": "kucoin"}
_LABEL = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
_MONTH = "[0-9][0-9][0-9][0-9]-[0-9][0-9].parquet"


def default_root(root: str | Path | None = None) -> Path:
    """Return where the store lies: what is given, else ``$PASSIVBOT_STORE``, else ``candles`` here."""
    return Path(root or os.environ.get(VARIABLE) or DEFAULT)


def is_store(path: str | Path) -> bool:
    """Return whether a folder is a store."""
    return (Path(path) / MARKER).is_file()


def exchange_name(text: str) -> str:
    """Return the store's name of an exchange: ``binanceusdm`` → ``binance``.

    A known exchange with a label, such as ``binance-spot``, names a data set of its own.

    Raises
    ------
    CandleError
        No exchange has such a name; says the nearest.
    """
    name = text.strip().lower()
    name = ALIASES.get(name, name)
    if name in EXCHANGES or (name.split("-")[0] in EXCHANGES and _LABEL.fullmatch(name)):
        return name
    near = nearest(name, (*EXCHANGES, *ALIASES))
    hint = f"; the nearest is {ALIASES.get(near, near)}" if near else ""
    raise CandleError(f"unknown exchange {text!r}{hint}; known are {', '.join(EXCHANGES)}")


@dataclass(frozen=True)
class Coverage:
    """What a store holds of a market, from the facts of its files alone.

    Parameters
    ----------
    months
        Facts of each month, ascending.
    """

    months: tuple[Facts, ...]

    @property
    def rows(self) -> int:
        """Number of candles."""
        return sum(facts.rows for facts in self.months)

    @property
    def first_ms(self) -> int | None:
        """Minute of the first candle; None without any."""
        return next((facts.first_ms for facts in self.months if facts.rows), None)

    @property
    def last_ms(self) -> int | None:
        """Minute of the last candle; None without any."""
        return next((facts.last_ms for facts in reversed(self.months) if facts.rows), None)

    @property
    def spans(self) -> tuple[Span, ...]:
        """What was fetched, with candles or without."""
        return union(span for facts in self.months for span in facts.spans)

    @property
    def symbol(self) -> str:
        """The exchange's name of the market, of the newest file that says it."""
        return next((facts.symbol for facts in reversed(self.months) if facts.symbol), "")

    @property
    def listed_ms(self) -> int | None:
        """The first candle where it is known that there is none in the day before it; else None."""
        first = self.first_ms
        if first is None:
            return None
        before = next(span for span in self.spans if span.begin_ms <= first < span.end_ms)
        return first if first - before.begin_ms >= DAY_MS else None

    def sha256(self, window: Span) -> tuple[str, ...]:
        """Return the checksums of the months that a window touches, ascending."""
        names = set(months(window))
        return tuple(f"{facts.month} {facts.sha256}" for facts in self.months if facts.month in names)


@dataclass(frozen=True)
class Written:
    """What one write did: files, candles that were new, replaced by others, or removed."""

    months: tuple[str, ...]
    added: int
    changed: int
    removed: int


@dataclass(frozen=True)
class Store:
    """An opened store; make one with :meth:`open`.

    Parameters
    ----------
    root
        Its folder.
    """

    root: Path

    @classmethod
    def open(cls, root: str | Path | None = None, *, create: bool = False) -> Self:
        """Open a store, by default where :func:`default_root` says.

        Raises
        ------
        CandleError
            There is none and ``create`` is not set; the folder is something else; its format is newer.
        ResourceError
            The disk is full.
        """
        path = default_root(root)
        marker = path / MARKER
        if not marker.is_file():
            if path.exists() and not path.is_dir():
                raise CandleError(f"{path}: is a file; a store is a folder")
            if path.is_dir() and any(entry.suffix == ".parquet" for entry in path.iterdir()):
                raise CandleError(
                    f"{path}: is a candle folder, not a store; name it with --candles, or import its files "
                    "into a store elsewhere"
                )
            if not create:
                raise CandleError(
                    f"{path}: there is no store; `passivbot data download` or `passivbot data import` "
                    "makes one"
                )
            make_folder(path)
            replace_file(marker, (json.dumps({"format": FORMAT}) + "\n").encode())
        try:
            found = json.loads(marker.read_text(encoding="utf-8"))["format"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CandleError(f"{marker}: is not readable ({error!r})") from None
        if found != FORMAT:
            raise CandleError(f"{marker}: format is {found!r}; this program reads {FORMAT}")
        return cls(path)

    @property
    def exchanges(self) -> tuple[str, ...]:
        """Exchanges that the store has a folder of, ascending."""
        return tuple(sorted(entry.name for entry in self._entries(self.root) if _is_exchange(entry.name)))

    def coins(self, exchange: str) -> tuple[str, ...]:
        """Return the coins that the store has files of, ascending; none of an exchange it does not have."""
        folder = self.root / exchange_name(exchange)
        return tuple(sorted(e.name for e in self._entries(folder) if next(e.glob(_MONTH), None)))

    def files(self, exchange: str, coin: str) -> tuple[Path, ...]:
        """Return the files of a market, by month."""
        return tuple(sorted(self.folder(exchange, coin).glob(_MONTH)))

    def folder(self, exchange: str, coin: str) -> Path:
        """Return the folder of a market; it need not exist.

        Raises
        ------
        CandleError
            Unknown exchange, or a coin that can't be a folder's name.
        """
        if not coin or coin[0] == "." or not coin.isprintable() or set(coin) & set("/\\\0 "):
            raise CandleError(f"{coin!r} is not the name of a coin")
        return self.root / exchange_name(exchange) / coin

    def require(self, exchange: str, coin: str) -> Path:
        """Return the folder of a market that has files.

        Raises
        ------
        CandleError
            It has none; names the nearest one.
        """
        folder = self.folder(exchange, coin)
        if not self.files(exchange, coin):
            there = self.coins(exchange)
            near = nearest(coin.upper(), there)
            hint = f"; the nearest is {near}" if near else f"; it has {', '.join(there[:12]) or 'no coins'}"
            raise CandleError(f"{self.root}: has no candles of {coin} on {folder.parent.name}{hint}")
        return folder

    def coverage(self, exchange: str, coin: str) -> Coverage:
        """Return what the store holds of a market; empty if nothing.

        Raises
        ------
        CandleError
            A file is damaged.
        """
        return Coverage(tuple(read_facts(path) for path in self.files(exchange, coin)))

    def missing(self, exchange: str, coin: str, begin_ms: int, end_ms: int) -> tuple[Span, ...]:
        """Return what of a stretch was never fetched, in order."""
        return minus(Span(begin_ms, end_ms), self.coverage(exchange, coin).spans)

    def read(
        self,
        exchange: str,
        coin: str,
        begin_ms: int | None = None,
        end_ms: int | None = None,
        columns: Sequence[str] = COLUMNS,
    ) -> pa.Table:
        """Return a market's candles of a stretch, ascending; ``timestamp`` is among the columns or added.

        Raises
        ------
        CandleError
            The store has nothing of the market, or a file is damaged.
        """
        self.require(exchange, coin)
        wanted = list(dict.fromkeys(("timestamp", *columns)))
        tables = []
        for path in self.files(exchange, coin):
            span = month_span(path.stem)
            if (end_ms is not None and span.begin_ms >= end_ms) or (
                begin_ms is not None and span.end_ms <= begin_ms
            ):
                continue
            table, _ = read_table(path, wanted)
            timestamp = table.column("timestamp").to_numpy()
            first = 0 if begin_ms is None else int(np.searchsorted(timestamp, begin_ms))
            last = timestamp.size if end_ms is None else int(np.searchsorted(timestamp, end_ms))
            tables.append(table.slice(first, max(0, last - first)).replace_schema_metadata(None))
        if not tables:
            return SCHEMA.empty_table().select(wanted)
        return pa.concat_tables(tables).combine_chunks()

    def write(
        self,
        exchange: str,
        coin: str,
        candles: pa.Table,
        *,
        source: str,
        spans: Sequence[Span] | None = None,
        symbol: str = "",
        date: str | None = None,
    ) -> Written:
        """Put candles into a market's months.

        Whatever the store has in the stretches is replaced: there the candles are all that the source has.
        Each month is written at once; after an error or a kill the months before it are there, and the rest
        is missing as before.

        Parameters
        ----------
        candles
            Columns as in :data:`~passivbot.market.month.SCHEMA`, ascending, unique, on the minute; ``volume``
            in base units. May be empty: the source then has nothing in the stretches.
        source
            Where they come from, for provenance.
        spans
            The stretches that were fetched whole; None: only the minutes of the candles.
        symbol
            The exchange's name of the market.
        date
            Day of the fetch, ``YYYY-MM-DD``; None: today, UTC.

        Raises
        ------
        CandleError
            The candles are not as described, or lie outside the stretches; a file is damaged or can't be
            written.
        ResourceError
            The disk is full.
        """
        table = _checked(candles, f"{exchange} {coin}")
        timestamp: Ints = table.column("timestamp").to_numpy()
        whole = union(runs(timestamp) if spans is None else spans)
        if spans is not None and any(span.begin_ms % MINUTE_MS or span.end_ms % MINUTE_MS for span in whole):
            raise CandleError(f"{exchange} {coin}: a stretch does not begin and end on the minute")
        outside = np.ones(timestamp.size, dtype=np.bool_)
        for span in whole:
            outside[np.searchsorted(timestamp, span.begin_ms) : np.searchsorted(timestamp, span.end_ms)] = (
                False
            )
        if outside.any():
            raise CandleError(
                f"{exchange} {coin}: a candle at timestamp {timestamp[np.argmax(outside)]} lies outside the "
                "stretches that were fetched"
            )
        day = date or f"{datetime.now(UTC):%Y-%m-%d}"
        folder = self.folder(exchange, coin)
        make_folder(folder)
        done = [0, 0, 0]
        touched: list[str] = []
        with locked(folder):
            for month in sorted({name for span in whole for name in months(span)}):
                limits = month_span(month)
                new = tuple(
                    Fetched(max(b, limits.begin_ms), min(e, limits.end_ms), source, day)
                    for b, e in whole
                    if b < limits.end_ms and e > limits.begin_ms
                )
                rows = slice(*np.searchsorted(timestamp, limits).tolist())
                counts = self._write_month(folder, month, table[rows], new, symbol)
                done = [total + count for total, count in zip(done, counts, strict=True)]
                touched.append(month)
        return Written(tuple(touched), *done)

    def _write_month(
        self, folder: Path, month: str, candles: pa.Table, new: Sequence[Fetched], symbol: str
    ) -> tuple[int, int, int]:
        """Merge candles into a month's file; the lock is held. Returns candles added, changed, removed."""
        path = folder / f"{month}.parquet"
        old, fetched = SCHEMA.empty_table(), tuple(new)
        repairs: tuple[str, ...] = ()
        if path.exists():
            old, facts = read_table(path, verify=True)
            fetched = overlaid(facts.fetched, new)
            symbol, repairs = symbol or facts.symbol, facts.repairs
        stamps = old.column("timestamp").to_numpy()
        replaced = np.zeros(stamps.size, dtype=np.bool_)
        for part in new:
            replaced[np.searchsorted(stamps, part.begin_ms) : np.searchsorted(stamps, part.end_ms)] = True
        gone, kept = old.filter(pa.array(replaced)), old.filter(pa.array(~replaced))
        merged = pa.concat_tables([kept.replace_schema_metadata(None), candles]).sort_by("timestamp")
        content, _ = encode(
            merged,
            exchange=folder.parent.name,
            coin=folder.name,
            month=month,
            symbol=symbol,
            fetched=fetched,
            repairs=repairs,
        )
        replace_file(path, content)
        return _difference(gone, candles)

    def markets(self, exchange: str, date: str | None = None) -> Markets:
        """Return the newest known markets of an exchange, or the newest that are not after a day."""
        return Markets.read(self.root / exchange_name(exchange), date)

    def market(self, exchange: str, coin: str) -> tuple[str, Market] | None:
        """Return the newest that is known of a market, listed or not any more, and of which day."""
        return last_known(self.root / exchange_name(exchange), coin)

    def write_markets(self, exchange: str, markets: Mapping[str, Market], date: str | None = None) -> bool:
        """Keep what an exchange says of its markets; False if that is what the store knows already.

        Parameters
        ----------
        markets
            Coin → market.
        date
            Day on which it says so, ``YYYY-MM-DD``; None: today, UTC.

        Raises
        ------
        CandleError, ResourceError
            They can't be written.
        """
        folder = self.root / exchange_name(exchange)
        make_folder(folder)
        with locked(folder):
            return Markets(date or f"{datetime.now(UTC):%Y-%m-%d}", dict(markets)).write(folder)

    @staticmethod
    def _entries(folder: Path) -> list[Path]:
        if not folder.is_dir():
            return []
        return [entry for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."]


def _is_exchange(name: str) -> bool:
    """Return whether a folder is one that a store makes; others in it are none of its business."""
    try:
        return exchange_name(name) == name
    except CandleError:
        return False


def _checked(candles: pa.Table, what: str) -> pa.Table:
    """Return candles in the store's schema.

    Raises
    ------
    CandleError
        They are not what a store takes; :func:`passivbot.market.tidy.tidy` makes them so.
    """
    try:
        table = candles.select(COLUMNS).cast(SCHEMA).replace_schema_metadata(None).combine_chunks()
    except (KeyError, pa.ArrowException) as error:
        raise CandleError(f"{what}: the candles have not the store's columns ({error})") from None
    if any(column.null_count for column in table.columns):
        raise CandleError(f"{what}: a value is null")
    timestamp: Ints = table.column("timestamp").to_numpy()
    if (np.diff(timestamp) <= 0).any() or (timestamp % MINUTE_MS != 0).any():
        raise CandleError(f"{what}: the minutes are not ascending whole minutes")
    for name in COLUMNS[1:]:
        values = table.column(name).to_numpy()
        wrong = ~np.isfinite(values) | ((values < 0) if name == "volume" else (values <= 0))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise CandleError(f"{what}: {name} is {values[row]} at timestamp {timestamp[row]}")
    return table


def _difference(old: pa.Table, new: pa.Table) -> tuple[int, int, int]:
    """Count the candles that are new, that have other values than before, and that are gone."""
    before, after = old.column("timestamp").to_numpy(), new.column("timestamp").to_numpy()
    common, left, right = np.intersect1d(before, after, assume_unique=True, return_indices=True)
    changed = np.zeros(common.size, dtype=np.bool_)
    for name in COLUMNS[1:]:
        changed |= old.column(name).to_numpy()[left] != new.column(name).to_numpy()[right]
    return after.size - common.size, int(changed.sum()), before.size - common.size
