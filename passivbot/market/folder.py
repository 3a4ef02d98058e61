"""A candle folder: one Parquet file a coin, and what the market accepts in ``markets.json``.

``markets.json`` is optional and looks so::

    {
      "maker_fee": 0.0002,
      "BTC": {"qty_step": 0.001, "price_step": 0.1, "min_qty": 0.001, "min_cost": 5.0, "c_mult": 1.0,
              "maker_fee": 0.0002, "listing_date": "2019-09-08"}
    }

``c_mult``, ``maker_fee`` (of all coins or of one) and ``listing_date`` (ISO date or time, UTC; or UTC
milliseconds) may be left out. Fees are fractions of the cost. The fee of a run is that of its first coin in
ascending order (trading-semantics §2.3).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from passivbot.config.coins import coin_of
from passivbot.engine import MarketRules
from passivbot.errors import CandleError, located, nearest

MARKETS = "markets.json"
DEFAULT_RULES = MarketRules(qty_step=0.001, price_step=1e-8, min_qty=0.001, min_cost=5.0, c_mult=1.0)
"""Rules of a coin that ``markets.json`` does not name: fine enough for any price."""
DEFAULT_MAKER_FEE = 0.0002

_POSITIVE = "a number above 0"
_RULES = {
    "qty_step": _POSITIVE,
    "price_step": _POSITIVE,
    "min_qty": _POSITIVE,
    "min_cost": "a number of at least 0",
    "c_mult": _POSITIVE,
}
_FEE = "a number between -0.1 and 0.1 (0.0002 is 0.02 %)"
_LISTING = "an ISO date such as 2021-05-01, or UTC milliseconds"


@dataclass(frozen=True)
class CandleFolder:
    """An opened candle folder; make one with :meth:`open`.

    Parameters
    ----------
    path
        The folder.
    files
        Coin → its file, in ascending order of coins. A file named by a symbol holds that symbol's coin, as in
        the coin lists of a configuration (config-format §5): ``BTCUSDT.parquet`` is BTC.
    """

    path: Path
    files: Mapping[str, Path]

    @property
    def coins(self) -> tuple[str, ...]:
        """Coins of the folder, ascending."""
        return tuple(self.files)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a folder. The files themselves are checked when they are read.

        Raises
        ------
        CandleError
            There is no such folder, it is a file, can't be listed, has no Parquet file, or two of one coin.
        """
        folder = Path(path)
        if not folder.exists():
            raise CandleError(f"{folder}: there is no such candle folder")
        if not folder.is_dir():
            raise CandleError(f"{folder}: is a file; a candle folder is needed, with one Parquet file a coin")
        try:
            files = sorted(
                file for file in folder.iterdir() if file.suffix == ".parquet" and file.name[0] != "."
            )
        except OSError as error:
            raise CandleError(f"{folder}: can't be listed ({error.strerror})") from None
        if not files:
            raise CandleError(
                f"{folder}: holds no candles; needed is one Parquet file a coin (BTC.parquet …)"
            )
        coins: dict[str, Path] = {}
        for file in files:
            coin = coin_of(file.stem)
            if coin in coins:
                raise CandleError(
                    f"{folder}: {coins[coin].name} and {file.name} are both of {coin}; keep one"
                )
            coins[coin] = file
        return cls(folder, dict(sorted(coins.items())))

    def file(self, coin: str) -> Path:
        """Return the candle file of a coin.

        Raises
        ------
        CandleError
            The folder has no such coin; names the nearest one.
        """
        if coin not in self.files:
            near = nearest(coin.upper(), self.coins)
            hint = f"; the nearest is {near}" if near else f"; it has {listed(self.coins)}"
            raise CandleError(f"{self.path}: has no candles of {coin}{hint}")
        return self.files[coin]

    def market_rules(self, coins: Sequence[str]) -> tuple[dict[str, MarketRules], float, tuple[str, ...]]:
        """Return the market rules of some coins and the maker fee of a run with them.

        Returns
        -------
        rules
            Coin → rules, in ascending order of coins.
        maker_fee
            Fraction of the cost.
        notes
            One line for each thing that was assumed.

        Raises
        ------
        CandleError
            ``markets.json`` is not readable or a value in it is wrong; names file, key and value.
        """
        ordered = sorted(coins)
        known = self._markets
        rules = {coin: known[coin].rules if coin in known else DEFAULT_RULES for coin in ordered}
        notes = list(self._market_notes)
        missing = [coin for coin in ordered if coin not in known]
        file = self.path / MARKETS
        if missing:
            named = f"{file} does not name {listed(missing)}"
            why = named if file.exists() else f"{self.path} has no {MARKETS}"
            notes.append(f"{why}: market rules assumed: {described(DEFAULT_RULES)}")
        fees = {coin: fee for coin in ordered if (fee := self._fee(coin)) is not None}
        fee = fees.get(ordered[0]) if ordered else self._common_fee
        if fee is None:
            fee = DEFAULT_MAKER_FEE
            notes.append(f"maker fee assumed: {fee}")
        elif any(other != fee for other in fees.values()):
            notes.append(f"{file}: maker fees differ; the fee of {ordered[0]}, {fee}, is used for all coins")
        return rules, fee, tuple(notes)

    def states(self, coin: str) -> bool:
        """Return whether ``markets.json`` names a coin."""
        return coin in self._markets

    def listing_ms(self, coin: str) -> int | None:
        """Return when a coin was first listed, UTC milliseconds, where ``markets.json`` states it.

        Raises
        ------
        CandleError
            As :meth:`market_rules`.
        """
        market = self._markets.get(coin)
        return market.listing_ms if market else None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over names, sizes and modification times: cheap, changes when a file does.

        It says whether a folder was touched; that candles are the same only ``Panel.digest`` can say.
        """
        digest = hashlib.sha256()
        for file in (*self.files.values(), self.path / MARKETS):
            if file.exists():
                stat = file.stat()
                digest.update(f"{file.name}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
        return digest.hexdigest()

    def _fee(self, coin: str) -> float | None:
        market = self._markets.get(coin)
        return market.maker_fee if market and market.maker_fee is not None else self._common_fee

    @cached_property
    def _document(self) -> Mapping[str, Any]:
        file = self.path / MARKETS
        if not file.exists():
            return {}
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CandleError(f"{file}: is not readable JSON ({error})") from None
        if not isinstance(document, dict):
            raise CandleError(f"{file}: holds no mapping; needed is coin → market rules")
        return document

    @cached_property
    def _common_fee(self) -> float | None:
        if "maker_fee" not in self._document:
            return None
        return _fee_of(self.path / MARKETS, "maker_fee", self._document["maker_fee"])

    @cached_property
    def _markets(self) -> dict[str, "_Market"]:
        file = self.path / MARKETS
        return {
            coin_of(coin): _market(file, coin, value)
            for coin, value in self._document.items()
            if coin != "maker_fee"
        }

    @cached_property
    def _market_notes(self) -> tuple[str, ...]:
        known = {*_RULES, "maker_fee", "listing_date"}
        return tuple(
            f"{self.path / MARKETS}: {coin}.{key} is not a known key and has no effect"
            for coin, value in self._document.items()
            if isinstance(value, dict)
            for key in value
            if key not in known
        )


@dataclass(frozen=True)
class _Market:
    rules: MarketRules
    maker_fee: float | None
    listing_ms: int | None


def _market(file: Path, coin: str, value: Any) -> _Market:
    if not isinstance(value, dict):
        raise CandleError(located(file, coin, value, f"a mapping with {', '.join(_RULES)}"))
    numbers = {"c_mult": 1.0}
    for name, allowed in _RULES.items():
        if name not in value:
            if name in numbers:
                continue
            raise CandleError(f"{file}: {coin}.{name} is missing; allowed is {allowed}")
        number = _number(value[name])
        if number is None or number < 0 or (number == 0 and allowed == _POSITIVE):
            raise CandleError(located(file, f"{coin}.{name}", value[name], allowed))
        numbers[name] = number
    fee = _fee_of(file, f"{coin}.maker_fee", value["maker_fee"]) if "maker_fee" in value else None
    key = "listing_date"
    listing = _listing(file, f"{coin}.{key}", value[key]) if key in value else None
    return _Market(MarketRules(**numbers), fee, listing)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        return None
    return float(value)


def _fee_of(file: Path, key: str, value: Any) -> float:
    number = _number(value)
    if number is None or abs(number) > 0.1:
        raise CandleError(located(file, key, value, _FEE))
    return number


def _listing(file: Path, key: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    raise CandleError(located(file, key, value, _LISTING))


def listed(coins: Sequence[str]) -> str:
    """Return some coins as a phrase that stays on one line."""
    return ", ".join(coins) if len(coins) <= 12 else f"{', '.join(coins[:10])} and {len(coins) - 10} more"


def described(rules: MarketRules) -> str:
    """Return market rules as a phrase."""
    return (
        f"quantity step {rules.qty_step}, price step {rules.price_step}, smallest quantity {rules.min_qty}, "
        f"smallest cost {rules.min_cost}, contract multiplier {rules.c_mult}"
    )
