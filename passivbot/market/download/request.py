"""What is asked of a download, checked before anything is fetched."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from passivbot.config.coins import resolve
from passivbot.config.values import date_ms, is_open
from passivbot.errors import ConfigError, located
from passivbot.exchanges.registry import canonical
from passivbot.market.spans import Span, month_of, month_span, months
from passivbot.market.store import EXCHANGES, Store
from passivbot.times import DAY_MS, MINUTE_MS, utc

WHERE = "the command line"
_DATE = "a date such as 2024, 2024-03 or 2024-03-15, or a time such as 2024-03-15T12:00"


@dataclass(frozen=True)
class CoinChoice:
    """Which coins.

    Parameters
    ----------
    names
        Coins by name, ascending.
    top
        The so many with the largest turnover of the last 24 hours, over all exchanges together; 0: by name.
    everything
        All that is listed.
    strict
        A name that no exchange lists is an error; False: it is said, and the others are fetched.
    stored
        Only those that the store has candles of already, on each exchange.
    """

    names: tuple[str, ...] = ()
    top: int = 0
    everything: bool = False
    strict: bool = True
    stored: bool = False


@dataclass(frozen=True)
class Request:
    """A download.

    Parameters
    ----------
    exchanges
        By ccxt's names, in the order given.
    coins
        Which coins.
    begin_ms
        First minute, UTC milliseconds; None: where the store's candles of the coin begin.
    end_ms
        Minute after the last; None: up to the last finished one.
    archives
        Whether published files are taken where there are any.
    """

    exchanges: tuple[str, ...]
    coins: CoinChoice
    begin_ms: int | None
    end_ms: int | None
    archives: bool = True


def parse_request(
    exchanges: Sequence[str], coins: str, begin: str, end: str, *, now_ms: int, archives: bool = True
) -> Request:
    """Read a download from the command line.

    Parameters
    ----------
    exchanges
        Names or aliases.
    coins
        ``BTC,ETH``, ``top:50``, ``all``, or a file of coins.
    begin
        A date, or empty: where the store's candles begin.
    end
        ``now``, empty for the same, or a date: that day, month or year whole, or up to that time.
    now_ms
        This machine's time.
    archives
        Whether published files are taken.

    Raises
    ------
    ConfigError, ExchangeError
        A value is not usable; names it and what is allowed.
    """
    names = dict.fromkeys(
        canonical(name, WHERE, "--exchange") for text in exchanges for name in text.split(",") if name.strip()
    )
    if not names:
        raise ConfigError(f"{WHERE}: --exchange names no exchange; such as binance,bybit")
    begin_ms = None if not begin.strip() else _time(begin, "--from")
    end_ms = None if is_open(end) else _end(end)
    if begin_ms is not None:
        if begin_ms > now_ms:
            raise ConfigError(f"{WHERE}: --from {begin} lies in the future; it is {utc(now_ms)} UTC")
        if end_ms is not None and end_ms <= begin_ms:
            raise ConfigError(
                f"{WHERE}: --to {end} (before {utc(end_ms)}) ends before --from {begin} ({utc(begin_ms)})"
            )
    return Request(tuple(names), parse_coins(coins), begin_ms, end_ms, archives)


def update_request(
    store: Store,
    exchanges: str | None,
    coins: str | None,
    begin: str,
    end: str,
    *,
    now_ms: int,
    archives: bool = True,
) -> Request:
    """Read a download that brings up to date what a store has, all of it or of some exchanges or coins.

    Raises
    ------
    ConfigError, ExchangeError
        A value is not usable, or the store has nothing of it.
    """
    # Labelled data sets, such as binance-spot, were imported; no exchange has more of them.
    there = [name for name in store.exchanges if name in EXCHANGES and store.coins(name)]
    if exchanges is None and not there:
        raise ConfigError(f"{store.root}: the store is empty; name --exchange, --coins and --from")
    chosen = [exchanges] if exchanges is not None else there
    request = parse_request(chosen, coins or "all", begin, end, now_ms=now_ms, archives=archives)
    stored = {coin for name in request.exchanges for coin in store.coins(name)}
    asked = request.coins
    if asked.top:
        raise ConfigError(f"{WHERE}: --coins top:{asked.top} needs --exchange too")
    names = stored if asked.everything else stored & set(asked.names)
    if not names:
        what = "" if asked.everything else f" of {', '.join(asked.names)}"
        raise ConfigError(
            f"{store.root}: has no candles{what} to bring up to date; name --exchange, --coins and --from"
        )
    choice = CoinChoice(tuple(sorted(names)), strict=False, stored=True)
    return replace(request, coins=choice)


def parse_coins(text: str) -> CoinChoice:
    """Read which coins are meant.

    Raises
    ------
    ConfigError
        It names none, or a file that is not there.
    """
    word = text.strip()
    if word.lower() == "all":
        return CoinChoice(everything=True)
    if word.lower().startswith("top:"):
        count = word[4:].strip()
        if not (count.isascii() and count.isdigit() and int(count) > 0):
            raise ConfigError(located(WHERE, "--coins", text, "top: and a number above 0, such as top:50"))
        return CoinChoice(top=int(count))
    sides = resolve(word, "--coins", WHERE, [Path()])
    names = tuple(sorted({coin for side in sides.values() for coin in side}))
    if not names:
        raise ConfigError(located(WHERE, "--coins", text, "BTC,ETH, top:50, all, or a file of coins"))
    return CoinChoice(names, strict=not Path(word).is_file())


def _end(text: str) -> int:
    """Return the end of the day, month or year that a text names, or the time that it names."""
    begin_ms = _time(text, "--to")
    match text.strip().count("-"), len(text.strip()):
        case 0, _:
            after = months(Span(begin_ms, begin_ms + 366 * DAY_MS))[11]
            return month_span(after).end_ms
        case 1, _:
            return month_span(month_of(begin_ms)).end_ms
        case _, 10:
            return begin_ms + DAY_MS
    return begin_ms


def _time(text: str, option: str) -> int:
    try:
        moment = date_ms(text)
    except ValueError:
        raise ConfigError(located(WHERE, option, text, _DATE)) from None
    return moment // MINUTE_MS * MINUTE_MS
