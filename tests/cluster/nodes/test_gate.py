"""What does not fit together is refused before a study starts, in one line and with an exit code."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from passivbot.config.resources import configs_dir
from passivbot.study import StudyLog
from tests.cluster.nodes.sandbox import BIN, OWN, ROOT, Node, Sandbox
from tests.cluster.nodes.story import ADDRESS, Study

pytestmark = pytest.mark.timeout(600)

# As if the wheel had never been installed there.
_WITHOUT_WHEEL = """
import importlib.abc, sys
class Nothing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in ("cluster", "passivbot"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Nothing())
"""


@pytest.fixture(scope="module")
def head(sandbox: Sandbox) -> Node:
    node = sandbox.start(1, head=True)
    sandbox.wait_until_ready(node)
    return node


@pytest.fixture
def other(sandbox: Sandbox, head: Node) -> Iterator[Node]:
    """Yield a second machine."""
    node = sandbox.start(2)
    sandbox.wait_until_ready(head, node)
    yield node
    sandbox.kill(node)


def optimize(
    sandbox: Sandbox, study: str, *more: str, address: str = ADDRESS, **changes: str
) -> "subprocess.CompletedProcess[str]":
    command = [str(BIN / "passivbot"), "optimize", str(configs_dir() / "quickstart.json"), "--seed", "3"]
    command += ["--iters", "60", "--study", f"{OWN}/{study}", "--address", address, *more]
    return sandbox.on(sandbox.nodes[1], command, **changes)


def check(sandbox: Sandbox, address: str = ADDRESS, **changes: str) -> "subprocess.CompletedProcess[str]":
    return sandbox.on(
        sandbox.nodes[1], [str(BIN / "passivbot"), "cluster", "check", "--address", address], **changes
    )


def refusal(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the only line that says what is wrong."""
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith(("note: ", "warning: "))]
    assert line.startswith("error: ")
    return line


def test_machines_that_fit(sandbox: Sandbox, other: Node) -> None:
    done = check(sandbox)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "2 machines, 2 processors: all fit" in done.stdout
    for node in ("node1 (10.77.0.1)", "node2 (10.77.0.2)"):
        assert node in done.stdout
    assert optimize(sandbox, "fits").returncode == 0


# Lists the machines, and asks them when one of them has gone.
_ASK_LATE = """
import sys, time
from pathlib import Path
from cluster.check import ask
from cluster.launch import attached_cluster
from cluster.nodes import machines
with attached_cluster(sys.argv[1]):
    found = machines()
    print("listed", len(found), flush=True)
    while not Path(sys.argv[2]).exists():
        time.sleep(0.05)
    print("answered", *(f"{report.machine.address}={report.silence}" for report in ask(found)), flush=True)
"""


def test_machine_that_leaves_while_it_is_asked(sandbox: Sandbox, head: Node, other: Node) -> None:
    gone, output = sandbox.folder / "gone", sandbox.folder / "asked"
    asking = sandbox.popen(head, [str(BIN / "python"), "-c", _ASK_LATE, ADDRESS, str(gone)], output)
    until = time.monotonic() + 60
    while "listed 2" not in output.read_text():
        assert asking.poll() is None, output.read_text()
        assert time.monotonic() < until
        time.sleep(0.05)
    sandbox.kill(other)
    gone.touch()
    assert asking.wait(120) == 0, output.read_text()
    assert output.read_text().splitlines()[-1] == "answered 10.77.0.1="


def test_machine_without_the_wheel(sandbox: Sandbox, head: Node) -> None:
    (sandbox.folder / "without").mkdir()
    (sandbox.folder / "without" / "sitecustomize.py").write_text(_WITHOUT_WHEEL)
    node = sandbox.start(3, PYTHONPATH=str(sandbox.folder / "without"))
    sandbox.wait_until_ready(head, node)
    try:
        done = check(sandbox)
        assert done.returncode == 1
        faults = [line for line in done.stdout.splitlines() if line.startswith("fault: ")]
        assert len(faults) == 1
        assert faults[0].startswith(
            "fault: node3 (10.77.0.3): the wheel of passivbot-cluster is not installed (ModuleNotFoundError"
        )
        line = refusal(optimize(sandbox, "without"))
        assert "machine node3 (10.77.0.3): the wheel of passivbot-cluster is not installed" in line
        assert "`passivbot cluster check` shows everything" in line
        assert not (head.folder / "without").exists()
    finally:
        sandbox.kill(node)


def test_machine_with_another_build(sandbox: Sandbox, head: Node) -> None:
    build = sandbox.folder / "cluster"
    shutil.copytree(ROOT / "cluster", build, ignore=shutil.ignore_patterns("__pycache__"))
    with (build / "pace.py").open("a") as file:
        file.write("# a change\n")
    node = sandbox.start(4, OTHER_BUILD=str(build))
    sandbox.wait_until_ready(head, node)
    try:
        done = check(sandbox)
        assert done.returncode == 1
        assert "fault: node4 (10.77.0.4): another build of passivbot-cluster (" in done.stdout
        assert "node4 (10.77.0.4): another build" in refusal(optimize(sandbox, "build"))
    finally:
        sandbox.kill(node)


