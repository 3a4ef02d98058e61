"""Typed face of the compiled engine.

The engine reads an Arrow table of candles where it lies, simulates the trailing-grid strategy (the
specification is trading-semantics) and computes metrics (analysis-metrics). Everything here is
deterministic: the same input gives the same bits on every machine and in every position of a batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from passivbot import _engine
from passivbot.errors import EngineError

__version__: str = _engine.__version__

SIDE_PARAMETERS: tuple[str, ...] = tuple(_engine.SIDE_PARAMETERS)
"""The 29 optimised parameters of one side, ascending."""

PARAMETERS: tuple[str, ...] = tuple(
    f"{side}_{name}" for side in ("long", "short") for name in SIDE_PARAMETERS
)
"""The 58 components of a parameter vector, in order (optimizer-semantics §1.1)."""

METRICS: tuple[str, ...] = tuple(_engine.METRICS)
"""Names of the metrics of the USD set, ascending (analysis-metrics §10); ``btc_`` before them names the BTC
set."""

WATCHED_METRICS: tuple[str, ...] = tuple(_engine.WATCHED_METRICS)
"""Those that never fall while a run goes on, so that a limit on them, once broken, stays broken: what
``limits`` may name, with ``btc_`` before it for the BTC set."""

STOPPED_MINUTE: str = _engine.STOPPED_MINUTE
"""Name that :meth:`Engine.evaluate` takes among ``metrics``: the last minute of a run that was stopped."""

ORDER_TYPES: tuple[str, ...] = tuple(_engine.ORDER_TYPES)
"""Names of the order types (trading-semantics §2.5)."""

INSTRUCTION_SETS: tuple[str, ...] = tuple(_engine.INSTRUCTION_SETS)
"""Instruction sets of this processor that the engine is compiled for, worst first; the results are the same
bits on all."""

Bot = Mapping[str, Mapping[str, float | bool]]
"""``{"long": {parameter: value}, "short": {…}}`` with all 30 parameters of each side."""

Overrides = Mapping[str, Mapping[str, Mapping[str, float | bool]]]
"""Coin → side → parameter → value."""


@dataclass(frozen=True, slots=True)
class MarketRules:
    """What an exchange accepts for one coin (trading-semantics §2.4).

    Parameters
    ----------
    qty_step
        Quantity granularity, in coins or contracts; > 0.
    price_step
        Price granularity, in quote currency; > 0.
    min_qty
        Smallest order quantity.
    min_cost
        Smallest order cost, in quote currency.
    c_mult
        Contract multiplier; 1 for linear contracts quoted in coins.
    """

    qty_step: float
    price_step: float
    min_qty: float
    min_cost: float
    c_mult: float


class BacktestResult(NamedTuple):
    """What one run leaves behind."""

    fills: pa.Table
    """One row a fill, in order (trading-semantics §12.5): minute, coin, pnl, fee_paid, balance, balance_btc,
    balance_usd, btc_price, qty, price, position_size, position_price, order_type, wallet_exposure,
    total_wallet_exposure."""

    equity: pa.Table
    """Columns minute (int64), usd, btc: one row for every bar 0 … T − 2, or as far as the run went."""

    analysis: dict[str, dict[str, float | None]]
    """``{"usd": {metric: value}, "btc": {…}}``; None where a metric is not finite. Without BTC collateral
    both sets are equal."""

    stopped: int | None = None
    """Last minute of a run that was stopped early, which everything else is of; None: it ran to its end."""


class TrailingFlipResult(NamedTuple):
    """What a run of the trailing-flip strategy leaves behind."""

    fills: pa.Table
    """One row a fill: minute, pnl, fee_paid (positive when paid), balance, qty, price, position_size,
    position_price, upnl, order_type."""

    equity: NDArray[np.float64]
    """Balance plus unrealised profit at the candle's worst price, one value per candle."""


