"""Where the candles of a run come from: a candle folder, or a store; both give panel and BTC prices."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from passivbot.errors import CandleError
from passivbot.market import CandleFolder, Panel, build_panel, carried_forward, demo_folder
from passivbot.market.clean import Floats, read_timestamps
from passivbot.market.holding import Holding, hold
from passivbot.market.panel_cache import cached_panel
from passivbot.market.spans import Span
from passivbot.market.store import VARIABLE, Store, default_root, is_store
from passivbot.market.store_panel import ends_of, store_prices
from passivbot.times import MINUTE_MS

DEMO = "demo"
"""How a description names the embedded demo candles; others are named by their absolute path."""


class Candles(Protocol):
    """What a recorded scenario needs of its candles to be prepared again."""

    @property
    def path(self) -> Path:
        """The folder."""

    @property
    def sources(self) -> Mapping[str, Any]:
        """What a description keeps beside the coins; empty for a candle folder."""

    def panel(
        self,
        coins: Sequence[str],
        first_ms: int,
        last_ms: int,
        *,
        gap_tolerance_minutes: float,
        coin_start_ms: Mapping[str, int],
        interval_minutes: int,
    ) -> Panel:
        """Return the panel of some coins between two minutes (inclusive), UTC milliseconds."""

    def btc_usd(self, panel: Panel) -> tuple[Floats, tuple[str, ...]]:
        """Return BTC's closes on a panel's bars, float64 (T,), and notes."""

    def ends(self, coins: Sequence[str]) -> tuple[int, int] | None:
        """Return the first and the last minute that any of the coins has, UTC milliseconds."""


@dataclass(frozen=True)
class FolderCandles:
    """The candles of a folder."""

    folder: CandleFolder

    @property
    def path(self) -> Path:
        """The folder."""
        return self.folder.path

    @property
    def sources(self) -> Mapping[str, Any]:
        """Nothing: the folder's files are the sources."""
        return {}

    def panel(
        self,
        coins: Sequence[str],
        first_ms: int,
        last_ms: int,
        *,
        gap_tolerance_minutes: float,
        coin_start_ms: Mapping[str, int],
        interval_minutes: int,
    ) -> Panel:
        """Return the panel of some coins; see :class:`Candles`."""
        return build_panel(
            self.folder,
            coins,
            start_ms=first_ms,
            end_ms=last_ms,
            gap_tolerance_minutes=gap_tolerance_minutes,
            coin_start_ms=coin_start_ms,
            interval_minutes=interval_minutes,
        )

    def btc_usd(self, panel: Panel) -> tuple[Floats, tuple[str, ...]]:
        """Return BTC's closes; see :class:`Candles`."""
        if "BTC" not in self.folder.coins:
            raise CandleError(f"{self.path}: backtest.use_btc_collateral needs BTC.parquet in it")
        return carried_forward(self.folder, "BTC", panel.first_ms, panel.bars, panel.interval_minutes)

    def ends(self, coins: Sequence[str]) -> tuple[int, int] | None:
        """Return first and last minute; see :class:`Candles`."""
        minutes = [read_timestamps(self.folder.file(coin)) for coin in coins]
        return min(int(m[0]) for m in minutes), max(int(m[-1]) for m in minutes)


@dataclass(frozen=True)
class StoreCandles:
    """The candles of a store, each coin's of the exchange that was chosen for it.

    Parameters
    ----------
    store
        The store.
    chosen
        Coin → exchange and factor of its volume.
    btc_exchanges
        Where BTC's price is looked up, in this order.
    """

    store: Store
    chosen: Mapping[str, tuple[str, float]]
    btc_exchanges: tuple[str, ...]

    @property
    def path(self) -> Path:
        """The store's folder."""
        return self.store.root

    @cached_property
    def sources(self) -> Mapping[str, Any]:
        """Exchange and factor of each coin, and where BTC's price comes from."""
        return {
            "sources": {coin: list(source) for coin, source in self.chosen.items()},
            "btc_exchanges": list(self.btc_exchanges),
        }

    def panel(
        self,
        coins: Sequence[str],
        first_ms: int,
        last_ms: int,
        *,
        gap_tolerance_minutes: float,
        coin_start_ms: Mapping[str, int],
        interval_minutes: int,
    ) -> Panel:
        """Return the panel of some coins; see :class:`Candles`."""
        holdings: dict[str, Holding] = {}
        for coin in coins:
            window = Span(max(first_ms, coin_start_ms.get(coin, 0)), last_ms + MINUTE_MS)
            exchange = self.chosen[coin][0]
            held = hold(self.store, exchange, coin, window, interval_minutes=interval_minutes)
            if held is None:
                raise CandleError(f"{self.path}: has no candles of {coin} on {exchange} in {window} any more")
            holdings[coin] = held
        return self.panel_of(holdings, first_ms, interval_minutes)

    def panel_of(self, holdings: Mapping[str, Holding], start_ms: int | None, interval_minutes: int) -> Panel:
        """Return the panel of holdings that were measured already."""
        factors = {coin: self.chosen[coin][1] for coin in holdings}
        panel, _ = cached_panel(
            self.store, holdings, factors, start_ms=start_ms, interval_minutes=interval_minutes
        )
        return panel

    def btc_usd(self, panel: Panel) -> tuple[Floats, tuple[str, ...]]:
        """Return BTC's closes; see :class:`Candles`."""
        prices, exchange, notes = store_prices(
            self.store, self.btc_exchanges, "BTC", panel.first_ms, panel.bars, panel.interval_minutes
        )
        return prices, (f"BTC/USD: closes of {exchange}", *notes)

    def ends(self, coins: Sequence[str]) -> tuple[int, int] | None:
        """Return first and last minute; see :class:`Candles`."""
        return ends_of(self.store.coverage(self.chosen[coin][0], coin) for coin in coins)


def place_of(candles: str | Path | None) -> str:
    """Return what a run's candles are: an absolute path, or :data:`DEMO`.

    Parameters
    ----------
    candles
        What was named: a folder, a store, ``demo`` where there is no such folder; None: the store at its
        usual place, and the demo candles where there is none.

    Raises
    ------
    CandleError
        The environment names a store that is not there.
    """
    if candles is not None:
        path = Path(candles)
        # What a person names may be a folder of that name; what a description names is not.
        demo = str(candles) == DEMO and (isinstance(candles, str) or not path.exists())
        return DEMO if demo else str(path.resolve())
    root = default_root()
    if os.environ.get(VARIABLE):
        Store.open(root)
    return str(root.resolve()) if is_store(root) else DEMO


def recorded(place: str, facts: Mapping[str, Any]) -> Candles:
    """Open the candles of a recorded scenario.

    Parameters
    ----------
    place
        Where they lie now, or :data:`DEMO`.
    facts
        The description.

    Raises
    ------
    CandleError
        They are gone, or are no store where they were one.
    KeyError, TypeError, ValueError
        The description is damaged.
    """
    path = demo_folder() if place == DEMO else Path(place)
    if not path.exists():
        raise CandleError(f"{path}: the candles that this was run on are gone; name them with --candles")
    if "sources" not in facts:
        return FolderCandles(CandleFolder.open(path))
    chosen = {coin: (str(source[0]), float(source[1])) for coin, source in facts["sources"].items()}
    return StoreCandles(Store.open(path), chosen, tuple(map(str, facts["btc_exchanges"])))
