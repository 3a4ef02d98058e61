"""Candles as they come, made such that a store takes them; and the defects that a store's candles can have.

For each defect there is a rule. The defaults are those of trading-semantics §7.4: sorted, of duplicates the
first, everything else as it is. What can't be a candle at all (no price, off the minute) goes. Whatever a
rule did is returned, to be said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passivbot.errors import CandleError, nearest
from passivbot.market.clean import Ints
from passivbot.market.month import COLUMNS, SCHEMA, inconsistent
from passivbot.times import MINUTE_MS, utc

Mask = NDArray[np.bool_]

ALLOWED: Mapping[str, tuple[str, ...]] = {
    "unsorted": ("sort", "refuse"),
    "duplicates": ("first", "last", "refuse"),
    "minutes": ("drop", "refuse"),
    "values": ("drop", "refuse"),
    "inconsistent": ("keep", "widen", "drop", "refuse"),
    "idle": ("keep", "drop"),
    "outliers": ("keep", "drop"),
}
"""Defect → what may be done about it; the first is the default."""


@dataclass(frozen=True)
class Rules:
    """What to do about each defect; see :data:`ALLOWED`.

    Parameters
    ----------
    unsorted
        A candle comes after a later one.
    duplicates
        A minute has several candles.
    minutes
        A timestamp is not the start of a minute.
    values
        A price that is not a finite number above 0, or a volume that is not one of at least 0.
    inconsistent
        Open or close outside low … high; ``widen`` makes high the highest and low the lowest of the four.
    idle
        No volume.
    outliers
        A price far from that of another exchange.
    """

    unsorted: str = "sort"
    duplicates: str = "first"
    minutes: str = "drop"
    values: str = "drop"
    inconsistent: str = "keep"
    idle: str = "keep"
    outliers: str = "keep"

    @classmethod
    def parse(cls, texts: Sequence[str]) -> "Rules":
        """Return the rules that texts such as ``duplicates=last`` change.

        Raises
        ------
        CandleError
            An unknown defect, or something that can't be done about it.
        """
        rules = cls()
        for text in texts:
            name, _, value = text.partition("=")
            if name not in ALLOWED:
                near = nearest(name, ALLOWED)
                hint = f"; the nearest is {near}" if near else ""
                raise CandleError(f"--rule {text}: unknown defect{hint}; known are {', '.join(ALLOWED)}")
            if value not in ALLOWED[name]:
                raise CandleError(f"--rule {text}: allowed is {name}={'|'.join(ALLOWED[name])}")
            rules = replace(rules, **{name: value})
        return rules

    def changed(self) -> dict[str, str]:
        """Return the rules that are not the default."""
        default = Rules()
        return {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if getattr(self, f.name) != getattr(default, f.name)
        }


@dataclass(frozen=True)
class Defect:
    """Candles that a rule acted on.

    Parameters
    ----------
    kind
        Name of the rule.
    count
        Number of candles.
    first_ms
        The first of them, UTC milliseconds.
    text
        What was wrong and what was done.
    """

    kind: str
    count: int
    first_ms: int
    text: str

    def __str__(self) -> str:
        """As a person reads it."""
        return f"{counted(self.count)} {self.text}, the first at {utc(self.first_ms)}"


def counted(candles: int) -> str:
    """Return a number of candles as a phrase."""
    return "1 candle" if candles == 1 else f"{candles:,} candles"


def tidy(table: pa.Table, rules: Rules, what: str) -> tuple[pa.Table, tuple[Defect, ...]]:
    """Make candles such that a store takes them.

    Parameters
    ----------
    table
        The store's columns (:data:`~passivbot.market.month.SCHEMA`) in any order of rows.
    rules
        What to do about each defect.
    what
        Names the candles in errors.

    Returns
    -------
    table
        Ascending, unique, on the minute, with usable values.
    defects
        What was done.

    Raises
    ------
    CandleError
        A rule refuses, or the candles are not those of minutes.
    """
    table = _cast(table, what)
    defects: list[Defect] = []

    def done(kind: str, wrong: Mask, text: str) -> bool:
        """Note a defect; whether there is any."""
        if not wrong.any():
            return False
        stamps = table.column("timestamp").to_numpy()
        defect = Defect(kind, int(wrong.sum()), int(stamps[np.argmax(wrong)]), text)
        if getattr(rules, kind) == "refuse":
            raise CandleError(f"{what}: {defect}; --rule {kind}={ALLOWED[kind][0]} accepts the file")
        defects.append(defect)
        return True

    stamps: Ints = table.column("timestamp").to_numpy()
    wrong = stamps % MINUTE_MS != 0
    if done("minutes", wrong, "not at the start of a minute: left out"):
        table = table.filter(pa.array(~wrong))
    wrong = unusable(table)
    if done("values", wrong, "without usable price or volume: left out"):
        table = table.filter(pa.array(~wrong))
    stamps = table.column("timestamp").to_numpy()
    wrong = np.concatenate(([False], np.diff(stamps) < 0)) if stamps.size else np.zeros(0, dtype=np.bool_)
    if done("unsorted", wrong, "before an earlier one: sorted"):
        # Stable, so that of duplicates the first stays the first.
        table = table.take(pa.array(np.argsort(stamps, kind="stable")))
    stamps = table.column("timestamp").to_numpy()
    again = np.concatenate(([False], np.diff(stamps) == 0)) if stamps.size else np.zeros(0, dtype=np.bool_)
    if rules.duplicates == "last" and again.any():
        again = np.concatenate((again[1:], [False]))
    kept = "last" if rules.duplicates == "last" else "first"
    if done("duplicates", again, f"of a minute that has another: the {kept} of them is taken"):
        table = table.filter(pa.array(~again))
    _check_interval(table.column("timestamp").to_numpy(), what)
    wrong = inconsistent(table)
    if rules.inconsistent != "keep" and done("inconsistent", wrong, INCONSISTENT[rules.inconsistent]):
        table = table.filter(pa.array(~wrong)) if rules.inconsistent == "drop" else widened(table)
    wrong = table.column("volume").to_numpy() == 0.0
    if rules.idle == "drop" and done("idle", wrong, "without volume: left out"):
        table = table.filter(pa.array(~wrong))
    return table.combine_chunks(), tuple(defects)


INCONSISTENT = {
    "drop": "with open or close outside low … high: left out",
    "widen": "with open or close outside low … high: high and low widened",
    "refuse": "with open or close outside low … high",
}


def unusable(table: pa.Table) -> Mask:
    """Return which candles have a price or a volume that none can be."""
    wrong = np.zeros(table.num_rows, dtype=np.bool_)
    for name in COLUMNS[1:]:
        values = table.column(name).to_numpy()
        wrong |= ~np.isfinite(values) | ((values < 0) if name == "volume" else (values <= 0))
    return wrong


def widened(table: pa.Table) -> pa.Table:
    """Return candles whose high is the highest and whose low is the lowest of their four prices."""
    prices = [table.column(name).to_numpy() for name in ("open", "high", "low", "close")]
    high = np.maximum.reduce(prices)
    low = np.minimum.reduce(prices)
    return table.set_column(2, SCHEMA.field("high"), pa.array(high)).set_column(
        3, SCHEMA.field("low"), pa.array(low)
    )


def _cast(table: pa.Table, what: str) -> pa.Table:
    columns: list[Any] = []
    for field in SCHEMA:
        column = table.column(field.name)
        if column.null_count:
            if field.name == "timestamp":
                raise CandleError(f"{what}: {column.null_count} candles have no timestamp")
            column = column.fill_null(np.nan)
        columns.append(column.cast(field.type))
    return pa.table(columns, schema=SCHEMA).combine_chunks()


def _check_interval(stamps: Ints, what: str) -> None:
    """Refuse candles of longer bars: minutes can't be had from them."""
    if stamps.size < 3:
        return
    usual = int(np.median(np.diff(stamps))) // MINUTE_MS
    # Thinly traded markets have more holes than candles, but never at even distances.
    even = np.mean(np.diff(stamps) % (usual * MINUTE_MS) == 0) if usual > 1 else 0.0
    if usual > 1 and even == 1.0:
        raise CandleError(f"{what}: its candles are of {usual} minutes; needed are candles of one minute")
