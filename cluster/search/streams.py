"""One stream of random numbers a candidate, from a counter-based generator.

Whoever draws for candidate ``n`` draws from ``Philox(key=(seed, n))``: no draw depends on how many candidates
came before, on which machine they ran, or on what was restored instead of generated.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import numpy as np
from numpy.random import Generator, Philox

MAX_SEED = 2**64 - 1


class Purpose(IntEnum):
    """What a stream is drawn for; each purpose has its own 2^192 numbers of the same key."""

    CANDIDATE = 0
    """Generating candidate ``n``."""
    SELECTION = 1
    """Choosing survivors after the result of candidate ``n`` was told."""
    SAMPLER = 2
    """Seeding a library's sampler for candidate ``n``."""
    SCRAMBLE = 3
    """Scrambling a study's Sobol sequence (``n`` is 0)."""
    VARIATION = 4
    """Breeding children, all of a study from one stream (``n`` is 0): see ``cluster.search.breeding``."""


def stream(seed: int, n: int, purpose: Purpose = Purpose.CANDIDATE) -> Generator:
    """Return the stream of candidate ``n`` in the study with this seed.

    Parameters
    ----------
    seed
        0 … 2^64 − 1.
    n
        Candidate number.
    purpose
        Streams of the same candidate for different purposes do not overlap.
    """
    counter = np.array((0, 0, 0, purpose), dtype=np.uint64)
    return Generator(Philox(key=np.array((seed, n), dtype=np.uint64), counter=counter))


@contextmanager
def seeded_random(generator: Generator) -> Iterator[None]:
    """Seed Python's ``random`` module from ``generator``, and give its former state back on leaving.

    DEAP's variation operators draw from that module and take no generator of their own. They leave
    numpy's global state alone, so that isn't touched (saving it costs more than the operators).
    """
    state = random.getstate()
    random.seed(int(generator.integers(2**64, dtype=np.uint64)))
    try:
        yield
    finally:
        random.setstate(state)
