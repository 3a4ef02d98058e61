"""What runs in a worker: an evaluator over the node's candles, inside a Ray actor.

The actor keeps nothing from one batch to the next but counters, since workers live as long as the study.
"""

import importlib
import os
import pickle
import resource
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from cluster.candles import Candles
from passivbot.backtest import Candidates, Scenario
from passivbot.config import ParameterSpace
from passivbot.engine import STOPPED_MINUTE, Engine, MarketRules

Array = NDArray[np.float64]


class Evaluated(NamedTuple):
    """Metrics (n, m), NaN for null; and the last minute (n,) of those stopped early, NaN for the others."""

    metrics: Array
    stopped: Array


class Evaluator(Protocol):
    """Turns parameters into metrics; a pure function of one row, whatever the other rows are."""

    def evaluate(self, parameters: Array) -> Evaluated:
        """Evaluate parameters (n, d)."""


@dataclass(frozen=True)
class EngineFactory:
    """Makes a worker's evaluator: the engine over the shared candles.

    Attributes
    ----------
    candles
        The panel, where this machine has it.
    markets, starting_balance, maker_fee, requested_start_ms
        As ``Engine`` takes them.
    candidates
        What the candidates have in common.
    metrics
        Names of the metrics to return, in this order.
    limits
        Those at which a candidate is stopped early; None: it runs to its end.
    """

    candles: Candles
    markets: Mapping[str, MarketRules]
    starting_balance: float
    maker_fee: float
    requested_start_ms: int
    candidates: Candidates
    metrics: tuple[str, ...]
    limits: Mapping[str, float] | None = None

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        space: ParameterSpace,
        metrics: Sequence[str],
        candles: Candles,
        limits: Mapping[str, float] | None = None,
    ) -> Self:
        """Return the factory for the candidates of a scenario, whose candles were placed."""
        return cls(
            candles=candles,
            markets=scenario.markets,
            starting_balance=scenario.starting_balance,
            maker_fee=scenario.maker_fee,
            requested_start_ms=scenario.requested_start_ms,
            candidates=Candidates.of(scenario.config, scenario.coins, space),
            metrics=tuple(metrics),
            limits=limits,
        )

    def __call__(self) -> "EngineEvaluator":
        """Make the evaluator, in the worker."""
        return EngineEvaluator(self)


class EngineEvaluator:
    """Runs candidates in the engine: enforced vectors in, metrics out."""

    def __init__(self, setup: EngineFactory) -> None:
        table, btc_usd, prepared = setup.candles.read()
        self._setup = setup
        self._engine = Engine(
            table,
            setup.markets,
            starting_balance=setup.starting_balance,
            maker_fee=setup.maker_fee,
            btc_usd=btc_usd,
            requested_start_ms=setup.requested_start_ms,
            prepared=prepared,
        )

    def evaluate(self, parameters: Array) -> Evaluated:
        """Evaluate enforced vectors (n, 58)."""
        setup = self._setup
        wanted = (*setup.metrics, STOPPED_MINUTE)
        columns = setup.candidates.evaluate(self._engine, parameters, wanted, setup.limits)
        return Evaluated(columns[:, :-1], columns[:, -1])


@dataclass(frozen=True)
class Introduction:
    """What a worker says when its process has started."""

    host: str
    pid: int
    node: str


@dataclass(frozen=True)
class Prepared:
    """What a worker says when it has its candles; ``failure`` says why it has not."""

    failure: str | None = None


@dataclass(frozen=True)
class Reply:
    """The results of one batch.

    Attributes
    ----------
    metrics
        (n, m) in the order of the batch; a failed candidate's row is NaN.
    stopped
        (n,) last minute of the candidates that were stopped early, NaN for the others.
    errors
        Position in the batch → cause, of the candidates whose evaluation raised.
    seconds
        In the evaluator.
    seconds_each
        (n,) share of each candidate: its own time where it ran alone, else the mean.
    overhead
        Seconds of the call outside the evaluator.
    private_bytes
        Memory of the worker that it does not share.
    """

    metrics: Array
    stopped: Array
    errors: Mapping[int, str]
    seconds: float
    seconds_each: Array
    overhead: float
    private_bytes: int


