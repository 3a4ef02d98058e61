"""From a configuration to the candles of a store: exchanges, window, coins, their age, what is lacking."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from passivbot.backtest.candles import StoreCandles
from passivbot.config import Config, warmup_minutes
from passivbot.config.coins import coin_of, select_coins
from passivbot.engine import MarketRules
from passivbot.errors import CandleError, ConfigError
from passivbot.market import Panel
from passivbot.market.choose import Choice, choose
from passivbot.market.folder import DEFAULT_MAKER_FEE, DEFAULT_RULES, described, listed
from passivbot.market.holding import Holding
from passivbot.market.listings import Markets
from passivbot.market.spans import Span, minus
from passivbot.market.store import Coverage, Store, exchange_name
from passivbot.market.store_panel import coverages, ends_of
from passivbot.times import DAY_MS, MINUTE_MS, utc

_BTC_EXCHANGE = "binance"
"""Where BTC's price comes from when several exchanges are combined (trading-semantics §7.4, step 8)."""


@dataclass(frozen=True)
class FromStore:
    """What a scenario takes from a store."""

    candles: StoreCandles
    panel: Panel
    markets: Mapping[str, MarketRules]
    maker_fee: float
    coin_start_ms: Mapping[str, int]
    notes: tuple[str, ...]


def prepare_from_store(
    config: Config,
    store: Store,
    *,
    coins: Sequence[str] | None,
    insist: bool,
    now_ms: int | None = None,
) -> FromStore:
    """Choose exchanges and coins, and build the panel (trading-semantics §7.4).

    Parameters
    ----------
    config
        Says exchanges, coins, period, gap tolerance and least age.
    store
        Has the candles.
    coins
        Coins in place of the approved ones; ``("all",)``: all that the store has of the exchanges.
    insist
        Whether the whole period has to be there for every coin; else a run takes what there is.
    now_ms
        The present, UTC milliseconds; None: the clock's.

    Raises
    ------
    CandleError
        Candles are lacking, and which command brings them; a file is damaged; unknown exchange or coin.
    ConfigError
        No coin is left, the period is empty, or exchanges that are not to be combined.
    """
    exchanges = _exchanges(config)
    notes = _exchange_notes(store, exchanges)
    wanted, known = _coins(config, store, exchanges, coins)
    window, start_ms = _window(config, wanted, now_ms)
    coin_start_ms, age_notes = _coin_starts(config, store, wanted, known)
    choice = choose(
        store,
        wanted,
        exchanges,
        window,
        coin_begin_ms=coin_start_ms,
        gap_tolerance_minutes=config.backtest.gap_tolerance_ohlcvs_minutes,
        coverages=known,
        interval_minutes=config.backtest.candle_interval_minutes,
    )
    lacks = _lacking(config, store, exchanges, wanted, choice, window, start_ms, coin_start_ms, known)
    if lacks and insist:
        raise CandleError(_lack_message(store, lacks))
    held, refused = choice.holdings, _refused(store, exchanges, choice, known, window, coin_start_ms)
    if not any(start_ms is None or h.last_ms >= start_ms for h in held.values()):
        more = f"; {_lack_command(lacks)} brings more" if lacks else ""
        raise CandleError(f"{_nothing(store, wanted, window, start_ms, refused, known)}{more}")
    if coins is not None and [name.lower() for name in coins] != ["all"]:
        for coin, why in refused.items():
            raise CandleError(f"{store.root}: {coin}: {why}; leave it out of --coins")
    candles = StoreCandles(
        store,
        {coin: (h.exchange, choice.factors[coin]) for coin, h in held.items()},
        tuple(dict.fromkeys(([_BTC_EXCHANGE] if len(exchanges) > 1 else []) + exchanges)),
    )
    panel = candles.panel_of(held, start_ms, config.backtest.candle_interval_minutes)
    markets, maker_fee, rule_notes = _rules(store, {coin: h.exchange for coin, h in held.items()})
    return FromStore(
        candles=candles,
        panel=panel,
        markets=markets,
        maker_fee=maker_fee,
        coin_start_ms={coin: ms for coin, ms in coin_start_ms.items() if coin in held},
        notes=(
            *notes,
            *_not_compared(store, exchanges, wanted, known),
            *age_notes,
            *_left_out(refused),
            *_held_back(held, coin_start_ms, window),
            *choice.notes,
            *([_lack_note(lacks)] if lacks else []),
            *_stale(config, panel, window),
            *panel.notes,
            *rule_notes,
        ),
    )


