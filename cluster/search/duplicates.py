"""No vector twice: a repeated one is perturbed until it is new (optimizer-semantics §4)."""

import math
from collections.abc import Callable, Iterator
from hashlib import blake2b

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Asked:
    """The set of vectors asked so far, and the ladder of perturbations that leads away from it.

    A vector is remembered as the first 8 bytes of its BLAKE2 digest, some 70 bytes of memory a candidate.
    That two different vectors share them has a probability below 1e-6 among five million, and would only
    perturb a candidate without need, the same one in every repetition of the study.

    Parameters
    ----------
    low, high
        Bounds, shape (d,).
    enforce
        Maps raw vectors (n, d) to admissible ones.
    digits
        Significant digits of an admissible vector.
    """

    def __init__(self, low: Array, high: Array, enforce: Callable[[Array], Array], digits: int):
        self._free = np.flatnonzero(low < high)
        self._low = low[self._free]
        self._high = high[self._free]
        self._enforce = enforce
        self._digits = digits
        self._seen: set[int] = set()

    def __contains__(self, vector: Array) -> bool:
        return _digest(vector) in self._seen

    def add(self, vector: Array) -> None:
        """Remember an enforced vector (d,)."""
        self._seen.add(_digest(vector))

    def unique(self, raw: Array, rng: Generator) -> Array:
        """Return ``raw`` enforced, or the first perturbation of it that was not asked yet.

        If all six fail, the enforced vector itself is returned: evaluating it again gives the same result.
        """
        vector = self._enforced(raw)
        if vector not in self or not self._free.size:
            return vector
        for free in self._ladder(vector[self._free], rng):
            changed = vector.copy()
            changed[self._free] = free
            changed = self._enforced(changed)
            if changed not in self:
                return changed
        return vector

    def unique_block(self, raw: Array, rng: Callable[[int], Generator]) -> Array:
        """Return raw vectors (m, d) enforced and made unique one after the other, and remember them.

        Parameters
        ----------
        raw
            One candidate a row.
        rng
            Row → stream of the candidate; called only for those that are a repetition.
        """
        vectors: Array = self._enforce(raw) + 0.0
        seen, width = self._seen, vectors.shape[1] * vectors.itemsize
        data = vectors.tobytes()
        for i in range(len(vectors)):
            digest = _digest_of(data[i * width : (i + 1) * width])
            if digest in seen:
                vectors[i] = self.unique(vectors[i], rng(i))
                digest = _digest(vectors[i])
            seen.add(digest)
        return vectors

    def add_block(self, vectors: Array) -> None:
        """Remember enforced vectors (m, d)."""
        width, data = vectors.shape[1] * vectors.itemsize, vectors.tobytes()
        self._seen.update(_digest_of(data[i : i + width]) for i in range(0, len(data), width))

    def _enforced(self, raw: Array) -> Array:
        # + 0.0 turns -0.0 into 0.0: one value, one digest
        enforced: Array = self._enforce(raw[None, :])[0] + 0.0
        return enforced

    def _ladder(self, v: Array, rng: Generator) -> Iterator[Array]:
        """Yield the six perturbations of the free components ``v``, from the gentlest on."""
        size, span = v.size, self._high - self._low
        few = max(1, size // 5)

        yield v * (1.0 + rng.uniform(-0.01, 0.01, size))

        sign = np.where(rng.random(size) < 0.5, -1.0, 1.0)
        yield np.where(rng.random(size) < 0.5, v + sign * self._last_digit(v), v)

        yield v + rng.normal(0.0, 0.01, size) * span

        some = rng.choice(size, few, replace=False)
        changed = v.copy()
        changed[some] += rng.uniform(-1.0, 1.0, few) * 0.01 * span[some]
        yield changed

        some = rng.choice(size, few, replace=False)
        changed = v.copy()
        changed[some] = rng.uniform(self._low[some], self._high[some])
        yield changed

        yield rng.uniform(self._low, self._high)

    def _last_digit(self, v: Array) -> Array:
        """Return one unit of the last significant digit of each component."""
        unit = (self._high - self._low) * 10.0 ** -(self._digits - 1)
        for i in np.flatnonzero(v):
            unit[i] = 10.0 ** (math.floor(math.log10(abs(v[i]))) - (self._digits - 1))
        return unit


def _digest(vector: Array) -> int:
    return _digest_of(vector.tobytes())


def _digest_of(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")
