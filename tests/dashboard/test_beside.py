"""The page beside a running study: nothing until somebody looks, and nothing that stays."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from passivbot.study.serve.beside import Beside
from passivbot.study.study import study_id
from tests.demo_study import write_demo


def children() -> list[psutil.Process]:
    return [p for p in psutil.Process().children() if "passivbot.study.serve" in " ".join(p.cmdline())]


def cards(address: str) -> list[dict[str, object]]:
    connection = http.client.HTTPConnection(address.split("/")[2], timeout=120)
    try:
        connection.request("GET", "/api/studies")
        found: list[dict[str, object]] = json.loads(connection.getresponse().read())["studies"]
        return found
    finally:
        connection.close()


def test_a_server_starts_with_the_first_look_and_ends_with_the_study(tmp_path: Path) -> None:
    with write_demo(tmp_path / "s", 20):
        beside = Beside(tmp_path / "s", 0)
        try:
            assert children() == []
            # The first request waits in the socket until the server, which then is started, takes it.
            (card,) = cards(beside.address)
            assert card["id"] == study_id(tmp_path / "s")
            assert card["state"] == "running"
            (server,) = children()
            assert server.nice() >= 10
            assert len(cards(beside.address)) == 1
            assert children() == [server]
        finally:
            beside.close()
    assert not server.is_running()
    assert not _answers(beside.address)


def test_a_server_that_dies_is_started_at_the_next_look(tmp_path: Path) -> None:
    write_demo(tmp_path / "s", 20).close()
    beside = Beside(tmp_path / "s", 0)
    try:
        cards(beside.address)
        (server,) = children()
        server.kill()
        deadline = time.monotonic() + 60
        while server.is_running() and server.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1.0)  # the watcher has seen it
        assert len(cards(beside.address)) == 1
    finally:
        beside.close()


def test_it_outlives_no_driver(tmp_path: Path) -> None:
    """A driver that is killed can't end its server: the end of the pipe does."""
    write_demo(tmp_path / "s", 20).close()
    text = (
        "import sys, time; from pathlib import Path; from passivbot.study.serve.beside import Beside;"
        "print(Beside(Path(sys.argv[1]), 0).address, flush=True); time.sleep(600)"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", text, str(tmp_path / "s")], stdout=subprocess.PIPE, text=True
    )
    assert driver.stdout is not None
    address = driver.stdout.readline().strip()
    assert len(cards(address)) == 1
    (server,) = psutil.Process(driver.pid).children()
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    driver.stdout.close()
    psutil.wait_procs([server], timeout=60)
    assert not server.is_running()
    assert not _answers(address)


def _answers(address: str) -> bool:
    try:
        cards(address)
    except OSError:
        return False
    return True