def _exchanges(config: Config) -> list[str]:
    try:
        exchanges = list(dict.fromkeys(map(exchange_name, config.backtest.exchanges)))
    except CandleError as error:
        raise ConfigError(f"backtest.exchanges: {error}") from None
    if not exchanges:
        raise ConfigError("backtest.exchanges is empty; name where the candles come from, such as binance")
    if len(exchanges) > 1 and not config.backtest.combine_ohlcvs:
        raise ConfigError(
            f"backtest.combine_ohlcvs is false with {len(exchanges)} exchanges, a run has one data set: name "
            f"one with --backtest.exchanges {exchanges[0]}, or let them be combined"
        )
    return exchanges


def _exchange_notes(store: Store, exchanges: Sequence[str]) -> tuple[str, ...]:
    """Say which exchanges the store has nothing of; refuse if that is all of them."""
    empty = [exchange for exchange in exchanges if not store.coins(exchange)]
    if len(empty) < len(exchanges):
        names = ", ".join(empty)
        return (f"{store.root} has no candles of {names}: not compared",) if empty else ()
    there = [exchange for exchange in store.exchanges if store.coins(exchange)]
    hint = f"; it has {', '.join(there)}: --backtest.exchanges {there[0]}" if there else ""
    raise CandleError(
        f"{store.root}: has no candles of {', '.join(exchanges)}{hint}; "
        f"`passivbot data download --exchange {','.join(exchanges)} --coins …` brings them"
    )


def _not_compared(
    store: Store,
    exchanges: Sequence[str],
    coins: Sequence[str],
    known: Mapping[tuple[str, str], Coverage],
) -> tuple[str, ...]:
    """Say which coins the store has of one exchange but not of another that lists them too."""
    notes = []
    for exchange in exchanges:
        listed_there = store.markets(exchange).by_coin
        lacking = [
            coin
            for coin in coins
            if not known[exchange, coin].months
            and (coin in listed_there or not listed_there)
            and any(known[other, coin].months for other in exchanges)
        ]
        if lacking and store.coins(exchange):
            notes.append(f"{store.root} has no candles of {listed(lacking)} on {exchange}: not compared")
    return tuple(notes)


def _coins(
    config: Config, store: Store, exchanges: Sequence[str], coins: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[tuple[str, str], Coverage]]:
    """Return the coins of the run, ascending, and what the store has of each on each exchange."""
    there = {coin for exchange in exchanges for coin in store.coins(exchange)}
    approved = config.live.named_coins
    if coins is not None:
        every = [name.lower() for name in coins] == ["all"]
        approved = frozenset() if every else frozenset(coin_of(c) for c in coins)
        # Whether it is a slip of the pen, or a coin to download, only the nearest name can tell.
        for coin in sorted(approved - there):
            near = next(exchange for exchange in exchanges if store.coins(exchange))
            try:
                store.require(near, coin)
            except CandleError as error:
                raise CandleError(f"{error}; {_command(exchanges, [coin], None)} brings it") from None
    wanted = select_coins(config, {*there, *approved}, coins)
    return wanted, coverages(store, exchanges, wanted)


def _window(config: Config, coins: Sequence[str], now_ms: int | None) -> tuple[Span, int | None]:
    """Return the stretch with the warm-up in it, and the requested start."""
    start_ms, end_ms = config.backtest.start_ms, config.backtest.end_ms
    if end_ms is None:
        now = int(time.time() * 1000) if now_ms is None else now_ms
        end_ms = (now - 2 * DAY_MS) // DAY_MS * DAY_MS
    if start_ms is not None and end_ms <= start_ms:
        raise ConfigError(
            f"backtest.end_date {config.backtest.end_date!r} ({utc(end_ms)}) is not after "
            f"backtest.start_date {config.backtest.start_date!r}"
        )
    bar_ms = config.backtest.candle_interval_minutes * MINUTE_MS
    warmup = warmup_minutes(config, coins)[0] * MINUTE_MS
    begin = max(0, (start_ms or 0) - warmup) // bar_ms * bar_ms
    return Span(begin, end_ms + MINUTE_MS), start_ms


