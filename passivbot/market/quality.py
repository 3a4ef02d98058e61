"""What there is to say about a store's candles: damage, holes, defects, prices that no other exchange has."""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from passivbot.config.coins import coin_of
from passivbot.errors import CandleError
from passivbot.market.clean import Floats, Ints
from passivbot.market.month import Facts, check_month, read_facts, read_table
from passivbot.market.spans import Span, minus, month_span, within
from passivbot.market.store import Store, exchange_name
from passivbot.market.tidy import Mask, counted
from passivbot.times import DAY_MS, MINUTE_MS

OUTLIER = 0.05
"""Share by which a price may differ from another exchange's, once their usual ratio is taken out."""


@dataclass(frozen=True)
class MarketReport:
    """What was found of one market.

    Parameters
    ----------
    exchange, coin, symbol
        The market.
    rows, first_ms, last_ms
        Number of candles, the first and the last; 0 without any.
    absent
        Minutes between them that were fetched and that the exchange does not have.
    unfetched
        Stretches between them that were never fetched.
    idle, inconsistent
        Candles without volume; with open or close outside low … high.
    outliers
        Candles far from another exchange's; None where there is none to compare with.
    repairs
        What was changed in the candles after they came.
    damaged
        File → what is wrong with it.
    days
        Day (UTC milliseconds of its start) → candles.
    fetched
        What was fetched.
    nbytes
        Size of the files.
    """

    exchange: str
    coin: str
    symbol: str
    rows: int
    first_ms: int
    last_ms: int
    absent: int
    unfetched: tuple[Span, ...]
    idle: int
    inconsistent: int
    outliers: int | None
    repairs: tuple[str, ...]
    damaged: Mapping[Path, str]
    days: Mapping[int, int] = field(repr=False)
    fetched: tuple[Span, ...] = field(repr=False)
    nbytes: int = 0

    @property
    def coverage(self) -> float:
        """Share of the minutes from the first to the last candle that have one."""
        minutes = (self.last_ms - self.first_ms) // MINUTE_MS + 1
        return self.rows / minutes if self.rows else 0.0

    @property
    def findings(self) -> tuple[str, ...]:
        """What a person should look at, a line each."""
        lines = [f"damaged: {path.name}: {why}" for path, why in self.damaged.items()]
        if self.unfetched:
            minutes = sum(span.minutes for span in self.unfetched)
            spans = ", ".join(map(str, self.unfetched[:3]))
            more = f" and {len(self.unfetched) - 3} more" if len(self.unfetched) > 3 else ""
            lines.append(f"never fetched: {minutes:,} minutes: {spans}{more}")
        if self.inconsistent:
            lines.append(f"open or close outside low … high: {counted(self.inconsistent)}")
        if self.outliers:
            lines.append(f"more than {OUTLIER:.0%} from another exchange: {counted(self.outliers)}")
        return tuple(lines)


def check(store: Store, markets: Iterable[tuple[str, str]], *, deep: bool = True) -> tuple[MarketReport, ...]:
    """Look at some markets of a store.

    Parameters
    ----------
    markets
        (exchange, coin).
    deep
        Read every candle: compare checksums, order, values, and prices with those of other exchanges; else
        only what the files say of themselves.
    """

    def one(market: tuple[str, str]) -> MarketReport:
        facts, damaged = _facts(store, *market, deep)
        report = _report(store, *market, facts, damaged)
        if deep and not damaged:
            report = replace(report, outliers=_outliers(store, *market))
        return report

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return tuple(pool.map(one, markets))


def market_names(
    store: Store, exchanges: Sequence[str] = (), coins: Sequence[str] = ()
) -> tuple[tuple[str, str], ...]:
    """Return the markets of a store, those of some exchanges and coins if they are named.

    Raises
    ------
    CandleError
        A named exchange is unknown, or a named coin is on none of them.
    """
    chosen = [exchange_name(name) for name in exchanges] or list(store.exchanges)
    wanted = {coin_of(name) for name in coins}
    found = tuple(
        (exchange, coin)
        for exchange in chosen
        for coin in store.coins(exchange)
        if not wanted or coin in wanted
    )
    there = {coin for _, coin in found}
    for coin in sorted(wanted - there):
        for exchange in chosen:
            store.require(exchange, coin)
    if exchanges and not found:
        raise CandleError(
            f"{store.root}: has no candles of {', '.join(chosen)}; "
            f"it has {', '.join(store.exchanges) or 'none'}"
        )
    return found


