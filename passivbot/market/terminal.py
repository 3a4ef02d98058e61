"""What a store holds, printed as tables."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from passivbot.market.quality import MarketReport
from passivbot.market.store import Store
from passivbot.times import utc


def _console() -> Console:
    # A file or a pipe has no width of its own; 80 columns would break the table's lines.
    return Console(width=None if sys.stdout.isatty() else 140, highlight=False)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number < 2 else "right", no_wrap=True)
    return table


def print_markets(reports: Sequence[MarketReport], root: str, *, checked: bool = False) -> None:
    """Print a line per market, then what there is to look at.

    Parameters
    ----------
    checked
        Whether every candle was read.
    """
    console = _console()
    if not reports:
        console.print(f"{root}: no candles", markup=False)
        return
    table = _table("exchange", "coin", "first", "last", "candles", "coverage", "absent", "idle", "MB")
    for report in reports:
        table.add_row(
            report.exchange,
            report.coin,
            utc(report.first_ms) if report.rows else "–",
            utc(report.last_ms) if report.rows else "–",
            f"{report.rows:,}",
            f"{report.coverage:.2%}" if report.rows else "–",
            f"{report.absent:,}",
            f"{report.idle:,}",
            f"{report.nbytes / 1e6:,.1f}",
        )
    console.print(table)
    rows, size = sum(report.rows for report in reports), sum(report.nbytes for report in reports)
    console.print(f"\n{root}: {len(reports)} markets, {rows:,} candles, {size / 1e6:,.1f} MB", markup=False)
    found = False
    for report in reports:
        for line in report.findings:
            found = True
            console.print(f"{report.exchange} {report.coin}: {line}", markup=False)
        for line in report.repairs:
            console.print(f"{report.exchange} {report.coin}: repaired earlier: {line}", markup=False)
    if checked:
        alone = sum(report.outliers is None and not report.damaged for report in reports)
        if alone:
            console.print(
                f"{alone} of {len(reports)} markets share no minutes with another exchange: not compared",
                markup=False,
            )
        if not found:
            console.print("nothing to look at", markup=False)


def print_market(store: Store, exchange: str, coin: str) -> None:
    """Print the months of one market, where they come from, and its rules."""
    console = _console()
    coverage = store.coverage(exchange, coin)
    table = _table("month", "source", "candles", "first", "last", "absent", "idle", "inconsistent", "fetched")
    for facts in coverage.months:
        sources = sorted({part.source for part in facts.fetched})
        dates = sorted({part.date for part in facts.fetched})
        asked = sum(span.minutes for span in facts.spans)
        table.add_row(
            facts.month,
            ", ".join(sources),
            f"{facts.rows:,}",
            utc(facts.first_ms) if facts.rows else "–",
            utc(facts.last_ms) if facts.rows else "–",
            f"{asked - facts.rows:,}",
            f"{facts.idle:,}",
            f"{facts.inconsistent:,}",
            dates[0] if len(dates) < 2 else f"{dates[0]} … {dates[-1]}",
        )
    console.print(table)
    spans = ", ".join(map(str, coverage.spans[:4]))
    more = f" and {len(coverage.spans) - 4} more" if len(coverage.spans) > 4 else ""
    console.print(f"\nfetched: {spans}{more}", markup=False)
    for facts in coverage.months:
        for line in facts.repairs:
            console.print(f"repaired: {facts.month}: {line}", markup=False)
    newest, known = store.markets(exchange).date, store.market(exchange, coin)
    if known is None:
        console.print("market rules: not known; `passivbot data download` brings them", markup=False)
        return
    date, market = known
    fee = market.maker_fee_on(exchange)
    listed = "" if market.listing_ms is None else f", listed {utc(market.listing_ms)[:10]}"
    console.print(
        f"market rules of {date}: {market.symbol}: quantity step {market.rules.qty_step:g}, "
        f"price step {market.rules.price_step:g}, smallest quantity {market.rules.min_qty:g}, smallest cost "
        f"{market.rules.min_cost:g}, contract {market.rules.c_mult:g}, maker fee "
        f"{'not published' if fee is None else f'{fee:g}'}{listed}"
        f"{'' if market.active and date == newest else ', not traded now'}",
        markup=False,
        soft_wrap=True,
    )
