"""The contract between a study and whatever proposes its candidates."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from cluster.search.duplicates import Asked
from cluster.search.sobol_points import SobolPoints
from cluster.search.streams import MAX_SEED, stream
from passivbot.errors import ConfigError, located

Array = NDArray[np.float64]


SCHEME = 2
"""How a new study's children are made; see :class:`Settings`."""


def _refused(name: str, value: object, allowed: str) -> ConfigError:
    return ConfigError(located("search settings", name, value, allowed))


def _no_seeds() -> Array:
    return np.empty((0, 0))


@dataclass(frozen=True)
class Problem:
    """What is searched: a box, and the rule that makes a raw vector an admissible one.

    Attributes
    ----------
    low, high
        Bounds, shape (d,), low ≤ high. Components with low = high are fixed.
    enforce
        Maps raw vectors (n, d) to admissible ones (n, d): rounded to significant digits, then clamped
        (optimizer-semantics §1.3). Applying it twice is the same as once.
    n_objectives
        All are minimised.
    seeds
        Starting configurations, shape (s, d), s ≥ 0; the first candidates.
    digits
        Significant digits that ``enforce`` rounds to; how small the smallest change of a component is.
    """

    low: Array
    high: Array
    enforce: Callable[[Array], Array]
    n_objectives: int
    seeds: Array = field(default_factory=_no_seeds)
    digits: int = 6

    def __post_init__(self) -> None:
        low = np.asarray(self.low, dtype=np.float64)
        high = np.asarray(self.high, dtype=np.float64)
        seeds = np.asarray(self.seeds, dtype=np.float64)
        if low.ndim != 1 or low.shape != high.shape:
            raise ValueError(f"bounds have shapes {low.shape} and {high.shape}, not (d,) twice")
        if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
            raise ValueError("bounds must be finite with low <= high")
        if self.n_objectives < 1:
            raise ValueError(f"n_objectives is {self.n_objectives}, must be at least 1")
        if seeds.size == 0:
            seeds = np.empty((0, low.size))
        if seeds.ndim != 2 or seeds.shape[1] != low.size:
            raise ValueError(f"seeds have shape {seeds.shape}, not (s, {low.size})")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)
        object.__setattr__(self, "seeds", seeds)

    @property
    def dimension(self) -> int:
        """Length d of a vector."""
        return int(self.low.size)

    @property
    def free(self) -> NDArray[np.intp]:
        """Indices of the components that may change."""
        return np.flatnonzero(self.low < self.high)


