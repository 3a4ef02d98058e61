"""What goes between the head of a study and its workers: batches, and what became of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cluster.workers import Reply

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Batch:
    """Candidates that one call evaluates.

    Attributes
    ----------
    numbers
        (n,) of the candidates.
    parameters
        (n, d) their vectors.
    alone
        Whether it must be the only one that its worker holds: then a dead worker is its fault.
    """

    numbers: tuple[int, ...]
    parameters: Array
    alone: bool = False

    def __len__(self) -> int:
        return len(self.numbers)

    def halves(self) -> "tuple[Batch, ...]":
        """Return the batch in two parts, or itself if it has one candidate."""
        middle = len(self) // 2
        if not middle:
            return (self,)
        return self.only(range(middle)), self.only(range(middle, len(self)))

    def split(self, size: int) -> "tuple[Batch, Batch]":
        """Return the first ``size`` candidates, or all there are, and the rest."""
        return (
            replace(self, numbers=self.numbers[:size], parameters=self.parameters[:size]),
            replace(self, numbers=self.numbers[size:], parameters=self.parameters[size:]),
        )

    def followed_by(self, other: "Batch") -> "Batch":
        """Return the candidates of both, in this order."""
        if not len(self):
            return other
        return replace(
            self,
            numbers=self.numbers + other.numbers,
            parameters=np.concatenate([self.parameters, other.parameters]),
        )

    def only(self, positions: Sequence[int]) -> "Batch":
        """Return the batch with the candidates at these positions."""
        return replace(
            self,
            numbers=tuple(self.numbers[i] for i in positions),
            parameters=self.parameters[list(positions)],
        )


@dataclass(frozen=True)
class Done:
    """A batch came back."""

    batch: Batch
    reply: Reply
    worker: str


@dataclass(frozen=True)
class Lost:
    """A worker was lost.

    Attributes
    ----------
    worker, cause
        Who, and why, in a few words.
    batch
        What it was evaluating; None if it was idle, or if that can't be told.
    unstarted
        What else it had: to be run again, and not to be blamed.
    node_lost
        Whether its whole machine has gone, which no candidate is to blame for.
    """

    worker: str
    cause: str
    batch: Batch | None
    unstarted: tuple[Batch, ...]
    node_lost: bool
