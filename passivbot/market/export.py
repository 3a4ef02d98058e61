"""Candles of a store as files: CSV, Arrow, or a candle folder."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.feather as feather

from passivbot.errors import CandleError
from passivbot.market.files import make_folder, replace_file
from passivbot.market.folder import MARKETS
from passivbot.market.month import COLUMNS
from passivbot.market.store import Store

FORMATS = ("csv", "arrow", "parquet")
"""``parquet`` writes what ``--candles`` takes, with the market rules beside it."""


def export(
    store: Store,
    exchange: str,
    coins: Sequence[str],
    form: str,
    out: Path,
    *,
    begin_ms: int | None = None,
    end_ms: int | None = None,
) -> list[tuple[Path, int]]:
    """Write one file per coin, ``COIN.csv`` and so on, into a folder.

    Columns are the store's: ``timestamp`` (UTC milliseconds), ``open``, ``high``, ``low``, ``close``,
    ``volume`` (base units). Numbers are written such that they are read back as they are.

    Parameters
    ----------
    form
        One of :data:`FORMATS`.
    begin_ms, end_ms
        Half open, UTC milliseconds; None: as far as the store goes.

    Returns
    -------
    Files and their numbers of candles.

    Raises
    ------
    CandleError
        Unknown format, exchange or coin, no candles in the stretch, or a file that can't be written.
    ResourceError
        The disk is full; files before it stay.
    """
    if form not in FORMATS:
        raise CandleError(f"--format is {form!r}; allowed is {', '.join(FORMATS)}")
    for coin in coins:
        store.require(exchange, coin)
    make_folder(out)
    done = []
    for coin in coins:
        table = store.read(exchange, coin, begin_ms, end_ms, COLUMNS)
        if not table.num_rows:
            raise CandleError(f"{store.root}: has no candles of {coin} on {exchange} in that stretch")
        path = out / f"{coin}.{form}"
        replace_file(path, _content(table, form))
        done.append((path, table.num_rows))
    if form == "parquet":
        _write_rules(store, exchange, coins, out)
    return done


def _content(table: pa.Table, form: str) -> bytes:
    sink = pa.BufferOutputStream()
    if form == "csv":
        pc_csv.write_csv(table, sink, pc_csv.WriteOptions(quoting_style="none"))
    elif form == "arrow":
        feather.write_feather(table, sink, compression="zstd")
    else:
        import pyarrow.parquet as pq

        pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _write_rules(store: Store, exchange: str, coins: Sequence[str], out: Path) -> None:
    import json
    from datetime import UTC, datetime

    document: dict[str, dict[str, object]] = {}
    for coin in coins:
        known = store.market(exchange, coin)
        if known is None:
            continue
        _, market = known
        document[coin] = dict(asdict(market.rules))
        fee = market.maker_fee_on(exchange)
        if fee is not None:
            document[coin]["maker_fee"] = fee
        if market.listing_ms:
            listed = datetime.fromtimestamp(market.listing_ms / 1000, UTC)
            document[coin]["listing_date"] = listed.isoformat()
    if document:
        replace_file(out / MARKETS, (json.dumps(document, indent=2) + "\n").encode())