@dataclass(frozen=True)
class Settings:
    """How it is searched; fixed when a study is created, except ``lag``.

    Nothing here tells the budget, the clock, the workers or their batches, so no candidate can depend on
    them.

    Attributes
    ----------
    population
        Size μ of the population, at least 2. It grows to the number of seeds if there are more of them.
    seed
        Of all random streams, 0 … 2^64 − 1.
    lag
        Candidate n is generated from results up to n − lag, see :class:`~cluster.search.lag.Lagged`.
    block
        How many results the evolutionary searches take in before they select: the λ of their (μ + λ).
    sobol
        Length of the start: that many candidates are seeds, perturbed copies of seeds, and Sobol points.
    scheme
        How an evolutionary search makes its children: 1, one at a time by DEAP; 2, the same operators over
        arrays, with other draws. A study keeps the one that it was created with.
    crossover_probability, crossover_eta
        Share of children from simulated binary crossover; its distribution index.
    mutation_probability, mutation_eta, mutation_indpb
        Share of children from polynomial mutation; its distribution index; the probability of each free
        component to mutate (0: one over the number of free components). The two shares add up to at
        most 1; the rest are copies, which the treatment of duplicates then perturbs.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    population: int
    seed: int
    lag: int
    block: int
    sobol: int
    scheme: int = SCHEME
    crossover_probability: float = 0.7
    crossover_eta: float = 20.0
    mutation_probability: float = 0.3
    mutation_eta: float = 20.0
    mutation_indpb: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("population", 2), ("lag", 1), ("block", 1), ("sobol", 1)):
            if getattr(self, name) < least:
                raise _refused(name, getattr(self, name), f"at least {least}")
        if not 0 <= self.seed <= MAX_SEED:
            raise _refused("seed", self.seed, f"0 to {MAX_SEED}")
        if self.scheme not in (1, SCHEME):
            raise _refused("scheme", self.scheme, f"1 or {SCHEME}")
        shares = self.crossover_probability, self.mutation_probability
        if not (min(shares) >= 0 and sum(shares) <= 1 + 1e-9):
            raise _refused("crossover_probability, mutation_probability", shares, "two shares, together <= 1")

    @classmethod
    def for_population(
        cls,
        population: int,
        *,
        seed: int,
        lag: int | None = None,
        block: int | None = None,
        sobol: int | None = None,
        scheme: int = SCHEME,
        offspring_multiplier: float = 1.0,
        **variation: float,
    ) -> "Settings":
        """Fill in what was left open, from the population alone.

        ``lag`` is a third of the population and at least 8: up to there it costs nothing. ``block`` is an
        eighth of the population (so that a result waits little, and selection costs a candidate about the
        same at every size), at least 8 and at most λ = population × ``offspring_multiplier``; a multiplier
        above that changes nothing, as there are no generations. ``sobol`` is one population.
        """
        if not (np.isfinite(offspring_multiplier) and offspring_multiplier > 0):
            offspring_multiplier = 1.0  # optimizer-semantics §5
        offspring = max(1, round(population * offspring_multiplier))
        return cls(
            population=population,
            seed=seed,
            lag=max(8, population // 3) if lag is None else lag,
            block=min(offspring, max(8, population // 8)) if block is None else block,
            sobol=population if sobol is None else sobol,
            scheme=scheme,
            **variation,
        )


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a candidate.

    Attributes
    ----------
    objectives
        Shape (k,), minimised, all finite; None if the candidate failed.
    violation
        0: all limits kept; else the sum of the limits' violations. Infinite if the candidate failed.
    """

    objectives: Array | None
    violation: float

    @classmethod
    def of(cls, objectives: ArrayLike | None, violation: float, n_objectives: int) -> "Result":
        """Return the result; anything not finite in it means that the candidate failed."""
        if objectives is None:
            return FAILED
        values = np.array(objectives, dtype=np.float64)
        if values.shape != (n_objectives,):
            raise ValueError(f"objectives have shape {values.shape}, not ({n_objectives},)")
        violation = float(violation)
        if not (all(map(isfinite, values.tolist())) and isfinite(violation)):
            return FAILED
        return cls(values, max(0.0, violation))

    @property
    def failed(self) -> bool:
        """Whether there is nothing to score."""
        return self.objectives is None


FAILED = Result(None, float("inf"))


