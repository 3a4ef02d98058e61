"""Running a study on a cluster: workers, interruption, and what is said before and after."""

import gc
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from types import FrameType

import numpy as np

from cluster.actors import Actors
from cluster.budget import EVENT
from cluster.candles import panel_bytes, prepared_share
from cluster.dashboard.shown import shown
from cluster.display import Display, make_display
from cluster.head import Head, Outcome
from cluster.holdout import EVENT as HOLDOUT
from cluster.launch import usable_cpus
from cluster.memory import Estimate
from cluster.pace import Pace
from cluster.pool import START_SECONDS, Pool
from cluster.prepare import Plan
from cluster.publish import Link, published
from cluster.search import Lagged, Logged, Problem, Settings
from cluster.search.base import Array
from cluster.search.registry import make_search
from cluster.site import Admit, site
from cluster.workers import EngineFactory, Evaluator
from passivbot.config import Scoring
from passivbot.errors import ConfigError, located
from passivbot.study import Front, StudyLog
from passivbot.study.lock import LOCK_FILE
from passivbot.study.mirror import Mirror
from passivbot.study.stall import Stall


def execute(
    plan: Plan,
    *,
    workers: int | None,
    batch: int | None,
    lag: int | None,
    address: str | None,
    panels: str | None = None,
    weight: float = 1.0,
    mirror: str | None = None,
    page: bool = True,
    say: Callable[[str], None],
) -> tuple[StudyLog, Outcome | None]:
    """Run a planned study as far as its budget; the log comes back open.

    Parameters
    ----------
    plan
        New or resumed.
    workers
        Number of workers; None for one a processor.
    batch
        Largest batch; None for what suits.
    lag
        For a resumed study: the lag from here on.
    address
        Of a running Ray cluster; None to start one here.
    panels
        Place for candles that are too large for an object store.
    weight
        Share of the cluster's workers, relative to other studies.
    mirror
        URI of a mirror to keep; None for none.
    page
        Whether the page is served while the study runs.
    say
        Prints one line.

    Returns
    -------
    The log, and how the run ended: None if there was nothing left to do.

    Raises
    ------
    PassivbotError
        Whatever keeps the study from being run; what was logged until then stays.
    """
    if not 0 < weight < float("inf"):
        raise ConfigError(located("the command line", "--weight", weight, "a number above 0"))
    log = plan.log
    seconds = None if plan.ends.hours is None else plan.ends.hours * 3600.0
    if log is not None:
        seconds = plan.ends.seconds_left(log)
        if missing(log, plan.budget) == 0 or (seconds is not None and seconds <= 0):
            return log, None
    estimate = estimated(plan, workers, local=address is None)
    place = site(estimate, address=address, workers=workers, panels=panels, say=say)
    new = log is None
    if log is None:
        log = StudyLog.create(plan.folder, plan.definition)
    try:
        if new:
            # Before Ray starts, which takes a while: a study that is killed meanwhile is to go on as asked.
            if plan.holdout is not None:
                log.event(HOLDOUT, {"days": plan.holdout})
            log.event(EVENT, plan.ends.payload())
        with place as joined, ExitStack() as stack:
            if not new:
                log.event("resumed", {"logged": log.count()})
                log.event(EVENT, plan.ends.payload())
            if lag is not None and not new:
                change_lag(log, lag)
            if mirror is not None:
                say(f"mirror: {stack.enter_context(closing(Mirror(log, mirror, say))).uri}")
            # A cluster of our own has no other studies; the page beside it reads the log.
            link = stack.enter_context(published(log, weight)) if address is not None else None
            if page:
                stack.enter_context(shown(plan.folder, local=address is None, say=say))
            scenario = plan.scenario
            shared = joined.place(scenario.panel.table, scenario.btc_usd, scenario.engine().prepare())
            factory = EngineFactory.of(
                plan.scenario, plan.space, plan.definition.metrics, shared, plan.stop_limits
            )
            display = make_display(sys.stdout, plan.folder.name)
            try:
                outcome = drive(
                    log,
                    plan.problem,
                    plan.settings,
                    plan.scoring,
                    factory,
                    budget=plan.budget,
                    workers=joined.workers,
                    batch=batch,
                    display=display,
                    shared_bytes=shared.nbytes,
                    admit=joined.admit,
                    start_seconds=joined.start_seconds,
                    seconds=seconds,
                    until=plan.ends.until,
                    link=link,
                )
                if link is not None:
                    link.state = "finished" if outcome.finished else "stopped"
            finally:
                display.close()
    except BaseException:
        empty = new and log.count() == 0
        log.close()
        if empty:
            _discard(log)
        raise
    return log, outcome


