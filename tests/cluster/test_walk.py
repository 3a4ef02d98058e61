"""Walking forward: which days, what is judged, and the command killed and called again."""

import json
import math
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from cluster.walk import Fold, folds
from passivbot.backtest import Scenario, run_backtest
from passivbot.cli.main import main
from passivbot.config.values import date_ms
from passivbot.errors import ConfigError
from passivbot.market.synthetic import generate, write_folder
from passivbot.study import StudyLog
from passivbot.study.export import evaluated_config
from passivbot.study.lock import holder
from passivbot.study.study import Study
from passivbot.times import DAY_MS, MINUTE_MS, day
from tests.cluster.test_holdout import QUICKSTART, program
from tests.cluster.test_optimize import PROGRAM, gone_within, started, wait_for_rows
from tests.cluster.test_several import rows

FIRST, DAYS = date_ms("2025-01-01"), 24


def test_folds_end_with_the_candles() -> None:
    last = FIRST + 30 * DAY_MS - MINUTE_MS
    found = folds(FIRST, last, train=10, test=7)
    assert [day(fold.train_start_ms) for fold in found] == ["2025-01-07", "2025-01-14"]
    assert [day(fold.train_end_ms) for fold in found] == ["2025-01-17", "2025-01-24"]
    assert [day(fold.test_end_ms) for fold in found] == ["2025-01-24", "2025-01-31"]
    assert folds(FIRST, last, 10, 7, most=1) == [
        Fold(1, found[1].train_start_ms, found[1].train_end_ms, found[1].test_end_ms)
    ]
    # Begun and unfinished days are not part of it.
    assert folds(FIRST + MINUTE_MS, last + MINUTE_MS, 15, 14) == folds(FIRST + DAY_MS, last, 15, 14)


def test_days_that_are_too_few() -> None:
    last = FIRST + 30 * DAY_MS - MINUTE_MS
    with pytest.raises(ConfigError, match="--train is 3; allowed is a number of days from 7 on"):
        folds(FIRST, last, 3, 7)
    with pytest.raises(ConfigError, match="--test is 6"):
        folds(FIRST, last, 30, 6)
    with pytest.raises(ConfigError, match="--train 24 and --test 7 need 31 days; there are 30"):
        folds(FIRST, last, 24, 7)


@pytest.fixture(scope="module")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walk") / "candles"
    regimes = {"BTC": "calm", "ETH": "trend"}
    write_folder(folder, *generate(regimes, seed=5, minutes=DAYS * 1440, start_ms=FIRST))
    return folder


@pytest.fixture(scope="module")
def place(candles: Path) -> Path:
    return candles.parent


@pytest.fixture(scope="module")
def about(candles: Path) -> tuple[str, ...]:
    about = ("walk", QUICKSTART, "--candles", str(candles), "--train", "8", "--test", "7")
    return (*about, "--iters", "300", "--seed", "3", "--population", "24")