@dataclass
class Worker:
    """The actor. ``factory`` runs here; what it raises is told by :meth:`prepare`, not by a dead actor."""

    factory: Callable[[], Evaluator]
    width: int
    _evaluator: Evaluator | None = field(init=False, default=None)
    _failure: str | None = field(init=False, default=None)

    def introduce(self) -> Introduction:
        """Say who and where this worker is."""
        ray = importlib.import_module("ray")
        return Introduction(socket.gethostname(), os.getpid(), ray.get_runtime_context().get_node_id())

    def prepare(self) -> Prepared:
        """Make the evaluator: the node fetches the candles here, if none of its workers has yet."""
        try:
            self._evaluator = self.factory()
        except BaseException as error:
            _let_pass(error)
            self._failure = describe(error)
        return Prepared(self._failure)

    def evaluate(self, parameters: Array) -> Reply:
        """Evaluate a batch (n, d); a candidate whose evaluation raises fails alone."""
        started = time.perf_counter()
        if self._evaluator is None:
            raise RuntimeError(f"the worker has no evaluator: {self._failure}")
        errors: dict[int, str] = {}
        count = len(parameters)
        before = time.perf_counter()
        try:
            found = self._checked(parameters)
            seconds = time.perf_counter() - before
            each = np.full(count, seconds / max(1, count))
        except BaseException as error:
            _let_pass(error)
            found, each = self._singly(parameters, errors)
            seconds = time.perf_counter() - before
        return Reply(
            metrics=found.metrics,
            stopped=found.stopped,
            errors=errors,
            seconds=seconds,
            seconds_each=each,
            overhead=time.perf_counter() - started - seconds,
            private_bytes=private_bytes(),
        )

    def evaluate_packed(self, packed: bytes) -> bytes:
        """Return :meth:`evaluate` of what was packed by ``pickle``, itself packed.

        Ray carries bytes as they are, which is quicker than its own way with small arrays.
        """
        return pickle.dumps(self.evaluate(pickle.loads(packed)), pickle.HIGHEST_PROTOCOL)

    def _singly(self, parameters: Array, errors: dict[int, str]) -> tuple[Evaluated, Array]:
        found = Evaluated(np.full((len(parameters), self.width), np.nan), np.full(len(parameters), np.nan))
        each = np.zeros(len(parameters))
        for i in range(len(parameters)):
            before = time.perf_counter()
            try:
                one = self._checked(parameters[i : i + 1])
                found.metrics[i], found.stopped[i] = one.metrics[0], one.stopped[0]
            except BaseException as error:
                _let_pass(error)
                errors[i] = describe(error)
            each[i] = time.perf_counter() - before
        return found, each

    def _checked(self, parameters: Array) -> Evaluated:
        assert self._evaluator is not None
        found = Evaluated(*(np.asarray(a, dtype=np.float64) for a in self._evaluator.evaluate(parameters)))
        expected = (len(parameters), self.width), (len(parameters),)
        if (found.metrics.shape, found.stopped.shape) != expected:
            raise ValueError(
                f"metrics and stops of shapes {found.metrics.shape}, {found.stopped.shape}, not {expected}"
            )
        return found


def describe(error: BaseException) -> str:
    """Return an error as one line for the log."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:500] if text else type(error).__name__


def _let_pass(error: BaseException) -> None:
    """Raise what ends a process; a panic of the engine is a BaseException too, but one of the candidate."""
    if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
        raise error


def private_bytes() -> int:
    """Return the resident memory of this process less what it shares, such as the candles."""
    try:
        pages = Path("/proc/self/statm").read_text().split()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE")
