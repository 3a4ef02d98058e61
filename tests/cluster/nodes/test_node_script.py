"""``scripts/node`` starts what has ended, and takes its node with it; other tests run it with a real Ray."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.nodes.sandbox import ROOT, wait_for

# Stands where the script looks for Ray: writes down how it was called, and ends as the first argument after
# the usual ones says.
_PROGRAM = """#!/usr/bin/env bash
echo "$* token=$RAY_AUTH_MODE period=$RAY_health_check_period_ms" >>"$CALLS"
trap 'echo ended >>"$CALLS"; exit 0' TERM
[ "$4" = --stays ] || exit 1
while :; do sleep 0.1; done
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with the script and a program in place of Ray."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "node", tmp_path / "scripts" / "node")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    program = tmp_path / ".venv" / "bin" / "ray"
    program.write_text(_PROGRAM)
    program.chmod(0o755)
    return tmp_path


@pytest.fixture
def started(place: Path) -> Iterator["list[subprocess.Popen[bytes]]"]:
    running: list[subprocess.Popen[bytes]] = []
    yield running
    for process in running:
        process.kill()
        process.wait()


def run(place: Path, *options: str, **environment: str) -> "subprocess.Popen[bytes]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return subprocess.Popen(
        [place / "scripts" / "node", *options],
        env={**kept, "CALLS": str(place / "calls"), **environment},
        stderr=subprocess.DEVNULL,
    )


def calls(place: Path) -> list[str]:
    path = place / "calls"
    return path.read_text().splitlines() if path.exists() else []


def test_node_that_ends_is_started_again(place: Path, started: "list[subprocess.Popen[bytes]]") -> None:
    started.append(run(place, "--address=HEAD:6379"))
    wait_for("two starts", lambda: len(calls(place)) >= 2, 60.0)
    expected = "start --block --disable-usage-stats --address=HEAD:6379 token=token period=500"
    assert set(calls(place)) == {expected}
    started[0].send_signal(signal.SIGTERM)
    assert started[0].wait(20) == 0


def test_node_ends_with_the_script(place: Path, started: "list[subprocess.Popen[bytes]]") -> None:
    started.append(run(place, "--stays", RAY_AUTH_MODE="disabled"))
    wait_for("a start", lambda: calls(place), 60.0)
    assert calls(place) == ["start --block --disable-usage-stats --stays token=disabled period=500"]
    started[0].send_signal(signal.SIGTERM)
    assert started[0].wait(20) == 0
    assert calls(place)[1:] == ["ended"]
