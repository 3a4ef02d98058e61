"""The searches by name."""

from collections.abc import Callable
from dataclasses import dataclass, field

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


def _nsga2(problem: Problem, settings: Settings) -> Search:
    from cluster.search.nsga2 import NSGA2

    return NSGA2(problem, settings)


def _nsga3(problem: Problem, settings: Settings) -> Search:
    from cluster.search.nsga3 import NSGA3

    return NSGA3(problem, settings)


def _tpe(problem: Problem, settings: Settings) -> Search:
    from cluster.search.optuna_search import TPE

    return TPE(problem, settings)


def _optuna_nsga3(problem: Problem, settings: Settings) -> Search:
    from cluster.search.optuna_search import OptunaNSGA3

    return OptunaNSGA3(problem, settings)


def _gp(problem: Problem, settings: Settings) -> Search:
    from cluster.search.optuna_search import GP

    return GP(problem, settings)


def _sobol(problem: Problem, settings: Settings) -> Search:
    from cluster.search.quasi import SobolSearch

    return SobolSearch(problem, settings)


def _random(problem: Problem, settings: Settings) -> Search:
    from cluster.search.quasi import RandomSearch

    return RandomSearch(problem, settings)


# imported where made: Optuna and DEAP cost every command line a second, and most need neither
SEARCHES: dict[str, SearchKind] = {
    "nsga2": SearchKind("DEAP NSGA-II: the large runs, thousands to millions; up to 3 objectives", _nsga2),
    "nsga3": SearchKind("DEAP NSGA-III: the large runs with 4 objectives or more", _nsga3),
    "tpe": SearchKind(
        "Optuna TPE: a model of good and bad, for hundreds to a few thousand candidates",
        _tpe,
        model_based=True,
    ),
    "optuna-nsga3": SearchKind(
        "Optuna NSGA-III: as nsga3, with generations; some ten thousand", _optuna_nsga3
    ),
    "gp": SearchKind(
        "Optuna Gaussian process: hundreds of costly candidates; needs the extra gp", _gp, model_based=True
    ),
    "sobol": SearchKind("Sobol sequence: learns nothing, covers the space evenly", _sobol, learns=False),
    "random": SearchKind("uniform random points: the yardstick", _random, learns=False),
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