def outliers(store: Store, exchange: str, coin: str, month: str) -> tuple[Mask, bool]:
    """Return which candles of a month lie far from another exchange's, and whether there is one.

    Compared are high, low and close of the same minutes with the first other exchange that has them, each
    divided by the median ratio of the closes: contracts of a thousand coins compare too.
    """
    path = store.folder(exchange, coin) / f"{month}.parquet"
    mine, facts = read_table(path, ["timestamp", "high", "low", "close"])
    wrong = np.zeros(facts.rows, dtype=np.bool_)
    for other in store.exchanges:
        theirs = store.folder(other, coin) / path.name
        if other == exchange or not theirs.exists():
            continue
        try:
            table, _ = read_table(theirs, ["timestamp", "high", "low", "close"])
        except CandleError:
            continue  # its own report says so
        _, left, right = np.intersect1d(
            _stamps(mine), _stamps(table), assume_unique=True, return_indices=True
        )
        if not left.size:
            continue
        ratio = float(np.median(_column(mine, "close")[left] / _column(table, "close")[right]))
        for name in ("high", "low", "close"):
            away = _column(mine, name)[left] / (_column(table, name)[right] * ratio)
            wrong[left] |= np.abs(away - 1.0) > OUTLIER
        return wrong, True
    return wrong, False


def _outliers(store: Store, exchange: str, coin: str) -> int | None:
    counts = [outliers(store, exchange, coin, path.stem) for path in store.files(exchange, coin)]
    compared = [int(wrong.sum()) for wrong, there in counts if there]
    return sum(compared) if compared else None


def _stamps(table: pa.Table) -> Ints:
    values: Ints = table.column("timestamp").to_numpy()
    return values


def _column(table: pa.Table, name: str) -> Floats:
    values: Floats = table.column(name).to_numpy()
    return values


def _facts(store: Store, exchange: str, coin: str, deep: bool) -> tuple[list[Facts], dict[Path, str]]:
    """Return the facts of the sound files, and what is wrong with the others."""
    sound: list[Facts] = []
    damaged: dict[Path, str] = {}
    for path in store.files(exchange, coin):
        try:
            if deep:
                table, facts = read_table(path, verify=True)
                why = check_month(path, table, facts)
            else:
                facts, why = read_facts(path), None
        except CandleError as error:
            damaged[path] = str(error).removeprefix(f"{path}: ").partition(";")[0]
            continue
        if why:
            damaged[path] = why
        else:
            sound.append(facts)
    return sound, damaged


def _report(
    store: Store, exchange: str, coin: str, months: Sequence[Facts], damaged: Mapping[Path, str]
) -> MarketReport:
    filled = [facts for facts in months if facts.rows]
    first, last = (filled[0].first_ms, filled[-1].last_ms) if filled else (0, 0)
    life = Span(first, last + MINUTE_MS) if filled else Span(0, 0)
    fetched = tuple(part.span for facts in months for part in facts.fetched)
    rows = sum(facts.rows for facts in months)
    files = store.files(exchange, coin)
    return MarketReport(
        exchange=store.folder(exchange, coin).parent.name,
        coin=coin,
        symbol=next((facts.symbol for facts in reversed(months) if facts.symbol), ""),
        rows=rows,
        first_ms=first,
        last_ms=last,
        absent=sum(span.minutes for span in within(life, fetched)) - rows,
        unfetched=minus(life, fetched),
        idle=sum(facts.idle for facts in months),
        inconsistent=sum(facts.inconsistent for facts in months),
        outliers=None,
        repairs=tuple(dict.fromkeys(line for facts in months for line in facts.repairs)),
        damaged=dict(damaged),
        days={day: count for facts in months for day, (count, _) in facts.days.items()},
        fetched=fetched,
        nbytes=sum(path.stat().st_size for path in files),
    )


def day_shares(report: MarketReport, days: Sequence[int]) -> list[float | None]:
    """Return the share of each day's minutes that have a candle; None where nothing of it was fetched."""
    shares: list[float | None] = []
    for day in days:
        count = report.days.get(day, 0)
        if not count and not within(Span(day, day + DAY_MS), report.fetched):
            shares.append(None)
        else:
            shares.append(count / 1440)
    return shares


def damaged_spans(damaged: Mapping[Path, str]) -> Span:
    """Return the stretch from the first to the last month whose file is damaged."""
    spans = [month_span(path.stem) for path in damaged]
    return Span(min(span.begin_ms for span in spans), max(span.end_ms for span in spans))
