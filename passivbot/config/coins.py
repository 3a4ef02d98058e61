"""Coin lists and coin names (config-format §5)."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from passivbot.config.document import parse_document, read_text
from passivbot.config.resources import configs_dir
from passivbot.config.schema import SIDES, Config
from passivbot.errors import ConfigError, located

ALLOWED = "a list of coins, a text BTC,ETH, a path to a file of coins, or {long, short} of these"
_COMMENT = re.compile(r"(?m)(#|//).*$")
_FILE_ENDINGS = (".json", ".hjson", ".txt")


def coin_of(symbol: str) -> str:
    """Reduce the symbol of a market to its coin: ``1000SHIB/USDT:USDT`` → ``SHIB``.

    The part before ``/``, without ``USDT``, ``USDC``, ``BUSD``, ``USD``, without a power of ten from 1000 on,
    and without a leading ``k`` before capitals. A coin that would vanish by that, such as ``USDC``, keeps its
    name.
    """
    name = symbol.strip().partition("/")[0]
    coin = name
    for quote in ("USDT", "USDC", "BUSD", "USD"):
        coin = coin.replace(quote, "")
    coin = re.sub(r"1000+", "", coin, count=1)
    if coin.startswith("k") and coin[1:].isupper():
        coin = coin[1:]
    return coin or name


def resolve(value: Any, key: str, file: str, folders: Sequence[Path]) -> dict[str, list[str]]:
    """Return a coin list of any form as sorted lists of coins, one a side.

    Parameters
    ----------
    value
        What stands in the file or on the command line.
    key, file
        Where it stands, for messages.
    folders
        Folders in which a path to a file of coins is looked up, in this order.

    Raises
    ------
    ConfigError
        Another form, or a path that names no file.
    """
    if isinstance(value, Mapping) and value and set(value) <= set(SIDES):
        return {side: _side(value.get(side, []), side, f"{key}.{side}", file, folders) for side in SIDES}
    return {side: _side(value, side, key, file, folders) for side in SIDES}


def _side(value: Any, side: str, key: str, file: str, folders: Sequence[Path]) -> list[str]:
    if value is None:
        value = []
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ConfigError(located(file, key, value, ALLOWED))
    if len(value) == 1 and (path := file_of_coins(value[0], key, file, folders)):
        names = _read(path, side)
    else:
        names = [name for item in value for name in item.split(",")]
    return sorted({coin_of(name) for name in names if name.strip()})


def file_of_coins(text: str, key: str, file: str, folders: Sequence[Path]) -> Path | None:
    """Return the file that a text names, or None if the text holds coins; parameters as in :func:`resolve`.

    Raises
    ------
    ConfigError
        The text ends as a file's name does, and there is none.
    """
    word = text.strip()
    if not word or len(word) > 1000 or "\n" in word:
        return None
    for folder in folders:
        path = folder / word
        if path.is_file():
            return path
    if word.lower().endswith(_FILE_ENDINGS):
        raise ConfigError(located(file, key, text, "a file of coins that exists"))
    return None


def _read(path: Path, side: str) -> list[str]:
    """Return the coins of a file: a list, an object with both sides, or words."""
    text = read_text(path)
    plain = _COMMENT.sub("", text)
    words = re.split(r"[\s,;]+", re.sub(r"[\[\]\"']", " ", plain))
    if not text.lstrip().startswith(("[", "{")):
        return words
    try:
        content = parse_document(text, path)
    except ConfigError:
        if text.lstrip().startswith("{"):
            raise
        return words
    if isinstance(content, Mapping):
        if not set(SIDES) <= set(content):
            raise ConfigError(f"{path}: a file of coins with sides needs both long and short")
        content = content[side]
    if not isinstance(content, list) or not all(isinstance(name, str) for name in content):
        raise ConfigError(f"{path}: holds no list of coins")
    return [name for item in content for name in item.split(",")]


def search_folders(file: Path | None) -> list[Path]:
    """Return where a path in a configuration is looked up: working folder, the file's, the shipped ones."""
    shipped = configs_dir()
    beside = [file.parent] if file else []
    return [Path(), *beside, shipped, shipped.parent]


def without_ignored(live: dict[str, Any], file: str) -> None:
    """Remove the ignored coins of each side from its approved ones, in place.

    Raises
    ------
    ConfigError
        Nothing is left of a list that had coins, while an empty list means all coins.
    """
    for side in SIDES:
        approved, ignored = live["approved_coins"][side], set(live["ignored_coins"][side])
        kept = [coin for coin in approved if coin not in ignored]
        if approved and not kept and live["empty_means_all_approved"]:
            raise ConfigError(
                f"{file}: live.ignored_coins.{side} removes every coin of live.approved_coins.{side}; "
                "an empty list would mean all coins"
            )
        live["approved_coins"][side] = kept


def select_coins(
    config: Config,
    available: Collection[str],
    chosen: Sequence[str] | None = None,
    file: str = "configuration",
) -> tuple[str, ...]:
    """Return the coins of a run, ascending: the union of both sides' lists without ignored coins.

    Parameters
    ----------
    config
        The configuration.
    available
        Coins that there are candles of.
    chosen
        Coins of the command line in place of the approved ones; ``("all",)`` for all available ones.
    file
        Where the configuration comes from, for messages.

    Raises
    ------
    ConfigError
        A coin has no candles, or no coin is left.
    """
    everything = chosen is not None and [name.lower() for name in chosen] == ["all"]
    named = None if everything or chosen is None else {coin_of(name) for name in chosen if name.strip()}
    coins: set[str] = set()
    for side in SIDES:
        approved = set(config.live.approved_coins[side]) if chosen is None else named or set()
        if everything or (not approved and config.live.empty_means_all_approved):
            approved = set(available)
        coins |= approved - set(config.live.ignored_coins[side])
    where = (file, "live.approved_coins") if chosen is None else ("the command line", "--coins")
    for coin in sorted(coins - set(available)):
        raise ConfigError(located(*where, coin, f"a coin with candles: {', '.join(sorted(available))}"))
    if not coins:
        raise ConfigError(
            f"{where[0]}: {where[1]} leaves no coin to trade; name coins with --coins, or approve some"
        )
    return tuple(sorted(coins))


def side_notes(config: Config, coins: Collection[str], sides: Collection[str]) -> tuple[str, ...]:
    """Return what a backtest trades on one side and the bot does not, one line a side.

    Both sides of a backtest trade all coins of the run (config-format §5); the bot keeps to each side's list.

    Parameters
    ----------
    config
        The configuration.
    coins
        Coins of the run.
    sides
        Those that trade.
    """
    notes = []
    for side in (side for side in SIDES if side in sides):
        approved = set(config.live.approved_coins[side])
        if not approved and config.live.empty_means_all_approved:
            approved = set(coins)
        if more := sorted(set(coins) - (approved - set(config.live.ignored_coins[side]))):
            notes.append(
                f"the {side} side trades {', '.join(more)} as well, which the bot does not: a backtest "
                f"trades its coins on both sides, as v7 does, the bot only those of "
                f"live.approved_coins.{side}"
            )
    return tuple(notes)