class Search(ABC):
    """Proposes candidates 0, 1, 2, … and learns from their results.

    Who calls what: :class:`~cluster.search.lag.Lagged` alone calls a search; a head calls ``Lagged``.

    In which order: for every n ascending from 0, exactly one of ``ask(n)`` (a new candidate) and
    ``replay(n, vector)`` (a candidate that the log knows; afterwards the search is in the state in which
    ``ask(n)`` would have left it). In between, likewise for every n ascending from 0, ``tell``, at any time
    after the candidate's ``ask`` or ``replay``. ``ask_block``, ``replay_block`` and ``tell_block`` are many
    of these in a row, nothing else.

    What may depend on what: the vector of candidate n is a function of problem, settings, n, the vectors of
    candidates < n and the results told before ``ask(n)``, of nothing else: no clock, no budget, no global
    random state (which is left as it was found). Told results are feasible (violation 0), infeasible, or
    failed; feasible goes before infeasible, smaller violation before larger, failed last, and only among
    feasible ones do the objectives decide.

    Every vector is the outcome of ``problem.enforce``, and none is asked twice unless six perturbations fail
    to find a new one (:mod:`~cluster.search.duplicates`).

    The start, the same for all searches that learn: the seeds in their order; then, up to half of
    ``settings.sobol``, perturbed copies of random seeds, if there are seeds (optimizer-semantics §5); then a
    Sobol sequence up to ``settings.sobol``. Results told meanwhile are taken in.
    """

    needs_results: ClassVar[bool] = True
    """False: candidates depend on no result at all, so nothing ever has to be waited for."""

    def __init__(self, problem: Problem, settings: Settings):
        self.problem = problem
        self.settings = settings
        self._free = problem.free
        # -0.0 and 0.0 are one value but two bit patterns
        self._fixed = problem.enforce(problem.low[None, :])[0] + 0.0
        self._seeds = problem.enforce(problem.seeds) + 0.0 if len(problem.seeds) else problem.seeds
        self._asked = Asked(problem.low, problem.high, problem.enforce, problem.digits)
        self._sobol: SobolPoints | None = None
        self._next_ask = 0
        self._next_tell = 0

    @property
    def block(self) -> int:
        """Results are taken in this many at a time; telling them singly in between changes nothing."""
        return 1

    @property
    def start(self) -> int:
        """How many candidates are proposed before the search itself begins."""
        return max(self.settings.sobol, len(self._seeds))

    @property
    def next_number(self) -> int:
        """Number that the next ``ask`` or ``replay`` must have."""
        return self._next_ask

    def ask(self, n: int) -> Array:
        """Return the vector of candidate n, shape (d,), enforced."""
        self._expect_ask(n)
        rng = stream(self.settings.seed, n)
        raw = self._fixed.copy()
        if self._free.size:
            opening = self._opening(n, rng)
            raw = self._propose(n, rng) if opening is None else opening
        vector = self._asked.unique(raw, rng)
        self._record(n, vector)
        return vector

    def ask_block(self, n: int, count: int) -> Array:
        """Return the vectors of ``count`` candidates from n on, shape (count, d), at least one."""
        return np.stack([self.ask(m) for m in range(n, n + count)])

    def replay(self, n: int, vector: Array) -> None:
        """Take candidate n from the log instead of generating it."""
        self._expect_ask(n)
        self._record(n, np.array(vector, dtype=np.float64))

    def replay_block(self, n: int, vectors: Array) -> None:
        """Take the candidates from n on from the log: their vectors (m, d)."""
        for i, vector in enumerate(vectors):
            self.replay(n + i, vector)

    def tell(self, n: int, vector: Array, result: Result) -> None:
        """Learn the result of candidate n, whose vector was asked or replayed."""
        if n != self._next_tell or n >= self._next_ask:
            raise ValueError(f"told candidate {n}; due is {self._next_tell} of {self._next_ask} asked")
        self._next_tell += 1
        self._learn(n, vector, result)

    def tell_block(self, n: int, vectors: Array, objectives: Array, violations: Array) -> None:
        """Learn results in a row: vectors (m, d), objectives (m, k), violations (m,), infinite if failed."""
        for i, vector in enumerate(vectors):
            self.tell(n + i, vector, Result.of(objectives[i], violations[i], self.problem.n_objectives))

    @abstractmethod
    def _propose(self, n: int, rng: Generator) -> Array:
        """Return a raw vector (d,) for candidate n ≥ start; at least one component is free."""

    def _follow(self, n: int, vector: Array) -> None:  # noqa: B027 - a hook, empty by default
        """Note what candidate n has become; called for every candidate, asked or replayed."""

    def _learn(self, n: int, vector: Array, result: Result) -> None:  # noqa: B027 - a hook, empty by default
        """Take in a told result."""

    def _opening(self, n: int, rng: Generator) -> Array | None:
        """Return the raw vector of a candidate of the start, None if n is behind it."""
        seeds = len(self._seeds)
        if n < seeds:
            return self._seed_vector(n)
        copies = max(0, self.settings.sobol // 2 - seeds) if seeds else 0
        if n < seeds + copies:
            return self._seed_vector(int(rng.integers(seeds)))
        if n < self.start:
            return self._sobol_vector(n - seeds - copies)
        return None

    def _seed_vector(self, i: int) -> Array:
        vector: Array = self._seeds[i]
        return vector

    def _sobol_vector(self, k: int) -> Array:
        """Return point k of the study's Sobol sequence over the free components, as a raw vector."""
        if self._sobol is None:
            self._sobol = SobolPoints(self._free.size, self.settings.seed)
        return self._scaled(self._sobol.point(k))

    def _scaled(self, unit: Array) -> Array:
        """Return the raw vector whose free components lie at ``unit``, in [0, 1], of their range."""
        low, high = self.problem.low[self._free], self.problem.high[self._free]
        raw: Array = self._fixed.copy()
        raw[self._free] = low + unit * (high - low)
        return raw

    def _expect_ask(self, n: int) -> None:
        if n != self._next_ask:
            raise ValueError(f"asked for candidate {n}; the next is {self._next_ask}")

    def _record(self, n: int, vector: Array) -> None:
        self._asked.add(vector)
        self._follow(n, vector)
        self._next_ask += 1
