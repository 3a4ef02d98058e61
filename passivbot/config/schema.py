"""The typed configuration: sections, keys, units and built-in defaults of config-format §1–4.

A :class:`Config` is always complete and normalised: lists of coins are resolved, scoring is sorted, limits
are a mapping, bounds are ordered. ``passivbot.config.load`` makes one from a file; nothing else needs to look
at raw files.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from passivbot.config import values as v
from passivbot.errors import ConfigError, located, nearest
from passivbot.times import DAY_MS

Side = Literal["long", "short"]
SIDES: tuple[Side, Side] = ("long", "short")

Number = Annotated[float, v.NUMBER]
Flag = Annotated[bool, v.FLAG]
Text = Annotated[str, v.TEXT]
Names = Annotated[tuple[str, ...], v.NAMES]
Bound = Annotated[v.BoundValue, v.BOUND]
CoinSides = Annotated[dict[str, tuple[str, ...]], v.COINS]


class Section(BaseModel):
    """A part of the configuration. Private keys (leading ``_``) are kept as they are."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())


class Backtest(Section):
    """``backtest``: period, balance and source of the candles."""

    base_dir: Text = "backtests"
    candle_interval_minutes: Annotated[int, v.INTERVAL] = 1
    combine_ohlcvs: Flag = True
    compress_cache: Flag = True
    end_date: Annotated[str, v.END_DATE] = "now"
    exchanges: Names = ("binance", "bybit", "gateio", "bitget")
    gap_tolerance_ohlcvs_minutes: Annotated[float, v.NOT_NEGATIVE] = 120.0
    start_date: Annotated[str, v.START_DATE] = "2021-04-01"
    starting_balance: Annotated[float, v.POSITIVE] = 100000.0
    use_btc_collateral: Flag = False

    @property
    def start_ms(self) -> int | None:
        """First minute that may be traded, UTC milliseconds; None: from the first candle on."""
        return None if v.is_open(self.start_date) else v.date_ms(self.start_date)

    @property
    def end_ms(self) -> int | None:
        """Last minute of the period, UTC milliseconds: 00:00 of the end date (trading-semantics §7.4).

        None where ``end_date`` is ``now``, ``today`` or empty: a candle folder then ends the period with its
        last candle, a store two days before today. The word itself stays in the configuration, so that
        loading does not depend on the clock.
        """
        return None if v.is_open(self.end_date) else v.date_ms(self.end_date) // DAY_MS * DAY_MS


class BotSide(Section):
    """``bot.long`` or ``bot.short``: the strategy parameters of one side (trading-semantics §3)."""

    close_grid_markup_end: Number = 0.0089
    close_grid_markup_start: Number = 0.0344
    close_grid_qty_pct: Number = 0.125
    close_trailing_grid_ratio: Number = 0.5
    close_trailing_qty_pct: Number = 0.125
    close_trailing_retracement_pct: Number = 0.002
    close_trailing_threshold_pct: Number = 0.008
    ema_span_0: Number = 1318.0
    ema_span_1: Number = 1435.0
    enforce_exposure_limit: Flag = True
    entry_grid_double_down_factor: Number = 0.894
    entry_grid_spacing_log_span_hours: Number = 72.0
    entry_grid_spacing_log_weight: Number = 0.0
    entry_grid_spacing_pct: Number = 0.04
    entry_grid_spacing_we_weight: Number = 0.697
    entry_initial_ema_dist: Number = -0.00738
    entry_initial_qty_pct: Number = 0.00592
    entry_trailing_double_down_factor: Number = 0.894
    entry_trailing_grid_ratio: Number = 0.5
    entry_trailing_retracement_pct: Number = 0.01
    entry_trailing_threshold_pct: Number = 0.05
    filter_log_range_ema_span: Number = 60.0
    filter_volume_drop_pct: Number = 0.95
    filter_volume_ema_span: Number = 60.0
    n_positions: Annotated[float, v.SLOTS] = 10.0
    total_wallet_exposure_limit: Number = 1.7
    unstuck_close_pct: Number = 0.001
    unstuck_ema_dist: Number = 0.0
    unstuck_loss_allowance_pct: Number = 0.03
    unstuck_threshold: Number = 0.916

    @property
    def slots(self) -> int:
        """Most coins that are held at once."""
        return max(0, int(self.n_positions))

    @property
    def trades(self) -> bool:
        """Whether the side enters anything."""
        return self.slots > 0 and self.total_wallet_exposure_limit > 0

    def to_engine(self) -> dict[str, float | bool]:
        """Return the 30 parameters by name."""
        return {name: getattr(self, name) for name in type(self).model_fields}