def estimated(plan: Plan, workers: int | None, *, local: bool) -> Estimate:
    """Return what a plan needs of this machine's memory; ``local``: Ray is started for it."""
    panel = plan.scenario.panel
    candles = panel_bytes(panel.table, plan.scenario.btc_usd)
    return Estimate.of(
        candles=int(candles * (1.0 + prepared_share(panel.interval_minutes))),
        bars=panel.bars,
        workers=workers or usable_cpus(),
        budget=plan.budget,
        width=len(plan.definition.space.names) + len(plan.definition.metrics),
        local=local,
    )


def _discard(log: StudyLog) -> None:
    """Remove a study in which nothing was evaluated, so that the corrected command can be typed again."""
    for path in (log.path, *(Path(f"{log.path}{end}") for end in ("-wal", "-shm")), log.folder / LOCK_FILE):
        path.unlink(missing_ok=True)
    with suppress(OSError):  # what else lies there is not ours
        log.folder.rmdir()


def drive(
    log: StudyLog,
    problem: Problem,
    settings: Settings,
    scoring: Scoring,
    factory: Callable[[], Evaluator],
    *,
    budget: int,
    workers: int | None,
    display: Display,
    batch: int | None = None,
    pace: Pace | None = None,
    shared_bytes: int = 0,
    admit: Admit = tuple,
    start_seconds: float = START_SECONDS,
    seconds: float | None = None,
    until: Stall | None = None,
    link: Link | None = None,
    actors: Actors | None = None,
) -> Outcome:
    """Run a study from where its log ends.

    Parameters
    ----------
    log
        Open for writing.
    problem, settings, scoring
        As the study was made.
    factory
        Makes the evaluator in a worker.
    budget, workers, batch
        Candidates of the whole study; most workers, None for one a processor; largest batch.
    display
        Where progress is shown.
    pace
        In place of the usual sizes and deadlines of batches.
    shared_bytes
        Size of what the workers share, for the display.
    admit, start_seconds, actors
        As :class:`Pool` takes them.
    seconds, until
        What ends the study besides its candidates: time from the first batch on; a front that does not grow.
    link
        To the other studies of the cluster.
    """
    search, front, holes = restore(log, problem, settings, scoring, until)
    pace = pace or Pace(workers or 1, batch)
    pool = Pool(
        factory,
        len(log.definition.metrics),
        _least(workers, link.wishes.workers if link else None),
        pace.allowed_seconds,
        admit=admit,
        say=display.say,
        patience=pace.patience,
        start_seconds=start_seconds,
        actors=actors,
    )
    pace.follow(pool)
    head = Head(
        search,
        log,
        scoring,
        front,
        pool,
        pace,
        budget=budget,
        display=display,
        holes=holes,
        shared_bytes=shared_bytes,
        most=workers,
        seconds=seconds,
        link=link,
    )
    try:
        with stopped_by_signals(head.stop), uncollected():
            outcome = head.run()
    finally:
        pool.close()
    log.event(
        "finished" if outcome.finished else "stopped",
        {
            "logged": log.count(),
            "seconds": round(outcome.seconds, 3),
            "front": len(front),
            "hypervolume": front.hypervolume,
        },
    )
    return outcome


def restore(
    log: StudyLog, problem: Problem, settings: Settings, scoring: Scoring, until: Stall | None = None
) -> tuple[Lagged, Front, list[tuple[int, Array]]]:
    """Return search and front as the log leaves them, and the candidates that are missing in it."""
    definition = log.definition
    front = Front(len(scoring.objectives), population=definition.population, stall=until)

    def results() -> Iterator[Logged]:
        for rows in log.chunks():
            objectives, _, total = scoring.evaluate(definition.metrics, rows.metrics)
            total = np.where(rows.status == "ok", total, np.inf)
            front.add(rows.numbers, objectives, total)
            yield Logged(rows.numbers, rows.parameters, objectives, total)

    # Two changes of the lag at the same candidate: the later one counts.
    schedule = sorted(dict(log.lags()).items())
    search = Lagged(make_search(definition.search, problem, settings), schedule)
    return search, front, search.restore(results())


def change_lag(log: StudyLog, lag: int) -> None:
    """Let the search run with another lag from the first candidate on that the log can't know."""
    if log.lags()[-1][1] != lag:
        log.change_lag(log.last() + 1, lag)


def missing(log: StudyLog, budget: int) -> int:
    """Return how many candidates of a budget are not in the log."""
    return budget - log.count(budget)


def _least(*sizes: int | None) -> int | None:
    given = [size for size in sizes if size is not None]
    return min(given) if given else None


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep garbage collections away from what is there already while the body runs.

    The libraries are some 170,000 objects; walking through them takes a tenth of a second each time.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM call ``stop`` while the body runs."""

    def handle(number: int, frame: FrameType | None) -> None:
        stop()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
