"""Arguments and options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

LIVE = Path("live")
"""Default of :data:`LiveOption`."""

StudyArgument = Annotated[str, typer.Argument(help="Folder of a study, or its name below studies/.")]

CandlesOption = Annotated[
    Path | None,
    typer.Option(help="Candle folder, store, or demo. Default: the store (see passivbot data), else demo."),
]

CoinsOption = Annotated[
    str | None, typer.Option(metavar="all|A,B,…", help="Coins in place of the approved ones.")
]


def _checked_sets(sets: list[str] | None) -> list[str] | None:
    """Refuse ``--set KEY VALUE`` before the value is taken for a file."""
    from passivbot.config.load import split_set

    for entry in sets or ():
        split_set(entry)
    return sets


SetsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set one key, dotted; may be given several times.",
        callback=_checked_sets,
    ),
]

IntervalOption = Annotated[
    str | None,
    typer.Option(
        "--interval",
        metavar="MINUTES",
        help="Minutes of a bar, a divisor of 60: minutes of the candles are joined to longer bars, which are "
        "faster and coarser. Default: backtest.candle_interval_minutes.",
    ),
]
"""A text, so that the configuration judges it."""

StoreOption = Annotated[
    Path | None,
    typer.Option("--store", metavar="DIR", help="The store. Default: $PASSIVBOT_STORE, else candles."),
]

WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="METRIC<NUMBER",
        help="Keep only members for which this holds; repeatable. unseen.METRIC: on unseen candles.",
    ),
]

HoldsOption = Annotated[
    bool,
    typer.Option(
        "--holds",
        help="Keep only members that keep all limits on unseen candles (see passivbot study unseen).",
    ),
]

LiveOption = Annotated[Path, typer.Option("--dir", help="Folder of the live configurations.")]

RowsOption = Annotated[int, typer.Option(min=1, help="Most rows of the printed table.")]


def coins_of(text: str | None) -> tuple[str, ...] | None:
    """Return the coins that ``--coins`` names; None: it was not given."""
    from passivbot.errors import ConfigError, located

    if text is None:
        return None
    coins = tuple(name.strip() for name in text.split(",") if name.strip())
    if not coins:
        raise ConfigError(located("the command line", "--coins", text, "coins such as BTC,ETH"))
    if Path(text).is_file():
        allowed = "coins such as BTC,ETH; a file of coins goes with --live.approved_coins"
        raise ConfigError(located("the command line", "--coins", text, allowed))
    return coins


def conditions_of(where: list[str] | None, holds: bool) -> list[str]:
    """Return what ``--where`` and ``--holds`` ask of members, as passivbot.study.unseen.narrowed takes it."""
    return [*(where or ()), *(["--holds"] if holds else [])]
