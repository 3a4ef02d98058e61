"""Leverage, margin and position mode: brought to what they have to be, before anything is entered."""

import logging
from collections.abc import Callable

from passivbot.errors import LiveError
from passivbot.exchanges.base import Exchange
from passivbot.exchanges.errors import ExchangeFault
from passivbot.exchanges.types import Failure

log = logging.getLogger(__name__)
GUARD = "leverage"
_AGAIN_MS = 600_000
_SERIOUS = (Failure.RATE_LIMIT, Failure.AUTH, Failure.MAINTENANCE, Failure.CLOCK)


async def set_up_account(exchange: Exchange) -> None:
    """Bring the account into hedge mode.

    Raises
    ------
    LiveError
        It is in one-way mode and can't be changed while there are positions or orders.
    ExchangeFault
        The exchange could not be asked.
    """
    try:
        done = await exchange.set_up_account()
    except ExchangeFault as fault:
        if fault.failure is Failure.BUSY:
            raise LiveError(
                f"{exchange.name}: the account is in one-way mode, and the exchange does not change that "
                f"while there are positions or orders ({fault.text}); close them, or switch it by hand"
            ) from fault
        raise
    log.info("account set up: %s", done)


async def check_permissions(exchange: Exchange) -> None:
    """Refuse keys that may do more than they should, or less than they must.

    Raises
    ------
    LiveError
        The key may withdraw, or may not trade, or is not accepted.
    ExchangeFault
        The exchange could not be asked.
    """
    try:
        may = await exchange.permissions()
    except ExchangeFault as fault:
        if fault.failure is Failure.AUTH:
            raise LiveError(
                f"{exchange.name} does not accept this key ({fault.text}); check that it is not revoked "
                "and that this machine's address is on its list"
            ) from fault
        raise
    if may.withdraw:
        raise LiveError(
            f"{exchange.name}: this key may withdraw; the bot takes no such key. Make one that may only trade"
        )
    if may.trade is False:
        raise LiveError(f"{exchange.name}: this key may not trade; allow it to trade futures")
    if may.withdraw is None:
        log.warning(
            "%s does not tell whether this key may withdraw; make sure that it may not", exchange.name
        )


class Leverages:
    """Sets margin mode and leverage of each coin once, before its first entry.

    Parameters
    ----------
    exchange
        Of the bot.
    tell
        Told of a coin where that fails: it gets no entry, closes go on.
    """

    def __init__(self, exchange: Exchange, tell: Callable[[str, str], None]) -> None:
        self._exchange, self._tell = exchange, tell
        self._set: dict[str, float] = {}
        self._failed: dict[str, int] = {}

    async def ready(self, coin: str, leverage: float, now_ms: int) -> bool:
        """Return whether a coin is set up, after trying to do so if it is not.

        Raises
        ------
        ExchangeFault
            Of a kind that concerns the whole account.
        """
        if self._set.get(coin) == leverage:
            return True
        if now_ms < self._failed.get(coin, 0):
            return False
        try:
            done = await self._exchange.set_up_coin(coin, leverage)
        except ExchangeFault as fault:
            if fault.failure in _SERIOUS:
                raise
            self._failed[coin] = now_ms + _AGAIN_MS
            self._tell(
                GUARD, f"{coin}: leverage {leverage:g} could not be set ({fault.text}); no entries there"
            )
            return False
        self._set[coin] = leverage
        log.info("coin set up: %s", "; ".join(done))
        return True
