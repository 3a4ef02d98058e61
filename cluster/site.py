"""Where a study runs: this machine, or the machines of a cluster; and whether it fits there.

What can be known before a study starts is known here: that the machines have the same software, how many
workers each has memory for, and how the candles get there.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cluster.candles import SharedCandles
from cluster.check import Gate, Report, ask, own_facts, refuse_misfits
from cluster.display import megabytes
from cluster.launch import attached_cluster, local_cluster, usable_cpus
from cluster.memory import Estimate, available_memory, plasma_folder
from cluster.nodes import Machine, machines
from cluster.panels import FETCH_BYTES_SECOND, MappedCandles, require_disk, require_place
from cluster.pool import START_SECONDS
from passivbot.errors import ResourceError

Admit = Callable[[Sequence[Machine]], Sequence[Machine]]


@dataclass(frozen=True)
class Site:
    """A running Ray that has room for a study.

    Attributes
    ----------
    local
        Started by us.
    workers
        Most workers; None: as many as the cluster has processors, now and later.
    processors
        Processors for workers at the start.
    admit
        Lets machines in, see :class:`cluster.pool.Pool`.
    mapped
        Whether the candles lie in files, as they are too large for the object store.
    panels
        Place from which machines fetch these files; None on one machine.
    start_seconds
        How long a worker may take to prepare itself.
    """

    local: bool
    workers: int | None
    processors: int
    admit: Admit
    mapped: bool
    panels: str | None
    start_seconds: float

    def place(
        self, table: pa.Table, btc_usd: NDArray[np.float64] | None, prepared: pa.Table
    ) -> SharedCandles | MappedCandles:
        """Put the candles where every machine gets them once."""
        if self.mapped:
            return MappedCandles.place(table, btc_usd, prepared, self.panels)
        return SharedCandles.place(table, btc_usd, prepared)


@contextmanager
def site(
    estimate: Estimate,
    *,
    address: str | None,
    workers: int | None,
    panels: str | None,
    say: Callable[[str], None],
) -> Iterator[Site]:
    """Start Ray here or join it at ``address``, once it is sure that the study fits there.

    Parameters
    ----------
    estimate
        Of what it needs.
    address
        Of a running cluster; None to start one here.
    workers
        Most workers; None for one a processor.
    panels
        Place for candles that are too large for an object store.
    say
        Prints one line.

    Raises
    ------
    ResourceError
        It fits nowhere.
    ClusterError
        The cluster can't be joined, or its machines do not fit together.
    """
    if panels is not None:
        require_place(panels)
    here = (
        _here(estimate, workers, say) if address is None else _there(estimate, address, workers, panels, say)
    )
    with here as found:
        yield found


@contextmanager
def _here(estimate: Estimate, workers: int | None, say: Callable[[str], None]) -> Iterator[Site]:
    say(f"memory: {estimate}; log at the end about {estimate.log_text}")
    estimate.require(available_memory())
    count = workers or usable_cpus()
    store, mapped = estimate.object_store, False
    try:
        folder = plasma_folder(store)
        if folder is not None:
            say(f"note: shared memory is too small for the candles; they are kept in {folder}")
    except ResourceError:
        # Files need no shared memory; what they lack is said in the end.
        require_disk(estimate.candles)
        store, mapped = estimate.without_candles.object_store, True
        folder = plasma_folder(store)
        say("note: shared memory is too small for the candles; they are mapped from files of the cache")
    say(f"workers: {count}, on this machine; Ray starts, which takes some seconds")
    with local_cluster(count, store, plasma_folder=folder):
        yield Site(
            local=True,
            workers=count,
            processors=count,
            admit=tuple,
            mapped=mapped,
            panels=None,
            start_seconds=START_SECONDS,
        )


@contextmanager
def _there(
    estimate: Estimate, address: str, workers: int | None, panels: str | None, say: Callable[[str], None]
) -> Iterator[Site]:
    estimate.head_only.require(available_memory())
    with attached_cluster(address, estimate.object_store):
        found = machines()
        own = own_facts()
        reports = ask(found)
        refuse_misfits(reports, own)
        mapped = _must_be_mapped(estimate, found, panels)
        fit = _Fit(estimate, mapped)
        usable, reasons = [], []
        for report in reports:
            machine, reason = fit(report)
            if reason:
                reasons.append(f"machine {machine}: {reason}")
            else:
                usable.append(machine)
        processors = sum(machine.cpus for machine in usable)
        if not processors and reasons:
            raise ResourceError(_nowhere(reasons))
        for reason in reasons:
            say(f"note: {reason}; it is left out")
        most = max((machine.cpus for machine in usable), default=0)
        say(
            f"memory: on each of {len(usable)} machines candles {megabytes(estimate.candles)} once"
            f"{', mapped from files' if mapped else ''}, up to {most} workers of "
            f"{megabytes(estimate.worker)}; head {megabytes(estimate.head)}; "
            f"log at the end about {estimate.log_text}"
        )
        yield Site(
            local=False,
            workers=workers,
            processors=processors,
            admit=Gate(usable, own, fit, say),
            mapped=mapped,
            panels=panels,
            start_seconds=START_SECONDS + estimate.candles / FETCH_BYTES_SECOND,
        )


def _must_be_mapped(estimate: Estimate, found: Sequence[Machine], panels: str | None) -> bool:
    """Return whether some object store is too small, and files would get around it."""
    small = any(machine.object_store < estimate.object_store for machine in found if machine.cpus)
    return small and (panels is not None or len({machine.address for machine in found}) == 1)


@dataclass(frozen=True)
class _Fit:
    """Gives a machine as many workers as it has memory for, and says why if that is none."""

    estimate: Estimate
    mapped: bool

    def __call__(self, report: Report) -> tuple[Machine, str | None]:
        machine, estimate = report.machine, self.estimate
        if not machine.cpus or report.facts is None:
            return machine, None
        if not self.mapped and machine.object_store < estimate.object_store:
            return machine, (
                f"its object store of {megabytes(machine.object_store)} is too small for the candles, which "
                f"need {megabytes(estimate.object_store)}"
            )
        free = report.facts["memory"]
        if not free:
            return machine, None
        count = (free - estimate.candles) // estimate.worker
        if count < 1:
            return machine, (
                f"{megabytes(free)} of memory are free; candles and one worker need "
                f"{megabytes(estimate.candles + estimate.worker)}"
            )
        return replace(machine, cpus=min(machine.cpus, count)), None


def _nowhere(reasons: Sequence[str]) -> str:
    more = f" (and so are {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return (
        f"no machine of the cluster has room for the study: {reasons[0]}{more}; fewer coins or a shorter "
        "window (backtest.start_date, backtest.end_date) take less, --panels URI (a folder that all machines "
        "reach, s3://… or gs://…) keeps candles out of the object stores"
    )