class Bot(Section):
    """``bot``: the parameters of both sides."""

    long: BotSide = BotSide()
    short: BotSide = BotSide()

    def side(self, side: str) -> BotSide:
        """Return the parameters of one side."""
        return self.long if side == "long" else self.short

    def to_engine(self) -> dict[str, dict[str, float | bool]]:
        """Return what ``Engine.backtest`` takes: side → parameter → value."""
        return {side: self.side(side).to_engine() for side in SIDES}


def _no_coins() -> dict[str, tuple[str, ...]]:
    return {"long": (), "short": ()}


class Live(Section):
    """``live``: coins, warm-up and the behaviour of the bot."""

    approved_coins: CoinSides = Field(default_factory=_no_coins)
    auto_gs: Flag = True
    inactive_coin_candle_ttl_minutes: Number = 10.0
    empty_means_all_approved: Flag = False
    execution_delay_seconds: Number = 2.0
    filter_by_min_effective_cost: Flag = True
    forced_mode_long: Annotated[str, v.MODE] = ""
    forced_mode_short: Annotated[str, v.MODE] = ""
    ignored_coins: CoinSides = Field(default_factory=_no_coins)
    leverage: Number = 10.0
    market_orders_allowed: Flag = True
    max_memory_candles_per_symbol: Annotated[int, v.INTEGER] = 20000
    max_disk_candles_per_symbol_per_tf: Annotated[int, v.INTEGER] = 2000000
    max_n_cancellations_per_batch: Annotated[int, v.INTEGER] = 5
    max_n_creations_per_batch: Annotated[int, v.INTEGER] = 3
    max_n_restarts_per_day: Annotated[int, v.INTEGER] = 10
    minimum_coin_age_days: Number = 7.0
    pnls_max_lookback_days: Number = 30.0
    price_distance_threshold: Number = 0.002
    memory_snapshot_interval_minutes: Number = 30.0
    max_warmup_minutes: Number = 0.0
    time_in_force: Annotated[str, v.choice("good_till_cancelled", "post_only")] = "good_till_cancelled"
    warmup_ratio: Number = 0.2
    user: Text = "bybit_01"
    base_config_path: Text = ""

    @property
    def named_coins(self) -> frozenset[str]:
        """The coins that the lists of either side name; ignored ones may be among them."""
        return frozenset(coin for side in self.approved_coins.values() for coin in side)

    def approved(self, side: str, available: Collection[str] = ()) -> frozenset[str]:
        """Return the coins that a side may enter, without the ignored ones.

        Parameters
        ----------
        side
            ``long`` or ``short``.
        available
            What an empty list stands for, where ``empty_means_all_approved`` is on.
        """
        coins = self.approved_coins[side] or (available if self.empty_means_all_approved else ())
        return frozenset(coins) - frozenset(self.ignored_coins[side])


_SIDE_BOUNDS: Mapping[str, tuple[float, float]] = {
    "close_grid_markup_end": (0.001, 0.03),
    "close_grid_markup_start": (0.001, 0.03),
    "close_grid_qty_pct": (0.05, 1.0),
    "close_trailing_grid_ratio": (-1.0, 1.0),
    "close_trailing_qty_pct": (0.05, 1.0),
    "close_trailing_retracement_pct": (0.0, 0.1),
    "close_trailing_threshold_pct": (-0.1, 0.1),
    "ema_span_0": (200.0, 1440.0),
    "ema_span_1": (200.0, 1440.0),
    "entry_grid_double_down_factor": (0.1, 3.0),
    "entry_grid_spacing_log_span_hours": (24.0, 336.0),
    "entry_grid_spacing_log_weight": (0.0, 400.0),
    "entry_grid_spacing_pct": (0.005, 0.12),
    "entry_grid_spacing_we_weight": (0.0, 2.0),
    "entry_initial_ema_dist": (-0.1, 0.002),
    "entry_initial_qty_pct": (0.005, 0.1),
    "entry_trailing_double_down_factor": (0.1, 3.0),
    "entry_trailing_grid_ratio": (-1.0, 1.0),
    "entry_trailing_retracement_pct": (0.0, 0.1),
    "entry_trailing_threshold_pct": (-0.1, 0.1),
    "filter_log_range_ema_span": (10.0, 1440.0),
    "filter_volume_drop_pct": (0.0, 1.0),
    "filter_volume_ema_span": (10.0, 1440.0),
    "n_positions": (1.0, 20.0),
    "total_wallet_exposure_limit": (0.0, 2.0),
    "unstuck_close_pct": (0.001, 0.1),
    "unstuck_ema_dist": (-0.1, 0.01),
    "unstuck_loss_allowance_pct": (0.001, 0.05),
    "unstuck_threshold": (0.4, 0.95),
}
BOUNDS: Mapping[str, tuple[float, float]] = {
    f"{side}_{name}": bound for side in SIDES for name, bound in _SIDE_BOUNDS.items()
}
"""Built-in bounds, in the order of the searched vector (optimizer-semantics §1.1)."""

