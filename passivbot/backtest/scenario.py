"""What a backtest and a search share: which coins, which candles, which market.

Both prepare it by the same function, so that a candidate of a search, replayed alone, meets the very minutes
it was judged on.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from passivbot.backtest.candles import DEMO, Candles, FolderCandles, place_of, recorded
from passivbot.backtest.from_store import prepare_from_store
from passivbot.config import Config, warmup_minutes
from passivbot.config.coins import coin_of, select_coins
from passivbot.engine import Engine, MarketRules
from passivbot.errors import CandleError, ConfigError
from passivbot.market import CandleFolder, Panel, build_panel, demo_folder
from passivbot.market.clean import Floats
from passivbot.market.folder import listed
from passivbot.market.store import Store, default_root, is_store
from passivbot.times import DAY_MS, MINUTE_MS, utc

PROVENANCE = "_provenance"
"""Private key of a configuration that a run or a study wrote: what :meth:`Scenario.describe` gave, "metrics"
(name → value of that run) and, of a front member, "study", "candidate" and more."""
STOP_LIMITS = "stop_limits"
"""Key of the provenance: limits at which the recorded run was to stop early, as the engine takes them."""
DATA_SET = "combined"
"""Name of the one data set that a run has."""


@dataclass(frozen=True, eq=False)
class Scenario:
    """Everything that a run depends on beside the strategy's parameters.

    Parameters
    ----------
    config
        The configuration that it was prepared from.
    candles
        Absolute path of the candle folder or of the store, or :data:`~passivbot.backtest.candles.DEMO`.
    panel
        The candles.
    markets
        Coin → market rules, ascending.
    maker_fee
        Fraction of the cost, for all coins.
    starting_balance
        USD.
    btc_usd
        float64 (T,), USD, one value per bar: the price path of BTC collateral; None without it.
    coin_start_ms
        Coin → first minute that its age allows, UTC milliseconds; coins with a stated listing date only.
    notes
        What was assumed or done, one line each.
    sources
        Of a store: each coin's exchange and more, as a description keeps it.
    """

    config: Config
    candles: str
    panel: Panel
    markets: Mapping[str, MarketRules]
    maker_fee: float
    starting_balance: float
    btc_usd: Floats | None
    coin_start_ms: Mapping[str, int]
    notes: tuple[str, ...]
    sources: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def prepare(
        cls, config: Config, candles: str | Path | None = None, *, coins: Sequence[str] | None = None
    ) -> Self:
        """Prepare the scenario of a configuration.

        The panel runs from the start date less the global warm-up (trading-semantics §7.1, which covers the
        bounds) to the end date, as far as there are candles.

        Parameters
        ----------
        config
            The configuration.
        candles
            A candle folder, or a store, of which a run then takes what there is; ``demo``: the embedded demo
            candles; None: the store at its usual place, which then has to have the whole period, and the demo
            candles where there is no store.
        coins
            Coins in place of the approved ones; ``("all",)``: all that there are.

        Raises
        ------
        CandleError
            Unusable candles or market rules, a named coin without candles, nothing in the window, or fewer
            minutes than the warm-up needs.
        ConfigError
            No coin is left.
        """
        place = place_of(candles)
        if place != DEMO and is_store(place):
            # Its own name for the messages, not the absolute one.
            return cls._from_store(config, Store.open(candles), coins, insist=candles is None)
        if place != DEMO:
            return cls._from_folder(config, place, CandleFolder.open(str(candles)), coins)
        try:
            return cls._from_folder(config, place, CandleFolder.open(demo_folder()), coins)
        except CandleError as error:
            reason = str(error).replace(str(demo_folder()), "the demo candles")
            if candles is None:
                reason = (
                    f"{default_root()}: there is no candle store here, and the demo candles do not do "
                    f"({reason}); `passivbot data download` brings candles, --candles names a folder of them"
                )
            raise CandleError(reason) from error

    @classmethod
    def _from_folder(
        cls, config: Config, place: str, folder: CandleFolder, coins: Sequence[str] | None
    ) -> Self:
        chosen, notes = _choose(config, folder, coins)
        start_ms = config.backtest.start_ms
        coin_start_ms = _coin_starts(config, folder, chosen)
        panel = build_panel(
            folder,
            chosen,
            start_ms=start_ms,
            end_ms=config.backtest.end_ms,
            warmup_minutes=warmup_minutes(config, chosen)[0],
            gap_tolerance_minutes=config.backtest.gap_tolerance_ohlcvs_minutes,
            coin_start_ms=coin_start_ms,
            interval_minutes=config.backtest.candle_interval_minutes,
        )
        if coins is not None and _named(coins):
            for coin in sorted({coin_of(name) for name in coins} - set(panel.coins)):
                raise CandleError(
                    f"{folder.path}: {coin} has no candles in the window; leave it out of --coins"
                )
        markets, maker_fee, market_notes = folder.market_rules(panel.coins)
        scenario = cls._of(
            config,
            place,
            FolderCandles(folder),
            panel,
            markets=markets,
            maker_fee=maker_fee,
            starting_balance=config.backtest.starting_balance,
            btc_collateral=config.backtest.use_btc_collateral,
            coin_start_ms={coin: ms for coin, ms in coin_start_ms.items() if coin in panel.coins},
            notes=(*notes, *panel.notes, *market_notes),
        )
        scenario.check_warmup(folder.path)
        return scenario

    @classmethod
    def replay(
        cls, config: Config, facts: Mapping[str, Any], candles: str | Path | None = None
    ) -> "Scenario":
        """Prepare the scenario that :meth:`describe` described: same coins, minutes, fee and market rules.

        Where the configuration asks for bars of another length than the recorded ones, the same minutes are
        joined to these.

        Parameters
        ----------
        config
            The configuration to run.
        facts
            What :meth:`describe` returned.
        candles
            Where the candles lie now; None: where they lay then.

        Raises
        ------
        CandleError
            The candles are gone or are others: their digest differs.
        ConfigError
            ``facts`` is not a description.
        """
        try:
            place = facts["candles"] if candles is None else place_of(candles)
            digest, coins = facts["candles_digest"], tuple(facts["coins"])
            interval = int(facts.get("interval_minutes", 1))
            window = facts["window"]
            first_ms, last_ms = int(window["first_ms"]), int(window["last_ms"])
            requested_start_ms = int(window["requested_start_ms"])
            coin_start_ms = {str(coin): int(ms) for coin, ms in facts["coin_start_ms"].items()}
            markets = {coin: MarketRules(**facts["market_rules"][coin]) for coin in coins}
            maker_fee, balance = float(facts["maker_fee"]), float(facts["starting_balance"])
            btc_collateral = bool(facts["btc_collateral"])
            source = recorded(place, facts)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"the scenario recorded in the configuration is damaged ({error!r})") from None

        def prepared(interval_minutes: int) -> Scenario:
            panel = source.panel(
                coins,
                first_ms,
                last_ms,
                gap_tolerance_minutes=config.backtest.gap_tolerance_ohlcvs_minutes,
                coin_start_ms=coin_start_ms,
                interval_minutes=interval_minutes,
            )
            return cls._of(
                config,
                place,
                source,
                replace(panel, requested_start_ms=requested_start_ms),
                markets=markets,
                maker_fee=maker_fee,
                starting_balance=balance,
                btc_collateral=btc_collateral,
                coin_start_ms=coin_start_ms,
                notes=panel.notes,
            )

        scenario = prepared(interval)
        if scenario.candles_digest != digest:
            raise CandleError(
                f"{source.path}: these are not the candles of the recorded run "
                f"(digest {scenario.candles_digest[:12]}, recorded {str(digest)[:12]}); "
                "--other-candles runs on them anyway"
            )
        wanted = config.backtest.candle_interval_minutes
        return scenario if wanted == interval else prepared(wanted)

    @classmethod
    def _from_store(cls, config: Config, store: Store, coins: Sequence[str] | None, *, insist: bool) -> Self:
        found = prepare_from_store(config, store, coins=coins, insist=insist)
        scenario = cls._of(
            config,
            str(store.root.resolve()),
            found.candles,
            found.panel,
            markets=found.markets,
            maker_fee=found.maker_fee,
            starting_balance=config.backtest.starting_balance,
            btc_collateral=config.backtest.use_btc_collateral,
            coin_start_ms=found.coin_start_ms,
            notes=found.notes,
        )
        scenario.check_warmup(store.root)
        return scenario

    @classmethod
    def _of(
        cls,
        config: Config,
        candles: str,
        source: Candles,
        panel: Panel,
        *,
        markets: Mapping[str, MarketRules],
        maker_fee: float,
        starting_balance: float,
        btc_collateral: bool,
        coin_start_ms: Mapping[str, int],
        notes: tuple[str, ...],
    ) -> Self:
        btc_usd = None
        if btc_collateral:
            btc_usd, more = source.btc_usd(panel)
            notes = (*notes, *more)
        return cls(
            config=config,
            candles=candles,
            panel=panel,
            markets=markets,
            maker_fee=maker_fee,
            starting_balance=starting_balance,
            btc_usd=btc_usd,
            coin_start_ms=coin_start_ms,
            notes=notes,
            sources=source.sources,
        )

    @property
    def coins(self) -> tuple[str, ...]:
        """Coins of the run, ascending."""
        return self.panel.coins

    @property
    def requested_start_ms(self) -> int:
        """No order is placed before it; UTC milliseconds."""
        return self.panel.requested_start_ms

    @cached_property
    def candles_digest(self) -> str:
        """SHA-256 over the panel and the BTC price path."""
        if self.btc_usd is None:
            return self.panel.digest
        return hashlib.sha256(f"{self.panel.digest}\0btc\0".encode() + self.btc_usd.tobytes()).hexdigest()

    @property
    def digest(self) -> str:
        """SHA-256 over the candles and everything that the run takes from the market and the account."""
        facts = {
            "balance": self.starting_balance,
            "candles": self.candles_digest,
            "fee": self.maker_fee,
            "rules": {coin: asdict(rules) for coin, rules in self.markets.items()},
            "start": self.requested_start_ms,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def engine(self) -> Engine:
        """Return an engine over the candles; it reads the panel where it lies."""
        return Engine(
            self.panel.table,
            self.markets,
            starting_balance=self.starting_balance,
            maker_fee=self.maker_fee,
            btc_usd=self.btc_usd,
            requested_start_ms=self.requested_start_ms,
        )

    def describe(self) -> dict[str, Any]:
        """Return the scenario without its candles, as JSON-able dictionary; :meth:`replay` takes it.

        Equal dictionaries apart from ``candles`` (a path) and ``notes`` mean equal scenarios.
        """
        return {
            "btc_collateral": self.btc_usd is not None,
            "candles": self.candles,
            "candles_digest": self.candles_digest,
            "coin_start_ms": dict(self.coin_start_ms),
            "coins": list(self.coins),
            "data_set": DATA_SET,
            "digest": self.digest,
            "interval_minutes": self.panel.interval_minutes,
            "maker_fee": self.maker_fee,
            "market_rules": {coin: asdict(rules) for coin, rules in self.markets.items()},
            "notes": list(self.notes),
            **self.sources,
            "starting_balance": self.starting_balance,
            "window": {
                "first_ms": self.panel.first_ms,
                "last_ms": self.panel.last_ms,
                "minutes": self.panel.minutes,
                "requested_start_ms": self.requested_start_ms,
            },
        }

    def with_note(self, note: str) -> "Scenario":
        """Return a copy with one more note, before the others."""
        return replace(self, notes=(note, *self.notes))

    def check_warmup(self, where: str | Path) -> None:
        """Refuse a panel in which no order could ever be placed and filled (trading-semantics §7.2, §8).

        Raises
        ------
        CandleError
            The panel is not longer than the configuration's warm-up.
        """
        warmup = warmup_minutes(self.config, self.coins)[0]
        # Orders are placed at bars warm-up + 1 … T − 3 and filled a bar later; T − 1 is no step.
        if self.panel.bars < -(-warmup // self.panel.interval_minutes) + 4:
            raise CandleError(
                f"{where}: {self.panel.minutes} minutes of candles, {utc(self.panel.first_ms)} to "
                f"{utc(self.panel.last_ms)}, are not more than the warm-up of {warmup} minutes; take a "
                "longer window, or lower live.warmup_ratio or live.max_warmup_minutes"
            )


def provenance(config: Config) -> Mapping[str, Any]:
    """Return what a configuration records of the run it comes from; empty for one that a person wrote."""
    recorded = (config.model_extra or {}).get(PROVENANCE)
    return recorded if isinstance(recorded, Mapping) else {}


def _named(coins: Sequence[str]) -> bool:
    return [name.lower() for name in coins] != ["all"]


def _choose(
    config: Config, folder: CandleFolder, coins: Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the coins of a run and notes: approved coins without candles are dropped, named ones refused."""
    if coins is not None and _named(coins):
        for name in coins:
            folder.file(coin_of(name))
    approved = config.live.named_coins
    # Among the approved coins those without candles here are dropped below, not refused.
    known = {*folder.coins, *approved} if coins is None else set(folder.coins)
    wanted = select_coins(config, known, coins)
    missing = [coin for coin in wanted if coin not in folder.coins]
    kept = tuple(coin for coin in wanted if coin in folder.coins)
    if not kept:
        raise ConfigError(
            f"{folder.path}: none of the approved coins ({listed(missing)}) has candles here; there are "
            f"{listed(folder.coins)}; --coins all takes these"
        )
    return kept, (f"{folder.path} has no candles of {listed(missing)}: left out",) if missing else ()


def _coin_starts(config: Config, folder: CandleFolder, coins: Sequence[str]) -> dict[str, int]:
    """Return from when on each coin's age lets it trade, where its listing date is stated (§7.4 step 3)."""
    age = config.live.minimum_coin_age_days
    if age <= 0:
        return {}
    starts = {}
    for coin in coins:
        listing = folder.listing_ms(coin)
        if listing is not None:
            starts[coin] = int(np.ceil((listing + age * DAY_MS) / MINUTE_MS)) * MINUTE_MS
    return starts
