"""From what a person typed to what a study is: configuration, candles, search, and the folder it lives in.

Whatever is not given when a study is resumed is as the study was made; what is given has to agree with it.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cluster.budget import Budget, checked_hours, parse_until, resumed
from cluster.holdout import ending_as, held_out, without_last_days
from cluster.search import Problem, Settings
from cluster.search.registry import AUTO, make_search, resolve_auto, settings_for
from passivbot import engine
from passivbot.backtest import Scenario
from passivbot.backtest.candles import DEMO
from passivbot.config import Config, ParameterSpace, Scoring, load_config
from passivbot.config.coins import side_notes
from passivbot.config.load import load_mapping
from passivbot.config.schema import Optimize
from passivbot.config.seeds import read_seeds
from passivbot.errors import CandleError, ConfigError, StudyError, located
from passivbot.study import Definition, Space, StudyLog
from passivbot.study.study import STUDIES, Study, find

LOGGED_METRICS = (
    "adg",
    "calmar_ratio",
    "drawdown_worst",
    "drawdown_worst_mean_1pct",
    "equity_choppiness",
    "expected_shortfall_1pct",
    "gain",
    "loss_profit_ratio",
    "mdg",
    "omega_ratio",
    "position_held_hours_max",
    "position_held_hours_mean",
    "position_unchanged_hours_max",
    "positions_held_per_day",
    "sharpe_ratio",
    "sortino_ratio",
    "sterling_ratio",
    "volume_pct_per_day_avg",
)
"""Logged with every candidate, besides what scoring and limits need: what the engine gets from fills and
daily equity. Recency-weighted metrics and those of every minute cost more, and are there if somebody asks."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a person typed; None where nothing was."""

    config: Path | None = None
    candles: Path | None = None
    coins: tuple[str, ...] | None = None
    study: str | None = None
    search: str | None = None
    iters: int | None = None
    hours: float | None = None
    until: str | None = None
    population: int | None = None
    seed: int | None = None
    lag: int | None = None
    stop_early: bool = False
    holdout: float | None = None
    start: tuple[Path, ...] = ()
    fine_tune: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    options: Mapping[str, str] | None = None
    resume: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study that can be run.

    Attributes
    ----------
    folder
        Where it lives.
    log
        Open for writing if the study is resumed, None if it is to be created.
    definition
        As stored, or to be stored.
    problem, settings
        What is searched, and how.
    space, scoring, scenario
        Parameters, objectives and limits, candles.
    ends
        What ends the study.
    holdout
        Days of candles that the search does not see, on which its front is tried at the end; None for none.
    warnings, notes
        What was most likely not meant; what was assumed. One line each.
    """

    folder: Path
    log: StudyLog | None
    definition: Definition
    problem: Problem
    settings: Settings
    space: ParameterSpace
    scoring: Scoring
    scenario: Scenario
    ends: Budget
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    holdout: float | None = None

    @property
    def budget(self) -> int:
        """Number of candidates of the whole study, at most."""
        return self.ends.iters

    @property
    def stop_limits(self) -> Mapping[str, float] | None:
        """The limits at which candidates are stopped early; None if they run to their end."""
        return self.scoring.stop_limits if self.definition.stop_early else None


def plan_new(request: Request) -> Plan:
    """Prepare a new study; nothing is written yet.

    Raises
    ------
    PassivbotError
        Anything in the request that can't be done; an existing study.
    """
    loaded = load_config(request.config, sets=request.sets, options=request.options)
    config = loaded.config
    folder = _new_folder(request)
    space = ParameterSpace.from_config(config, request.fine_tune)
    scoring = Scoring.from_config(config, loaded.source)
    seeds = read_seeds(space, request.start)
    budget = config.optimize.iters if request.iters is None else request.iters
    problem = _problem(space, scoring, seeds.vectors)
    name = request.search or AUTO
    if name == AUTO:
        name = resolve_auto(budget, problem.n_objectives)
    settings = settings_for(
        name,
        problem,
        config.optimize.population_size if request.population is None else request.population,
        seed=secrets.randbelow(2**32) if request.seed is None else request.seed,
        lag=request.lag,
        offspring_multiplier=config.optimize.offspring_multiplier,
    )
    make_search(name, problem, settings)  # an unknown one, or one that is not installed, says so here
    scenario = Scenario.prepare(config, request.candles, coins=request.coins)
    if request.holdout is not None:
        config = without_last_days(config, scenario, request.holdout)
        del scenario  # as large as what follows
        scenario = Scenario.prepare(config, request.candles, coins=request.coins)
    findings = (*loaded.findings, *space.findings, *seeds.findings)
    return Plan(
        folder=folder,
        log=None,
        definition=replace(
            _definition(config, scenario, name, settings, scoring, problem, space),
            stop_early=request.stop_early,
        ),
        problem=problem,
        settings=_varied(settings, config),
        space=space,
        scoring=scoring,
        scenario=scenario,
        ends=Budget(
            budget,
            checked_hours(request.hours),
            None if request.until is None else parse_until(request.until),
        ),
        warnings=(*map(str, findings), *_variation_warnings(config, loaded.source)),
        notes=(*seeds.notes, *_notes(scenario, space)),
        holdout=request.holdout,
    )


def plan_resumed(request: Request) -> Plan:
    """Prepare to go on with a study: takes its lock.

    Raises
    ------
    StudyError
        No such study, in use, or not the one that the request describes.
    PassivbotError
        Anything else in the request that can't be done.
    """
    if request.study is None:
        raise ConfigError("the command line: --resume needs --study, a folder or a name below studies/")
    log = StudyLog.open(find(request.study), write=True)
    try:
        return _resumed(request, log)
    except BaseException:
        log.close()
        raise


def _resumed(request: Request, log: StudyLog) -> Plan:
    stored = log.definition
    study = Study(log)
    if request.config is None:
        loaded = load_mapping(stored.config, log.path, sets=request.sets, options=request.options)
    else:
        loaded = load_config(request.config, sets=request.sets, options=request.options)
    kept = held_out(log)
    if request.holdout not in (None, kept):
        had = "none" if kept is None else f"{kept:g}"
        raise ConfigError(
            located("the command line", "--holdout", f"{request.holdout:g}", f"what the study has: {had}")
        )
    config = loaded.config
    if kept is not None:
        config = ending_as(config, stored.config)
    # Before the candles are read: they take a while, and would be others for another configuration.
    stored.require_same(replace(stored, config=config.to_dict()), log.folder)
    space = ParameterSpace.from_config(config, request.fine_tune) if request.fine_tune else study.space
    scoring = Scoring.from_config(config, loaded.source)
    if request.start:
        seeds = read_seeds(space, request.start).vectors
    else:
        seeds = np.array(stored.seeds, dtype=np.float64).reshape(-1, len(space.names))
    problem = _problem(space, scoring, seeds)
    name = stored.search if request.search in (None, AUTO) else str(request.search)
    settings = Settings(
        population=stored.population,
        seed=stored.seed if request.seed is None else request.seed,
        lag=stored.lag,
        block=stored.block,
        sobol=stored.sobol,
        scheme=stored.scheme,
    )
    if request.population is not None:
        settings = replace(
            settings,
            population=settings_for(name, problem, request.population, seed=settings.seed).population,
        )
    scenario = _scenario_again(request, log, config)
    wanted = replace(
        _definition(config, scenario, name, settings, scoring, problem, space),
        stop_early=stored.stop_early or request.stop_early,
    )
    difference = stored.difference(replace(wanted, engine=stored.engine))
    if difference and difference.key.startswith("scenario."):
        raise StudyError(f"{log.folder}: these are not the candles of the study: {difference}")
    stored.require_same(wanted, log.folder)
    return Plan(
        folder=log.folder,
        log=log,
        definition=stored,
        problem=problem,
        settings=_varied(settings, config),
        space=space,
        scoring=scoring,
        scenario=scenario,
        ends=_budget_again(request, log, config),
        warnings=(*map(str, loaded.findings), *_variation_warnings(config, loaded.source)),
        notes=_notes(scenario, space),
        holdout=kept,
    )


def _scenario_again(request: Request, log: StudyLog, config: Config) -> Scenario:
    """Return the scenario of a study, from its description or from what the request says."""
    facts = log.definition.scenario
    place = str(facts.get("candles", DEMO)) if request.candles is None else request.candles
    if request.coins is not None:
        return Scenario.prepare(config, place, coins=request.coins)
    try:
        return Scenario.replay(config, facts, request.candles)
    except CandleError as error:
        # What it advises is for a backtest.
        raise StudyError(f"{log.folder}: can't be resumed: {str(error).partition(';')[0]}") from error


def _budget_again(request: Request, log: StudyLog, config: Config) -> Budget:
    """Return the budget of a resumed study: what is given, else what it had."""
    iters = request.iters
    given = any(entry.partition("=")[0].strip() == "optimize.iters" for entry in request.sets)
    if iters is None and (given or "optimize.iters" in (request.options or {})):
        iters = config.optimize.iters
    return resumed(
        log.events(),
        iters=iters,
        hours=request.hours,
        until=request.until,
        default=config.optimize.iters,
    )


def _new_folder(request: Request) -> Path:
    if request.study is None:
        name = "template" if request.config is None else request.config.stem
        return STUDIES / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}-{name}"
    try:
        found = find(request.study)
    except StudyError:
        return Path(request.study)
    raise StudyError(f"{found}: the study exists; --resume continues it, --study names another")


def _problem(space: ParameterSpace, scoring: Scoring, seeds: NDArray[np.float64]) -> Problem:
    return Problem(
        low=space.low,
        high=space.high,
        enforce=space.enforce,
        n_objectives=len(scoring.objectives),
        seeds=seeds,
        digits=space.digits,
    )


def _varied(settings: Settings, config: Config) -> Settings:
    """Return settings with what the configuration says of crossover and mutation."""
    optimize = config.optimize
    return replace(
        settings,
        crossover_probability=optimize.crossover_probability,
        crossover_eta=optimize.crossover_eta,
        # One draw decides: below the first share crossover, below the sum of both mutation.
        mutation_probability=min(optimize.mutation_probability, 1.0 - optimize.crossover_probability),
        mutation_eta=optimize.mutation_eta,
        mutation_indpb=optimize.mutation_indpb,
    )


def _variation_warnings(config: Config, source: str) -> tuple[str, ...]:
    crossover = config.optimize.crossover_probability
    mutation = config.optimize.mutation_probability
    builtin = Optimize()
    if (crossover, mutation) == (builtin.crossover_probability, builtin.mutation_probability):
        return ()  # nobody has to be told what nobody said
    if crossover + mutation <= 1.0 + 1e-9:
        return ()
    return (
        f"{source}: optimize.crossover_probability {crossover:g} and optimize.mutation_probability "
        f"{mutation:g} add up to more than 1; mutation gets the rest, {1.0 - crossover:.4g}",
    )


def _definition(
    config: Config,
    scenario: Scenario,
    search: str,
    settings: Settings,
    scoring: Scoring,
    problem: Problem,
    space: ParameterSpace,
) -> Definition:
    return Definition(
        config=config.to_dict(),
        scenario=scenario.describe(),
        search=search,
        seed=settings.seed,
        lag=settings.lag,
        population=settings.population,
        sobol=settings.sobol,
        block=settings.block,
        scheme=settings.scheme,
        metrics=logged_metrics(scoring.metrics),
        seeds=tuple(map(tuple, problem.seeds.tolist())),
        space=Space(
            names=space.names,
            low=tuple(space.low.tolist()),
            high=tuple(space.high.tolist()),
            digits=space.digits,
            step=tuple(space.step.tolist()) if space.step.any() else (),
        ),
        engine=engine.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def logged_metrics(needed: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the logged metrics, ascending: the standard ones and the needed ones."""
    return tuple(sorted({*LOGGED_METRICS, *needed}))


def _notes(scenario: Scenario, space: ParameterSpace) -> tuple[str, ...]:
    demo = ("these are the embedded demo candles, synthetic",) if scenario.candles == DEMO else ()
    return (*demo, *scenario.notes, *side_notes(scenario.config, scenario.coins, space.sides))
