"""The panel of a store: months of each coin's exchange, decoded side by side into the panel's columns."""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import pyarrow as pa

from passivbot.errors import CandleError
from passivbot.market.clean import Floats, fill
from passivbot.market.holding import Holding
from passivbot.market.join import join_minutes
from passivbot.market.panel import FIELDS, Panel, assemble, carry, column_digests
from passivbot.market.store import Coverage, Store
from passivbot.times import MINUTE_MS, utc


class Known(Protocol):
    """Where the start of a coin's life may be had without decoding it."""

    def take(self, coin: str, out: Floats) -> int:
        """Copy what is known into the start of float64 (4, n); return how many minutes that are."""


def build_store_panel(
    holdings: Mapping[str, Holding],
    factors: Mapping[str, float],
    *,
    start_ms: int | None,
    interval_minutes: int = 1,
    known: Known | None = None,
) -> Panel:
    """Build the panel of some coins of a store (trading-semantics §7.4, steps 4 to 7).

    Holes are filled: high = low = close = the previous close, volume 0; volume = base volume × close × the
    factor of the coin's exchange. The same candles give the same bits, and the same digest, as from a candle
    folder. Little else than the panel is ever in memory.

    Parameters
    ----------
    holdings
        Coin → its candles, at least one.
    factors
        Coin → factor of its volume.
    start_ms
        No order is placed before it; None: from the first bar on.
    interval_minutes
        Minutes of a bar, that of the holdings.
    known
        Where minutes are copied from instead of being decoded; for bars of one minute.

    Raises
    ------
    CandleError
        A file is damaged.
    """
    bar_ms = interval_minutes * MINUTE_MS
    coins = sorted(holdings)
    first_ms = min(held.first_ms for held in holdings.values())
    bars = (max(held.last_ms for held in holdings.values()) - first_ms) // bar_ms + 1

    # One allocation: the system gives it in large pages, which is quicker than many small ones.
    blocks = np.empty((len(coins), len(FIELDS), bars))

    def columns_of(coin: str) -> tuple[Floats, list[str]]:
        held = holdings[coin]
        block = blocks[coins.index(coin)]
        first = (held.first_ms - first_ms) // bar_ms
        last = (held.last_ms - first_ms) // bar_ms + 1
        block[:, :first] = np.nan
        block[:, last:] = np.nan
        life = block[:, first:last] if interval_minutes == 1 else np.empty((len(FIELDS), held.minutes))
        decode_life(held, factors[coin], life, known.take(coin, life) if known else 0)
        # Arrow keeps what a thread freed; the panel is meant to be all that stays.
        pa.default_memory_pool().release_unused()
        if interval_minutes > 1:
            block[:, first:last] = join_minutes(life, interval_minutes)
        return block, column_digests(block)

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:
        loaded = dict(zip(coins, threads.map(columns_of, coins), strict=True))
    return assemble(
        loaded,
        {coin: (holdings[coin].first_ms, holdings[coin].last_ms) for coin in coins},
        first_ms=first_ms,
        bars=bars,
        interval_minutes=interval_minutes,
        start_ms=start_ms,
        notes=_notes(holdings),
    )


def decode_life(held: Holding, factor: float, out: Floats, done: int = 0) -> None:
    """Decode a coin's life; holes are filled.

    Parameters
    ----------
    held
        The coin's candles.
    factor
        What its quote volume is multiplied by.
    out
        float64 (4, minutes): high, low, close, quote volume.
    done
        Minutes that are there already: months from the first on, whole, filled and multiplied.
    """
    done_ms = held.first_ms + done * MINUTE_MS
    for path, facts in held.months:
        if facts.last_ms >= done_ms:
            held.decode(out, path, facts)
    if held.gaps.count:
        for hole in held.empty():
            if hole.stop > done:
                out[:, hole] = np.nan
        fill(out[:, max(0, done - 1) :])
    if factor != 1.0:
        out[3, done:] *= factor


def store_prices(
    store: Store, exchanges: Sequence[str], coin: str, first_ms: int, bars: int, interval_minutes: int = 1
) -> tuple[Floats, str, tuple[str, ...]]:
    """Return a coin's closes on an axis, each bar with the last price known at its end (§7.4 step 8).

    Parameters
    ----------
    exchanges
        Where to look, in this order; the first that has the coin's candles is taken.

    Returns
    -------
    prices
        float64 (bars,), no NaN.
    exchange
        Where they come from.
    notes
        As :func:`passivbot.market.panel.carried_forward`.

    Raises
    ------
    CandleError
        None of the exchanges has candles of the coin before the end of the axis, or a file is damaged.
    """
    end_ms = first_ms + bars * interval_minutes * MINUTE_MS
    for exchange in exchanges:
        if coin not in store.coins(exchange):
            continue
        # A day before the axis, for the price known at its start.
        table = store.read(exchange, coin, first_ms - 1440 * MINUTE_MS, end_ms, ["close"])
        if table.num_rows:
            prices, notes = carry(
                coin,
                table.column("timestamp").to_numpy(),
                table.column("close").to_numpy(),
                first_ms,
                bars,
                interval_minutes,
            )
            return prices, exchange, notes
    raise CandleError(
        f"{store.root}: has no candles of {coin} before {utc(end_ms)} on {', '.join(exchanges)}; "
        f"`passivbot data download --exchange {exchanges[0]} --coins {coin}` brings them"
    )


def coverages(
    store: Store, exchanges: Sequence[str], coins: Sequence[str]
) -> dict[tuple[str, str], Coverage]:
    """Return what the store has of some markets: (exchange, coin) → coverage, empty where nothing."""
    pairs = [(exchange, coin) for exchange in exchanges for coin in coins]
    return {pair: store.coverage(*pair) for pair in pairs}


def ends_of(known: Iterable[Coverage]) -> tuple[int, int] | None:
    """Return the first and the last minute of some markets, UTC milliseconds; None without a candle."""
    ends = [
        (each.first_ms, each.last_ms)
        for each in known
        if each.first_ms is not None and each.last_ms is not None
    ]
    return (min(first for first, _ in ends), max(last for _, last in ends)) if ends else None


def _notes(holdings: Mapping[str, Holding]) -> list[str]:
    """Return what was done to the candles, one line per kind."""
    filled = [
        f"{coin} {held.gaps.minutes} minutes in {held.gaps.count}, the largest {held.gaps.largest - 1} after "
        f"{utc(held.gaps.largest_from_ms)}"
        for coin, held in sorted(holdings.items())
        if held.gaps.count
    ]
    notes = [f"holes filled: {_few(filled)}"] if filled else []
    wrong = {coin: sum(facts.inconsistent for _, facts in held.months) for coin, held in holdings.items()}
    odd = [f"{coin} {count}" for coin, count in sorted(wrong.items()) if count]
    if odd:
        notes.append(f"candles with open or close outside low … high, left as they are: {_few(odd)}")
    return notes


def _few(items: Sequence[str]) -> str:
    """Return some items as a phrase that stays readable."""
    return "; ".join(items) if len(items) <= 6 else f"{'; '.join(items[:5])}; and {len(items) - 5} more"
