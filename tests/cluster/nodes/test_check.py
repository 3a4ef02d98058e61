"""What of a machine's answer counts as a fault, and the questions themselves, asked by a real Ray."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from cluster.check import Gate, Report, ask, misfits, own_facts, refuse_misfits, weaknesses
from cluster.launch import FAULT_SETTINGS
from cluster.nodes import Machine, machines
from passivbot.errors import ClusterError

MACHINE = Machine(id="ab12", address="10.0.0.7", host="seven", cpus=8, object_store=10**9)
OWN: dict[str, Any] = {
    "python": "3.11.9",
    "packages": {"passivbot-cluster": "1.0", "ray": "2.60.0", "numpy": "2.4.0"},
    "environment": dict(FAULT_SETTINGS),
    "memory": 16 * 10**9,
    "engine": "1.0",
    "sources": "aaaa",
    "result": "bbbb",
    "cache": "~/.cache/passivbot",
    "cache_fault": None,
    "cache_free": 10**11,
    "wheel_fault": None,
}


def report(*, clock: float = 0.0, **changes: Any) -> Report:
    return Report(MACHINE, {**OWN, **changes}, clock=clock)


def test_equal_machine_has_no_fault() -> None:
    assert misfits(report(), OWN) == []
    assert weaknesses(report()) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"python": "3.12.1"}, "Python 3.12.1 there, 3.11.9 here"),
        ({"packages": {**OWN["packages"], "ray": "2.59.0"}}, "ray 2.59.0 there, 2.60.0 here"),
        ({"packages": {**OWN["packages"], "numpy": "1.9"}, "sources": "c"}, "numpy 1.9 there, 2.4.0 here"),
        ({"engine": "0.9", "sources": "cccc"}, "engine 0.9 there, 1.0 here"),
        ({"sources": "cccc"}, "another build of passivbot-cluster (cccc there, aaaa here)"),
        ({"result": "dddd"}, "its engine gives other results for the demo candles than the one here"),
        (
            {
                "wheel_fault": "ModuleNotFoundError: no module",
                "engine": None,
                "sources": None,
            },
            "the wheel of passivbot-cluster is not installed (ModuleNotFoundError: no module)",
        ),
    ],
)
def test_what_keeps_a_machine_out(changes: dict[str, Any], expected: str) -> None:
    assert misfits(report(**changes), OWN) == [expected]


@pytest.mark.parametrize(
    ("changes", "clock", "expected"),
    [
        ({"cache_fault": "Permission denied"}, 0.0, "can't be written (Permission denied)"),
        ({"cache_free": 10**8}, 0.0, "only 100 MB free"),
        ({"memory": 10**9}, 0.0, "memory: 1.0 GB free; 8 workers need 1.2 GB"),
        ({}, 7.25, "clock: 7.2 s ahead"),
        ({}, -3.0, "clock: 3.0 s behind"),
        (
            {"environment": {}},
            0.0,
            "Ray was started without RAY_health_check_initial_delay_ms=1000 and 7 more",
        ),
    ],
)
def test_what_else_is_wrong_with_a_machine(changes: dict[str, Any], clock: float, expected: str) -> None:
    (found,) = weaknesses(report(clock=clock, **changes))
    assert expected in found
    assert misfits(report(clock=clock, **changes), OWN) == []


def test_refusal_names_the_first_machine_and_counts_the_others() -> None:
    silent = Report(MACHINE, None, "no answer within 60 s")
    with pytest.raises(
        ClusterError, match=r"machine seven \(10\.0\.0\.7\): another build .*and 1 more machines"
    ):
        refuse_misfits([report(), report(sources="x"), silent], OWN)
    assert weaknesses(silent) == []
    refuse_misfits([report(), report(cache_fault="full")], OWN)


@pytest.mark.usefixtures("ray_cluster")
def test_this_machine_fits_itself() -> None:
    (found,) = ask(machines(), with_clock=True)
    assert misfits(found, own_facts()) == []
    assert abs(found.clock) < 1.0
    assert found.facts is not None
    assert found.facts["memory"] > 0
    assert "RAY_AUTH_TOKEN" not in found.facts["environment"]


def opened(gate: Gate, seconds: float = 60.0) -> list[Machine]:
    """Ask again and again, as the pool does."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        found = gate(machines())
        assert time.monotonic() - began < 5.0  # never waits for an answer
        if found or gate._refused:
            return found
        time.sleep(0.05)
    raise AssertionError("the machine does not answer")


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize(
    ("own", "reason", "expected"),
    [
        (lambda facts: facts, None, None),
        (
            lambda facts: {**facts, "sources": "other"},
            None,
            "is left out: another build of passivbot-cluster",
        ),
        (lambda facts: facts, "no room", "is left out: no room"),
    ],
)
def test_gate_lets_in_what_fits(own: Callable[[Any], Any], reason: str | None, expected: str | None) -> None:
    said: list[str] = []
    gate = Gate([], own(own_facts()), lambda report: (report.machine, reason), said.append)
    found = opened(gate)
    if expected is None:
        assert found == machines()
        assert said == []
    else:
        assert found == []
        assert expected in said[0]
        # It is not asked again.
        assert gate(machines()) == []
        assert len(said) == 1


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("silences", [2, 3])
def test_gate_asks_a_machine_that_was_too_busy_to_answer_again(
    silences: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    gate = Gate([], own_facts(), lambda report: (report.machine, None), said.append)
    with monkeypatch.context() as hurried:
        hurried.setattr("cluster.check.ANSWER_SECONDS", 0.0)
        for _ in range(silences):
            assert gate(machines()) == []
    if silences == 2:
        assert opened(gate) == machines()
        assert said == []
    else:
        assert gate(machines()) == []
        (line,) = said
        assert "is left out: does not answer" in line
