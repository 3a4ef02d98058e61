"""The searches by name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module

from cluster.search.base import SCHEME, Problem, Search, Settings
from passivbot.errors import ConfigError, located

AUTO = "auto"

MODEL_BUDGET = 500
"""Up to this many candidates, ``auto`` takes the model-based search."""


@dataclass(frozen=True)
class SearchKind:
    """One entry of :data:`SEARCHES`.

    Attributes
    ----------
    help
        One line: what it suits.
    make
        Makes a fresh search.
    learns
        Whether candidates depend on results. If not, nothing is ever waited for, and the lag has no effect.
    model_based
        Whether it fits a model after few results: it has no population, and a start of the length that suits
        an evolution would use up its budget.
    """

    help: str
    make: Callable[[Problem, Settings], Search]
    learns: bool = field(default=True, kw_only=True)
    model_based: bool = field(default=False, kw_only=True)


def _lazily(module: str, name: str) -> Callable[[Problem, Settings], Search]:
    """Return what makes a search and imports it then: DEAP and Optuna cost every command line a second."""

    def make(problem: Problem, settings: Settings) -> Search:
        search: Search = getattr(import_module(f"cluster.search.{module}"), name)(problem, settings)
        return search

    return make


SEARCHES: dict[str, SearchKind] = {
    "nsga2": SearchKind(
        "DEAP NSGA-II: the large runs, thousands to millions; up to 3 objectives", _lazily("nsga2", "NSGA2")
    ),
    "nsga3": SearchKind("DEAP NSGA-III: the large runs with 4 objectives or more", _lazily("nsga3", "NSGA3")),
    "tpe": SearchKind(
        "Optuna TPE: a model of good and bad, for hundreds to a few thousand candidates",
        _lazily("optuna_search", "TPE"),
        model_based=True,
    ),
    "optuna-nsga3": SearchKind(
        "Optuna NSGA-III: as nsga3, with generations; some ten thousand",
        _lazily("optuna_search", "OptunaNSGA3"),
    ),
    "gp": SearchKind(
        "Optuna Gaussian process: hundreds of costly candidates; needs the extra gp",
        _lazily("optuna_search", "GP"),
        model_based=True,
    ),
    "sobol": SearchKind(
        "Sobol sequence: learns nothing, covers the space evenly",
        _lazily("quasi", "SobolSearch"),
        learns=False,
    ),
    "random": SearchKind(
        "uniform random points: the yardstick", _lazily("quasi", "RandomSearch"), learns=False
    ),
}


def resolve_auto(budget: int, n_objectives: int) -> str:
    """Return the search that suits a budget.

    Parameters
    ----------
    budget
        Number of candidates that the study is created for; the choice is stored with the study, so a longer
        resume changes nothing.
    n_objectives
        At least 1.
    """
    if n_objectives > 3:
        return "nsga3"
    return "tpe" if budget <= MODEL_BUDGET else "nsga2"


def settings_for(
    name: str,
    problem: Problem,
    population: int,
    *,
    seed: int,
    lag: int | None = None,
    block: int | None = None,
    sobol: int | None = None,
    scheme: int = SCHEME,
    offspring_multiplier: float = 1.0,
    **variation: float,
) -> Settings:
    """Return the settings of a new study; what is not given follows from the rest.

    Parameters
    ----------
    name
        Of the search. A model-based one takes at most as many results before its model as there are free
        components (at least 10), whatever the population; its lag shrinks with that.
    problem
        What is searched.
    population
        As configured.
    seed, lag, block, sobol, scheme, offspring_multiplier, variation
        As in :meth:`Settings.for_population`.
    """
    if _kind(name).model_based:
        population = min(population, max(10, len(problem.free)))
    return Settings.for_population(
        population,
        seed=seed,
        lag=lag,
        block=block,
        sobol=sobol,
        scheme=scheme,
        offspring_multiplier=offspring_multiplier,
        **variation,
    )


def make_search(name: str, problem: Problem, settings: Settings) -> Search:
    """Return a fresh search.

    Raises
    ------
    ConfigError
        If the name is unknown, or what the search needs is not installed.
    """
    return _kind(name).make(problem, settings)


def _kind(name: str) -> SearchKind:
    if name not in SEARCHES:
        raise ConfigError(located("the command line", "--search", name, ", ".join([AUTO, *SEARCHES])))
    return SEARCHES[name]
