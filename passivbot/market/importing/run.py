"""From files to a store: grouped by market, made tidy, written; what was done is told."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from passivbot.engine import MarketRules
from passivbot.errors import CandleError
from passivbot.market.folder import MARKETS, CandleFolder
from passivbot.market.importing.names import Named, named
from passivbot.market.importing.readers import ending_of, read
from passivbot.market.listings import Market
from passivbot.market.spans import Span
from passivbot.market.store import Store, Written, exchange_name
from passivbot.market.tidy import Defect, Rules, tidy
from passivbot.times import MINUTE_MS

VOLUMES = ("base", "quote")
"""Units that a file's volume may be in."""


@dataclass(frozen=True)
class Imported:
    """What became of one market's files.

    Parameters
    ----------
    exchange, coin
        The market.
    files
        How many there were.
    written
        What the store did.
    defects
        What the rules did.
    first_ms, last_ms
        First and last candle; equal to 0 without any.
    """

    exchange: str
    coin: str
    files: int
    written: Written
    defects: tuple[Defect, ...]
    first_ms: int
    last_ms: int


def import_files(
    store: Store,
    paths: Sequence[Path],
    *,
    exchange: str | None = None,
    coin: str | None = None,
    volume: str = "base",
    complete: bool = False,
    rules: Rules | None = None,
    date: str | None = None,
    told: Callable[[Imported], None] = lambda _: None,
    skipped: Callable[[str], None] = lambda _: None,
) -> list[Imported]:
    """Import files, or all known files below folders, into a store.

    Everything is read and judged before anything is written, market by market; a market whose files are
    refused leaves the store as it was.

    Parameters
    ----------
    exchange, coin
        What the files hold; None: as their names and places say.
    volume
        Unit of the files' volume, one of :data:`VOLUMES`.
    complete
        Whether the files hold all that the exchange has: a hole in them is then none that a download fills.
        Monthly and daily files of an archive always do.
    rules
        What to do about defects.
    date
        Day of the import, ``YYYY-MM-DD``; None: today.
    told
        Called for each market that is done.
    skipped
        Called for each file of a folder that holds longer bars or other prices, with the reason.

    Raises
    ------
    CandleError
        Nothing to import, an unreadable file, an unknown exchange, or a defect that a rule refuses.
    ResourceError
        The disk is full; markets that were done stay.
    """
    if volume not in VOLUMES:
        raise CandleError(f"--volume is {volume!r}; allowed is {' or '.join(VOLUMES)}")
    fixed = exchange_name(exchange) if exchange else None
    groups: dict[tuple[str, str], list[tuple[Path, Span | None]]] = {}
    for path, said in _files(paths, skipped):
        where = fixed or said.exchange
        if where is None:
            raise CandleError(
                f"{path}: neither its name nor its folder says the exchange; name it with --exchange"
            )
        groups.setdefault((where, coin or said.coin), []).append((path, said.period))

    def one(group: tuple[str, str]) -> Imported:
        where, name = group
        done = _import(store, where, name, groups[group], volume, complete, rules or Rules(), date)
        told(done)
        return done

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        done = list(pool.map(one, sorted(groups)))
    for folder in sorted({path.parent for files in groups.values() for path, _ in files}):
        if (folder / MARKETS).is_file() and fixed:
            _import_rules(store, fixed, folder, date)
    return done


def _import(
    store: Store,
    exchange: str,
    coin: str,
    files: Sequence[tuple[Path, Span | None]],
    volume: str,
    complete: bool,
    rules: Rules,
    date: str | None,
) -> Imported:
    table = pa.concat_tables([read(path) for path, _ in files])
    if volume == "quote":
        base = pc.divide(table.column("volume"), table.column("close"))
        table = table.set_column(5, table.schema.field("volume"), base)
    what = str(files[0][0]) if len(files) == 1 else f"{files[0][0].parent} ({coin}, {len(files)} files)"
    table, defects = tidy(table, rules, what)
    stamps = table.column("timestamp").to_numpy()
    if not stamps.size:
        raise CandleError(f"{what}: holds no candles")
    spans = None
    periods = [period for _, period in files if period is not None]
    if complete:
        spans = [Span(int(stamps[0]), int(stamps[-1]) + MINUTE_MS)]
    elif len(periods) == len(files) and _all_inside(stamps, periods):
        spans = periods
    kinds = sorted({ending_of(path) or "" for path, _ in files})
    written = store.write(exchange, coin, table, source=f"import {' '.join(kinds)}", spans=spans, date=date)
    return Imported(exchange, coin, len(files), written, defects, int(stamps[0]), int(stamps[-1]))


def _all_inside(stamps: np.ndarray[tuple[int], np.dtype[np.int64]], periods: Sequence[Span]) -> bool:
    inside = np.zeros(stamps.size, dtype=np.bool_)
    for span in periods:
        inside[slice(*np.searchsorted(stamps, span).tolist())] = True
    return bool(inside.all())


def _files(paths: Sequence[Path], skipped: Callable[[str], None]) -> list[tuple[Path, Named]]:
    """Return the files to read and what their names say; of folders, those that hold candles of minutes."""
    found: dict[Path, Named] = {}
    for path in paths:
        if path.is_dir():
            below = sorted(file for file in path.rglob("*") if file.is_file() and ending_of(file))
            # A candle folder's rules are no candles.
            below = [file for file in below if file.name != MARKETS and file.name[0] != "."]
            if not below:
                raise CandleError(f"{path}: holds no file of a known format")
            for file in below:
                try:
                    found[file] = named(file)
                except CandleError as error:
                    skipped(str(error))
        elif path.exists():
            found[path] = named(path)
        else:
            raise CandleError(f"{path}: there is no such file or folder")
    if not found:
        raise CandleError(f"{paths[0]}: holds no candles of one minute")
    return list(found.items())


def _import_rules(store: Store, exchange: str, folder: Path, date: str | None) -> None:
    """Take over the market rules of a candle folder, beside those that the store knows already."""
    try:
        opened = CandleFolder.open(folder)
        named_rules, fee, _ = opened.market_rules([c for c in opened.coins if opened.states(c)])
    except CandleError as error:
        if "holds no candles" in str(error):
            return
        raise
    known = dict(store.markets(exchange).by_coin)
    known |= {coin: _market(coin, rules, fee, opened.listing_ms(coin)) for coin, rules in named_rules.items()}
    store.write_markets(exchange, known, date)


def _market(coin: str, rules: MarketRules, fee: float, listing_ms: int | None) -> Market:
    return Market(
        symbol=coin,
        qty_step=rules.qty_step,
        price_step=rules.price_step,
        min_qty=rules.min_qty,
        min_cost=rules.min_cost,
        c_mult=rules.c_mult,
        maker_fee=fee,
        listing_ms=listing_ms,
    )