DEFAULT_LIMITS = "--drawdown_worst 0.333 --loss_profit_ratio: 0.9 --position_unchanged_hours_max 300.0"


def _builtin_bounds() -> dict[str, v.BoundValue]:
    return {**BOUNDS}


class Optimize(Section):
    """``optimize``: what a search moves, within which bounds, towards what."""

    bounds: dict[str, Bound] = Field(default_factory=_builtin_bounds)
    compress_results_file: Flag = True
    crossover_probability: Annotated[float, v.SHARE] = 0.7
    crossover_eta: Annotated[float, v.NOT_NEGATIVE] = 20.0
    enable_overrides: Names = ()
    iters: Annotated[int, v.COUNT] = 30000
    limits: Annotated[dict[str, float], v.LIMITS] = Field(
        default_factory=lambda: v.parse_limits(DEFAULT_LIMITS)
    )
    mutation_probability: Annotated[float, v.SHARE] = 0.45
    mutation_eta: Annotated[float, v.NOT_NEGATIVE] = 20.0
    mutation_indpb: Number = 0.0
    n_cpus: Annotated[int, v.COUNT] = 5
    offspring_multiplier: Annotated[float, v.MULTIPLIER] = 1.0
    population_size: Annotated[int, v.COUNT] = 1000
    round_to_n_significant_digits: Annotated[int, v.integer(low=1, high=17)] = 5
    scoring: Names = ("adg", "sharpe_ratio")
    write_all_results: Flag = True


class Logging(Section):
    """``logging``: 0 (warnings) … 3 (trace)."""

    level: Annotated[int, v.integer(low=0, high=3)] = 1


class Config(Section):
    """A complete, normalised configuration.

    Make one with :func:`passivbot.config.load_config`; :meth:`from_dict` reads back what :meth:`to_dict`
    gave.
    """

    backtest: Backtest = Backtest()
    bot: Bot = Bot()
    coin_overrides: Annotated[dict[str, dict[str, Any]], v.MAPPING] = Field(default_factory=dict)
    live: Live = Live()
    optimize: Optimize = Optimize()
    logging: Logging = Logging()

    _command_line_bounds: frozenset[str] = PrivateAttr(default=frozenset())

    @property
    def command_line_bounds(self) -> frozenset[str]:
        """Names of the bounds that were given on the command line: fine-tuning leaves these free."""
        return self._command_line_bounds

    def with_command_line_bounds(self, names: Collection[str]) -> Self:
        """Return a copy that remembers which bounds the command line gave."""
        copy = self.model_copy()
        copy._command_line_bounds = frozenset(names)
        return copy

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as JSON-able dictionary; loading it changes nothing."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], file: str | Path = "configuration") -> Self:
        """Check a configuration that is already in the current layout and normalised.

        Unlike :func:`~passivbot.config.load_config` this migrates nothing, reads no coin files and adds no
        missing bound; sections and other keys that are absent get their built-in defaults.

        Parameters
        ----------
        data
            What :meth:`to_dict` returned, or a part of it.
        file
            Origin, for messages.

        Raises
        ------
        ConfigError
            Wrong type, unknown key, missing bound; names the key, the value and what is allowed.
        """
        for parent, name in unknown_keys(data):
            raise ConfigError(unknown_key(file, f"{parent}.{name}" if parent else name))
        config = validated(cls, data, {}, file)
        for name in BOUNDS:
            if name not in config.optimize.bounds:
                raise ConfigError(missing_bound(name, file))
        return config

    def engine_overrides(self, coins: Sequence[str]) -> dict[str, dict[str, dict[str, float | bool]]]:
        """Return the bot parameters that single coins replace, as the engine takes them.

        Parameters
        ----------
        coins
            Coins of the run; overrides of other coins are left out.

        Returns
        -------
        coin → side → parameter → value; coins and sides without an override are absent.
        """
        result: dict[str, dict[str, dict[str, float | bool]]] = {}
        for coin in coins:
            sides = self.coin_overrides.get(coin, {}).get("bot", {})
            kept: dict[str, dict[str, float | bool]] = {s: dict(sides[s]) for s in SIDES if sides.get(s)}
            if kept:
                result[coin] = kept
        return result


