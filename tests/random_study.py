"""Random candidates of a configuration, run by the engine itself, and the definition of their study."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passivbot.backtest import Candidates, Scenario
from passivbot.engine import __version__
from passivbot.study import Definition, Space

Array = NDArray[np.float64]


def random_study(
    scenario: Scenario, count: int, metrics: tuple[str, ...], seed: int = 7, **changes: Any
) -> tuple[Definition, Array, Array]:
    """Return a definition, changed as named, and the vectors (n, k) and metrics (n, m) of its candidates."""
    config = scenario.config
    candidates = Candidates.of(config, scenario.coins)
    space = candidates.space
    raw = np.random.default_rng(seed).uniform(space.low, space.high, (count, len(space.names)))
    vectors = space.enforce(raw)
    definition = Definition(
        config=config.to_dict(),
        scenario=scenario.describe(),
        search="random",
        seed=seed,
        lag=8,
        population=10,
        sobol=10,
        block=8,
        metrics=metrics,
        seeds=(),
        space=Space(space.names, tuple(space.low.tolist()), tuple(space.high.tolist()), space.digits),
        engine=__version__,
        created="2026-01-01T00:00:00Z",
    )
    return replace(definition, **changes), vectors, candidates.evaluate(scenario.engine(), vectors, metrics)