class Engine:
    """A backtest engine over one set of candles.

    Parameters
    ----------
    candles
        Table with ``timestamp`` (int64, UTC ms, consecutive bars of one length) and, per coin, ``COIN.high``,
        ``COIN.low``, ``COIN.close``, ``COIN.volume`` (float64; quote volume), NaN outside the coin's life.
        One chunk a column, no nulls. Its buffers are read where they lie and must not change.
    markets
        Rules by coin; these coins, ascending, are the coins of the run.
    starting_balance
        Balance at minute 0, USD.
    maker_fee
        Fee rate of every fill.
    btc_usd
        Price of a bitcoin, one value per bar, shape (T,). BTC collateral is on if some value differs from 1.
    requested_start_ms
        No order before this time, UTC ms. Default: the first bar.
    prepared
        Tables of these candles that another engine made (:meth:`prepare`), read where they lie. Default: made
        when first needed, for this engine alone.
    instructions
        One of :data:`INSTRUCTION_SETS`. Default: the last of them.

    Raises
    ------
    EngineError
        If the candles, rules or amounts can't be used; the message names the column and what is allowed.

    Notes
    -----
    The timestamps say how long a bar is: a divisor of 60 minutes; one minute is the specification. Minutes
    in arguments and results are those of the clock, whatever the bars: spans and warm-ups are given in
    minutes, and what happens in bar k of I minutes happens in minute k × I. A span becomes a number of bars
    (span ÷ I) before its smoothing factor, a warm-up one that is rounded up. A single candle is that of a
    minute.
    """

    def __init__(
        self,
        candles: pa.Table,
        markets: Mapping[str, MarketRules],
        *,
        starting_balance: float,
        maker_fee: float,
        btc_usd: ArrayLike | None = None,
        requested_start_ms: int | None = None,
        prepared: pa.Table | None = None,
        instructions: str | None = None,
    ) -> None:
        rules = {coin: astuple(rule) for coin, rule in markets.items()}
        btc = None if btc_usd is None else np.ascontiguousarray(btc_usd, dtype=np.float64)
        self._engine = _engine.Engine(
            candles,
            rules,
            float(starting_balance),
            float(maker_fee),
            btc,
            requested_start_ms,
            prepared,
            instructions,
        )
        lives = self._engine.lives()
        self.coins: tuple[str, ...] = tuple(self._engine.coins)
        """Coins of the run, ascending."""
        self.bars: int = self._engine.bars
        """Bars of the panel, T."""
        self.interval_minutes: int = self._engine.interval_minutes
        """Minutes of a bar."""
        self.minutes: int = self.bars * self.interval_minutes
        """Minutes of the panel."""
        self.first_valid: tuple[int, ...] = tuple(first * self.interval_minutes for first, _ in lives)
        """Minute of each coin's first finite close."""
        self.last_valid: tuple[int, ...] = tuple(last * self.interval_minutes for _, last in lives)
        """Minute of each coin's last finite close, inclusive."""

    def prepare(self) -> pa.Table:
        """Return what all runs over these candles share, for the engines of other processes.

        Returns
        -------
        pyarrow.Table
            One row; less than 30 % of the size of candles of a minute. Pass it as
            ``prepared`` with the same candles.
        """
        return self._engine.prepare()

    def backtest(
        self,
        bot: Bot,
        coin_overrides: Overrides | None = None,
        warmup_minutes: int | None = None,
        coin_warmup_minutes: int | Mapping[str, int] | None = None,
        *,
        limits: Mapping[str, float] | None = None,
    ) -> BacktestResult:
        """Run one candidate and keep everything.

        Parameters
        ----------
        bot
            Parameters of both sides; a side without ``wallet_exposure_limit`` has −1 (dynamic).
        coin_overrides
            Parameters that replace those of the bot for single coins.
        warmup_minutes
            Global warm-up: no order until more minutes have passed.
        coin_warmup_minutes
            Warm-up of each coin after its first candle, one number or by coin. Default: ``warmup_minutes``.
            Both None: the longest span of the candidate (trading-semantics §7.3).
        limits
            Stop the run at the end of the first day (1440 minutes from minute 0) on which the equity in USD
            was 0 or less, or after which a metric is greater than its limit here: names out of
            :data:`WATCHED_METRICS`, with ``btc_`` before them for the BTC set. Limits count from the second
            day and the second fill on. An empty mapping stops at lost equity alone. Default: never.

        Raises
        ------
        EngineError
            If a parameter is missing, unknown or not finite, or a limit can't be watched.
        """
        warmup, coin_warmup = self._warmup(1, warmup_minutes, coin_warmup_minutes)
        return BacktestResult(
            *self._engine.backtest(bot, coin_overrides, warmup, coin_warmup, _limits(limits))
        )

    def evaluate(
        self,
        bots: Sequence[Bot],
        metrics: Sequence[str],
        *,
        coin_overrides: Overrides | None = None,
        warmup_minutes: int | ArrayLike | None = None,
        coin_warmup_minutes: int | Mapping[str, int] | ArrayLike | None = None,
        limits: Mapping[str, float] | None = None,
    ) -> NDArray[np.float64]:
        """Compute metrics of many candidates. Releases the interpreter lock.

        Parameters
        ----------
        bots
            n candidates, as in :meth:`backtest`.
        metrics
            m names out of :data:`METRICS`, with ``btc_`` before them for the BTC set; :data:`STOPPED_MINUTE`.
        coin_overrides
            As in :meth:`backtest`, for all candidates.
        warmup_minutes
            As in :meth:`backtest`, or one value per candidate, shape (n,).
        coin_warmup_minutes
            As in :meth:`backtest`, or one value per candidate and coin (ascending), shape (n, C).
        limits
            As in :meth:`backtest`, for all candidates: a run that is stopped has the metrics of what was run.

        Returns
        -------
        float64 array, shape (n, m)
            NaN where a metric is not finite, or a run was not stopped. Row i is what :meth:`backtest` gives
            for candidate i, bit for bit.

        Raises
        ------
        EngineError
            If a metric, a parameter or a limit can't be used.
        """
        warmup, coin_warmup = self._warmup(len(bots), warmup_minutes, coin_warmup_minutes)
        values = self._engine.evaluate(
            list(bots), list(metrics), coin_overrides, warmup, coin_warmup, _limits(limits)
        )
        return np.asarray(values, dtype=np.float64)

    def evaluate_matrix(
        self,
        parameters: ArrayLike,
        template: Bot,
        metrics: Sequence[str],
        *,
        coin_overrides: Overrides | None = None,
        warmup_minutes: int | ArrayLike | None = None,
        coin_warmup_minutes: int | Mapping[str, int] | ArrayLike | None = None,
        limits: Mapping[str, float] | None = None,
    ) -> NDArray[np.float64]:
        """Compute metrics of many candidates given as vectors.

        Parameters
        ----------
        parameters
            float64, shape (n, 58): components in the order of :data:`PARAMETERS`.
        template
            A bot that gives what a vector does not hold (``enforce_exposure_limit``,
            ``wallet_exposure_limit``).
        metrics, coin_overrides, warmup_minutes, coin_warmup_minutes, limits
            As in :meth:`evaluate`.

        Returns
        -------
        float64 array, shape (n, m)
            As in :meth:`evaluate`.
        """
        matrix = np.ascontiguousarray(parameters, dtype=np.float64)
        if matrix.ndim != 2:
            raise EngineError(f"parameters has {matrix.ndim} dimensions; allowed are 2")
        warmup, coin_warmup = self._warmup(len(matrix), warmup_minutes, coin_warmup_minutes)
        values = self._engine.evaluate_matrix(
            matrix, template, list(metrics), coin_overrides, warmup, coin_warmup, _limits(limits)
        )
        return np.asarray(values, dtype=np.float64)

    def _warmup(
        self,
        candidates: int,
        minutes: int | ArrayLike | None,
        coin_minutes: int | Mapping[str, int] | ArrayLike | None,
    ) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None]:
        """Spread what the caller gave over candidates, and over candidates and coins."""
        warmup = None if minutes is None else _minutes(minutes, (candidates,))
        if isinstance(coin_minutes, Mapping):
            unknown = sorted(set(coin_minutes) - set(self.coins))
            missing = sorted(set(self.coins) - set(coin_minutes))
            if unknown or missing:
                raise EngineError(
                    f"coin_warmup_minutes: unknown coins {unknown}, missing coins {missing}; allowed is one "
                    f"number for each of {list(self.coins)}"
                )
            coin_minutes = [coin_minutes[coin] for coin in self.coins]
        if coin_minutes is None:
            return warmup, None
        return warmup, _minutes(coin_minutes, (candidates, len(self.coins)))


