"""How large a batch is, how long it may take, and how many candidates come a second, all as measured."""

from collections import deque
from collections.abc import Sized
from math import ceil

from cluster.pool import QUEUED, Batch

TARGET_SECONDS = 0.5
"""What a call should take: long against its cost (about a millisecond), short against a person's patience."""

CALLS_PER_SECOND = 1000.0
"""More calls a second than that are too many for a head: with more workers the calls get longer."""

FEEDING_SECONDS = 0.1
"""Calls shorter than this are not worth having a larger lag for."""

_GATHERING_SHARE = 0.55  # of a call, for which a reply may lie
_GATHERING_SECONDS = 0.1
_ROUND_SECONDS = 0.02  # what a round of the head may take on a busy machine
_SIDE_BY_SIDE = 8  # candidates that the engine runs in hardly more time than one
_PATIENCE = 20.0  # a batch may take that many times the mean
_WEIGHT = 0.2  # of the newest batch in the mean


class Pace:
    """Measures candidates and sizes batches.

    Nothing of it touches a candidate or a result.

    Parameters
    ----------
    workers
        Number of workers.
    limit
        Largest batch that the user allows; None for any.
    floor_seconds
        Least deadline of a batch.
    unmeasured_seconds
        Deadline of a candidate while none was measured.
    """

    def __init__(
        self,
        workers: int,
        limit: int | None = None,
        *,
        floor_seconds: float = 60.0,
        unmeasured_seconds: float = 600.0,
    ) -> None:
        self._count: Sized = range(workers)
        self._limit = limit
        self._floor = floor_seconds
        self._unmeasured = unmeasured_seconds
        self.seconds_each: float | None = None
        """Mean seconds of a candidate lately; None while none came back."""

    @property
    def _workers(self) -> int:
        return max(1, len(self._count))

    def follow(self, workers: Sized) -> None:
        """Take the number of workers from what may change its length: the pool."""
        self._count = workers

    def note(self, seconds: float, count: int) -> None:
        """Take in that ``count`` candidates took ``seconds``."""
        each = seconds / max(1, count)
        if self.seconds_each is None:
            self.seconds_each = each
        else:
            self.seconds_each += _WEIGHT * (each - self.seconds_each)

    def batch_size(self, lag: int, left: int) -> int:
        """Return the size of the next batch.

        Parameters
        ----------
        lag
            Candidates that may be in flight; two batches for each worker have to fit in.
        left
            Candidates that no worker has yet: the last ones go out in ever smaller batches, so that all
            workers end at the same time.
        """
        if self.seconds_each is None:
            return 1  # to be measured
        target = max(TARGET_SECONDS, self._workers / CALLS_PER_SECOND)
        wanted = max(1, round(target / max(self.seconds_each, 1e-6)))
        if self._limit is not None:
            wanted = min(wanted, self._limit)
        least = max(_SIDE_BY_SIDE, round(self._workers / CALLS_PER_SECOND / max(self.seconds_each, 1e-6)))
        share = max(ceil(left / (self._workers * QUEUED)), min(least, ceil(left / self._workers)))
        return max(1, min(wanted, lag // (self._workers * QUEUED), share))

    def patience(self, count: int) -> float:
        """Return for how long a reply may lie, for others to come, while its worker has ``count`` candidates.

        A round of the head takes one reply or many at nearly the same cost. It is more than half a call, so
        that two workers are answered together however far apart they end.
        """
        call = (self.seconds_each or 0.0) * count
        patience = min(_GATHERING_SECONDS, _GATHERING_SHARE * call)
        return patience if call - patience >= _ROUND_SECONDS else 0.0

    def feeding_lag(self, lag: int) -> int:
        """Return a lag that keeps all workers busy, larger than the present one."""
        size = ceil(FEEDING_SECONDS / max(self.seconds_each or FEEDING_SECONDS, 1e-6))
        return max(self._workers * QUEUED * max(1, size), 2 * lag)

    def allowed_seconds(self, batch: Batch) -> float:
        """Return after how many seconds a batch is given up."""
        if self.seconds_each is None:
            return max(self._floor, self._unmeasured * len(batch))
        return max(self._floor, _PATIENCE * self.seconds_each * len(batch))


class Rate:
    """Results a second over the last half minute; the time before the first one does not count."""

    _SECONDS = 30.0

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, now: float, count: int) -> float:
        """Take in how many results there are by now; return the rate, 0 while it can't be told."""
        if not count:
            self._seen.clear()  # workers are starting, which says nothing of how fast they are
        self._seen.append((now, count))
        while len(self._seen) > 2 and now - self._seen[1][0] > self._SECONDS:
            self._seen.popleft()
        then, before = self._seen[0]
        return (count - before) / (now - then) if now > then else 0.0
