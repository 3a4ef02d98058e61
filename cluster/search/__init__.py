"""Searches: whatever proposes the candidates of a study, under one contract.

:class:`~cluster.search.base.Search` states the contract, :class:`~cluster.search.lag.Lagged` joins a search
to a cluster, :func:`~cluster.search.registry.make_search` makes one by name.
"""

from cluster.search.base import Problem, Result, Search, Settings
from cluster.search.lag import Lagged, Logged

__all__ = ["Lagged", "Logged", "Problem", "Result", "Search", "Settings"]
