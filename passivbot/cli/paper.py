"""``passivbot paper NAME|CONFIG``: the live bot against the venue, over recorded or real minutes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passivbot.cli.options import print_findings
from passivbot.cli.shared import LIVE, LiveOption, coins_of

if TYPE_CHECKING:
    from passivbot.config import Config
    from passivbot.venue.market import MarketSource
    from passivbot.venue.paper import Done, Result


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("paper")(paper)


def paper(
    name: Annotated[str, typer.Argument(metavar="NAME|CONFIG", help="A promoted configuration, or a file.")],
    candles: Annotated[
        Path | None,
        typer.Option(
            help="Candle folder, store, or demo, to replay. Default: --exchange's minutes as they end."
        ),
    ] = None,
    exchange: Annotated[
        str, typer.Option(help="Exchange: its market, or with --candles its rules of the game.")
    ] = "binance",
    coins: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Coins in place of the approved ones.")
    ] = None,
    balance: Annotated[float, typer.Option(min=0.01, help="Balance at the beginning.")] = 10_000.0,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="ISO date or time, UTC; with --candles.")
    ] = None,
    minutes: Annotated[
        int | None, typer.Option(min=1, help="End after so many minutes of market time; with --candles.")
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(min=0.001, help="Market minutes a second; with --candles. Default: as fast as it goes."),
    ] = None,
    folder: LiveOption = LIVE,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run: journal, log, fills. Default: paper/UTC time.")
    ] = None,
) -> None:
    """Trade on paper until the candles end, Ctrl-C or SIGTERM: the live bot, no keys, no exchange account.

    Orders fill as in a backtest: when a later candle passes their price. No key is asked for, and nothing
    but public candles is asked of the exchange.
    """
    import asyncio
    import contextlib
    from datetime import UTC, datetime

    from passivbot.config.coins import select_coins
    from passivbot.errors import ExchangeError
    from passivbot.exchanges import canonical, connect
    from passivbot.exchanges.errors import ExchangeFault
    from passivbot.live.clock import WallClock
    from passivbot.live.start import open_source
    from passivbot.ops.run import Settings
    from passivbot.venue.paper import FILLS, follow, replay, write_fills

    source = open_source(name, folder)
    print_findings(source.findings)
    chosen = canonical(exchange, "the command line", "--exchange")
    named = coins_of(coins)
    run = out or Path("paper") / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}"
    run.mkdir(parents=True, exist_ok=True)
    settings = Settings.from_environment(root=run, level=source.now.logging.level)

    async def recorded(path: Path) -> "Result":
        begin = _start(start)
        market = _market(path, source.now, chosen, named, name, begin, minutes)
        for note in market.notes:
            _tell(note)
        return await replay(
            source,
            market,
            chosen,
            settings,
            balance=balance,
            start_ms=begin,
            minutes=minutes,
            speed=speed,
            progress=_progress,
        )

    async def real() -> "Result":
        try:
            async with connect(chosen) as outside:
                wanted = select_coins(source.now, list(outside.markets), named, name)
                world = WallClock()
                return await follow(source, wanted, outside, settings, world, balance=balance, tell=_tell)
        except ExchangeFault as fault:
            raise ExchangeError(f"{chosen}: its market can't be read: {fault.text}") from fault

    try:
        result = asyncio.run(real() if candles is None else recorded(candles))
    except BaseException:
        with contextlib.suppress(OSError):  # of a run that did not begin nothing stays
            run.rmdir()
        raise
    write_fills(run / FILLS, result.fills)
    _print(result, run)


def _market(
    path: Path,
    config: "Config",
    exchange: str,
    coins: tuple[str, ...] | None,
    file: str,
    begin_ms: int | None,
    minutes: int | None,
) -> "MarketSource":
    """Return the market of a candle folder, a store, or the demo candles."""
    from passivbot.config.coins import select_coins
    from passivbot.errors import CandleError
    from passivbot.live.strategy import warmup
    from passivbot.market.demo import demo_folder
    from passivbot.market.folder import CandleFolder
    from passivbot.market.store import Store, exchange_name, is_store
    from passivbot.times import MINUTE_MS
    from passivbot.venue.market import MarketSource

    if not is_store(path):
        folder = CandleFolder.open(demo_folder() if str(path) == "demo" else path)
        return MarketSource.from_folder(folder, select_coins(config, folder.coins, coins, file))
    store, named = Store.open(path), exchange_name(exchange)
    if not store.coins(named):
        there = ", ".join(store.exchanges) or "none"
        raise CandleError(f"{path}: has no candles of {named}; --exchange chooses among {there}")
    chosen = select_coins(config, store.coins(named), coins, file)
    needed = (max(warmup(config, chosen)[0], 1) + 2) * MINUTE_MS
    first = None if begin_ms is None else begin_ms - needed
    last = None if begin_ms is None or minutes is None else begin_ms + minutes * MINUTE_MS
    return MarketSource.from_store(store, named, chosen, first, last)


def _start(text: str | None) -> int | None:
    from passivbot.config.values import date_ms
    from passivbot.errors import ConfigError, located
    from passivbot.times import MINUTE_MS

    if text is None:
        return None
    try:
        return date_ms(text) // MINUTE_MS * MINUTE_MS
    except ValueError:
        allowed = "an ISO date or time such as 2025-05-01 or 2025-05-01T12:00"
        raise ConfigError(located("the command line", "--start", text, allowed)) from None


def _progress(done: "Done") -> None:
    from passivbot.times import MINUTE_MS, utc

    minutes, total = (done.now_ms - done.begin_ms) // MINUTE_MS, (done.end_ms - done.begin_ms) // MINUTE_MS
    typer.echo(
        f"{utc(done.now_ms)}: {minutes:,} of {total:,} minutes ({minutes / max(total, 1):.0%}), "
        f"{done.fills:,} fills, equity {done.equity:,.2f}",
        err=True,
    )


def _tell(text: str) -> None:
    typer.echo(f"note: {text}", err=True)


def _print(result: "Result", run: Path) -> None:
    realised = sum(fill.pnl for fill in result.fills)
    fees = sum(fill.fee for fill in result.fills)
    typer.echo(f"{result.minutes} minutes, {len(result.fills)} fills")
    typer.echo(f"balance {result.start_balance:.2f} → {result.balance:.2f}; equity {result.equity:.2f}")
    typer.echo(f"realised profit {realised:.2f}, fees {fees:.2f}")
    typer.echo(f"open: {result.positions} positions, {result.open_orders} orders")
    typer.echo(f"journal, log and fills: {run}")
