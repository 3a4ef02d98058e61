"""What an exchange says of its markets on a day: steps, minimums, fees, listing date.

A store keeps one JSON file a day on which something changed, ``EXCHANGE/.markets/YYYY-MM-DD.json``; a run
takes the newest.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from passivbot.engine import MarketRules
from passivbot.errors import CandleError
from passivbot.market.files import make_folder, replace_file

FOLDER = ".markets"
FIXED_MAKER_FEE = {"bybit": 0.0002, "gateio": 0.0002, "kucoin": 0.0002}
"""Exchanges whose published maker fee is not that of a perpetual's trader (trading-semantics §7.4)."""
SMALLEST_COST = 0.01
"""Smallest cost of a market that publishes none (trading-semantics §7.4)."""


@dataclass(frozen=True, kw_only=True)
class Market:
    """One market as its exchange publishes it; None where it publishes nothing.

    Parameters
    ----------
    symbol
        ccxt's name, such as ``BTC/USDT:USDT``.
    qty_step, price_step
        Precision of amounts (contracts or coins) and prices, as step.
    min_qty, min_cost
        Least amount and cost of an order.
    c_mult
        Contract size, coins per contract.
    maker_fee, taker_fee
        Fractions of the cost.
    listing_ms
        When it was first traded, UTC milliseconds.
    active
        Whether it is traded now.
    """

    symbol: str
    qty_step: float
    price_step: float
    min_qty: float | None = None
    min_cost: float | None = None
    c_mult: float = 1.0
    maker_fee: float | None = None
    taker_fee: float | None = None
    listing_ms: int | None = None
    active: bool = True

    @property
    def rules(self) -> MarketRules:
        """What the engine takes (trading-semantics §7.4, market settings)."""
        return MarketRules(
            qty_step=self.qty_step,
            price_step=self.price_step,
            min_qty=max(self.min_qty or 0.0, self.qty_step),
            min_cost=SMALLEST_COST if self.min_cost is None else self.min_cost,
            c_mult=self.c_mult,
        )

    def maker_fee_on(self, exchange: str) -> float | None:
        """Return the maker fee of a run on an exchange; None where none is published."""
        return FIXED_MAKER_FEE.get(exchange, self.maker_fee)


@dataclass(frozen=True)
class Markets:
    """The markets of an exchange on a day.

    Parameters
    ----------
    date
        ``YYYY-MM-DD``, UTC; empty where nothing was ever written.
    by_coin
        Coin → market.
    """

    date: str
    by_coin: Mapping[str, Market]

    @classmethod
    def read(cls, folder: Path, date: str | None = None) -> Self:
        """Return the newest markets of an exchange's folder, or the newest that are not after a day.

        Raises
        ------
        CandleError
            A file of them is not readable.
        """
        days = [day for day in _days(folder) if date is None or day <= date]
        if not days:
            return cls("", {})
        path = folder / FOLDER / f"{days[-1]}.json"
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            return cls(days[-1], {coin: Market(**market) for coin, market in document.items()})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise CandleError(
                f"{path}: is not readable ({error}); remove it, the next download writes a new one"
            ) from None

    def write(self, folder: Path) -> bool:
        """Keep the markets in an exchange's folder; False if the newest ones there are the same.

        Raises
        ------
        CandleError, ResourceError
            They can't be written.
        """
        newest = Markets.read(folder)
        if newest.date and newest.by_coin == dict(self.by_coin):
            return False
        document: dict[str, Any] = {coin: asdict(market) for coin, market in sorted(self.by_coin.items())}
        make_folder(folder / FOLDER)
        text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n"
        replace_file(folder / FOLDER / f"{self.date}.json", text.encode())
        return True


def last_known(folder: Path, coin: str) -> tuple[str, Market] | None:
    """Return the newest that an exchange's folder has of a market, and of which day; None: nothing.

    The day is an older one where the exchange does not list the market any more: its rules stay as they were.

    Raises
    ------
    CandleError
        As :meth:`Markets.read`.
    """
    for day in reversed(_days(folder)):
        # Each file has hundreds of markets: whether one is among them is told without reading it whole.
        path = folder / FOLDER / f"{day}.json"
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise CandleError(f"{path}: is not readable ({error})") from None
        if json.dumps(coin) in text and (market := Markets.read(folder, day).by_coin.get(coin)):
            return day, market
    return None


def _days(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / FOLDER).glob("????-??-??.json"))
