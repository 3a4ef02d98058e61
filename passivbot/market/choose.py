"""Which exchange a coin's candles come from, and what its volume is multiplied by (trading-semantics §7.4).

Of the exchanges of a configuration each coin takes the one with the most minutes, then the one with the most
quote volume. Volumes of different exchanges are made comparable by their ratio over the last sixty days.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from passivbot.market.holding import Holding, hold
from passivbot.market.spans import Span
from passivbot.market.store import Coverage, Store
from passivbot.times import DAY_MS, utc

RATIO_DAYS = 60
"""Days at the end of a window that volumes of exchanges are compared over."""


@dataclass(frozen=True)
class Choice:
    """The sources of a run's coins.

    Parameters
    ----------
    holdings
        Coin → candles of the chosen exchange, ascending; only coins that have any.
    factors
        Coin → what its quote volume is multiplied by.
    refused
        Coin → why no exchange's candles of it are used.
    notes
        What was chosen and why, one line each.
    """

    holdings: Mapping[str, Holding]
    factors: Mapping[str, float]
    refused: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def sources(self) -> dict[str, list[str | float]]:
        """Coin → exchange and factor, as a recorded scenario keeps it."""
        return {coin: [held.exchange, self.factors[coin]] for coin, held in self.holdings.items()}


def choose(
    store: Store,
    coins: Sequence[str],
    exchanges: Sequence[str],
    window: Span,
    *,
    coin_begin_ms: Mapping[str, int],
    gap_tolerance_minutes: float,
    coverages: Mapping[tuple[str, str], Coverage],
    interval_minutes: int = 1,
) -> Choice:
    """Choose each coin's exchange.

    Parameters
    ----------
    coins
        Coins of the run.
    exchanges
        In the order of the configuration.
    window
        From the start of the warm-up to the end; half open, UTC milliseconds.
    coin_begin_ms
        Candles of a coin before this time do not count (its age).
    gap_tolerance_minutes
        A larger difference between neighbouring timestamps discards a coin on that exchange.
    coverages
        (exchange, coin) → what the store has of it.
    interval_minutes
        Minutes of a bar.

    Raises
    ------
    CandleError
        A file is damaged.
    """
    found: dict[str, dict[str, Holding]] = {}
    chosen: dict[str, Holding] = {}
    refused: dict[str, str] = {}
    notes: list[str] = []
    for coin in sorted(set(coins)):
        begin = max(window.begin_ms, coin_begin_ms.get(coin, 0))
        own = Span(begin, window.end_ms)
        holes: list[str] = []
        found[coin] = {}
        for exchange in exchanges:
            held = hold(
                store,
                exchange,
                coin,
                own,
                interval_minutes=interval_minutes,
                coverage=coverages[exchange, coin],
            )
            if held is None:
                continue
            if held.gaps.largest > gap_tolerance_minutes:
                holes.append(_hole(held, gap_tolerance_minutes))
            else:
                found[coin][exchange] = held
        notes += [f"{coin} is not taken from {hole}" for hole in holes if found[coin]]
        if found[coin]:
            chosen[coin] = _best(list(found[coin].values()))
        elif holes:
            refused[coin] = f"it has no usable candles: {'; '.join(holes)}"
        else:
            refused[coin] = "no candles in the window"
    factors, more = _factors(chosen, found, window)
    return Choice(chosen, factors, refused, (*notes, *_told(chosen), *more))


def _best(candidates: Sequence[Holding]) -> Holding:
    longest = max(held.minutes for held in candidates)
    equal = [held for held in candidates if held.minutes == longest]
    # Holes are filled before they are counted, so that there are none; volume decides.
    return equal[0] if len(equal) == 1 else max(equal, key=lambda held: _total(held.day_volumes()))


def _total(volumes: Mapping[int, float]) -> float:
    total = 0.0
    for day in sorted(volumes):
        total += volumes[day]
    return total


def _hole(held: Holding, tolerance: float) -> str:
    return (
        f"{held.exchange}: a hole of {held.gaps.largest - 1} minutes after {utc(held.gaps.largest_from_ms)}, "
        f"above the tolerance of {tolerance:g}"
    )


def _factors(
    chosen: Mapping[str, Holding], found: Mapping[str, Mapping[str, Holding]], window: Span
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return what each coin's volume is multiplied by, and notes."""
    used = [held.exchange for held in chosen.values()]
    exchanges = sorted(set(used))
    if len(exchanges) < 2:
        return dict.fromkeys(chosen, 1.0), ()
    counts = {exchange: used.count(exchange) for exchange in dict.fromkeys(used)}
    # Of equals the one that is reached last.
    reference = [exchange for exchange, count in counts.items() if count == max(counts.values())][-1]
    last = Span(max(window.begin_ms, window.end_ms - RATIO_DAYS * DAY_MS), window.end_ms)
    common = [found[coin] for coin in chosen if all(exchange in found[coin] for exchange in exchanges)]
    volumes = [{exchange: of[exchange].day_volumes(last) for exchange in exchanges} for of in common]
    factors = {reference: 1.0}
    notes = []
    for first, second in combinations(exchanges, 2):
        if reference not in (first, second):
            continue
        ratio = _ratio(volumes, first, second)
        other = second if reference == first else first
        if ratio == 0.0 or not volumes:
            factors[other] = 1.0
            notes.append(f"volumes of {other} stay as they are: no coin lies on every exchange to compare by")
        else:
            factors[other] = ratio if reference == first else 1.0 / ratio
            notes.append(
                f"volumes of {other} are multiplied by {factors[other]:.6g}, to compare with {reference}"
            )
    return {coin: factors[held.exchange] for coin, held in chosen.items()}, tuple(notes)


def _ratio(volumes: Sequence[Mapping[str, Mapping[int, float]]], first: str, second: str) -> float:
    """Return the mean, over coins, of one exchange's volume over another's on the days that all have."""
    total = 0.0
    for of in volumes:
        days = set.intersection(*(set(by_day) for by_day in of.values()))
        above = _total({day: of[first][day] for day in days})
        below = _total({day: of[second][day] for day in days})
        total += above / below if below > 0.0 else 0.0
    return total / len(volumes) if volumes else 1.0


def _told(chosen: Mapping[str, Holding]) -> tuple[str, ...]:
    """Return a note that says which exchange each coin comes from, where there are several."""
    by_exchange: dict[str, list[str]] = {}
    for coin, held in chosen.items():
        by_exchange.setdefault(held.exchange, []).append(coin)
    if len(by_exchange) < 2:
        return ()
    parts = [f"{', '.join(coins)} from {exchange}" for exchange, coins in sorted(by_exchange.items())]
    return (f"candles: {'; '.join(parts)}",)