def _limits(limits: Mapping[str, float] | None) -> dict[str, float] | None:
    try:
        return None if limits is None else {str(name): float(value) for name, value in limits.items()}
    except (AttributeError, TypeError, ValueError):
        raise EngineError(f"limits is {limits!r}; allowed is a mapping of metrics to numbers") from None


def _minutes(values: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise EngineError(f"a warm-up is {values!r}; allowed are whole minutes")
    try:
        return np.ascontiguousarray(np.broadcast_to(array, shape), dtype=np.int64)
    except ValueError:
        raise EngineError(
            f"warm-up has shape {array.shape}; allowed is one number or shape {shape}"
        ) from None


def round_significant(values: ArrayLike, digits: int) -> NDArray[np.float64]:
    """Round each value to ``digits`` significant digits, and to ten decimals (trading-semantics §4,
    ``round_sig``).

    Parameters
    ----------
    values
        Any shape, converted to float64.
    digits
        Significant digits, ≥ 1.

    Returns
    -------
    float64 array of the same shape
        Values that are not finite are returned as they are.
    """
    array = np.asarray(values, dtype=np.float64)
    flat = np.ascontiguousarray(array.ravel())
    return np.asarray(_engine.round_significant(flat, digits), dtype=np.float64).reshape(array.shape)


def trailing_flip(
    candles: ArrayLike | pa.Table, adx_1: ArrayLike, adx_2: ArrayLike, parameters: Mapping[str, Any]
) -> TrailingFlipResult:
    """Run the trailing-flip strategy on one coin (the specification is trailing-flip).

    It stands alone: no market rules, no warm-up, a starting balance of 100, outside the search.

    Parameters
    ----------
    candles
        float64, shape (T, 4): high, low, close, volume (not used); or a table of one coin with the columns
        ``COIN.high``, ``COIN.low``, ``COIN.close``.
    adx_1, adx_2
        Trend-strength series, shape (T,).
    parameters
        The eleven parameters of the specification's §1, by name.

    Raises
    ------
    EngineError
        If a series has another length than the candles, or a parameter is missing or unknown.
    """
    high, low, close, one, two = (
        np.ascontiguousarray(values, dtype=np.float64)
        for values in (*_columns_of_one_coin(candles), adx_1, adx_2)
    )
    numbers = {name: float(value) for name, value in parameters.items()}
    return TrailingFlipResult(*_engine.trailing_flip(high, low, close, one, two, numbers))


def _columns_of_one_coin(candles: ArrayLike | pa.Table) -> tuple[ArrayLike, ArrayLike, ArrayLike]:
    if isinstance(candles, pa.Table):
        coins = sorted({name.rsplit(".", 1)[0] for name in candles.column_names if "." in name})
        if len(coins) != 1:
            raise EngineError(f"candles: the table has the coins {coins}; allowed is one")
        high, low, close = (candles[f"{coins[0]}.{field}"].to_numpy() for field in ("high", "low", "close"))
        return high, low, close
    array = np.asarray(candles, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] < 3:
        raise EngineError(f"candles has shape {array.shape}; allowed is (T, 4): high, low, close, volume")
    return array[:, 0], array[:, 1], array[:, 2]
