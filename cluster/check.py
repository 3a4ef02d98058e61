"""Whether the machines of a cluster fit together: asked of each, and compared with the one that asks."""

import importlib
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster import probe
from cluster.display import megabytes
from cluster.launch import FAULT_SETTINGS
from cluster.nodes import Machine, machines, on_machine
from passivbot.errors import ClusterError

ANSWER_SECONDS = 60.0
"""How long a machine may take to answer: a process has to be started there."""

CLOCK_SECONDS = 2.0
"""How far a machine's clock may be off: further, and the times in logs tell another story."""

MEMORY_EACH = 150_000_000
"""Bytes that a worker needs at least, without candles."""

CACHE_LEAST = 1_000_000_000
"""Bytes below which a cache folder has no room for a panel."""

_CLOCK_READINGS = 5
_QUESTIONS = 3  # to a machine that joined and does not answer, until it is left out


@dataclass(frozen=True)
class Report:
    """What one machine said.

    Attributes
    ----------
    machine
        Which.
    facts
        Of :class:`cluster.probe.Probe`; None if it did not answer.
    silence
        Why it did not.
    died
        What should answer came to its end.
    clock
        Seconds by which its clock is ahead of ours.
    """

    machine: Machine
    facts: Mapping[str, Any] | None
    silence: str = ""
    died: bool = False
    clock: float = 0.0


class Asked:
    """A machine that was asked, and has not answered yet."""

    def __init__(self, machine: Machine) -> None:
        self._ray = importlib.import_module("ray")
        pickling = importlib.import_module("ray.cloudpickle")
        pickling.register_pickle_by_value(probe)
        try:
            actor = self._ray.remote(num_cpus=0, max_restarts=0, max_task_retries=0)(probe.Probe)
            self._actor = actor.options(scheduling_strategy=on_machine(machine.id)).remote()
        finally:
            pickling.unregister_pickle_by_value(probe)
        self.machine = machine
        self.since = time.monotonic()
        self.answer = self._actor.look.remote()

    def report(self, *, with_clock: bool = False) -> Report:
        """Return what it said, once ``answer`` is ready; a few calls more with the clock."""
        try:
            facts = self._ray.get(self.answer, timeout=0)
            return Report(self.machine, facts, clock=self._clock() if with_clock else 0.0)
        except self._ray.exceptions.GetTimeoutError:
            return Report(self.machine, None, f"no answer within {ANSWER_SECONDS:g} s")
        except self._ray.exceptions.RayError as error:
            return Report(self.machine, None, " ".join(str(error).split())[:200], died=True)
        finally:
            self._ray.kill(self._actor, no_restart=True)

    def _clock(self) -> float:
        """Return how far its clock is ahead; half the way of a call is what can't be known."""
        offsets: list[float] = []
        for _ in range(_CLOCK_READINGS):
            sent = time.time()
            there = self._ray.get(self._actor.clock.remote(), timeout=ANSWER_SECONDS)
            offsets.append(there - (sent + time.time()) / 2)
        return statistics.median(offsets)


def ask(present: Sequence[Machine], *, with_clock: bool = False) -> list[Report]:
    """Ask all machines at once; the slowest decides how long it takes.

    On a machine that is busy or low on memory a process may be ended while it starts: what died is asked
    again, once. A machine that leaves the cluster meanwhile has no report.
    """
    reports = _without_leavers(_ask(present, with_clock))
    died = [report.machine for report in reports if report.died]
    again = {report.machine.id: report for report in _ask(died, with_clock)}
    return _without_leavers([again.get(report.machine.id, report) for report in reports])


def _without_leavers(reports: list[Report]) -> list[Report]:
    if not any(report.died for report in reports):
        return reports
    still = {machine.id for machine in machines()}
    return [report for report in reports if not report.died or report.machine.id in still]


def _ask(present: Sequence[Machine], with_clock: bool) -> list[Report]:
    ray = importlib.import_module("ray")
    asked = [Asked(machine) for machine in present]
    if asked:
        ray.wait([one.answer for one in asked], num_returns=len(asked), timeout=ANSWER_SECONDS)
    return [one.report(with_clock=with_clock) for one in asked]


def own_facts() -> Mapping[str, Any]:
    """Return what this machine would say: the measure for the others."""
    return probe.Probe().look()


