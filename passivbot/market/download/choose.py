"""Which coins a download is of: by name, by turnover, or all that is listed."""

from collections.abc import Mapping, Sequence

from passivbot.errors import ConfigError, ExchangeError, nearest
from passivbot.exchanges.errors import ExchangeFault
from passivbot.market.download.archives import ArchiveFile
from passivbot.market.download.request import WHERE, CoinChoice
from passivbot.market.download.source import Source
from passivbot.market.download.target import Told
from passivbot.market.download.web import ArchiveHost

Left = dict[tuple[str, str], list[ArchiveFile]]
"""(exchange, coin) that is not listed there any more → all its published files."""


async def choose_coins(
    choice: CoinChoice, sources: Sequence[Source], hosts: Mapping[str, ArchiveHost], told: Told
) -> tuple[tuple[str, ...], Left]:
    """Return the coins of a download, and what is left of those that are gone.

    Parameters
    ----------
    choice
        What was asked for.
    sources
        Connected exchanges.
    hosts
        Exchange, as the store names it → its archive.
    told
        Hears what is left out.

    Raises
    ------
    ExchangeError
        A coin that was named is nowhere, or an exchange does not say what was traded.
    ConfigError
        No coin is left.
    """
    if choice.everything:
        rows = [row for source in sources for row in source.listings.items()]
        return tuple(sorted({coin for coin, market in rows if market.active})), {}
    if choice.top:
        return await _top(choice.top, sources, told), {}
    listed = {coin for source in sources for coin in source.exchange.markets}
    left: Left = {}
    for coin in choice.names:
        left |= await _left(coin, sources, hosts, told)
    known = listed | {coin for _, coin in left}
    for coin in choice.names:
        if coin not in known:
            _refuse(coin, sources, listed, told, strict=choice.strict)
    coins = tuple(coin for coin in choice.names if coin in known)
    if not coins:
        raise ConfigError(f"{WHERE}: --coins names no coin that an exchange lists")
    return coins, left


async def _top(count: int, sources: Sequence[Source], told: Told) -> tuple[str, ...]:
    total: dict[str, float] = {}
    for source in sources:
        try:
            turnovers = await source.turnovers()
        except ExchangeFault as fault:
            raise ExchangeError(
                f"{source.store_name}: what was traded, and so --coins top, is unknown: {fault.text}"
            ) from None
        for coin, turnover in turnovers.items():
            total[coin] = total.get(coin, 0.0) + turnover
    ranked = sorted(total, key=lambda coin: (-total[coin], coin))
    if len(ranked) < count:
        told.note(sources[0].store_name, "", f"--coins top:{count}: only {len(ranked)} are listed")
    return tuple(ranked[:count])


async def _left(coin: str, sources: Sequence[Source], hosts: Mapping[str, ArchiveHost], told: Told) -> Left:
    """Return what archives have of a coin that their exchange does not list."""
    found: Left = {}
    for source in sources:
        host = hosts.get(source.store_name)
        if host is None or coin in source.exchange.markets:
            continue
        try:
            files = await host.files(coin)
        except ExchangeFault as fault:
            told.note(source.store_name, coin, f"archive: {fault.text}")
            continue
        if files:
            found[source.store_name, coin] = files
    return found


def _refuse(coin: str, sources: Sequence[Source], listed: set[str], told: Told, *, strict: bool) -> None:
    names = [source.store_name for source in sources]
    near = nearest(coin, listed)
    why = f"no perpetual market of {coin}" + (f"; the nearest is {near}" if near else "")
    if strict:
        raise ExchangeError(f"{WHERE}: {' and '.join(names)}: {why}; nothing was fetched")
    for name in names:
        told.note(name, coin, f"left out: {why}")
