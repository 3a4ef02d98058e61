"""Real nodes come and go while a study runs; its log is that of one undisturbed machine, to the bit."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from passivbot.config.resources import configs_dir
from passivbot.study import Rows, StudyLog
from tests.cluster.nodes.memory import NodeMemory, memory_of
from tests.cluster.nodes.sandbox import BIN, ROOT, Sandbox
from tests.cluster.nodes.story import ADDRESS, Study

CUT_SECONDS = 20.0
NOTICED_SECONDS = 10.0
MORE = 150  # candidates after the last accident
pytestmark = pytest.mark.timeout(900)


@dataclass
class Told:
    """What is left of the story."""

    study: Study
    rows: Rows
    reference: Rows
    fronts: tuple[str, str]
    memory: list[NodeMemory]
    budget: int


def arguments(candles: Path | None) -> list[str]:
    options = [str(configs_dir() / "quickstart.json"), *("--search", "nsga2"), *("--population", "120")]
    options += ["--seed", "7", "--iters", "100000"]
    return [*options, "--candles", str(candles)] if candles else options


@pytest.fixture(scope="module")
def told(sandbox: Sandbox, real_candles: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Told:
    study = Study(sandbox, arguments(real_candles))
    first, second = sandbox.start(1, head=True), sandbox.start(2)
    sandbox.wait_until_ready(first, second)
    study.run()
    study.wait_for_results(first, second)

    third = sandbox.start(3, cpus=2)
    study.join(third, workers=2)
    memory = memory_of(sandbox, ADDRESS)

    since = time.time()
    sandbox.kill(second)
    study.wait_until_noticed(second, since, "killed")
    study.wait_for_results(first, third)

    fourth, fifth = sandbox.start(4), sandbox.start(5)
    study.join(fourth)
    study.join(fifth)
    since = time.time()
    sandbox.leave(fifth)
    study.wait_until_noticed(fifth, since, "left")
    since = time.time()
    sandbox.power_loss(third)
    study.wait_until_noticed(third, since, "power loss")
    study.wait_for_results(first, fourth)

    since = time.time()
    sandbox.cut(fourth)
    study.wait_until_noticed(fourth, since, "cut")
    study.wait_for_results(first)
    time.sleep(max(0.0, since + CUT_SECONDS - time.time()))
    sandbox.heal(fourth)
    study.join(fourth)

    study.kill_driver()
    study.run("--resume")
    study.wait_for_results(first, fourth)

    sandbox.kill(first)
    first = sandbox.start(1, head=True)
    sandbox.wait_until_ready(first, fourth)
    budget = study.count() + MORE
    study.run("--resume", "--iters", str(budget))
    study.finish()
    with StudyLog.open(study.folder) as log:
        rows = log.read()

    alone = tmp_path_factory.mktemp("alone") / "s"
    options = [*study.options, "--study", str(alone), "--iters", str(len(rows)), "--workers", "2"]
    done = subprocess.run(
        [str(BIN / "passivbot"), "optimize", *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with StudyLog.open(alone) as log:
        reference = log.read()
    fronts = (front_of(study.folder), front_of(alone))
    return Told(study, rows, reference, fronts, memory, budget)


def front_of(folder: Path) -> str:
    done = subprocess.run(
        [str(BIN / "passivbot"), "pareto", str(folder), "--json"], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_every_candidate_is_logged_once(told: Told) -> None:
    assert told.rows.numbers.tolist() == list(range(len(told.rows)))
    assert len(told.rows) >= told.budget
    assert set(told.rows.status.tolist()) == {"ok"}


def test_log_and_front_are_those_of_one_machine(told: Told) -> None:
    assert np.array_equal(told.rows.numbers, told.reference.numbers)
    assert told.rows.parameters.tobytes() == told.reference.parameters.tobytes()
    assert told.rows.metrics.tobytes() == told.reference.metrics.tobytes()
    assert told.fronts[0] == told.fronts[1]
    assert told.fronts[0].count('"candidate"') > 3


def test_every_machine_took_part(told: Told) -> None:
    machines = {name.partition("/")[0] for name in told.rows.worker}
    assert machines == {f"node{index}" for index in range(1, 6)}


def test_lost_machines_are_noticed_in_time(told: Told) -> None:
    print({what: round(seconds, 2) for what, seconds in told.study.noticed.items()})
    assert set(told.study.noticed) == {"killed", "left", "power loss", "cut"}
    # A node that is asked to end takes its time, and its workers compute until then.
    assert max(seconds for what, seconds in told.study.noticed.items() if what != "left") < NOTICED_SECONDS


def test_machines_that_join_compute_soon(told: Told) -> None:
    print({name: round(seconds, 2) for name, seconds in told.study.joined.items()})
    assert max(told.study.joined.values()) < 60.0


def test_no_candidate_is_blamed_for_a_lost_machine(told: Told) -> None:
    with StudyLog.open(told.study.folder) as log:
        lost = [event.payload["cause"] for event in log.events() if event.kind == "worker_lost"]
    assert lost
    assert {*lost} <= {"its machine was lost", "its worker process died", "its worker can't be reached"}


def test_candles_are_once_on_every_machine(told: Told) -> None:
    """As the object stores count, and as the kernel counts the private memory of the workers."""
    assert {node.address for node in told.memory} == {"10.77.0.1", "10.77.0.2", "10.77.0.3"}
    candles = max(node.largest for node in told.memory)
    assert candles > 1_000_000
    for node in told.memory:
        print(node)
        assert 0.95 < node.stored / candles < 1.1  # panel and tables once, though there are two workers
        for worker in node.workers:
            assert worker.mapped > 0.9 * candles
            assert worker.mapped_private < 0.05 * candles
    assert [len(node.workers) for node in told.memory] == [1, 1, 2]
