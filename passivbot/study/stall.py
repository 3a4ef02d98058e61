"""When a front has stopped growing: a rule over the history of the hypervolume."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from passivbot.errors import ConfigError, located

NAME = "hypervolume-stalls"
POPULATIONS = 5
"""Told before the rule is asked at all: a search needs some generations to find its feet."""


@dataclass(frozen=True)
class Stall:
    """The hypervolume grew by less than ``gain`` over the last ``share`` of the candidates.

    The rule is asked at the points of the front's history alone, which are the same in every run; so a study
    stops at the same candidate whatever the workers.

    Attributes
    ----------
    share
        Of the candidates told, above 0 and below 1.
    gain
        As a fraction of the hypervolume before, above 0.
    """

    share: float = 0.2
    gain: float = 0.01

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``hypervolume-stalls``, ``hypervolume-stalls:SHARE`` or ``hypervolume-stalls:SHARE:GAIN``.

        Raises
        ------
        ConfigError
            It is nothing of these.
        """
        name, *values = text.split(":")
        try:
            numbers = [float(value) for value in values]
        except ValueError:
            numbers = [0.0]
        rule = cls(*numbers) if len(numbers) <= 2 else cls(0.0)
        if name != NAME or not (0 < rule.share < 1 and 0 < rule.gain < float("inf")):
            allowed = f"{NAME}, or {NAME}:SHARE:GAIN such as {NAME}:{cls.share:g}:{cls.gain:g}; or never"
            raise ConfigError(located("the command line", "--until", text, allowed))
        return rule

    def __str__(self) -> str:
        return f"{NAME}:{self.share:g}:{self.gain:g}"

    def holds(self, told: NDArray[np.int64], volume: NDArray[np.float64], population: int) -> bool:
        """Return whether it holds at the last point of a history.

        Parameters
        ----------
        told
            (h,) candidates told at each point, ascending.
        volume
            (h,) hypervolume then; as long as nothing is feasible it is 0, and nothing has stalled.
        population
            Of the study.
        """
        if len(told) < 2 or told[-1] < POPULATIONS * population:
            return False
        then = int(np.searchsorted(told, told[-1] * (1 - self.share), side="right")) - 1
        return then >= 0 and bool(volume[then] > 0 and volume[-1] < volume[then] * (1 + self.gain))
