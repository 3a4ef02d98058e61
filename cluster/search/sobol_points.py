"""A scrambled Sobol sequence with access by index."""

import numpy as np
from numpy.typing import NDArray

from cluster.search.streams import Purpose, stream

CHUNK = 256
"""Points are generated this many at a time; a power of two keeps the sequence balanced."""


class SobolPoints:
    """Points of one study's Sobol sequence, Owen-scrambled from the study's seed.

    Parameters
    ----------
    dimension
        At least 1.
    seed
        The study's.
    """

    def __init__(self, dimension: int, seed: int):
        # scipy.stats takes a second to import, and most of what a command line does needs none of it
        from scipy.stats import qmc

        # a number, as scipy spawns generators and a Philox with a given key can't be spawned from
        scramble = int(stream(seed, 0, Purpose.SCRAMBLE).integers(2**63))
        self._engine = qmc.Sobol(dimension, scramble=True, rng=scramble)
        self._chunk = -1
        self._points: NDArray[np.float64] = np.empty((0, dimension))

    def point(self, k: int) -> NDArray[np.float64]:
        """Return point ``k`` of the sequence, shape (dimension,), each component in [0, 1)."""
        chunk, row = divmod(k, CHUNK)
        if chunk != self._chunk:
            if chunk != self._chunk + 1:
                self._engine.reset()
                if chunk:  # scipy can't go forward by nothing
                    self._engine.fast_forward(chunk * CHUNK)
            self._points = self._engine.random(CHUNK)
            self._chunk = chunk
        point: NDArray[np.float64] = self._points[row]
        return point
