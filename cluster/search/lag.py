"""Results in any order, candidates as if there were one: the lag between a search and its cluster."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cluster.search.base import Array, Result, Search

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Logged:
    """Rows of a study's log, as :meth:`Lagged.restore` reads them.

    Attributes
    ----------
    numbers
        Shape (m,), candidates, ascending.
    vectors
        Shape (m, d).
    objectives
        Shape (m, k), minimised.
    violations
        Shape (m,), sum of the limits' violations; infinite if the candidate failed.
    """

    numbers: Numbers
    vectors: Array
    objectives: Array
    violations: Array


class Lagged:
    """Runs a search so that candidate n depends on results up to n − lag, and on the order of none.

    Before candidate n is generated, the search is told the results 0 … T(n) − 1, in the order of the
    candidates, whatever else has arrived. T(n) is n − lag + 1 (at least 0), rounded down to a multiple of the
    search's block, as a search selects only at the end of a block; and it never falls when the lag grows.
    So a study's candidates are the same with any number of workers in any order of finishing, a straggler
    holds up the study only when the whole lag is in flight behind it, and a study is restored by telling
    its log again.

    A head asks (:meth:`ask_block`), has what comes evaluated, **logs** the results, then submits them. With
    the log written first, ``restore`` always gets as far as the interrupted run did.

    Parameters
    ----------
    search
        A fresh one; nothing else may call it from now on.
    schedule
        Pairs (n, lag), n ascending from 0: from candidate n on the lag is that. More than one pair comes from
        changing the lag on a resume, n being the first number not asked yet at that time. Default: the lag of
        the search's settings.
    """

    def __init__(self, search: Search, schedule: Sequence[tuple[int, int]] | None = None):
        steps = list(schedule) if schedule is not None else [(0, search.settings.lag)]
        numbers = [n for n, _ in steps]
        if numbers[:1] != [0] or numbers != sorted(set(numbers)) or any(lag < 1 for _, lag in steps):
            raise ValueError(f"lag schedule {steps}: needs ascending numbers from 0 and lags of at least 1")
        self.search = search
        self._schedule = steps
        self._step = 0
        self._told = 0
        self._window = _Window(search.problem.dimension, search.problem.n_objectives)
        self._logged: dict[int, tuple[Array, Array, float]] = {}

    @property
    def next_number(self) -> int:
        """Number of the candidate to ask for next."""
        return self.search.next_number

    @property
    def lag(self) -> int:
        """The lag of the next candidate: how many may be in flight at once, that one included."""
        self._advance(self.next_number)
        return self._schedule[self._step][1]

    def ready(self, n: int) -> bool:
        """Whether all results that candidate n = ``next_number`` depends on are in."""
        self._expect(n)
        return not self.search.needs_results or self._missing(n) is None

    def waiting_for(self) -> int | None:
        """Return the number of the first result that the next candidate waits for, None if it is ready."""
        return self._missing(self.next_number) if self.search.needs_results else None

    def ask(self, n: int) -> Array:
        """Return the vector of candidate n = ``next_number``, shape (d,).

        Raises
        ------
        RuntimeError
            If the candidate is not ready.
        """
        self._expect(n)
        if not self.ready(n):
            raise RuntimeError(f"candidate {n} needs the result of candidate {self._missing(n)} first")
        self._tell_due(n)
        vector: Array = self._generate(n, 1)[0]
        return vector

    def ask_block(self, most: int, below: int, seconds: float = float("inf")) -> tuple[Numbers, Array]:
        """Return the next candidates that have to be evaluated: their numbers (m,) and vectors (m, d).

        Parameters
        ----------
        most
            No more than so many; fewer, or none, if the next one is not ready.
        below
            None from this number on.
        seconds
            No new ones after that time, which changes only how many come at once.
        """
        until = time.monotonic() + seconds
        numbers: list[Numbers] = []
        vectors: list[Array] = []
        found = 0
        while found < most and (n := self.next_number) < below and self.ready(n):
            if found and time.monotonic() > until:
                break
            self._tell_due(n)
            count = min(most - found, below - n, self._alike(n))
            block = self._generate(n, count)
            which = np.arange(n, n + len(block))
            wanted = ~self.known_block(which)
            numbers.append(which[wanted])
            vectors.append(block[wanted])
            found += int(wanted.sum())
        if not numbers:
            return np.empty(0, np.int64), np.empty((0, self.search.problem.dimension))
        return np.concatenate(numbers), np.concatenate(vectors)

    def known(self, n: int) -> bool:
        """Whether the result of an asked candidate is in already; restored ones need no evaluation."""
        return n < self.next_number and (n < self._told or bool(self._window.known[n - self._told]))

    def known_block(self, numbers: Numbers) -> NDArray[np.bool_]:
        """Return :meth:`known` of many candidates (m,) that were asked."""
        places = numbers - self._told
        known = places < 0
        inside = ~known
        known[inside] = self._window.known[places[inside]]
        return known

    def submit(self, n: int, objectives: ArrayLike | None, violation: float) -> bool:
        """Hand in the result of a candidate, in any order.

        Parameters
        ----------
        n
            Of a candidate that was asked.
        objectives
            Shape (k,), minimised; None if the candidate failed. Not finite counts as failed.
        violation
            Sum of the limits' violations, 0 if all are kept.

        Returns
        -------
        bool
            False if there was a result already; the first one counts.
        """
        k = self.search.problem.n_objectives
        result = Result.of(objectives, violation, k)
        values = np.full(k, np.nan) if result.objectives is None else result.objectives
        return self.submit_block(np.array([n]), values[None], np.array([result.violation])) == 1

    def submit_block(self, numbers: Numbers, objectives: Array, violations: Array) -> int:
        """Hand in results in any order; return how many were new.

        Parameters
        ----------
        numbers
            Shape (m,), of candidates that were asked, each once.
        objectives
            Shape (m, k), minimised. A row with anything not finite in it failed.
        violations
            Shape (m,); infinite: failed.
        """
        wrong = (numbers < 0) | (numbers >= self.next_number)
        if wrong.any():
            raise ValueError(
                f"a result of candidate {numbers[wrong][0]}, of which {self.next_number} were asked"
            )
        new = ~self.known_block(numbers)
        places = numbers[new] - self._told
        values, sums = _scored(objectives[new], violations[new])
        self._window.objectives[places] = values
        self._window.violations[places] = sums
        self._window.known[places] = True
        return int(new.sum())

    def restore(self, blocks: Iterable[Logged]) -> list[tuple[int, Array]]:
        """Bring a fresh search to where a log ends, a block of rows at a time.

        Parameters
        ----------
        blocks
            By candidate number, with holes: candidates that were in flight when the run ended have no row.

        Returns
        -------
        list of (int, (d,) array)
            The holes, generated again: what is to be evaluated before anything new. Afterwards the next
            candidate is ``next_number``. Rows behind a hole that they can't bridge (a log written after
            ``submit``) are kept, and used when ``ask`` comes to them.
        """
        if self.next_number:
            raise RuntimeError("restore needs a search that was not asked yet")
        holes: list[tuple[int, Array]] = []
        for block in blocks:
            start = 0
            while start < len(block.numbers):
                first = int(block.numbers[start])
                while self.next_number < first and self.ready(self.next_number):
                    n = self.next_number
                    holes.append((n, self.ask(n)))
                if self.next_number < first or not self.ready(first):
                    for i in range(start, len(block.numbers)):
                        row = block.vectors[i], block.objectives[i], float(block.violations[i])
                        self._logged[int(block.numbers[i])] = row
                    break
                self._tell_due(first)
                end = start + self._alike(first)
                run = block.numbers[start:end]
                end = start + int(np.argmin(np.append(run == first + np.arange(len(run)), False)))
                self._replay(first, block.vectors[start:end])
                self.submit_block(
                    run[: end - start], block.objectives[start:end], block.violations[start:end]
                )
                start = end
        last = max(self._logged, default=-1)
        while (n := self.next_number) <= last and self.ready(n):
            vector = self.ask(n)
            if not self.known(n):
                holes.append((n, vector))
        return holes

    def _generate(self, n: int, count: int) -> Array:
        """Ask for candidates in a row from ``next_number`` on; a logged one is replayed, by itself."""
        if not self._logged:
            vectors = self.search.ask_block(n, count)
            self._window.append(vectors)
            return vectors
        row = self._logged.pop(n, None)
        if row is None:
            vectors = self.search.ask(n)[None]
            self._window.append(vectors)
            return vectors
        vectors = np.array(row[0], dtype=np.float64)[None]
        self._replay(n, vectors)
        self.submit_block(np.array([n]), row[1][None], np.array([row[2]]))
        return vectors

    def _replay(self, n: int, vectors: Array) -> None:
        self.search.replay_block(n, vectors)
        self._window.append(vectors)

    def _expect(self, n: int) -> None:
        if n != self.next_number:
            raise ValueError(f"asked for candidate {n}; the next is {self.next_number}")

    def _advance(self, n: int) -> None:
        while self._step + 1 < len(self._schedule) and self._schedule[self._step + 1][0] <= n:
            self._step += 1

    def _due(self, n: int) -> int:
        """Return T(n): how many results are told before candidate n is generated."""
        self._advance(n)
        allowed = n - self._schedule[self._step][1] + 1
        block = self.search.block
        return max(self._told, allowed // block * block)

    def _alike(self, n: int) -> int:
        """Return how many candidates from n on have the same T, as far as one block goes."""
        block = self.search.block
        if block == 1:
            return 1
        change = max(self._told + block, 0) + self._schedule[self._step][1] - 1
        if self._step + 1 < len(self._schedule):
            change = min(change, self._schedule[self._step + 1][0])
        return max(1, min(block, change - n))

    def _missing(self, n: int) -> int | None:
        known = self._window.known[: self._due(n) - self._told]
        return None if known.all() else self._told + int(np.argmin(known))

    def _tell_due(self, n: int) -> None:
        """Tell what is due before candidate n, as far as it is known."""
        window = self._window
        known = window.known[: self._due(n) - self._told]
        count = int(np.argmin(np.append(known, False)))
        if count:
            told = slice(0, count)
            self.search.tell_block(
                self._told, window.vectors[told], window.objectives[told], window.violations[told]
            )
            window.drop(count)
            self._told += count


def _scored(objectives: Array, violations: Array) -> tuple[Array, Array]:
    """Return results (m, k), (m,) in which anything not finite has become a failure."""
    failed = ~(np.isfinite(objectives).all(axis=1) & np.isfinite(violations))
    if failed.any():
        objectives, violations = objectives.copy(), violations.copy()
        objectives[failed] = np.nan
        violations[failed] = np.inf
    return objectives, np.maximum(violations, 0.0)


class _Window:
    """Candidates that were asked and not yet told, side by side; row 0 is the first of them."""

    def __init__(self, dimension: int, n_objectives: int):
        self._start = self._end = 0
        self._vectors = np.empty((256, dimension))
        self._objectives = np.empty((256, n_objectives))
        self._violations = np.empty(256)
        self._known = np.zeros(256, bool)

    @property
    def vectors(self) -> Array:
        """Shape (m, d)."""
        return self._vectors[self._start : self._end]

    @property
    def objectives(self) -> Array:
        """Shape (m, k), of those that are known."""
        return self._objectives[self._start : self._end]

    @property
    def violations(self) -> Array:
        """Shape (m,), of those that are known."""
        return self._violations[self._start : self._end]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Shape (m,): whether the result is in."""
        return self._known[self._start : self._end]

    def append(self, vectors: Array) -> None:
        """Add candidates (n, d) whose results are not in."""
        count = len(vectors)
        if self._end + count > len(self._known):
            self._make_room(count)
        self._vectors[self._end : self._end + count] = vectors
        self._known[self._end : self._end + count] = False
        self._end += count

    def drop(self, count: int) -> None:
        """Forget the first ones."""
        self._start += count

    def _make_room(self, count: int) -> None:
        """Move to the front; to larger arrays if more than half is in use."""
        used = self._end - self._start
        size = len(self._known)
        while used + count > size // 2:
            size *= 2
        for name in ("_vectors", "_objectives", "_violations", "_known"):
            old = getattr(self, name)
            new = np.zeros((size, *old.shape[1:]), old.dtype)
            new[:used] = old[self._start : self._end]
            setattr(self, name, new)
        self._start, self._end = 0, used
