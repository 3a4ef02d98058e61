"""Optuna's samplers under our contract: TPE, NSGA-III and Gaussian processes.

Optuna holds the told results in memory; the study's log stays the truth. Each candidate gets a fresh sampler,
seeded from the candidate's own stream, so that nothing is carried over but the trials themselves.
"""

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, ClassVar

import optuna
from numpy.random import Generator
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, NSGAIIISampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from cluster.search.base import Array, Problem, Result, Search, Settings
from cluster.search.streams import Purpose, stream
from passivbot.errors import ConfigError

CONSTRAINT = "violation"


class _Bridge(BaseSampler):
    """Stands between a study and its sampler, so that a trial holds what is evaluated.

    Optuna would record the sampler's raw values; but a candidate is rounded, clamped and perturbed if it is a
    repetition, or stems from the start or the log. So the values are drawn when the trial is opened, and the
    trial's parameters are set afterwards to whatever became of them.

    Parameters
    ----------
    inner
        The sampler.
    space
        Distributions of the free components.
    relative
        Whether ``inner`` samples jointly: by ``sample_relative`` over the whole space (it returns nothing
        while it knows too little).
    draw
        False: nothing is drawn, the sampler learns of the trial by its results alone.
    """

    def __init__(self, inner: BaseSampler, space: dict[str, BaseDistribution], relative: bool, draw: bool):
        self._inner = inner
        self._space = space
        self._relative = relative
        self._draw = draw
        self.values: dict[str, float] = {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        if not (self._draw and self._space):
            return
        self._inner.before_trial(study, trial)
        drawn = dict(self._inner.sample_relative(study, trial, self._space)) if self._relative else {}
        for name, distribution in self._space.items():
            if name not in drawn:
                drawn[name] = self._inner.sample_independent(study, trial, name, distribution)
        self.values = drawn

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> float:
        return self.values[param_name]

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._inner.after_trial(study, trial, state, values)


class OptunaSearch(Search):
    """What the three have in common: one trial a candidate, with the candidate's number.

    A trial is opened by ``ask`` and ``replay`` alike and stays running until its result is told, so the
    samplers see what is in flight. The limits' violation is a constraint of the trial.
    """

    relative: bool = True
    """Whether the sampler draws all components jointly."""
    draws_always: ClassVar[bool] = False
    """Whether opening a trial changes the sampler's own records, so that a replayed one must draw as well."""
    scores_failed: ClassVar[bool] = False
    """Whether a failed candidate is told as one with an infinite violation, so that the sampler avoids it.

    Only for a sampler that does not look at the objectives of infeasible trials. Others aren't told.
    """

    def __init__(self, problem: Problem, settings: Settings):
        super().__init__(problem, settings)
        low, high = problem.low, problem.high
        self._space: dict[str, BaseDistribution] = {
            f"x{i}": FloatDistribution(float(low[i]), float(high[i])) for i in self._free
        }
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # a new study announces itself
        try:
            self._study = optuna.create_study(directions=["minimize"] * problem.n_objectives)
        finally:
            optuna.logging.set_verbosity(verbosity)
        self._bridge: _Bridge | None = None
        self._opened: Trial | None = None
        self._running: dict[int, Trial] = {}

    @abstractmethod
    def _sampler(self, seed: int) -> BaseSampler:
        """Return a fresh sampler."""

    def _propose(self, n: int, rng: Generator) -> Array:
        values = self._open(n, draw=True)
        raw: Array = self._fixed.copy()
        raw[self._free] = [values[name] for name in self._space]
        return raw

    def _follow(self, n: int, vector: Array) -> None:
        if self._opened is None:
            self._open(n, draw=self.draws_always)
        trial, bridge = self._opened, self._bridge
        assert trial is not None
        assert bridge is not None
        bridge.values = dict(zip(self._space, vector[self._free].tolist(), strict=True))
        for name, distribution in self._space.items():
            assert isinstance(distribution, FloatDistribution)
            trial.suggest_float(name, distribution.low, distribution.high)
        self._running[n] = trial
        self._opened = self._bridge = None

    def _open(self, n: int, *, draw: bool) -> dict[str, float]:
        """Open trial n and return what the sampler draws for it."""
        seed = int(stream(self.settings.seed, n, Purpose.SAMPLER).integers(2**32))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            inner = self._sampler(seed)
            self._bridge = _Bridge(inner, self._space, self.relative, draw)
            self._study.sampler = self._bridge
            self._opened = self._study.ask()
        return self._bridge.values

    def _learn(self, n: int, vector: Array, result: Result) -> None:
        trial = self._running.pop(n)
        if result.objectives is not None:
            trial.set_constraint(CONSTRAINT, result.violation)
            self._study.tell(trial, result.objectives.tolist())
        elif self.scores_failed:
            trial.set_constraint(CONSTRAINT, result.violation)
            self._study.tell(trial, [0.0] * self.problem.n_objectives)
        else:
            self._study.tell(trial, state=TrialState.FAIL)


class TPE(OptunaSearch):
    """Tree-structured Parzen estimators; with several objectives each component is drawn on its own.

    An ask costs 50 ms after a hundred results and 270 ms after a thousand, with 58 components.
    """

    scores_failed: ClassVar[bool] = True

    def __init__(self, problem: Problem, settings: Settings):
        super().__init__(problem, settings)
        self.relative = problem.n_objectives == 1

    def _sampler(self, seed: int) -> BaseSampler:
        return TPESampler(seed=seed)


class OptunaNSGA3(OptunaSearch):
    """Optuna's NSGA-III, whose generations begin as soon as a population of results is told."""

    draws_always: ClassVar[bool] = True

    def _sampler(self, seed: int) -> BaseSampler:
        return NSGAIIISampler(population_size=self.settings.population, seed=seed)


class GP(OptunaSearch):
    """Gaussian processes; seconds a candidate from a few hundred results on.

    Raises
    ------
    ConfigError
        If torch is not installed.
    """

    def __init__(self, problem: Problem, settings: Settings):
        if find_spec("torch") is None:
            raise ConfigError(
                "the search gp needs torch, which is not installed: pip install 'passivbot-cluster[gp]'"
            )
        super().__init__(problem, settings)

    def _sampler(self, seed: int) -> BaseSampler:
        return GPSampler(seed=seed, deterministic_objective=True)
