"""The strategies that a bot can run: the engine's, and those that other packages bring.

Another package adds one by an entry point in the group ``passivbot.strategies``: its name is the
strategy's name, its object a class or function of the form of :class:`Factory`.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Protocol

from numpy.typing import ArrayLike

from passivbot.config import Config
from passivbot.config.warmup import warmup_minutes
from passivbot.engine import MarketRules
from passivbot.errors import LiveError, located
from passivbot.planner import AccountNow, CoinNow, Plan, Planner

GROUP = "passivbot.strategies"
DEFAULT = "trailing_grid"


class Strategy(Protocol):
    """What plans orders. It is fed the minutes of each coin, once and in order, and asked for a plan."""

    @property
    def coins(self) -> tuple[str, ...]:
        """Coins that it plans for."""
        ...

    def next_ms(self, coin: str) -> int | None:
        """Return the start of the minute that it needs next; None before the first."""
        ...

    def absorb(self, coin: str, start_ms: int, candles: ArrayLike) -> None:
        """Take in consecutive minutes, (n, 4): high, low, close, quote volume."""
        ...

    def set_rules(self, coin: str, rules: MarketRules) -> None:
        """Replace the rules of a coin."""
        ...

    def plan(self, account: AccountNow, now: Mapping[str, CoinNow], ladder: int) -> Plan:
        """Return all orders that should rest now: a function of what it was fed and is given."""
        ...


class Factory(Protocol):
    """Makes a strategy."""

    def __call__(
        self, config: Config, markets: Mapping[str, MarketRules], *, first_ms: int, kept: int
    ) -> Strategy:
        """Return a strategy over these coins; no minute before ``first_ms`` will come."""
        ...


def trailing_grid(
    config: Config, markets: Mapping[str, MarketRules], *, first_ms: int, kept: int
) -> Strategy:
    """Return the engine's strategy."""
    coins = sorted(markets)
    return Planner(
        markets, config.bot.to_engine(), config.engine_overrides(coins), first_ms=first_ms, kept=kept
    )


def find(name: str) -> Factory:
    """Return the factory of a strategy.

    Raises
    ------
    LiveError
        There is none of this name, or its package can't be loaded.
    """
    if name == DEFAULT:
        return trailing_grid
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name not in points:
        raise LiveError(
            located("the command line", "--strategy", name, ", ".join(sorted({DEFAULT, *points})))
        )
    try:
        found: Factory = points[name].load()
    except Exception as error:
        raise LiveError(f"the strategy {name} of {points[name].value} can't be loaded: {error}") from error
    return found


def warmup(config: Config, coins: Sequence[str]) -> tuple[int, dict[str, int]]:
    """Return the warm-up that a backtest of the configuration has: (global, by coin) minutes."""
    return warmup_minutes(config, coins)
