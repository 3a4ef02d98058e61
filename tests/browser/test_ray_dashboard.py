"""The page inside Ray's own dashboard: a real head with a token, a real study, a real browser."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from cluster.metrics import COUNTERS, GAUGES
from passivbot.study.study import Study
from tests.browser.conftest import Browser
from tests.demo_study import write_demo
from tests.ray_head import RayHead, ray_head

TOKEN = "a-token-of-the-tests-and-of-nothing-else"
LOGGED_IN = """
const done = arguments[0];
const headers = { Authorization: "Bearer %s" };
fetch("api/authenticate", { method: "POST", headers }).then((answer) => done(answer.status));
"""
ITEM = "return document.querySelector('nav #passivbot-pareto')"


# Ray exports a counter once it has counted something, and here nothing fails.
WANTED = {f"ray_{name}" for name in (*GAUGES, *COUNTERS)} - {"ray_passivbot_failures_total"}


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The head's folder of studies, with one that is done."""
    folder = tmp_path_factory.mktemp("studies")
    write_demo(folder / "done", 40).close()
    return folder


@pytest.fixture(scope="module")
def head(studies: Path) -> Iterator[RayHead]:
    with ray_head(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=TOKEN, PASSIVBOT_STUDIES=str(studies)) as found:
        yield found


@pytest.fixture
def page(browser: Browser, head: RayHead) -> Browser:
    """Ray's dashboard, signed in."""
    browser.open(f"{head.dashboard}/favicon.ico")
    browser.driver.set_script_timeout(60)
    assert browser.driver.execute_async_script(LOGGED_IN % TOKEN) == 200
    browser.open(f"{head.dashboard}/")
    browser.until(ITEM)
    return browser


def test_without_the_token_nothing_is_told(head: RayHead) -> None:
    for path in ("/pareto/", "/pareto/plotly.js", "/pareto/api/studies"):
        assert head.get(path)[0] == 401
        assert head.get(path, "another token")[0] == 403
        status, text = head.get(path, TOKEN)
        assert status == 200
        assert len(text) > 100
    # The index is public, with and without our script in it, and tells nothing of the studies.
    assert "passivbot-pareto" in head.get("/")[1]


def test_only_reading_is_answered(head: RayHead) -> None:
    for method in ("POST", "PUT", "DELETE"):
        request = urllib.request.Request(
            f"{head.dashboard}/pareto/api/studies",
            method=method,
            headers={"Authorization": f"Bearer {TOKEN}"},
        )
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(request, timeout=60)
        assert error.value.code == 405


def test_the_item_of_the_bar_opens_the_page(page: Browser, studies: Path) -> None:
    items = page.run("return [...document.querySelectorAll('nav p a')].map((a) => a.textContent)")
    assert items[-2:] == ["Logs", "Pareto"]
    page.click("passivbot-pareto")
    page.until("return document.getElementById('passivbot-frame')")
    with Study.open(studies / "done") as study:
        numbers = study.members().numbers.tolist()
    page.driver.switch_to.frame("passivbot-frame")
    try:
        page.until("return page.study && page.study.name === 'done'")
        page.until("return page.points().find((t) => t.name === 'front').candidates.length")
        assert page.run("return page.points().find((t) => t.name === 'front').candidates") == numbers
    finally:
        page.driver.switch_to.default_content()
    # Ray's own items lead away from it, and back again.
    page.run("document.querySelector('nav a[href=\"#/jobs\"]').click()")
    page.until("return document.getElementById('passivbot-frame').hidden")
    assert "Jobs" in page.run("return document.getElementById('root').innerText")
    page.driver.back()
    page.until("return !document.getElementById('passivbot-frame').hidden")


def exported(head: RayHead) -> set[str]:
    """Names of our metrics at the address that Ray tells Prometheus, once they are all there."""
    found: set[str] = set()
    deadline = time.monotonic() + 90
    while not found >= WANTED and time.monotonic() < deadline:
        time.sleep(1)
        (service, *_) = json.loads((head.folder / "prom_metrics_service_discovery.json").read_text())
        for target in service["targets"]:
            with suppress(OSError), urllib.request.urlopen(f"http://{target}/metrics", timeout=30) as answer:
                found |= set(
                    re.findall(
                        r'^(\w*passivbot_\w+)\{.*study="growing"', answer.read().decode(), re.MULTILINE
                    )
                )
    return found


