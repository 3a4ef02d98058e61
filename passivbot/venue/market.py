"""The market of a venue: what is traded by which rules, and the candles that are replayed.

Market time belongs to the venue. It stands still until :meth:`Clock.advance` moves it by whole minutes, so a
month of candles passes as fast as a bot can work; signatures go by the real clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from passivbot.engine import MarketRules
from passivbot.errors import CandleError, nearest
from passivbot.market.clean import Floats
from passivbot.market.folder import DEFAULT_RULES, CandleFolder, described, listed
from passivbot.market.store import Store
from passivbot.times import MINUTE_MS

_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class VenueMarket:
    """What a venue lists.

    Parameters
    ----------
    coin
        Base currency.
    rules
        Steps and minima; quantities are contracts of ``rules.c_mult`` coins.
    maker_fee, taker_fee
        Fractions of the cost.
    max_leverage
        Largest leverage that can be set.
    listed_ms
        When trading began, UTC milliseconds; long ago where nobody says it, as the first candle does not.
    active
        False: delisted; nothing can be traded.
    """

    coin: str
    rules: MarketRules
    maker_fee: float = 0.0002
    taker_fee: float = 0.0005
    max_leverage: float = 100.0
    listed_ms: int = 1_569_888_000_000
    active: bool = True


class Clock:
    """Market time, UTC milliseconds, on a whole minute: every candle that opened before it is complete."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms // MINUTE_MS * MINUTE_MS

    def advance(self, minutes: int = 1) -> None:
        """Move on."""
        self.now_ms += minutes * MINUTE_MS


