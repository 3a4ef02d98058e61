"""Several studies on one running cluster: real drivers, as jobs on the head, seen from another terminal."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.launch import prepare_environment
from passivbot.config.resources import configs_dir
from passivbot.config.values import date_ms
from passivbot.market.synthetic import generate, write_folder
from passivbot.study import StudyLog
from tests.ray_head import HOST, free_ports, ray_head

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = Path(sys.executable).with_name("passivbot")
QUICKSTART = str(configs_dir() / "quickstart.json")
SEARCH = ("--search", "nsga2", "--population", "24", "--coins", "BTC,ETH")
ENDLESS = (*SEARCH, "--iters", "1000000")
WATCH = """
import json, sys, time
from dataclasses import asdict
from cluster.reach import reach, state_text
board = reach(sys.argv[1])
while True:
    found = [{**asdict(one), "state": state_text(one), "live": one.live} for one in board.studies()]
    print(json.dumps(found), flush=True)
    time.sleep(0.3)
"""
"""``passivbot status --json`` over and over, without starting a program each time."""


@dataclass
class RunningHead:
    """A Ray head with four processors and a dashboard."""

    address: str
    dashboard: str
    home: Path
    environment: dict[str, str]
    seen: list[str]

    def run(self, *args: str, address: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run the program in a terminal that is elsewhere."""
        command = [PROGRAM, *args, "--address", address or self.address]
        return subprocess.run(
            command,
            cwd=self.home.parent,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def submit(self, study: str, *args: str) -> None:
        done = self.run("submit", QUICKSTART, "--study", study, "--no-page", *args)
        assert done.returncode == 0, done.stderr
        assert f"submitted: {study} on the head, job {study}-" in done.stdout
        assert f"passivbot attach {study} --address {self.address}" in done.stdout
        assert "\ncandles: BTC, " in done.stdout

    def notices(self) -> dict[str, dict[str, Any]]:
        return {notice["name"]: notice for notice in json.loads(self.seen[-1])} if self.seen else {}

    def wait(self, condition: Callable[[dict[str, dict[str, Any]]], bool]) -> dict[str, dict[str, Any]]:
        until = time.monotonic() + 150
        while not condition(found := self.notices()):
            assert time.monotonic() < until, [
                (
                    name,
                    one["state"],
                    one["workers"],
                    one["weight"],
                    one["demand"],
                    time.time() - one["updated"],
                )
                for name, one in found.items()
            ]
            time.sleep(0.1)
        return found


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHead]:
    home = tmp_path_factory.mktemp("head") / "home"
    home.mkdir()
    (metrics,) = free_ports(1)
    settings: dict[str, str] = {}
    prepare_environment(settings)
    path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
    options = {"PATH": path, "PASSIVBOT_HOME": str(home), "RAY_AUTH_MODE": "disabled"}
    with ray_head(4, f"--metrics-export-port={metrics}", cwd=home, **settings, **options) as ray:
        environment = {**ray.environment, "METRICS": str(metrics)}
        started = RunningHead(f"{HOST}:{ray.port}", ray.dashboard, home, environment, [])
        with watching(started):
            yield started


@contextmanager
def watching(head: RunningHead) -> Iterator[None]:
    """Keep what the studies of a cluster say up to date."""
    command = [sys.executable, "-c", WATCH, head.address]
    watcher = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=head.environment, cwd=ROOT)

    def read() -> None:
        assert watcher.stdout is not None
        for line in watcher.stdout:
            head.seen[:] = [line]

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield
    finally:
        watcher.kill()
        watcher.wait()
        reader.join(10)


def workers(name: str, count: int) -> Callable[[dict[str, dict[str, Any]]], bool]:
    return lambda found: name in found and found[name]["live"] and found[name]["workers"] == count


def rows(folder: Path) -> tuple[bytes, bytes, int]:
    """Parameters and metrics of the candidates before which none is missing."""
    with StudyLog.open(folder) as log:
        found = log.read()
    whole = int(np.argmin(np.append(found.numbers == np.arange(len(found)), False)))
    return found.parameters[:whole].tobytes(), found.metrics[:whole].tobytes(), whole


