"""Mending a store: damaged files are put aside, defects treated by rules; and removing what is not wanted."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from passivbot.disk import PART
from passivbot.market.files import locked, replace_file, unwritable
from passivbot.market.month import Facts, encode, inconsistent, read_table
from passivbot.market.panel_cache import kept
from passivbot.market.quality import MarketReport, damaged_spans, outliers
from passivbot.market.spans import month_span
from passivbot.market.store import PANELS, Store
from passivbot.market.tidy import INCONSISTENT, Rules, counted, widened

ASIDE = ".damaged"
"""Ending of a damaged file that was put aside."""


@dataclass(frozen=True)
class Act:
    """One thing that a repair does or would do.

    Parameters
    ----------
    path
        The file.
    text
        What is done to it.
    """

    path: Path
    text: str


def repair(store: Store, reports: Sequence[MarketReport], rules: Rules, *, act: bool) -> tuple[Act, ...]:
    """Put damaged files aside and treat defects by rules.

    What was dropped counts as fetched: the exchange has nothing better. What was done is kept in the file.

    Parameters
    ----------
    reports
        From :func:`passivbot.market.quality.check`, deep.
    rules
        Of ``inconsistent``, ``idle`` and ``outliers``; the others have no effect on a store.
    act
        Do it; else only say what would be done.

    Raises
    ------
    CandleError, ResourceError
        A file can't be written; those before it are done.
    """
    acts: list[Act] = []
    for report in reports:
        folder = store.folder(report.exchange, report.coin)
        for path, why in report.damaged.items():
            aside = path.with_name(f".{path.name}{ASIDE}")
            acts.append(Act(path, f"{why}: put aside as {aside.name}"))
            if act:
                with locked(folder):
                    try:
                        path.replace(aside)
                    except OSError as error:
                        raise unwritable(aside, error) from None
        for path in store.files(report.exchange, report.coin):
            if path not in report.damaged:
                acts += _treat(store, report, path, rules, act)
    return tuple(acts)


def download_command(report: MarketReport) -> str:
    """Return what brings back a market's damaged months."""
    span = damaged_spans(report.damaged)
    first, last = (f"{np.datetime64(ms, 'ms')}"[:10] for ms in (span.begin_ms, span.end_ms - 1))
    market = f"--exchange {report.exchange} --coins {report.coin}"
    return f"passivbot data download {market} --from {first} --to {last}"


def _treat(store: Store, report: MarketReport, path: Path, rules: Rules, act: bool) -> list[Act]:
    """Treat the defects of one month."""
    with locked(path.parent):
        table, facts = read_table(path, verify=True)
        table = table.replace_schema_metadata(None)
        lines: list[str] = []
        drop = np.zeros(facts.rows, dtype=np.bool_)
        odd = inconsistent(table)
        if odd.any() and rules.inconsistent in ("widen", "drop"):
            lines.append(f"{counted(int(odd.sum()))} {INCONSISTENT[rules.inconsistent]}")
            if rules.inconsistent == "widen":
                table = widened(table)
            else:
                drop |= odd
        idle = table.column("volume").to_numpy() == 0.0
        if idle.any() and rules.idle == "drop":
            lines.append(f"{counted(int(idle.sum()))} without volume: left out")
            drop |= idle
        if rules.outliers == "drop":
            far, _ = outliers(store, report.exchange, report.coin, path.stem)
            if far.any():
                lines.append(f"{counted(int(far.sum()))} far from another exchange's: left out")
                drop |= far
        if lines and act:
            _rewrite(path, table.filter(pa.array(~drop)), facts, lines)
    return [Act(path, line) for line in lines]


def _rewrite(path: Path, table: pa.Table, facts: Facts, lines: Sequence[str]) -> None:
    content, _ = encode(
        table,
        exchange=facts.exchange,
        coin=facts.coin,
        month=facts.month,
        symbol=facts.symbol,
        fetched=facts.fetched,
        repairs=(*facts.repairs, *lines),
    )
    replace_file(path, content)


def prune(
    store: Store,
    markets: Sequence[tuple[str, str]],
    *,
    before_ms: int | None,
    panels: bool,
    act: bool,
) -> tuple[tuple[Path, int], ...]:
    """Remove files that are not wanted any more, and what repairs put aside.

    Parameters
    ----------
    markets
        Whose months go: (exchange, coin).
    before_ms
        Only months that end before; None: all of them.
    panels
        Remove the kept panels too; they are made again when they are needed.
    act
        Do it; else only say what would go.

    Returns
    -------
    Files and their sizes in bytes.

    Raises
    ------
    CandleError
        A file can't be removed.
    """
    gone: list[tuple[Path, int]] = []
    for exchange, coin in markets:
        folder = store.folder(exchange, coin)
        with locked(folder):
            months = [
                path
                for path in store.files(exchange, coin)
                if before_ms is None or month_span(path.stem).end_ms <= before_ms
            ]
            gone += _remove(months, act)
    gone += _remove(sorted(store.root.rglob(f".*{ASIDE}")), act)
    if panels:
        # What a crash left half written lies there too; whoever writes one now starts again.
        parts = sorted((store.root / PANELS).glob(f".*{PART}"))
        gone += _remove([*(path for path, _ in kept(store)), *parts], act)
    return tuple(gone)


def _remove(paths: Sequence[Path], act: bool) -> list[tuple[Path, int]]:
    gone = []
    for path in paths:
        try:
            gone.append((path, path.stat().st_size))
            if act:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(path, error) from None
    return gone
