"""A look at the account, by reading alone: what the checks need, and what would be sent to it."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from passivbot.config import Config
from passivbot.config.schema import SIDES, Side
from passivbot.errors import PromotionError
from passivbot.exchanges import Exchange, ExchangeFault
from passivbot.exchanges.types import Market, Permissions, Position
from passivbot.live.universe import least_cost
from passivbot.ops.keys import Keys
from passivbot.ops.permissions import opened
from passivbot.promotion.checks import Check, check
from passivbot.promotion.exposure import (
    entered,
    entries_possible,
    exposure_within,
    limits_of,
    too_small,
    worst_case,
)


@dataclass(frozen=True)
class Plan:
    """What a bot with the new configuration would send first; lines for people."""

    cancels: tuple[str, ...]
    creates: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return it for the history."""
        return {"cancels": list(self.cancels), "creates": list(self.creates), "notes": list(self.notes)}


class Planner(Protocol):
    """Plans one cycle against an account and sends nothing."""

    def __call__(self, exchange: Exchange, config: Config) -> Awaitable[Plan]:
        """Return the plan."""


@dataclass(frozen=True)
class Account:
    """What was seen.

    Parameters
    ----------
    exchange
        Its name.
    balance
        Wallet balance, quote coin.
    positions
        Open positions.
    orders
        Number of open orders.
    markets
        Coin → market, of the whole exchange.
    prices
        Coin → price, of the coins that may be entered or are held.
    permissions
        What the key may do.
    """

    exchange: str
    balance: float
    positions: Sequence[Position]
    orders: int
    markets: Mapping[str, Market]
    prices: Mapping[str, float]
    permissions: Permissions

    def least(self) -> dict[str, float]:
        """Return coin → cost of the smallest order, quote coin."""
        return {coin: least_cost(self.markets[coin], price) for coin, price in self.prices.items()}

    def exposure(self, position: Position) -> float:
        """Return a position's cost ÷ balance."""
        multiplier = self.markets[position.coin].rules.c_mult
        return abs(position.size) * position.price * multiplier / self.balance if self.balance > 0 else 0.0


async def look(exchange: Exchange, config: Config) -> Account:
    """Read an account.

    Raises
    ------
    PromotionError
        The exchange does not answer, or does not take the key.
    """
    try:
        permissions = await exchange.permissions()
        balance = await exchange.balance()
        positions = await exchange.positions()
        orders = await exchange.open_orders()
        wanted = {coin for side in SIDES for coin in config.live.approved(side, exchange.markets)}
        coins = sorted((wanted | {p.coin for p in positions}) & set(exchange.markets))
        tickers = await exchange.tickers(coins) if coins else {}
    except ExchangeFault as error:
        raise PromotionError(f"{exchange.name}: the account can't be read: {error}") from error
    return Account(
        exchange=exchange.name,
        balance=balance.wallet,
        positions=tuple(positions),
        orders=len(orders),
        markets=exchange.markets,
        prices={coin: ticker.last for coin, ticker in tickers.items()},
        permissions=permissions,
    )


def account_checks(config: Config, account: Account, cap: float) -> list[Check]:
    """Return the checks that an account decides: key, coins, exposure, minimum cost."""
    coins = {side: sorted(config.live.approved(side, account.markets)) for side in SIDES}
    tradable: dict[Side, list[str]] = {
        side: [c for c in listed if c in account.markets and account.markets[c].active]
        for side, listed in coins.items()
    }
    least = account.least()
    small = too_small(config, tradable, least, account.balance)
    worst = worst_case(config, entered(config, tradable, small), least, account.balance)
    return [
        _key(account),
        _listed(config, account, coins),
        exposure_within(config, worst, cap),
        entries_possible(config, tradable, small, account.balance),
        _positions(config, account, tradable),
    ]


def _key(account: Account) -> Check:
    may = account.permissions
    causes = []
    if may.withdraw:
        causes.append("the key may withdraw: make one that may only trade")
    if may.trade is False:
        causes.append("the key may not trade")
    if not account.balance > 0:
        causes.append("the balance is not above 0")
    bound = "from addresses that are not told"
    if may.addresses is not None:
        bound = f"from {', '.join(may.addresses)}" if may.addresses else "from any address"
    told = {True: "may", False: "may not", None: "is not known to be able to"}
    text = (
        f"{account.exchange}, balance {account.balance:,.2f}, {len(account.positions)} positions, "
        f"{account.orders} open orders; the key {told[may.trade]} trade, "
        f"{told[may.withdraw]} withdraw, {bound}"
    )
    return check(
        "account",
        not causes,
        "; ".join([*causes, text]),
        balance=account.balance,
        exchange=account.exchange,
        orders=account.orders,
        positions=len(account.positions),
        trade=may.trade,
        withdraw=may.withdraw,
    )


def _listed(config: Config, account: Account, coins: Mapping[Side, Sequence[str]]) -> Check:
    wanted = sorted({coin for side in SIDES if config.bot.side(side).trades for coin in coins[side]})
    missing = [coin for coin in wanted if coin not in account.markets]
    closed = [coin for coin in wanted if coin in account.markets and not account.markets[coin].active]
    text = f"{len(wanted) - len(missing) - len(closed)} of {len(wanted)} coins are traded"
    if missing:
        text += f"; not listed: {', '.join(missing)}"
    if closed:
        text += f"; listed, but closed: {', '.join(closed)}"
    if missing or closed:
        text += "; --set live.ignored_coins=COIN,… leaves them out"
    holds = bool(wanted) and not missing and not closed
    return check("coins", holds, text, coins=wanted, missing=missing, closed=closed)


def _positions(config: Config, account: Account, coins: Mapping[Side, Sequence[str]]) -> Check:
    """Tell what becomes of the positions that are there: for a person to judge, so it always holds."""
    told = []
    for position in account.positions:
        if position.coin not in account.markets:
            continue
        exposure = account.exposure(position)
        limit = limits_of(config, position.side, coins[position.side]).get(position.coin)
        line = f"{position.coin} {position.side} at exposure {exposure:.4g}"
        if limit is None:
            line += ": not approved, " + ("wound down" if config.live.auto_gs else "left to you")
        elif exposure > limit * 1.01:
            enforced = config.bot.side(position.side).enforce_exposure_limit
            line += f": above its limit {limit:.4g}, " + ("reduced at once" if enforced else "not added to")
        else:
            line += f" of {limit:.4g}"
        told.append(line)
    return check("positions", True, "; ".join(told) or "none", positions=told)


async def examined(
    keys: Keys, config: Config, cap: float, planner: Planner
) -> tuple[list[Check], Plan | None]:
    """Look at an account and plan its first cycle; nothing is sent but questions.

    Parameters
    ----------
    keys
        Of the account.
    config
        What would be traded.
    cap
        Largest worst-case exposure.
    planner
        Plans the first cycle; not asked if a check fails.

    Raises
    ------
    PromotionError
        The account can't be read.
    ExchangeError
        The exchange is unknown or gone.
    """
    try:
        async with opened(keys) as exchange:
            account = await look(exchange, config)
            checks = account_checks(config, account, cap)
            if any(found.fails for found in checks):
                return checks, None
            return checks, await planner(exchange, config)
    except ExchangeFault as error:
        raise PromotionError(
            f"{keys.account}: {keys.exchange} does not answer as it should: {error}"
        ) from error