def test_studies_share_a_cluster_by_weight(head: RunningHead) -> None:
    head.submit("light", *ENDLESS, "--seed", "1")
    head.wait(workers("light", 4))
    head.submit("heavy", *ENDLESS, "--seed", "2", "--weight", "3")
    found = head.wait(lambda found: workers("light", 1)(found) and workers("heavy", 3)(found))
    assert (found["light"]["weight"], found["heavy"]["weight"]) == (1.0, 3.0)

    records = {one["name"]: one for one in json.loads(head.run("status", "--json").stdout)}
    assert (records["light"]["workers"], records["heavy"]["workers"]) == (1, 3)
    listed = head.run("status")
    assert [line.split()[1] for line in listed.stdout.splitlines()[1:]] == ["running", "running"]
    assert " 1 of 1, 0 replaced" in head.run("status", "light").stdout

    # what the cluster's Prometheus sees
    wanted = [
        f'passivbot_{name}{{study="{study}"}}'
        for study in ("light", "heavy")
        for name in (
            "front_size",
            "hypervolume",
            "queue",
            "workers",
            "evaluations_total",
            "engine_seconds_total",
        )
    ]
    until = time.monotonic() + 60
    while missing := [one for one in wanted if one not in exported(int(head.environment["METRICS"]))]:
        assert time.monotonic() < until, missing
        time.sleep(1.0)

    # weights change while they run
    assert head.run("weight", "light", "3").stdout == "light: weight 3\n"
    head.wait(lambda found: workers("light", 2)(found) and workers("heavy", 2)(found))

    # one is stopped: the other has all, and never noticed
    before = head.notices()["light"]["progress"]["logged"]
    stopped = head.run("stop", "heavy")
    assert stopped.returncode == 0, stopped.stderr
    assert stopped.stdout.startswith("stopped: ")
    found = head.wait(workers("light", 4))
    assert found["light"]["progress"]["workers_lost"] == 0
    assert found["light"]["progress"]["failed"] == 0
    assert found["light"]["progress"]["logged"] > before
    assert "does not run: stopped" in head.run("stop", "heavy").stderr
    assert list((head.home / "heavy" / "front").glob("*.json"))

    # one dies: its share is free as soon as it has been silent for long enough
    head.submit("third", *ENDLESS, "--seed", "1")
    found = head.wait(lambda found: workers("light", 3)(found) and workers("third", 1)(found))
    os.kill(found["light"]["pid"], signal.SIGKILL)
    found = head.wait(lambda found: workers("third", 4)(found) and not found["light"]["live"])
    assert found["light"]["state"].startswith("lost (silent for ")
    watched = head.run("attach", "light")
    assert watched.returncode == 2
    assert f"--address auto --study {head.home / 'light'} --resume` goes on with it" in watched.stderr
    assert head.run("stop", "third", "--no-wait").stdout == "third was asked to stop\n"
    head.wait(lambda found: found["third"]["state"] == "stopped")

    # each has its own log, and the candidates that it has when it is alone
    alone = head.run(
        *("optimize", QUICKSTART, *SEARCH, "--seed", "1", "--iters", "100"),
        *("--study", "alone", "--no-page"),
    )
    assert alone.returncode == 0, alone.stderr
    ours = rows(head.home.parent / "alone")
    for name, same in (("light", True), ("heavy", False), ("third", True)):
        parameters, metrics, count = rows(head.home / name)
        assert count > 100
        assert (parameters[: len(ours[0])] == ours[0]) is same
        assert (metrics[: len(ours[1])] == ours[1]) is same