def _coin_starts(
    config: Config, store: Store, coins: Sequence[str], known: Mapping[tuple[str, str], Coverage]
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return from when on each coin's age lets it trade (§7.4, step 3), and notes.

    A coin counts from the first day that any exchange of the store knows: its listing date, or a first candle
    that is known to have none before it. Where nobody knows, it is not held back.
    """
    age = config.live.minimum_coin_age_days
    if age <= 0:
        return {}, ()
    markets = {exchange: store.markets(exchange) for exchange in store.exchanges}
    starts, unknown = {}, []
    for coin in coins:
        first = _first_traded(coin, markets, known)
        if first is None:
            unknown.append(coin)
        else:
            starts[coin] = int(np.ceil((first + age * DAY_MS) / MINUTE_MS)) * MINUTE_MS
    if not unknown:
        return starts, ()
    return starts, (f"age unknown, taken as old enough: {listed(unknown)}",)


def _first_traded(
    coin: str, markets: Mapping[str, Markets], known: Mapping[tuple[str, str], Coverage]
) -> int | None:
    listings = [of.by_coin[coin].listing_ms for of in markets.values() if coin in of.by_coin]
    firsts = [coverage.listed_ms for (_, name), coverage in known.items() if name == coin]
    return min((ms for ms in (*listings, *firsts) if ms is not None), default=None)


Lacks = list[tuple[str, tuple[str, ...], Span]]
"""Coin, exchanges that could have it, stretch that was never fetched."""


def _lacking(
    config: Config,
    store: Store,
    exchanges: Sequence[str],
    coins: Sequence[str],
    choice: Choice,
    window: Span,
    start_ms: int | None,
    coin_start_ms: Mapping[str, int],
    known: Mapping[tuple[str, str], Coverage],
) -> Lacks:
    """Return what of the period was never fetched, without the warm-up and what holes may be filled."""
    markets = {exchange: store.markets(exchange).by_coin for exchange in exchanges}
    # An open end is where the newest candles end; an open start where the oldest begin.
    ends = [coverage.spans[-1].end_ms for coverage in known.values() if coverage.spans]
    firsts = [coverage.first_ms for coverage in known.values() if coverage.first_ms is not None]
    end_ms = min(window.end_ms, max(ends, default=0)) if config.backtest.end_ms is None else window.end_ms
    begin_ms = min(firsts, default=0) if start_ms is None else start_ms
    tolerance = max(1.0, config.backtest.gap_tolerance_ohlcvs_minutes)
    lacks: Lacks = []
    for coin in coins:
        held = choice.holdings.get(coin)
        listed_on = [e for e in exchanges if coin in markets[e] or not markets[e] or known[e, coin].months]
        for exchange in [held.exchange] if held else listed_on[:1]:
            market = markets[exchange].get(coin)
            listing = max(market.listing_ms or 0 if market else 0, known[exchange, coin].listed_ms or 0)
            asked = Span(max(begin_ms, coin_start_ms.get(coin, 0), listing), end_ms)
            if asked.end_ms <= asked.begin_ms:
                continue
            missing = [s for s in minus(asked, known[exchange, coin].spans) if s.minutes > tolerance]
            if missing:
                on = (exchange,) if held else tuple(listed_on)
                lacks.append((coin, on, Span(missing[0].begin_ms, missing[-1].end_ms)))
    return lacks


def _lack_message(store: Store, lacks: Lacks) -> str:
    parts = [f"{coin} {span}" for coin, _, span in lacks]
    shown = "; ".join(parts if len(parts) <= 4 else [*parts[:3], f"{len(parts) - 3} more coins"])
    return (
        f"{store.root}: lacks candles of the period: {shown}; {_lack_command(lacks)} brings them, "
        f"--candles {store.root} runs on what is there"
    )


def _lack_command(lacks: Lacks) -> str:
    exchanges = tuple(dict.fromkeys(exchange for _, on, _ in lacks for exchange in on))
    whole = Span(min(span.begin_ms for *_, span in lacks), max(span.end_ms for *_, span in lacks))
    return _command(exchanges, [coin for coin, *_ in lacks], whole)


def _lack_note(lacks: Lacks) -> str:
    parts = [f"{coin} {span}" for coin, _, span in lacks]
    return (
        f"not in the store: {'; '.join(parts if len(parts) <= 6 else [*parts[:5], f'{len(parts) - 5} more'])}"
    )


def _command(exchanges: Sequence[str], coins: Sequence[str], span: Span | None) -> str:
    words = f"passivbot data download --exchange {','.join(exchanges)} --coins {','.join(coins)}"
    if span is None:
        return f"`{words}`"
    return f"`{words} --from {utc(span.begin_ms)[:10]} --to {utc(span.end_ms - MINUTE_MS)[:10]}`"


def _refused(
    store: Store,
    exchanges: Sequence[str],
    choice: Choice,
    known: Mapping[tuple[str, str], Coverage],
    window: Span,
    coin_start_ms: Mapping[str, int],
) -> dict[str, str]:
    """Return why coins are left out; one that no exchange lists, or listed later only, says so."""
    markets = {exchange: store.markets(exchange) for exchange in exchanges}
    reasons = dict(choice.refused)
    for coin in reasons:
        stored = any(known[exchange, coin].months for exchange in exchanges)
        first = _first_traded(coin, markets, known)
        if not stored and all(of.date and coin not in of.by_coin for of in markets.values()):
            reasons[coin] = f"not listed on {', '.join(exchanges)}"
        elif first is not None and first >= window.end_ms:
            reasons[coin] = f"first traded {utc(first)}, after the period"
        elif coin_start_ms.get(coin, 0) >= window.end_ms:
            reasons[coin] = f"it is old enough only from {utc(coin_start_ms[coin])} on"
    return reasons


def _left_out(refused: Mapping[str, str]) -> tuple[str, ...]:
    """Say which coins are left out, one line a reason."""
    coins_of: dict[str, list[str]] = {}
    for coin, why in refused.items():
        coins_of.setdefault(why, []).append(coin)
    return tuple(
        f"{', '.join(coins)} {'is' if len(coins) == 1 else 'are'} left out: {why}"
        for why, coins in coins_of.items()
    )


def _stale(config: Config, panel: Panel, window: Span) -> tuple[str, ...]:
    """Say that an open end is that of the store."""
    if config.backtest.end_ms is not None or panel.last_ms >= window.end_ms - DAY_MS:
        return ()
    return (f"candles end {utc(panel.last_ms)}; `passivbot data download` brings the store up to date",)


def _held_back(
    held: Mapping[str, Holding], coin_start_ms: Mapping[str, int], window: Span
) -> tuple[str, ...]:
    """Say which coins take part later than they could, for their age."""
    late = [coin for coin in held if coin_start_ms.get(coin, 0) > window.begin_ms]
    parts = [f"{coin} from {utc(coin_start_ms[coin])}" for coin in late]
    shown = "; ".join(parts if len(parts) <= 6 else [*parts[:5], f"{len(parts) - 5} more"])
    return (f"too young before: {shown}",) if parts else ()


def _nothing(
    store: Store,
    coins: Sequence[str],
    window: Span,
    start_ms: int | None,
    refused: Mapping[str, str],
    known: Mapping[tuple[str, str], Coverage],
) -> str:
    if refused:
        coin, why = next(iter(refused.items()))
        others = len(coins) - 1
        more = f" (and {others} more coin{'s' if others > 1 else ''})" if others else ""
        text = f"{store.root}: {coin}{more}: {why}, {Span(start_ms or window.begin_ms, window.end_ms)}"
    else:
        text = f"{store.root}: no candles of {listed(list(coins))} from the start date on"
    ends = ends_of(known.values())
    return text if ends is None else f"{text}; the store's run from {utc(ends[0])} to {utc(ends[1])}"


def _rules(
    store: Store, exchange_of: Mapping[str, str]
) -> tuple[dict[str, MarketRules], float, tuple[str, ...]]:
    """Return each coin's rules on its exchange, the fee of the first coin (§2.3), and notes."""
    markets = {exchange: store.markets(exchange) for exchange in set(exchange_of.values())}
    rules: dict[str, MarketRules] = {}
    fees: dict[str, float] = {}
    missing, gone = [], []
    for coin, exchange in exchange_of.items():
        market = markets[exchange].by_coin.get(coin)
        if market is None and (known := store.market(exchange, coin)) is not None:
            day, market = known
            gone.append(f"{coin} ({exchange} {day})")
        rules[coin] = market.rules if market else DEFAULT_RULES
        if market is None:
            missing.append(coin)
        fee = market.maker_fee_on(exchange) if market else None
        if fee is not None:
            fees[coin] = fee
    first = next(iter(exchange_of))
    notes = []
    if missing:
        notes.append(
            f"{store.root} knows no market rules of {listed(missing)}: assumed: {described(DEFAULT_RULES)}"
        )
    dates = [f"{exchange} {of.date}" for exchange, of in sorted(markets.items()) if of.date]
    if dates:
        notes.append(f"market rules as of {', '.join(dates)}")
    if gone:
        notes.append(f"not listed any more, market rules as they were last: {listed(gone)}")
    fee = fees.get(first, DEFAULT_MAKER_FEE)
    if first not in fees:
        notes.append(f"maker fee assumed: {fee}")
    elif any(other != fee for other in fees.values()):
        notes.append(f"maker fees differ; the fee of {first}, {fee}, is used for all coins")
    return rules, fee, tuple(notes)