_M = TypeVar("_M", bound=Section)


def validated(model: type[_M], data: Mapping[str, Any], origins: Mapping[str, str], file: str | Path) -> _M:
    """Validate raw data; the first wrong value becomes the message.

    Parameters
    ----------
    model, data
        The model and the raw data.
    origins
        Dotted key → where its value comes from, for keys that do not come from ``file``.
    file
        Where the rest comes from.

    Raises
    ------
    ConfigError
        A value is not allowed.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        parts = [str(part) for part in first["loc"]]
        key = ".".join(parts)
        cause = first.get("ctx", {}).get("error")
        allowed = str(cause) if isinstance(cause, ValueError) else "a mapping"
        value = plain(first["input"])
        if isinstance(value, str) and "number" in allowed and _is_number(value):
            allowed += ", without quotes"
        raise ConfigError(located(origins.get(key, str(file)), key, value, allowed)) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def plain(value: Any) -> Any:
    """Return a value as plain dictionaries and lists, so that a message shows it as it was written."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


def leaves(model: type[Section] = Config, prefix: str = "") -> Iterator[tuple[str, v.Kind]]:
    """Yield (dotted key, kind) of every key of the schema; each built-in bound is one."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from leaves(field.annotation, f"{key}.")
        elif key == "optimize.bounds":
            yield from ((f"{key}.{bound}", v.BOUND) for bound in BOUNDS)
        else:
            yield key, next(kind for kind in field.metadata if isinstance(kind, v.Kind))


def sections(model: type[Section] = Config, prefix: str = "") -> Iterator[tuple[str, type[Section]]]:
    """Yield (dotted key, model) of every section, outermost first; the key of the whole is empty."""
    yield prefix, model
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from sections(field.annotation, f"{prefix}.{name}" if prefix else name)


KINDS: Mapping[str, v.Kind] = dict(leaves())
"""Dotted key → kind of value, in schema order."""


def unknown_keys(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (dotted key of the section, name) of keys that the schema does not have.

    Private keys are known everywhere. A name may itself hold dots.
    """
    found: list[tuple[str, str]] = []
    known: Iterable[tuple[str, Collection[str]]] = [
        *((prefix, model.model_fields) for prefix, model in sections()),
        ("optimize.bounds", BOUNDS),
    ]
    for prefix, names in known:
        part: Any = data
        for step in prefix.split(".") if prefix else ():
            part = part.get(step) if isinstance(part, Mapping) else None
        if isinstance(part, Mapping):
            found += [(prefix, name) for name in part if name not in names and not name.startswith("_")]
    return found


def suggestion(key: str) -> str:
    """Return `` (nearest known key: …)``, or nothing if no key is close."""
    parent, _, name = key.rpartition(".")
    if key in KINDS:
        # A dotted key written as one name.
        return f" (known is {name} inside {parent})"
    siblings = {
        k.rpartition(".")[2]: k
        for k in [*KINDS, *(s for s, _ in sections())]
        if k.rpartition(".")[0] == parent
    }
    near = nearest(name, siblings)
    found = siblings[near] if near else _elsewhere(key, name)
    return f" (nearest known key: {found})" if found else ""


def _elsewhere(key: str, name: str) -> str | None:
    """Return the nearest key of another section whose last name is near: that of sections says nothing."""
    near = nearest(name, {known.rpartition(".")[2] for known in KINDS})
    return nearest(key, [known for known in KINDS if known.rpartition(".")[2] == near]) if near else None


def missing_bound(name: str, file: str | Path) -> str:
    """Return the message for a parameter that has no bound."""
    return f"{file}: optimize.bounds.{name} is missing; allowed is {v.BOUND.allowed}"


def unknown_key(file: str | Path, key: str) -> str:
    """Return the message for a key that does not exist."""
    return f"{file}: {key} is not a key of the configuration{suggestion(key)}"