def misfits(report: Report, own: Mapping[str, Any]) -> list[str]:
    """Return what keeps a machine from taking part in a study: it would give other results, or none."""
    facts = report.facts
    if facts is None:
        return [f"does not answer ({report.silence})"]
    found = [
        f"{what} {facts_value} there, {own_value} here"
        for what, facts_value, own_value in (
            ("Python", facts["python"], own["python"]),
            *((name, facts["packages"].get(name), version) for name, version in own["packages"].items()),
        )
        if facts_value != own_value and facts_value is not None
    ]
    if facts["wheel_fault"]:
        found.append(f"the wheel of passivbot-cluster is not installed ({facts['wheel_fault']})")
        return found
    if own["wheel_fault"]:
        found.append(f"can't be compared: the wheel does not work on this machine ({own['wheel_fault']})")
    elif facts["engine"] != own["engine"]:
        found.append(f"engine {facts['engine']} there, {own['engine']} here")
    elif facts["sources"] != own["sources"] and not found:
        found.append(f"another build of passivbot-cluster ({facts['sources']} there, {own['sources']} here)")
    elif facts["result"] != own["result"]:
        found.append("its engine gives other results for the demo candles than the one here")
    return found


def weaknesses(report: Report) -> list[str]:
    """Return what else is wrong with a machine that answers."""
    facts = report.facts
    if facts is None:
        return []
    found = []
    if facts["cache_fault"]:
        found.append(f"cache folder {facts['cache']}: can't be written ({facts['cache_fault']})")
    elif facts["cache"] and facts["cache_free"] < CACHE_LEAST:
        found.append(f"cache folder {facts['cache']}: only {megabytes(facts['cache_free'])} free")
    need = report.machine.cpus * MEMORY_EACH
    if 0 < facts["memory"] < need:
        found.append(
            f"memory: {megabytes(facts['memory'])} free; {report.machine.cpus} workers need {megabytes(need)}"
        )
    if abs(report.clock) > CLOCK_SECONDS:
        found.append(f"clock: {abs(report.clock):.1f} s {'ahead' if report.clock > 0 else 'behind'}")
    lax = [name for name, value in FAULT_SETTINGS.items() if facts["environment"].get(name) != value]
    if lax:
        found.append(
            f"Ray was started without {lax[0]}={FAULT_SETTINGS[lax[0]]}"
            + (f" and {len(lax) - 1} more" if len(lax) > 1 else "")
            + " (see ray-cluster.yaml): a lost machine may stay unnoticed for a minute"
        )
    return found


class Gate:
    """Lets machines into a study that fit; those that join while it runs are asked without waiting.

    Parameters
    ----------
    admitted
        Machines that were asked before.
    own
        Facts to compare theirs with.
    fit
        Gives a machine the number of workers that it has room for; or says why there is none.
    say
        Prints one line.
    """

    def __init__(
        self,
        admitted: Sequence[Machine],
        own: Mapping[str, Any],
        fit: Callable[[Report], tuple[Machine, str | None]],
        say: Callable[[str], None],
    ) -> None:
        self._ray = importlib.import_module("ray")
        self._admitted = {machine.id: machine for machine in admitted}
        self._refused: set[str] = set()
        self._asked: dict[str, Asked] = {}
        self._silent: Counter[str] = Counter()
        self._own = own
        self._fit = fit
        self._say = say

    def __call__(self, present: Sequence[Machine]) -> list[Machine]:
        """Return those of the present machines that may have workers."""
        for machine in present:
            if machine.id not in {*self._admitted, *self._refused, *self._asked}:
                self._asked[machine.id] = Asked(machine)
        for node, asked in list(self._asked.items()):
            ready, _ = self._ray.wait([asked.answer], timeout=0)
            if ready or time.monotonic() - asked.since > ANSWER_SECONDS:
                del self._asked[node]
                self._decide(asked.report())
        return [self._admitted[machine.id] for machine in present if machine.id in self._admitted]

    def _decide(self, report: Report) -> None:
        if report.facts is None:
            # It is busy, or was lost again before it could answer: then nobody asks it any more.
            self._silent[report.machine.id] += 1
            if self._silent[report.machine.id] < _QUESTIONS:
                return
        machine, unfit = self._fit(report)
        found = [*misfits(report, self._own), *([unfit] if unfit else [])]
        if not found:
            self._admitted[machine.id] = machine
            return
        self._refused.add(machine.id)
        self._say(f"machine {machine} is left out: {found[0]}")


def refuse_misfits(reports: Sequence[Report], own: Mapping[str, Any]) -> None:
    """Refuse a cluster whose machines do not fit together.

    Raises
    ------
    ClusterError
        Names the first machine and its first fault.
    """
    for report in reports:
        if found := misfits(report, own):
            others = sum(bool(misfits(other, own)) for other in reports) - 1
            more = f" (and {others} more machines)" if others else ""
            raise ClusterError(
                f"machine {report.machine}: {found[0]}{more}; `passivbot cluster check` shows everything"
            )
