"""A loopback venue with known candles, and downloads from it by the real client library."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from passivbot.cli.main import main
from passivbot.config.values import date_ms
from passivbot.engine import MarketRules
from passivbot.market.clean import Floats
from passivbot.market.download.pace import Patience
from passivbot.market.download.request import CoinChoice, Request
from passivbot.market.download.run import Report, download
from passivbot.market.spans import Span
from passivbot.market.store import Store, exchange_name
from passivbot.market.synthetic import generate
from passivbot.times import MINUTE_MS
from passivbot.venue import MarketSource, Venue, VenueMarket

CONTRACTS = {"okx": 0.01, "gate": 0.0001, "kucoinfutures": 0.001}
"""Coins of a contract, where the exchange counts contracts."""
QUICK = Patience(first_s=0.02, most_s=0.1, total_s=5.0, silence_s=20.0)


def ms(text: str) -> int:
    return date_ms(text)


def truth(exchange: str, begin_ms: int, minutes: int, *, coin_number: int = 0, seed: int = 5) -> Floats:
    """Candles whose volumes are whole contracts of an exchange, each opening at the last one's close."""
    coins = ["A", "B", "C", "D"]
    tables, _ = generate(dict.fromkeys(coins, "calm"), seed=seed, minutes=minutes, start_ms=begin_ms)
    table = tables[coins[coin_number]]
    rows = np.stack([table.column(name).to_numpy() for name in table.column_names], axis=1)
    rows = rows.astype(np.float64)
    rows[1:, 1] = rows[:-1, 4]
    rows[:, 2] = rows[:, [1, 2, 4]].max(axis=1)
    rows[:, 3] = rows[:, [1, 3, 4]].min(axis=1)
    step = rules_at(exchange).qty_step * rules_at(exchange).c_mult
    rows[:, 5] = np.maximum(np.round(rows[:, 5] / step), 1.0) * step
    return rows


def rules_at(exchange: str) -> MarketRules:
    c_mult = CONTRACTS.get(exchange, 1.0)
    qty_step = 1.0 if c_mult < 1 else 0.001
    return MarketRules(qty_step, 0.1, qty_step, 5.0, c_mult)


def without(rows: Floats, begin_ms: int, minutes: int) -> Floats:
    """Candles with a hole."""
    return rows[(rows[:, 0] < begin_ms) | (rows[:, 0] >= begin_ms + minutes * MINUTE_MS)]


def venue_of(
    exchanges: Sequence[str], candles: dict[str, Floats], *, now_ms: int | None = None, **changes: Any
) -> Venue:
    """Return a venue whose server time is its market time, by default the minute after its last candle."""
    markets = [
        replace(VenueMarket(coin, rules_at(exchanges[0]), listed_ms=int(rows[0, 0])), **changes)
        for coin, rows in candles.items()
    ]
    source = MarketSource(markets, candles)
    venue = Venue(
        source,
        tuple(exchanges),
        start_ms=source.last_ms + MINUTE_MS if now_ms is None else now_ms,
        private=False,
    )
    venue.skew_ms = venue.clock.now_ms - int(time.time() * 1000)
    return venue


@dataclass
class Heard:
    """Everything a download said."""

    notes: list[str] = field(default_factory=list)
    planned_minutes: int = 0
    done_minutes: int = 0
    finished_coins: int = 0
    on_done: Callable[[], None] | None = None

    def planned(self, exchange: str, coin: str, minutes: int) -> None:
        self.planned_minutes += minutes

    def done(self, exchange: str, coin: str, minutes: int) -> None:
        self.done_minutes += minutes
        if self.on_done:
            self.on_done()

    def finished(self, exchange: str, coin: str) -> None:
        self.finished_coins += 1

    def note(self, exchange: str, coin: str, text: str) -> None:
        self.notes.append(f"{exchange} {coin}".rstrip() + f": {text}")


@dataclass
class Outcome:
    report: Report
    heard: Heard
    store: Store


def request(
    exchanges: Sequence[str], coins: Sequence[str], begin_ms: int | None, end_ms: int | None, **more: Any
) -> Request:
    return Request(tuple(exchanges), CoinChoice(tuple(coins)), begin_ms, end_ms, **more)


def fetch(venue: Venue, wanted: Request, root: Path, heard: Heard | None = None, **settings: Any) -> Outcome:
    """Run a download against a venue to its end."""
    return asyncio.run(fetch_in(venue, wanted, root, heard, **settings))


async def fetch_in(
    venue: Venue, wanted: Request, root: Path, heard: Heard | None = None, **settings: Any
) -> Outcome:
    store = Store.open(root, create=True)
    told = heard or Heard()
    async with venue:
        report = await download(
            wanted,
            store,
            told,
            **{"sessions": venue.session, "patience": QUICK, "rate_limit_ms": 1, **settings},
        )
    return Outcome(report, told, store)


def stored(store: Store, exchange: str, coin: str, span: Span | None = None) -> Floats:
    table = store.read(exchange_name(exchange), coin, *(span or (None, None)))
    return np.stack([table.column(name).to_numpy() for name in table.column_names], axis=1).astype(np.float64)


def assert_equals_truth(outcome: Outcome, exchange: str, coin: str, rows: Floats, span: Span) -> None:
    """The store has the venue's candles of the span, all of them and nothing else, and knows it."""
    inside = rows[(rows[:, 0] >= span.begin_ms) & (rows[:, 0] < span.end_ms)]
    got = stored(outcome.store, exchange, coin)
    np.testing.assert_array_equal(got[:, :5], inside[:, :5])
    np.testing.assert_allclose(got[:, 5], inside[:, 5], rtol=1e-12)
    assert outcome.store.missing(exchange_name(exchange), coin, *span) == ()


def typed(venue: Venue, words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the program while the venue serves; only its session is put in place of the plain one."""

    async def run() -> int:
        async with venue:
            monkeypatch.setattr("passivbot.market.download.run.plain_session", venue.session)
            return await asyncio.to_thread(main, words.split())

    return asyncio.run(run())
