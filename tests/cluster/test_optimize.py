"""The command itself, with the engine, on the demo candles."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest

from passivbot.cli.main import main
from passivbot.config.resources import configs_dir
from passivbot.errors import StudyError
from passivbot.market import demo_folder
from passivbot.study import StudyLog
from tests.ray_head import HOST, RayHead, ray_head

PROGRAM = Path(sys.executable).with_name("passivbot")
QUICKSTART = str(configs_dir() / "quickstart.json")
BUDGET = 600
ARGUMENTS = (
    QUICKSTART,
    *("--coins", "BTC,ETH", "--search", "nsga2", "--population", "24"),
    *("--seed", "3", "--iters", str(BUDGET)),
)


def program(*args: str, cwd: Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *args], cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False
    )


def started(*args: str, cwd: Path) -> "subprocess.Popen[str]":
    """Start the program in a session of its own, as a terminal does."""
    return subprocess.Popen(
        [PROGRAM, *args],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for_rows(process: "subprocess.Popen[str]", folder: Path, count: int) -> None:
    until = time.monotonic() + 180
    while time.monotonic() < until:
        assert process.poll() is None, process.communicate()[0]
        try:
            with StudyLog.open(folder) as log:
                if log.count() >= count:
                    return
        except StudyError:
            pass
        time.sleep(0.1)
    raise AssertionError("the study does not get on")


def gone_within(processes: Sequence[psutil.Process], seconds: float) -> float:
    """Return after how many seconds all have ended; more than ``seconds`` fail."""
    begin = time.monotonic()
    while left := [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]:
        assert time.monotonic() - begin < seconds, [p.cmdline()[:2] for p in left]
        time.sleep(0.1)
    return time.monotonic() - begin


def front(study: Path, cwd: Path) -> str:
    printed = program("pareto", str(study), "--json", cwd=cwd)
    assert printed.returncode == 0, printed.stderr
    return printed.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("optimize")


@pytest.fixture(scope="module")
def reference(place: Path) -> subprocess.CompletedProcess[str]:
    """A run that nothing disturbs, with two workers; its study is ``place / "a"``."""
    finished = program("optimize", *ARGUMENTS, "--study", "a", "--workers", "2", cwd=place)
    assert finished.returncode == 0, finished.stderr
    return finished


def test_run_prints_what_it_does_and_the_front(
    place: Path, reference: subprocess.CompletedProcess[str]
) -> None:
    text = reference.stdout
    assert "seed 3" in text
    assert "memory: about" in text
    assert f"{BUDGET}/{BUDGET} | " in text  # plain lines: this is no terminal
    assert f"finished: {BUDGET} candidates" in text
    assert "front of" in text
    assert f"configurations: a{os.sep}front" in text
    assert "page: a/front.html" in text
    assert f"passivbot optimize --study a --resume --iters {2 * BUDGET}" in text
    assert "\x1b[" not in text
    assert (place / "a" / "front.html").is_file()
    members = json.loads(front(place / "a", place))
    assert len(members) > 3
    assert len(list((place / "a" / "front").glob("*.json"))) == len(members)


def test_front_member_is_replayed_to_the_bit(
    place: Path, reference: subprocess.CompletedProcess[str]
) -> None:
    member = json.loads(front(place / "a", place))[0]
    file = place / "a" / "front" / f"{member['candidate']:07d}.json"
    out = place / "replayed"
    replay = program("backtest", str(file), "--out", str(out), "-dp", cwd=place)
    assert replay.returncode == 0, replay.stderr
    analysis = json.loads((out / "analysis.json").read_text())["usd"]
    assert {name: analysis[name] for name in member["metrics"]} == member["metrics"]


def test_one_worker_finds_the_same_front(place: Path, reference: subprocess.CompletedProcess[str]) -> None:
    other = program("optimize", *ARGUMENTS, "--study", "b", "--workers", "1", "--batch", "3", cwd=place)
    assert other.returncode == 0, other.stderr
    assert front(place / "b", place) == front(place / "a", place)


@pytest.fixture(scope="module")
def killed(place: Path) -> tuple[list[psutil.Process], float]:
    """Kill a driver in mid-run; its processes, and when. The study is ``place / "killed"``."""
    driver = started("optimize", *ARGUMENTS, "--study", "killed", "--workers", "2", cwd=place)
    wait_for_rows(driver, place / "killed", 30)
    family = psutil.Process(driver.pid).children(recursive=True)
    names = {process: " ".join(process.cmdline()[:1]) for process in family}
    at_work = [p for p, name in names.items() if "raylet/raylet" in name or "Worker" in name]
    assert len(at_work) >= 3, names
    driver.kill()
    driver.wait()
    when = time.monotonic()
    assert driver.stdout
    driver.stdout.close()
    gone_within(at_work, 15)  # 5 s on a machine that does nothing else
    return family, when


def test_killed_driver_is_resumed_at_once(
    place: Path, reference: subprocess.CompletedProcess[str], killed: object
) -> None:
    with StudyLog.open(place / "killed") as log:
        assert 30 <= log.count() < BUDGET
    resumed = program("optimize", *ARGUMENTS, "--study", "killed", "--resume", cwd=place)
    assert resumed.returncode == 0, resumed.stderr
    assert front(place / "killed", place) == front(place / "a", place)


def test_ctrl_c_ends_cleanly_with_the_front(place: Path, reference: subprocess.CompletedProcess[str]) -> None:
    driver = started("optimize", *ARGUMENTS, "--study", "stopped", "--workers", "2", cwd=place)
    wait_for_rows(driver, place / "stopped", 40)
    family = psutil.Process(driver.pid).children(recursive=True)
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does: to all of the group
    text = driver.communicate(timeout=120)[0]
    assert driver.returncode == 130, text
    assert "stopped: " in text
    assert "front of" in text
    assert "Traceback" not in text
    assert text.rstrip().endswith("passivbot optimize --study stopped --resume")
    gone_within(family, 30)
    # The command that was printed: configuration, coins, seed and budget are the study's own.
    resumed = program("optimize", "--study", "stopped", "--resume", cwd=place)
    assert resumed.returncode == 0, resumed.stderr
    assert "finished: " in resumed.stdout
    assert front(place / "stopped", place) == front(place / "a", place)


STOPPING = (*ARGUMENTS, "--stop-early", "--optimize.limits", "--drawdown_worst 0.0015 --gain 1.0")


def test_early_stop_from_the_command_to_the_replay(
    place: Path, reference: subprocess.CompletedProcess[str]
) -> None:
    finished = program("optimize", *STOPPING, "--study", "early", "--workers", "2", cwd=place)
    assert finished.returncode == 0, finished.stderr
    assert "stopped early: equity gone, drawdown_worst > 0.0015\n" in finished.stdout
    with StudyLog.open(place / "early") as log:
        assert log.definition.stop_early
        rows = log.read()
    stopped = np.flatnonzero(rows.status == "stopped")
    assert 5 < len(stopped) < BUDGET
    assert f"{BUDGET} candidates, {len(stopped)} stopped early in " in finished.stdout
    assert {"ok", "stopped"} == set(rows.status.tolist())
    assert all((rows.stopped[i] or 0) % 1440 == 1439 for i in stopped)

    # Up to the first that the search could learn from it is the study without early stop.
    with StudyLog.open(place / "a") as log:
        others = log.read()
    assert np.array_equal(rows.parameters[:24], others.parameters[:24])
    kept = [i for i in range(24) if rows.status[i] == "ok"]
    column = log.definition.metrics.index("drawdown_worst")
    assert np.array_equal(rows.metrics[kept], others.metrics[kept])
    assert all(others.metrics[i, column] > 0.0015 for i in stopped if i < 24)

    shown = program("study", "show", "early", cwd=place)
    assert "equity gone, drawdown_worst > 0.0015" in shown.stdout
    candidate = str(stopped[0])
    file = place / "stopped.json"
    exported = program("study", "export", "early", "--candidate", candidate, "--out", str(file), cwd=place)
    assert exported.returncode == 0, exported.stderr
    replay = program("backtest", str(file), "--out", str(place / "stopped-report"), "-dp", cwd=place)
    assert replay.returncode == 0, replay.stderr
    assert f"stopped early, as in its study, after minute {rows.stopped[stopped[0]]} (" in replay.stderr
    assert "metrics recorded in" in replay.stdout


def test_early_stop_is_kept_by_a_resume(place: Path, reference: subprocess.CompletedProcess[str]) -> None:
    """One worker, cut off and resumed without saying it again."""
    half = (*STOPPING, "--iters", "50")
    first = program("optimize", *half, "--study", "later", "--workers", "1", cwd=place)
    assert first.returncode == 0, first.stderr
    resumed = program("optimize", "--study", "later", "--resume", "--iters", str(BUDGET), cwd=place)
    assert resumed.returncode == 0, resumed.stderr
    assert "stopped early: equity gone, drawdown_worst > 0.0015\n" in resumed.stdout
    with StudyLog.open(place / "early") as one, StudyLog.open(place / "later") as other:
        a, b = one.read(), other.read()
    assert a.parameters.tobytes() == b.parameters.tobytes()
    assert a.metrics.tobytes() == b.metrics.tobytes()
    assert a.stopped == b.stopped


@pytest.fixture
def head() -> Iterator[RayHead]:
    """A Ray head that runs already."""
    with ray_head(2) as running:
        yield running


def test_running_cluster_gives_the_same_front(
    place: Path, reference: subprocess.CompletedProcess[str], head: RayHead
) -> None:
    address = f"{HOST}:{head.port}"
    joined = program("optimize", *ARGUMENTS, "--study", "joined", "--address", address, cwd=place)
    assert joined.returncode == 0, joined.stderr
    assert front(place / "joined", place) == front(place / "a", place)
    assert head.get("/")[0] == 200, "the cluster was not ours to end"


# What follows needs no Ray: it is refused, or answered, before one is started.


def refusal(
    capsys: pytest.CaptureFixture[str], *args: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    monkeypatch.chdir(place)
    assert main(["optimize", *args]) == 2
    captured = capsys.readouterr()
    errors = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, captured.err
    return errors[0]


def test_resume_of_a_finished_study_prints_its_front(
    place: Path,
    reference: subprocess.CompletedProcess[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(place)
    begin = time.monotonic()
    assert main(["optimize", *ARGUMENTS, "--study", "a", "--resume"]) == 0
    assert time.monotonic() - begin < 20
    text = capsys.readouterr().out
    assert f"finished: all {BUDGET} candidates are in the log already" in text
    assert "front of" in text
    # Candles that it has not seen are none of these, and fewer candidates than there are can't be asked for.
    assert "passivbot study unseen a --candles OTHER" in text
    assert main(["optimize", "--study", "a", "--resume", "--iters", "5"]) == 0
    text = capsys.readouterr().out
    assert f"finished: the log has {BUDGET} candidates already, more than 5" in text
    assert f"--resume --iters {2 * BUDGET}" in text


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((*ARGUMENTS, "--study", "a"), "the study exists; --resume continues it"),
        (
            (*ARGUMENTS, "--study", "a", "--resume", "--set", "optimize.bounds.long_ema_span_0=100,200"),
            "optimize.bounds.long_ema_span_0",
        ),
        ((*ARGUMENTS, "--study", "a", "--resume", "--seed", "4"), "seed is 4, the study has 3"),
        ((*ARGUMENTS, "--study", "a", "--resume", "--search", "sobol"), 'search is "sobol"'),
        ((*ARGUMENTS, "--study", "a", "--resume", "--stop-early"), "stop_early is true, the study has false"),
        (
            (*ARGUMENTS, "--study", "a", "--resume", "--population", "30"),
            "population is 30, the study has 24",
        ),
        (
            (QUICKSTART, "--study", "a", "--resume", "--coins", "BTC,SOL"),
            "these are not the candles of the study",
        ),
        (
            (*ARGUMENTS, "--study", "a", "--resume", "--interval", "5"),
            "config.backtest.candle_interval_minutes is 5, the study has 1",
        ),
        (
            (*ARGUMENTS, "--study", "x", "--interval", "7"),
            "allowed is 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30 or 60",
        ),
        ((*ARGUMENTS, "--resume"), "--resume needs --study"),
        ((*ARGUMENTS, "--study", "none", "--resume"), "none: no such study"),
        ((*ARGUMENTS, "--study", "x", "--search", "annealing"), "--search is 'annealing'"),
        ((*ARGUMENTS, "--study", "x", "--address", "127.0.0.1:1"), "no Ray head answers there"),
        ((*ARGUMENTS, "--study", "x", "--candles", "nowhere"), "nowhere"),
        ((QUICKSTART, "--study", "x", "--coins", "NOCOIN"), "NOCOIN"),
        (
            (QUICKSTART, "--study", "x", "--set", "backtest.end_date", "2025"),
            "--set is 'backtest.end_date'; allowed is key=value",
        ),
        (
            (QUICKSTART, "--study", "x", "--coins", QUICKSTART),
            "a file of coins goes with --live.approved_coins",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    place: Path,
    reference: subprocess.CompletedProcess[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    args: tuple[str, ...],
    message: str,
) -> None:
    assert message in refusal(capsys, *args, place=place, monkeypatch=monkeypatch)
    assert not (place / "x").exists()


def test_a_study_on_longer_bars_is_resumed_replayed_and_confirmed(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = program("optimize", *ARGUMENTS[:-1], "60", "--study", "c", "--interval", "15", cwd=place)
    assert whole.returncode == 0, whole.stderr
    assert "2025-03-03 00:00 to 2025-03-16 23:59 UTC, 20,160 minutes with warm-up, 15 a bar" in whole.stdout
    # In two parts it is the same, and the second part needs not be told.
    assert (
        program("optimize", *ARGUMENTS[:-1], "25", "--study", "d", "--interval", "15", cwd=place).returncode
        == 0
    )
    more = program("optimize", "--study", "d", "--resume", "--iters", "60", cwd=place)
    assert more.returncode == 0, more.stderr
    assert "2025-03-03 00:00 to 2025-03-16 23:59 UTC, 20,160 minutes with warm-up, 15 a bar" in more.stdout
    records = front(place / "c", place)
    assert front(place / "d", place) == records
    assert records != front(place / "a", place)
    message = refusal(
        capsys, "--study", "d", "--resume", "--interval", "1", place=place, monkeypatch=monkeypatch
    )
    assert "config.backtest.candle_interval_minutes is 1, the study has 15" in message

    member = json.loads(records)[0]
    file = str(place / "c" / "front" / f"{member['candidate']:07d}.json")
    again = program("backtest", file, "--out", "coarse", "-dp", cwd=place)
    assert again.returncode == 0, again.stderr
    assert "are repeated to the bit" in again.stdout
    fine = program("backtest", file, "--interval", "1", "--out", "fine", "-dp", cwd=place)
    assert fine.returncode == 0, fine.stderr
    assert "recorded, 15 min a bar  here, 1 min a bar" in fine.stdout
    document = json.loads((place / "fine" / "config.json").read_text())
    assert document["_provenance"]["interval_minutes"] == 1
    line = next(line for line in whole.stdout.splitlines() if line.startswith("  passivbot backtest"))
    assert line.endswith(".json --interval 1")


def test_other_candles_are_refused(
    place: Path,
    reference: subprocess.CompletedProcess[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The same candles elsewhere are the same; with one price changed they are not."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for coin in ("BTC", "ETH"):
        (tmp_path / f"{coin}.parquet").write_bytes((demo_folder() / f"{coin}.parquet").read_bytes())
    (tmp_path / "markets.json").write_bytes((demo_folder() / "markets.json").read_bytes())
    monkeypatch.chdir(place)
    again = [*ARGUMENTS, "--study", "a", "--resume", "--candles", str(tmp_path)]
    assert main(["optimize", *again]) == 0
    table = pq.read_table(tmp_path / "ETH.parquet")
    volume = table.column("volume").to_pylist()
    volume[100] += 1.0
    index = table.column_names.index("volume")
    changed = table.set_column(index, "volume", pa.array(volume, table.schema.field("volume").type))
    pq.write_table(changed, tmp_path / "ETH.parquet")
    capsys.readouterr()
    message = refusal(capsys, *again, place=place, monkeypatch=monkeypatch)
    assert "these are not the candles of the study" in message


def test_study_in_use_is_refused(
    place: Path,
    reference: subprocess.CompletedProcess[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with StudyLog.open(place / "a", write=True):
        message = refusal(
            capsys, *ARGUMENTS, "--study", "a", "--resume", place=place, monkeypatch=monkeypatch
        )
    assert f"already in use by pid {os.getpid()}" in message


def test_what_does_not_fit_into_memory_is_refused_with_the_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSIVBOT_MEMORY_LIMIT", "300000000")
    message = refusal(capsys, *ARGUMENTS, "--study", "s", place=tmp_path, monkeypatch=monkeypatch)
    assert "not enough memory: the run needs about" in message
    assert "300 MB are free" in message
    assert not (tmp_path / "s").exists()


def test_killed_driver_leaves_nothing_behind(killed: tuple[list[psutil.Process], float]) -> None:
    """The last test of the module: Ray's agents give up only after a minute."""
    family, when = killed
    gone_within(family, max(1.0, when + 100 - time.monotonic()))  # 70 s on a machine that does nothing else