def test_a_study_of_the_cluster_grows_on_the_page(
    page: Browser, head: RayHead, studies: Path, tmp_path: Path
) -> None:
    """The study's folder is outside the head's folder of studies: it is found by what its driver says."""
    folder = tmp_path / "growing"
    driver = subprocess.Popen(
        [
            *(sys.executable, "-m", "passivbot", "optimize", "configs/quickstart.json", "--candles", "demo"),
            *(f"--address=127.0.0.1:{head.port}", "--study", str(folder), "--iters=100000", "--seed=3"),
            *("--workers=1", "--batch=16"),
        ],
        env=dict(head.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        # From the list, as a person finds it; with the hash so that the one study there is is not opened.
        page.open(f"{head.dashboard}/pareto/#nothing")
        page.click("to-list")
        page.until("return document.querySelector('#list .running')", seconds=180)
        page.errors()  # that there is no study "nothing"
        page.run("document.querySelector('#list .running').closest('a').click()")
        page.until("return page.study && page.study.name === 'growing'", seconds=120)
        before = page.until("return page.study.told", seconds=120)
        page.until("return page.study.told > arguments[0] + 30", before, seconds=120)
        assert page.text("state") == "running"
        assert page.run("return page.study.progress.budget") == 100_000
        assert page.errors() == []
        assert exported(head) == WANTED
    finally:
        driver.send_signal(signal.SIGINT)
        output, _ = driver.communicate(timeout=120)
    assert f"{head.dashboard}/pareto/" in output
    page.until("return page.study.progress.state !== 'running'", seconds=60)
    with Study.open(folder) as study:
        members = study.members().numbers.tolist()
    page.until("return page.study.front.candidate.join() === arguments[0]", ",".join(map(str, members)))
    names = {card["name"] for card in json.loads(head.get("/pareto/api/studies", TOKEN)[1])["studies"]}
    assert names == {"done", "growing"}


SENT = """
import json, socket, sys, time
from pathlib import Path
from cluster.board import Board, Notice
from cluster.launch import attached_cluster
from passivbot.study.page_data import page_data
from passivbot.study.publish import default_marks
from passivbot.study.study import Study

with attached_cluster(sys.argv[1]), Study.open(sys.argv[2]) as study:
    board, front = Board(), study.front()
    members = study.members(front)
    board.put("definition", "far-1", study.definition.to_json().encode())
    board.put("front", "far-1", json.dumps(page_data(study, front, members, default_marks(members))).encode())
    progress = {"logged": 96, "budget": 500, "left": 404, "rate": 8.0, "front": len(front)}
    board.put("study", "far-1", Notice(
        id="far-1", name="far", folder="/elsewhere/far", host="another", pid=7, state="running", workers=3,
        started=time.time(), updated=time.time() + 3600, progress=progress,
    ).to_json())
"""


def test_a_study_of_another_machine_is_shown(page: Browser, head: RayHead, tmp_path: Path) -> None:
    """Its folder is not here: the page has what a driver puts on the board."""
    write_demo(tmp_path / "s", 96).close()
    sent = subprocess.run(
        [sys.executable, "-c", SENT, f"127.0.0.1:{head.port}", str(tmp_path / "s")],
        env=dict(head.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert sent.returncode == 0, sent.stderr
    page.open(f"{head.dashboard}/pareto/#far-1")
    page.until("return page.study && page.study.name && page.study.front.candidate.length")
    with Study.open(tmp_path / "s") as study:
        numbers = study.members().numbers.tolist()
    page.until("return page.points().length")
    assert page.run("return page.points().find((t) => t.name === 'front').candidates") == numbers
    assert page.text("state") == "running"
    assert "8" in page.text("tiles")
    assert page.run("return page.study.progress.seconds_left") == 50.5
    page.run("choose(arguments[0])", numbers[0])
    page.until("return document.getElementById('detail').innerText.includes('digest')")
    page.click("run-equity")
    page.until("return document.querySelector('#equity-plot .plot-container')")
    assert "to the bit" in page.text("detail")
    assert page.errors() == []


def test_a_killed_page_comes_back(head: RayHead) -> None:
    def pids() -> list[int]:
        found = []
        for process in psutil.Process(head.pid).children(recursive=True):
            with suppress(psutil.Error):  # ended meanwhile
                if "ray-dashboard-Pareto" in " ".join(process.cmdline()):
                    found.append(process.pid)
        return found

    (before,) = pids()
    psutil.Process(before).kill()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if before not in pids() and head.get("/pareto/api/studies", TOKEN)[0] == 200:
            return
        time.sleep(0.5)
    pytest.fail("the page did not come back")