def exported(port: int) -> str:
    """Metrics of the head's agent: name and study alone."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    found = []
    for line in lines:
        if "passivbot_" in line and not line.startswith("#"):
            name, _, tags = line.partition("{")
            study = next(tag for tag in tags.split(",") if tag.lstrip("{").startswith("study="))
            found.append(f"{name.removeprefix('ray_')}{{{study.rstrip('}').partition('}')[0]}}}")
    return "\n".join(found)


def test_a_submitted_study_is_watched_to_its_end_and_resumed(head: RunningHead) -> None:
    head.submit("job", "--iters", "150", "--population", "24", "--seed", "5")
    watched = head.run("attach", "job")
    assert watched.returncode == 0, watched.stderr
    assert "150/150 | " in watched.stdout
    assert watched.stdout.splitlines()[-1].startswith("finished: ")
    with urllib.request.urlopen(f"{head.dashboard}/api/jobs/", timeout=10) as answer:
        # drivers that nobody submitted are jobs of Ray as well
        jobs = {job["metadata"].get("job_name"): job for job in json.load(answer) if job["metadata"]}
    assert jobs["job"]["metadata"]["progress"].startswith("150 of 150, front ")

    head.submit("job", "--resume", "--iters", "300")
    head.wait(lambda found: found["job"]["state"] == "finished" and found["job"]["progress"]["logged"] == 300)
    alone = head.run(
        *("optimize", QUICKSTART, "--iters", "300", "--population", "24", "--seed", "5"),
        *("--study", "alone-job", "--no-page", "--workers", "1"),
    )
    assert alone.returncode == 0, alone.stderr
    assert rows(head.home / "job") == rows(head.home.parent / "alone-job")


def test_files_that_a_configuration_names_go_along(head: RunningHead, tmp_path: Path) -> None:
    document = json.loads(Path(QUICKSTART).read_text(encoding="utf-8"))
    document["live"]["approved_coins"] = "mine.txt"
    (tmp_path / "config.json").write_text(json.dumps(document), encoding="utf-8")
    (tmp_path / "mine.txt").write_text("ETH BTC", encoding="utf-8")
    (head.home / "mine.txt").write_text("SOL", encoding="utf-8")  # of that name on the head
    about = ("--study", "listed", "--iters", "20", "--candles", "demo", "--no-page")
    done = head.run("submit", str(tmp_path / "config.json"), *about)
    assert done.returncode == 0, done.stderr
    found = head.wait(lambda found: "listed" in found and not found["listed"]["live"])
    assert found["listed"]["state"] == "finished"
    with StudyLog.open(head.home / "listed") as log:
        assert log.definition.scenario["coins"] == ["BTC", "ETH"]


def test_files_that_the_command_line_names_go_along(head: RunningHead, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("ETH BTC", encoding="utf-8")
    about = ("--study", "named", "--iters", "20", "--candles", "demo", "--no-page")
    done = head.run("submit", QUICKSTART, *about, "--set", f"live.approved_coins={tmp_path / 'mine.txt'}")
    assert done.returncode == 0, done.stderr
    found = head.wait(lambda found: "named" in found and not found["named"]["live"])
    assert found["named"]["state"] == "finished"
    with StudyLog.open(head.home / "named") as log:
        assert log.definition.scenario["coins"] == ["BTC", "ETH"]


def test_folds_of_a_walk_share_the_cluster(head: RunningHead) -> None:
    candles = head.home.parent / "candles"
    start = date_ms("2025-01-01")
    write_folder(
        candles, *generate({"BTC": "calm", "ETH": "trend"}, seed=5, minutes=24 * 1440, start_ms=start)
    )
    about = ("walk", QUICKSTART, "--candles", str(candles), "--train", "8", "--test", "7", "--iters", "80")
    about += ("--seed", "3", "--population", "24")
    beside = head.run(*about, "--out", "beside", "--side-by-side", "2")
    assert beside.returncode == 0, beside.stderr
    assert "workers: 4, on the cluster, for 2 searches side by side" in beside.stdout
    names = ("fold-1-2025-01-11", "fold-2-2025-01-18")
    found = head.wait(lambda found: all(found.get(name, {}).get("state") == "finished" for name in names))
    folds = [found[name] for name in names]
    assert folds[0]["pid"] != folds[1]["pid"]

    # By itself it feeds the four workers: then one after the other, as ever.
    single = head.run(*about, "--out", "single")
    assert single.returncode == 0, single.stderr
    assert "side by side" not in single.stdout
    one, other = (head.home.parent / name / "walk.json" for name in ("beside", "single"))
    assert one.read_bytes() == other.read_bytes()

    refused = head.run(*about, "--out", "refused", address="127.0.0.1:1")
    assert (refused.returncode, refused.stderr.count("error: ")) == (2, 1)
    assert "no Ray head answers there" in refused.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("status", "nothing"), "nothing: the cluster knows no such study"),
        (("attach", "nothing"), "nothing: the cluster knows no such study"),
        (("weight", "nothing", "0"), "WEIGHT is 0.0; allowed is a number above 0"),
        (("submit", "nowhere.json"), "nowhere.json"),
        (("submit", QUICKSTART, "--itres", "5"), "itres"),
        (("submit", QUICKSTART, "--set", "optimize.scoring=[\"none\"]", "--study", "x"), "optimize.scoring"),
        (("submit", QUICKSTART, "--candles", "/nowhere", "--study", "x"), "/nowhere"),
        (("submit", QUICKSTART, "--set", "live.approved_coins=no.txt", "--study", "x"), "no.txt"),
    ],
)  # fmt: skip
def test_what_can_not_be_done_is_one_line(head: RunningHead, args: tuple[str, ...], message: str) -> None:
    done = head.run(*args)
    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert message in errors[0]


@pytest.mark.parametrize("command", [("status",), ("attach", "x"), ("stop", "x"), ("submit", QUICKSTART)])
def test_a_head_that_is_not_there_is_named(head: RunningHead, command: tuple[str, ...]) -> None:
    done = head.run(*command, address="127.0.0.1:1")
    assert done.returncode == 2
    assert done.stderr == "error: --address 127.0.0.1:1: no Ray head answers there (Connection refused)\n"


def test_a_study_that_another_driver_has_is_named(head: RunningHead) -> None:
    head.submit("taken", *ENDLESS, "--seed", "6")
    second = head.run("submit", "--study", "taken", "--resume")
    assert second.returncode == 2
    assert "taken: study already in use by pid" in second.stderr
    assert head.run("stop", "taken").returncode == 0