def test_head_out_of_reach(sandbox: Sandbox, head: Node) -> None:
    line = refusal(optimize(sandbox, "nobody", address="10.77.0.9:6379"))
    assert "--address 10.77.0.9:6379: no Ray head answers there" in line
    assert "10.77.0.1:6000: no Ray head answers there" in refusal(check(sandbox, "10.77.0.1:6000"))
    assert not (head.folder / "nobody").exists()


@pytest.mark.parametrize("address", [ADDRESS, "auto"])
def test_wrong_token(sandbox: Sandbox, head: Node, address: str) -> None:
    line = refusal(optimize(sandbox, "token", address=address, RAY_AUTH_TOKEN="0" * 32))
    assert f"--address {address}: no Ray head that lets us in: it asks for another token" in line
    assert not (head.folder / "token").exists()


def test_cache_that_cannot_be_written(sandbox: Sandbox, head: Node) -> None:
    node = sandbox.start(5, PASSIVBOT_CACHE="/proc/cache")
    sandbox.wait_until_ready(head, node)
    try:
        done = check(sandbox)
        assert done.returncode == 1
        assert "fault: node5 (10.77.0.5): cache folder /proc/cache: can't be written" in done.stdout
    finally:
        sandbox.kill(node)


def test_study_that_another_driver_has(sandbox: Sandbox, head: Node) -> None:
    with StudyLog.open(head.folder / "fits", write=True):
        line = refusal(
            sandbox.on(
                head,
                [
                    str(BIN / "passivbot"),
                    "optimize",
                    "--study",
                    f"{OWN}/fits",
                    "--resume",
                    "--address",
                    ADDRESS,
                ],
            )
        )
    assert "study already in use by pid" in line


def test_machine_that_is_no_node_drives_a_study(sandbox: Sandbox, head: Node) -> None:
    """It becomes a node without processors, and none again."""
    notebook = sandbox.start(7, cpus=0)
    command = [str(BIN / "passivbot"), "optimize", str(configs_dir() / "quickstart.json"), "--seed", "3"]
    command += ["--iters", "60", "--study", f"{OWN}/notebook", "--address", ADDRESS]
    done = sandbox.on(notebook, command)
    assert done.returncode == 0, done.stderr
    with StudyLog.open(notebook.folder / "notebook") as log, StudyLog.open(head.folder / "fits") as fits:
        found = log.read()
        assert {name.partition("/")[0] for name in found.worker} == {"node1"}
        assert found.metrics.tobytes() == fits.read().metrics.tobytes()
    assert notebook.pids() == [pid for pid in notebook.pids() if "sleep" in psutil.Process(pid).name()]
    line = refusal(sandbox.on(notebook, [*command, "--study", f"{OWN}/other"], RAY_AUTH_TOKEN="0" * 32))
    assert "it asks for another token" in line
    assert not (notebook.folder / "other").exists()
    sandbox.kill(notebook)


def test_head_that_goes_ends_its_drivers_with_a_message(sandbox: Sandbox, head: Node) -> None:
    study = Study(sandbox, [str(configs_dir() / "quickstart.json"), "--seed", "3", "--iters", "1000000"])
    study.run()
    study.wait_for_count(20)
    # Its Ray alone, as when it is stopped or runs out of memory: the machine stays, and so does the driver.
    (server,) = [pid for pid in head.pids() if "gcs_server" in psutil.Process(pid).name()]
    psutil.Process(server).kill()
    assert study.driver is not None
    assert study.driver.wait(60) == 2
    text = study.output.read_text()
    assert "error: the head of the cluster, 10.77.0.1:6379, is gone" in text
    assert "Traceback" not in text
    assert study.count() >= 20


def test_candles_too_large_for_every_machine(
    sandbox: Sandbox, real_candles: Path | None, tmp_path: Path
) -> None:
    """In the object stores; as mapped files they have room, and the front is the same."""
    if real_candles is None:
        pytest.skip("needs candles that are larger than the smallest object store")
    for node in list(sandbox.nodes.values()):
        sandbox.kill(node)
    head = sandbox.start(1, head=True, store=80_000_000)
    other = sandbox.start(6, store=80_000_000, cpus=2)
    sandbox.wait_until_ready(head, other)
    more = ["--candles", str(real_candles)]
    line = refusal(optimize(sandbox, "large", *more))
    assert (
        "no machine of the cluster has room for the study: machine node1 (10.77.0.1): its object store of"
        in line
    )
    assert "(and so are 1 more)" in line
    assert "--panels URI" in line
    assert not (head.folder / "large").exists()

    panels = sandbox.folder / "panels"
    done = optimize(sandbox, "mapped", *more, "--panels", panels.as_uri())
    assert done.returncode == 0, done.stderr
    assert "mapped from files" in done.stdout
    for node in (head, other):
        cached = {
            path.name for path in (node.folder / "home" / ".cache" / "passivbot" / "panels").glob("*.arrow")
        }
        assert cached == {path.name for path in panels.iterdir()}
        assert len(cached) == 2
    alone = tmp_path / "alone"
    command = [str(BIN / "passivbot"), "optimize", str(configs_dir() / "quickstart.json"), "--seed", "3"]
    command += ["--iters", "60", "--study", str(alone), *more]
    subprocess.run(command, check=True, capture_output=True)
    with StudyLog.open(alone) as log, StudyLog.open(head.folder / "mapped") as mapped:
        expected, found = log.read(), mapped.read()
    assert {name.partition("/")[0] for name in found.worker} == {"node1", "node6"}
    assert found.metrics.tobytes() == expected.metrics.tobytes()
