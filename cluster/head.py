"""The driver of a study: asks for candidates, keeps the workers busy, scores, logs and tells.

What reaches the search is in the log before (:class:`~cluster.search.lag.Lagged` says why), so a study is
restored from its log alone, wherever it was cut off.
"""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cluster.budget import STALLED
from cluster.display import Best, Display, Progress
from cluster.pace import Pace, Rate
from cluster.pool import Batch, Done, Lost, Pool
from cluster.publish import Link, Wishes
from cluster.search import Lagged
from cluster.workers import private_bytes
from passivbot.config import Scoring
from passivbot.study import Front, LogBatch, StudyLog

Array = NDArray[np.float64]

LOSSES = 2
"""A candidate that was there that often when a worker was lost, the last time alone, has failed."""

GRACE_SECONDS = 5.0
"""How long a stopped study waits for what its workers are at."""

_ASKING_SECONDS = 0.1  # for one batch: a model-based search may take that for a single candidate
_FEEDING_SECONDS = 0.3  # for all workers, before the head listens again
_TICK_SECONDS = 0.5
_SHOWING_SHARE = 0.05  # of the head's time, at most, for what it shows
_HELD_BACK = 0.05  # share of idle time from which the display mentions the lag


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes
    ----------
    finished
        Whether the budget is spent: candidates, hours, or the growth of the front.
    evaluated, stopped
        Candidates that this run evaluated; those of them that were stopped early.
    seconds
        From the first batch to the last result.
    engine_share
        Share of the workers' time that was spent in the evaluator.
    overhead
        Seconds a candidate that a worker spent outside the evaluator, the call itself not counted.
    """

    finished: bool
    evaluated: int
    stopped: int
    seconds: float
    engine_share: float
    overhead: float


class Head:
    """Runs a study to the end of its budget.

    Parameters
    ----------
    search
        Restored from the log; ``holes`` are what its restore returned.
    log
        Open for writing.
    scoring
        Objectives and limits.
    front
        Of what is in the log already.
    pool, pace
        Workers and the size of their batches.
    budget
        Number of candidates of the whole study.
    display
        Where progress is shown.
    shared_bytes
        Size of the candles, for the display.
    most
        Most workers that the user allows; None for any.
    seconds
        After which no more candidates are begun; None for never.
    link
        To the other studies of the cluster, and to who looks at them.
    """

    def __init__(
        self,
        search: Lagged,
        log: StudyLog,
        scoring: Scoring,
        front: Front,
        pool: Pool,
        pace: Pace,
        *,
        budget: int,
        display: Display,
        holes: Sequence[tuple[int, Array]] = (),
        shared_bytes: int = 0,
        most: int | None = None,
        seconds: float | None = None,
        link: Link | None = None,
    ) -> None:
        self._search = search
        self._log = log
        self._metrics = log.definition.metrics
        self._scoring = scoring
        self._front = front
        self._pool = pool
        self._pace = pace
        self._budget = budget
        self._display = display
        self._shared_bytes = shared_bytes
        self._holes = deque((n, vector) for n, vector in holes if n < budget)
        self._again: deque[Batch] = deque()
        self._asked = Batch((), np.empty((0, 0)))
        self._losses: dict[int, int] = {}
        self._left = budget - log.count(budget)
        self._total = log.count()
        self._failed = 0
        self._stopped_early = 0
        self._evaluated = 0
        self._workers_lost = 0
        self._most = most
        self._seconds = seconds
        self._link = link
        self._spent = False
        self._asked_to_stop = False
        self._stopping_since: float | None = None
        self._grace = GRACE_SECONDS
        self._started: float | None = None
        self._last_result = 0.0
        self._engine_seconds = 0.0
        self._overhead_seconds = 0.0
        self._held_back = _HeldBack()
        self._rate = Rate()
        self._next_tick = 0.0

    def stop(self) -> None:
        """End soon: ask for nothing more and wait a little for what runs; a second call ends the wait."""
        if self._stopping_since is None:
            self._stopping_since = time.monotonic()
        else:
            self._grace = 0.0

    def run(self) -> Outcome:
        """Evaluate until the budget is in the log, or :meth:`stop` was called."""
        self._end_if_stalled()
        if self._left and not self._holes:
            self._ask(1)  # what the first one imports takes half a second, in which the workers start
        while self._left and not self._stopped():
            hurry = self._stopping_since is None and self._feed()
            before, idle, held = time.monotonic(), self._pool.idle, self._waits_for_results()
            events = self._pool.wait(0.0 if hurry else _TICK_SECONDS / 2)
            self._take([event for event in events if isinstance(event, Done)])
            for event in events:
                if isinstance(event, Lost):
                    self._recover(event)
            if self._started is not None:
                self._held_back.note(time.monotonic() - before, idle if held else 0, self._pool.ready)
            self._tick()
        self._tick(last=True)
        seconds = self._last_result - self._started if self._started and self._last_result else 0.0
        return Outcome(
            finished=not self._left or self._spent,
            evaluated=self._evaluated,
            stopped=self._stopped_early,
            seconds=seconds,
            engine_share=self._engine_share(seconds),
            overhead=self._overhead_seconds / max(1, self._evaluated),
        )

    def _stopped(self) -> bool:
        if self._stopping_since is None:
            return False
        return not self._pool.in_flight or time.monotonic() - self._stopping_since >= self._grace

    # ---- handing out ----

    def _feed(self) -> bool:
        """Hand out batches; return whether there are more, but it is time to listen."""
        until = time.monotonic() + _FEEDING_SECONDS
        while self._pool.wants():
            batch = self._next_batch()
            if batch is None:
                return False
            if self._started is None:
                self._started = time.monotonic()
            self._pool.hand_in(batch)
            if time.monotonic() > until:
                return True
        return False

    def _next_batch(self) -> Batch | None:
        while self._again:
            batch = self._unknown(self._again.popleft())
            if len(batch):
                return batch
        size = self._batch_size()
        if self._holes:
            found = [self._holes.popleft() for _ in range(min(size, len(self._holes)))]
            return Batch(tuple(n for n, _ in found), np.array([vector for _, vector in found]))
        self._ask(size)
        if len(self._asked) < size and not self._pool.idle:
            return None  # everybody has something to do, and calls are what costs: wait until more are due
        batch, self._asked = self._asked.split(size)
        return batch if len(batch) else None

    def _ask(self, size: int) -> None:
        """Have so many candidates at hand, if the search gives them."""
        if len(self._asked) < size:
            # A search that works in blocks makes a whole one at hardly more cost than a part.
            most = max(size - len(self._asked), self._search.search.block)
            numbers, vectors = self._search.ask_block(most, self._budget, _ASKING_SECONDS)
            self._asked = self._asked.followed_by(Batch(tuple(numbers.tolist()), vectors))

    def _batch_size(self) -> int:
        return self._pace.batch_size(self._search.lag, self._left - self._pool.in_flight)

    def _unknown(self, batch: Batch) -> Batch:
        """Return a batch without the candidates whose result came in by another way."""
        known = self._search.known_block(np.array(batch.numbers, dtype=np.int64))
        return batch.only(np.flatnonzero(~known).tolist()) if known.any() else batch

    def _waits_for_results(self) -> bool:
        """Whether only the lag keeps the next candidate back."""
        n = self._search.next_number
        waiting = not (self._holes or self._again or len(self._asked))
        return waiting and n < self._budget and not self._search.ready(n)

    # ---- taking back ----

    def _take(self, done: Sequence[Done]) -> None:
        """Log and tell everything that came back, at once."""
        if not done:
            return
        replies = [one.reply for one in done]
        sizes = [len(one.batch) for one in done]
        for reply, size in zip(replies, sizes, strict=True):
            self._engine_seconds += reply.seconds
            self._overhead_seconds += reply.overhead
            self._pace.note(reply.seconds, size)
        stopped = np.concatenate([reply.stopped for reply in replies])
        error: list[str | None] = [None] * len(stopped)
        first = 0
        for reply, size in zip(replies, sizes, strict=True):
            for position, cause in reply.errors.items():
                error[first + position] = cause
            first += size
        self._store(
            LogBatch(
                numbers=np.array([n for one in done for n in one.batch.numbers], dtype=np.int64),
                parameters=np.concatenate([one.batch.parameters for one in done]),
                metrics=np.concatenate([reply.metrics for reply in replies]),
                status=[
                    "failed" if cause is not None else "ok" if minute != minute else "stopped"
                    for cause, minute in zip(error, stopped.tolist(), strict=True)
                ],
                worker=[one.worker for one, size in zip(done, sizes, strict=True) for _ in range(size)],
                seconds=np.concatenate([reply.seconds_each for reply in replies]),
                error=error,
                stopped=stopped,
            )
        )
        self._last_result = time.monotonic()

    def _recover(self, lost: Lost) -> None:
        """Queue what a lost worker had; a candidate that was alone with it for the second time has failed."""
        self._workers_lost += 1
        self._log.event(
            "worker_lost",
            {
                "worker": lost.worker,
                "cause": lost.cause,
                "candidates": list(lost.batch.numbers) if lost.batch else [],
            },
        )
        replaced = "" if lost.node_lost else "; a new one takes its place"
        self._display.say(f"{lost.worker} was lost: {lost.cause}{replaced}")
        self._again.extend(lost.unstarted)
        if lost.batch is None:
            return
        if lost.node_lost:
            self._again.append(lost.batch)
            return
        for n in lost.batch.numbers:
            self._losses[n] = self._losses.get(n, 0) + 1
        n = lost.batch.numbers[0]
        if len(lost.batch) > 1 or self._losses[n] < LOSSES:
            self._again.extend(lost.batch.halves())
        elif not self._search.known(n):
            self._store(
                LogBatch(
                    numbers=np.array([n], dtype=np.int64),
                    parameters=lost.batch.parameters,
                    metrics=np.full((1, len(self._metrics)), np.nan),
                    status=["failed"],
                    worker=[lost.worker],
                    seconds=np.zeros(1),
                    error=[f"{lost.cause} ({self._losses[n]} times)"],
                    stopped=np.full(1, np.nan),
                )
            )

    def _store(self, rows: LogBatch) -> None:
        """Log results, then tell them; in this order, see the module's text."""
        _, first = np.unique(rows.numbers, return_index=True)
        new = first[~self._search.known_block(rows.numbers[first])]
        if len(new) < len(rows):
            rows = rows.take(new)  # what came in twice counts as it came first
        if not len(rows):
            return
        self._log.append_batch(rows)
        objectives, _, total = self._scoring.evaluate(self._metrics, rows.metrics)
        status = np.array(rows.status)
        total = np.where(status == "ok", total, np.inf)
        self._front.add(rows.numbers, objectives, total)
        self._search.submit_block(rows.numbers, objectives, total)
        if self._losses:
            for n in rows.numbers.tolist():
                self._losses.pop(n, None)
        failed = np.flatnonzero(status == "failed")
        for i in failed.tolist():
            self._display.say(f"candidate {rows.numbers[i]} failed: {rows.error[i]}")
        self._failed += len(failed)
        self._stopped_early += int((status == "stopped").sum())
        self._total += len(rows)
        self._evaluated += len(rows)
        self._left -= int((rows.numbers < self._budget).sum())
        self._end_if_stalled()

    def _end_if_stalled(self) -> None:
        """Shorten the budget once the front has stopped growing.

        To the last candidate that could have been asked before that was known, so that the study ends with
        the same candidates whatever the workers.
        """
        told = self._front.stalled
        if told is None:
            return
        search = self._search
        end = max(told + search.lag + search.search.block, search.next_number)
        if end >= self._budget:
            return
        self._log.event(STALLED, {"told": told, "ends": end})
        self._display.say(
            f"the front has stopped growing after {told:,} candidates; the study ends with {end:,}"
        )
        self._left -= self._budget - end
        self._budget = end

    # ---- showing ----

    def _tick(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if now < self._next_tick and not last:
            return
        used = time.thread_time()
        due = last or self._display.due(now)
        if due or self._link:
            progress = self._progress(now)
            if due:
                self._display.show(progress, last=last)
            if self._link:
                self._heed(self._link.exchange(progress, self._front, self._demand()))
        if self._seconds is not None and self._started and now - self._started >= self._seconds:
            self._spent = True
            if self._stopping_since is None:
                self.stop()
        cost = time.thread_time() - used
        self._next_tick = time.monotonic() + max(_TICK_SECONDS, cost / _SHOWING_SHARE)

    def _heed(self, wishes: Wishes) -> None:
        """Do what others want: end, or use no more than a share of the workers."""
        if wishes.stop and not self._asked_to_stop:
            self._asked_to_stop = True
            self._display.say("the study was asked to stop")
            if self._stopping_since is None:
                self.stop()
        given = [size for size in (self._most, wishes.workers) if size is not None]
        self._pool.resize(min(given) if given else None)

    def _demand(self) -> int:
        """Return the most workers that there is work for."""
        useful = max(1, min(self._search.lag, self._left))
        return useful if self._most is None else min(useful, self._most)

    def _progress(self, now: float) -> Progress:
        elapsed = now - self._started if self._started else 0.0
        rate = self._rate.note(now, self._evaluated)
        if not rate and elapsed:
            rate = self._evaluated / elapsed
        objectives = self._front.objectives
        lag = self._search.lag
        held_back = self._held_back.share()
        return Progress(
            elapsed=elapsed,
            logged=self._total,
            budget=self._budget,
            left=self._left,
            failed=self._failed,
            stopped=self._stopped_early,
            in_flight=self._pool.in_flight,
            workers=len(self._pool),
            workers_ready=self._pool.ready,
            workers_lost=self._workers_lost,
            rate=rate,
            front=len(self._front),
            feasible=self._front.feasible_count,
            hypervolume=self._front.hypervolume,
            best=tuple(
                Best(objective.metric, float(column.min()) * objective.weight + 0.0)
                for objective, column in zip(self._scoring.objectives, objectives.T, strict=True)
                if len(column)
            ),
            engine_share=self._engine_share(elapsed),
            batch=self._batch_size(),
            lag=lag,
            held_back=held_back if held_back > _HELD_BACK else 0.0,
            feeding_lag=self._pace.feeding_lag(lag),
            head_bytes=private_bytes(),
            worker_bytes=sum(self._pool.private_bytes.values()),
            shared_bytes=self._shared_bytes,
            stopping=self._stopping_since is not None,
            evaluated=self._evaluated,
            engine_seconds=self._engine_seconds,
        )

    def _engine_share(self, seconds: float) -> float:
        return self._engine_seconds / (seconds * len(self._pool)) if seconds > 0 else 0.0


class _HeldBack:
    """Share of the workers' time, over the last ten seconds or so, in which only the lag kept them idle."""

    _WINDOW = 10.0

    def __init__(self) -> None:
        self._idle = self._time = 0.0

    def note(self, seconds: float, idle: int, workers: int) -> None:
        fade = max(0.0, 1.0 - seconds / self._WINDOW)
        self._idle = self._idle * fade + seconds * idle
        self._time = self._time * fade + seconds * workers

    def share(self) -> float:
        return self._idle / self._time if self._time else 0.0
