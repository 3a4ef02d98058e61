"""From the vectors of a search to the metrics of their backtests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from passivbot.config import Config, ParameterSpace, WarmupRule
from passivbot.engine import Engine


@dataclass(frozen=True)
class Candidates:
    """What all candidates of a configuration share; their vectors are the rest.

    Parameters
    ----------
    space
        What a vector means.
    warmup
        The warm-up that a vector makes necessary.
    template
        Side → parameter → value, of what is no part of a vector.
    overrides
        Coin → side → parameter → value, of what a coin has in place of a vector's.
    """

    space: ParameterSpace
    warmup: WarmupRule
    template: Mapping[str, Mapping[str, float | bool]]
    overrides: Mapping[str, Mapping[str, Mapping[str, float]]]

    @classmethod
    def of(cls, config: Config, coins: Sequence[str], space: ParameterSpace | None = None) -> Self:
        """Return what a configuration makes of candidates.

        Parameters
        ----------
        config
            The configuration.
        coins
            Those of the scenario.
        space
            The searched space; None: the configuration's own.
        """
        return cls(
            space=space if space is not None else ParameterSpace.from_config(config),
            warmup=WarmupRule.from_config(config, coins),
            template=config.bot.to_engine(),
            overrides=config.engine_overrides(coins),
        )

    def evaluate(
        self,
        engine: Engine,
        vectors: NDArray[np.float64],
        metrics: Sequence[str],
        limits: Mapping[str, float] | None = None,
    ) -> NDArray[np.float64]:
        """Backtest candidates.

        Parameters
        ----------
        engine
            The scenario's.
        vectors
            Enforced vectors, float64 (n, k).
        metrics
            Names of the metrics wanted.
        limits
            Those at which a candidate is stopped early; None: it runs to its end.

        Returns
        -------
        float64 (n, m), a column for each metric in the order asked.
        """
        evaluated = self.space.evaluated(vectors)
        common, single = self.warmup.for_matrix(evaluated)
        return engine.evaluate_matrix(
            evaluated,
            self.template,
            metrics,
            coin_overrides=self.overrides,
            warmup_minutes=common,
            coin_warmup_minutes=single,
            limits=limits,
        )
