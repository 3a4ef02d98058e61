"""Results in any order, candidates as if there were one: the lag between a search and its cluster."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cluster.search.base import Array, Result, Search


@dataclass(frozen=True, slots=True)
class LoggedResult:
    """One row of a study's log, as :meth:`Lagged.restore` reads it.

    Attributes
    ----------
    number
        Of the candidate.
    vector
        Shape (d,).
    objectives
        Shape (k,), minimised; None if the candidate failed.
    violation
        Sum of the limits' violations.
    """

    number: int
    vector: Array
    objectives: ArrayLike | None
    violation: float


class Lagged:
    """Runs a search so that candidate n depends on results up to n − lag, and on the order of none.

    Before candidate n is generated, the search is told the results 0 … T(n) − 1, in the order of the
    candidates, whatever else has arrived. T(n) is n − lag + 1 (at least 0), rounded down to a multiple of the
    search's block, as a search selects only at the end of a block; and it never falls when the lag grows.
    So a study's candidates are the same with any number of workers in any order of finishing, a straggler
    holds up the study only when the whole lag is in flight behind it, and a study is restored by telling
    its log again.

    A head does, for n = ``next_number``: if ``ready(n)``, take ``ask(n)``; if not ``known(n)``, have it
    evaluated, **log** the result, then ``submit`` it. With the log written first, ``restore`` always gets
    as far as the interrupted run did.

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
        self._vectors: dict[int, Array] = {}
        self._results: dict[int, Result] = {}
        self._logged: dict[int, LoggedResult] = {}

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
        row = self._logged.pop(n, None)
        if row is None:
            self._vectors[n] = self.search.ask(n)
        else:
            self._vectors[n] = np.array(row.vector, dtype=np.float64)
            self.search.replay(n, self._vectors[n])
            self.submit(n, row.objectives, row.violation)
        return self._vectors[n]

    def known(self, n: int) -> bool:
        """Whether the result of an asked candidate is in already; restored ones need no evaluation."""
        return n < self.next_number and (n < self._told or n in self._results)

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
        if not 0 <= n < self.next_number:
            raise ValueError(f"a result of candidate {n}, of which {self.next_number} were asked")
        if self.known(n):
            return False
        self._results[n] = Result.of(objectives, violation, self.search.problem.n_objectives)
        return True

    def restore(self, rows: Iterable[LoggedResult]) -> list[tuple[int, Array]]:
        """Bring a fresh search to where a log ends.

        Parameters
        ----------
        rows
            In any order, with holes: candidates that were in flight when the run ended have no row.

        Returns
        -------
        list of (int, (d,) array)
            The holes, generated again: what is to be evaluated before anything new. Afterwards the next
            candidate is ``next_number``. Rows behind a hole that they can't bridge (a log written after
            ``submit``) are kept, and used when ``ask`` comes to them.
        """
        if self.next_number:
            raise RuntimeError("restore needs a search that was not asked yet")
        for row in rows:
            self._logged.setdefault(row.number, row)
        last = max(self._logged, default=-1)
        holes: list[tuple[int, Array]] = []
        for n in range(last + 1):
            if not self.ready(n):
                break
            vector = self.ask(n)
            if not self.known(n):
                holes.append((n, vector))
        return holes

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

    def _missing(self, n: int) -> int | None:
        return next((m for m in range(self._told, self._due(n)) if m not in self._results), None)

    def _tell_due(self, n: int) -> None:
        due = self._due(n)
        while self._told < due and self._told in self._results:
            m = self._told
            self.search.tell(m, self._vectors.pop(m), self._results.pop(m))
            self._told += 1
