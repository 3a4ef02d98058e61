"""What an exchange says of a key, by questions alone."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from passivbot.errors import KeysError
from passivbot.exchanges import Exchange, ExchangeFault, connect
from passivbot.exchanges.types import Failure
from passivbot.ops.keys import Keys


@dataclass(frozen=True)
class KeyFacts:
    """Lines for people, and what is wrong with the key."""

    lines: tuple[str, ...]
    problems: tuple[str, ...]


def opened(keys: Keys) -> AbstractAsyncContextManager[Exchange]:
    """Return the exchange of an account, to be entered with ``async with``."""
    return connect(keys.exchange, keys.credentials())


async def key_facts(keys: Keys) -> KeyFacts:
    """Ask an exchange what a key may do.

    Parameters
    ----------
    keys
        The key.

    Raises
    ------
    KeysError
        The exchange does not take the key, or does not answer.
    ExchangeError
        The exchange is unknown or gone.
    """
    try:
        async with opened(keys) as exchange:
            may = await exchange.permissions()
            balance = await exchange.balance()
            positions = await exchange.positions()
    except ExchangeFault as error:
        why = "does not take the key" if error.failure is Failure.AUTH else "can't be asked about the key"
        raise KeysError(f"{keys.account}: {keys.exchange} {why}: {error}") from error
    words = {True: "yes", False: "no", None: "the exchange does not say"}
    bound = words[None]
    if may.addresses is not None:
        bound = ", ".join(may.addresses) or "any address"
    problems = []
    if may.withdraw:
        problems.append("the key may withdraw: make one that may only trade")
    if may.trade is False:
        problems.append("the key may not trade")
    return KeyFacts(
        lines=(
            f"may trade: {words[may.trade]}",
            f"may withdraw: {words[may.withdraw]}",
            f"may be used from: {bound}",
            f"balance: {balance.wallet:,.2f} {exchange.quote}, positions: {len(positions)}",
        ),
        problems=tuple(problems),
    )