class MarketSource:
    """Markets and their minute candles.

    Parameters
    ----------
    markets
        What is listed.
    candles
        Coin → float64 (n, 6): timestamp (UTC ms), open, high, low, close, volume (coins); ascending, minutes
        may be missing.
    notes
        What was assumed about the markets, a line each.
    """

    def __init__(
        self, markets: Sequence[VenueMarket], candles: Mapping[str, Floats], notes: Sequence[str] = ()
    ) -> None:
        self.notes = tuple(notes)
        self.markets: dict[str, VenueMarket] = {market.coin: market for market in markets}
        self._candles = {coin: np.ascontiguousarray(rows, dtype=np.float64) for coin, rows in candles.items()}
        self._times = {coin: rows[:, 0].astype(np.int64) for coin, rows in self._candles.items()}
        for coin in self.markets:
            if coin not in self._candles or not len(self._candles[coin]):
                raise CandleError(f"the venue has no candles of {coin}")

    @classmethod
    def from_tables(
        cls,
        tables: Mapping[str, pa.Table],
        rules: Mapping[str, MarketRules],
        *,
        maker_fee: float = 0.0002,
        taker_fee: float = 0.0005,
        listed_ms: Mapping[str, int] | None = None,
        notes: Sequence[str] = (),
    ) -> "MarketSource":
        """Make a source of candle tables, as :func:`passivbot.market.synthetic.generate` gives them."""
        candles = {coin: _rows(table) for coin, table in tables.items()}
        markets = [
            VenueMarket(
                coin,
                rules[coin],
                maker_fee,
                taker_fee,
                listed_ms=(listed_ms or {}).get(coin, VenueMarket.listed_ms),
            )
            for coin in tables
        ]
        return cls(markets, candles, notes)

    @classmethod
    def from_folder(
        cls, folder: CandleFolder | str | Path, coins: Sequence[str] | None = None
    ) -> "MarketSource":
        """Make a source of a candle folder, with rules and fee of its ``markets.json``, else usual ones.

        Raises
        ------
        CandleError
            The folder lacks a coin, or a file is not usable.
        """
        opened = folder if isinstance(folder, CandleFolder) else CandleFolder.open(folder)
        chosen = sorted(coins or opened.coins)
        rules, maker_fee, notes = opened.market_rules(chosen)
        tables = {coin: pq.read_table(opened.file(coin)) for coin in chosen}
        ages = {coin: ms for coin in chosen if (ms := opened.listing_ms(coin)) is not None}
        return cls.from_tables(tables, rules, maker_fee=maker_fee, listed_ms=ages, notes=notes)

    @classmethod
    def from_store(
        cls,
        store: Store,
        exchange: str,
        coins: Sequence[str],
        begin_ms: int | None = None,
        end_ms: int | None = None,
    ) -> "MarketSource":
        """Make a source of a store's candles, with rules and fees as the exchange published, else usual ones.

        Raises
        ------
        CandleError
            The store has no candles of a coin in the window.
        """
        markets, candles, assumed = [], {}, []
        for coin in sorted(coins):
            rows = _rows(store.read(exchange, coin, begin_ms, end_ms))
            if not len(rows):
                raise CandleError(
                    f"{store.root}: has no candles in the window of {coin} on {exchange}; download them first"
                )
            candles[coin] = rows
            listed_ms = store.coverage(exchange, coin).listed_ms or VenueMarket.listed_ms
            known = store.market(exchange, coin)
            if known is None:
                assumed.append(coin)
                markets.append(VenueMarket(coin, DEFAULT_RULES, listed_ms=listed_ms))
                continue
            _, market = known
            maker, taker = market.maker_fee_on(exchange), market.taker_fee
            markets.append(
                VenueMarket(
                    coin,
                    market.rules,
                    VenueMarket.maker_fee if maker is None else maker,
                    VenueMarket.taker_fee if taker is None else taker,
                    listed_ms=market.listing_ms or listed_ms,
                )
            )
        notes = []
        if assumed:
            notes.append(
                f"{store.root} knows no market rules of {listed(assumed)} on {exchange}: assumed: "
                f"{described(DEFAULT_RULES)}, maker fee {VenueMarket.maker_fee}"
            )
        return cls(markets, candles, notes)

    @property
    def coins(self) -> tuple[str, ...]:
        """What is listed, ascending."""
        return tuple(sorted(self.markets))

    @property
    def first_ms(self) -> int:
        """Opening of the earliest candle."""
        return min(int(times[0]) for times in self._times.values())

    @property
    def last_ms(self) -> int:
        """Opening of the latest candle."""
        return max(int(times[-1]) for times in self._times.values())

    def market(self, coin: str) -> VenueMarket:
        """Return one market.

        Raises
        ------
        CandleError
            It is not listed; names the nearest.
        """
        if coin not in self.markets:
            near = nearest(coin, self.markets)
            raise CandleError(
                f"the venue does not list {coin}" + (f"; the nearest is {near}" if near else "")
            )
        return self.markets[coin]

    def newest_ms(self, coin: str) -> int:
        """Return the opening of a coin's latest candle."""
        return int(self._times[coin][-1])

    def append(self, coin: str, rows: Floats, most: int | None = None) -> None:
        """Add candles that came since.

        Parameters
        ----------
        coin
            Whose.
        rows
            float64 (n, 6), ascending; what is known from the first of them on, they replace.
        most
            Candles to keep; older ones go. None: all.
        """
        if len(rows):
            kept = self._candles[coin][: np.searchsorted(self._times[coin], rows[0, 0])]
            kept = kept if most is None else kept[-most:]
            self._candles[coin] = np.concatenate([kept, rows])
            self._times[coin] = self._candles[coin][:, 0].astype(np.int64)

    def change(self, coin: str, **fields: object) -> None:
        """Change a market from now on: ``rules``, ``active``, ``max_leverage`` and so on."""
        self.markets[coin] = replace(self.market(coin), **fields)  # type: ignore[arg-type]

    def candle(self, coin: str, timestamp_ms: int) -> Floats | None:
        """Return the candle that opened at a minute, float64 (6,), or None."""
        times = self._times[coin]
        place = int(np.searchsorted(times, timestamp_ms))
        return self._candles[coin][place] if place < times.size and times[place] == timestamp_ms else None

    def candles(self, coin: str, start_ms: int, end_ms: int) -> Floats:
        """Return the candles that opened in ``start_ms`` ≤ t < ``end_ms``, float64 (n, 6)."""
        times = self._times[coin]
        return self._candles[coin][np.searchsorted(times, start_ms) : np.searchsorted(times, end_ms)]

    def seen(self, coin: str, now_ms: int, start_ms: int, end_ms: int) -> Floats:
        """Return the candles of a span as an exchange shows them at a market time.

        Complete ones as they are; the running minute's as it stands at its beginning, which is what a bot
        must not take for a whole one.
        """
        rows = self.candles(coin, start_ms, min(end_ms, now_ms))
        if start_ms <= now_ms < end_ms and (running := self.candle(coin, now_ms)) is not None:
            price = self.last_price(coin, now_ms)
            opening = running[1] if np.isfinite(running[1]) else price
            begun = np.array([[float(now_ms), opening, opening, opening, opening, 0.0]])
            rows = np.concatenate([rows, begun])
        return rows

    def last_price(self, coin: str, now_ms: int) -> float:
        """Return the close of the last complete candle; before the first one, that one's opening."""
        times = self._times[coin]
        place = int(np.searchsorted(times, now_ms)) - 1
        rows = self._candles[coin]
        return float(rows[place, 4]) if place >= 0 else float(rows[0, 1])

    def day(self, coin: str, now_ms: int) -> Floats:
        """Return the complete candles of the last 24 hours, float64 (n, 6)."""
        return self.candles(coin, now_ms - 1440 * MINUTE_MS, now_ms)


def _rows(table: pa.Table) -> Floats:
    columns = [
        table.column(name if name in table.column_names else "close")
        .to_numpy(zero_copy_only=False)
        .astype(np.float64)
        for name in _COLUMNS
    ]
    return np.stack(columns, axis=1)
