"""The searches by name."""

from collections.abc import Callable
from dataclasses import dataclass

from cluster.search.base import Problem, Search, Settings
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
    """

    help: str
    make: Callable[[Problem, Settings], Search]


def _nsga2(problem: Problem, settings: Settings) -> Search:
    from cluster.search.nsga2 import NSGA2

    return NSGA2(problem, settings)


def _nsga3(problem: Problem, settings: Settings) -> Search:
    from cluster.search.nsga3 import NSGA3

    return NSGA3(problem, settings)


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
    "sobol": SearchKind("Sobol sequence: learns nothing, covers the space evenly", _sobol),
    "random": SearchKind("uniform random points: the yardstick", _random),
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


def make_search(name: str, problem: Problem, settings: Settings) -> Search:
    """Return a fresh search.

    Raises
    ------
    ConfigError
        If the name is unknown, or what the search needs is not installed.
    """
    if name not in SEARCHES:
        raise ConfigError(located("the search", "--search", name, ", ".join([AUTO, *SEARCHES])))
    return SEARCHES[name].make(problem, settings)
