"""Where a download's candles go: one market of the store, and who hears of it."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from passivbot.errors import CandleError
from passivbot.market.clean import Floats
from passivbot.market.month import COLUMNS, SCHEMA
from passivbot.market.spans import Span, minus, union
from passivbot.market.store import Store

NONE: Floats = np.empty((0, 6))


class Told(Protocol):
    """Hears how a download goes."""

    def planned(self, exchange: str, coin: str, minutes: int) -> None:
        """So many minutes are missing."""

    def done(self, exchange: str, coin: str, minutes: int) -> None:
        """So many of them are settled."""

    def finished(self, exchange: str, coin: str) -> None:
        """Nothing more comes of this market."""

    def note(self, exchange: str, coin: str, text: str) -> None:
        """Something a person should know; ``coin`` is empty where it is about the exchange."""


class Missing(NamedTuple):
    """A stretch that could not be fetched, and why."""

    exchange: str
    coin: str
    span: Span
    why: str


@dataclass
class Target:
    """One market of the store.

    Parameters
    ----------
    store
        Where candles go.
    exchange, coin
        As the store names them.
    symbol
        Of the client library, or the exchange's own of a market that is not listed; kept in the store.
    wanted
        The stretch, within what the exchange says is finished.
    told
        Hears how it goes.
    """

    store: Store
    exchange: str
    coin: str
    symbol: str
    wanted: Span
    told: Told
    added: int = field(default=0, init=False)
    changed: int = field(default=0, init=False)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def missing(self) -> tuple[Span, ...]:
        """Return what of the stretch was never fetched."""
        # Years are many files, and other markets wait for their turn.
        return await asyncio.to_thread(self.store.missing, self.exchange, self.coin, *self.wanted)

    async def first_ms(self) -> int | None:
        """Return the first candle that the store has of the market; None without any."""
        return (await asyncio.to_thread(self.store.coverage, self.exchange, self.coin)).first_ms

    async def plan(self) -> None:
        """Tell how much is missing."""
        try:
            missing = await self.missing()
        except CandleError:
            missing = ()  # a damaged file: said when its turn comes
        self.told.planned(self.exchange, self.coin, minutes(missing))

    def note(self, text: str) -> None:
        """Tell a person something."""
        self.told.note(self.exchange, self.coin, text)

    async def write(self, rows: Floats, spans: Iterable[Span], source: str, *, tell: bool = True) -> None:
        """Put candles into the store.

        Parameters
        ----------
        rows
            float64 (n, 6); those outside the spans are left out.
        spans
            What was fetched whole: minutes of it without a candle are absent at the source.
        source
            Where they come from.
        tell
            Whether it has to be told that so much is done; False: it was, when the candles came.

        Raises
        ------
        CandleError, ResourceError
            As :meth:`Store.write`.
        """
        whole = union(spans)
        if not whole:
            return
        inside = np.zeros(len(rows), dtype=np.bool_)
        for span in whole:
            inside |= (rows[:, 0] >= span.begin_ms) & (rows[:, 0] < span.end_ms)
        async with self._writing:
            written = await asyncio.to_thread(
                self.store.write,
                self.exchange,
                self.coin,
                table_of(rows[inside]),
                source=source,
                spans=whole,
                symbol=self.symbol,
            )
        self.added += written.added
        self.changed += written.changed
        if tell:
            self.told.done(self.exchange, self.coin, minutes(whole))


def table_of(rows: Floats) -> pa.Table:
    """Return candles, float64 (n, 6), in the store's schema."""
    columns = [pa.array(rows[:, 0].astype(np.int64)), *(pa.array(rows[:, i]) for i in range(1, 6))]
    return pa.table(dict(zip(COLUMNS, columns, strict=True)), schema=SCHEMA)


def minutes(spans: Iterable[Span]) -> int:
    """Return how many minutes spans have together."""
    return sum(span.minutes for span in spans)


def without(spans: Sequence[Span], taken: Sequence[Span]) -> tuple[Span, ...]:
    """Return what of the spans lies in none of the others."""
    return union(left for span in spans for left in minus(span, taken))