@pytest.fixture(scope="module")
def whole(place: Path, about: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    done = program(*about, "--side-by-side", "1", "-c", "1", "--out", "whole", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "workers: 1, on this machine" in done.stdout
    return done


def test_a_walk_that_is_stopped_ends_as_one_that_is_not(
    candles: Path, place: Path, about: tuple[str, ...], whole: subprocess.CompletedProcess[str]
) -> None:
    about = (*about, "--side-by-side", "1", "--out", "parts")
    stopped = subprocess.Popen([PROGRAM, *about], cwd=place, start_new_session=True)
    wait_for_rows(stopped, place / "parts" / "fold-1-2025-01-11", 1)
    stopped.send_signal(signal.SIGKILL)
    stopped.wait(30)
    again = program(*about, cwd=place)
    assert again.returncode == 0, again.stderr
    found = json.loads((place / "whole" / "walk.json").read_text())
    assert found == json.loads((place / "parts" / "walk.json").read_text())

    assert [(step["train"], step["test"]) for step in found["folds"]] == [
        (["2025-01-03", "2025-01-11"], ["2025-01-11", "2025-01-18"]),
        (["2025-01-10", "2025-01-18"], ["2025-01-18", "2025-01-25"]),
    ]
    assert found["gain"] == pytest.approx(math.prod(step["unseen"]["gain"] for step in found["folds"]))
    promised = sum(step["study"]["adg"] for step in found["folds"])
    assert found["efficiency"] == pytest.approx(
        sum(step["unseen"]["adg"] for step in found["folds"]) / promised
    )
    assert f"{found['efficiency']:.0%} of the adg promised" in whole.stdout
    assert found["efficiency_of"] == "adg"
    # What is judged is the chosen member alone on the days after its search.
    step = found["folds"][1]
    with Study.open(place / "whole" / "fold-2-2025-01-18") as study:
        assert study.definition.scenario["window"]["last_ms"] == date_ms("2025-01-18")
        config = evaluated_config(study, study.row(step["candidate"]).parameters[0])
    dates = {"start_date": "2025-01-18T00:01", "end_date": "2025-01-25"}
    config = config.model_copy(update={"backtest": config.backtest.model_copy(update=dates)})
    metrics = run_backtest(Scenario.prepare(config, candles)).metrics
    assert step["unseen"] == {name: metrics[name] for name in step["unseen"]}


def test_searches_side_by_side_find_what_those_one_by_one_find(
    place: Path, about: tuple[str, ...], whole: subprocess.CompletedProcess[str]
) -> None:
    beside = program(*about, "--side-by-side", "2", "--workers", "2", "--out", "beside", cwd=place)
    assert beside.returncode == 0, beside.stderr
    one_by_one, together = ((place / name / "walk.json").read_text() for name in ("whole", "beside"))
    assert together == one_by_one
    for study in (place / "whole").glob("fold-*"):
        assert rows(place / "beside" / study.name) == rows(study)


def test_searches_side_by_side_are_stopped_and_lost(place: Path, about: tuple[str, ...]) -> None:
    about = (*about, "--side-by-side", "2", "--workers", "2", "--out", "endless", "--iters", "1000000")
    studies = [place / "endless" / name for name in ("fold-1-2025-01-11", "fold-2-2025-01-18")]
    walk = started(*about, cwd=place)
    for study in studies:
        wait_for_rows(walk, study, 1)
    searches = [holder_of(study) for study in studies]
    os.killpg(walk.pid, signal.SIGINT)  # as a terminal sends it
    text = walk.communicate(timeout=240)[0]
    assert walk.returncode == 130, text
    assert text.endswith("stopped; the same command goes on\n")
    assert gone_within(searches, 1) < 1

    # The same command goes on; then one is lost.
    before = [count(study) for study in studies]
    walk = started(*about, cwd=place)
    for study, known in zip(studies, before, strict=True):
        wait_for_rows(walk, study, known + 1)
    searches = [holder_of(study) for study in studies]
    searches[0].kill()
    walk.send_signal(signal.SIGTERM)  # to it alone: a Ray that it started has its group
    text = walk.communicate(timeout=240)[0]
    assert walk.returncode == 2, text
    errors = [line for line in text.splitlines() if line.startswith("error: ")]
    output = f"endless/{studies[0].name}.txt"
    assert errors == [f"error: fold 1: the search ended by signal 9; its output: {output}"]
    assert gone_within(searches, 1) < 1
    assert count(studies[1]) > before[1]


def count(study: Path) -> int:
    with StudyLog.open(study) as log:
        return log.count()


def holder_of(study: Path) -> psutil.Process:
    """The process that has the lock of a study: "pid N on HOST"."""
    held = holder(study)
    assert held is not None
    return psutil.Process(int(held.split()[1]))


def test_an_option_that_is_none_is_said_of_this_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["walk", QUICKSTART, "--stuyd", "x"]) == 2
    assert "--stuyd is not an option of passivbot walk" in capsys.readouterr().err
