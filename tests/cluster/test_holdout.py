"""Candles kept from a search: the command, from start to the choice of a member that holds."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from cluster.budget import Budget, resumed
from cluster.holdout import held_out
from cluster.prepare import Request, plan_new
from cluster.run import execute
from passivbot.config.resources import configs_dir
from passivbot.study import StudyLog
from passivbot.study.study import Study
from passivbot.study.unseen import holding, needed
from passivbot.times import utc

PROGRAM = Path(sys.executable).with_name("passivbot")
QUICKSTART = str(configs_dir() / "quickstart.json")


def program(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *args], cwd=cwd, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("holdout")


@pytest.fixture(scope="module")
def run(place: Path) -> subprocess.CompletedProcess[str]:
    about = ("--candles", "demo", "--iters", "200", "--seed", "3", "--holdout", "7")
    return program("optimize", QUICKSTART, "--study", "held", *about, cwd=place)


def test_the_front_is_tried_on_what_was_kept(place: Path, run: subprocess.CompletedProcess[str]) -> None:
    assert run.returncode == 0, run.stderr
    assert "held out: 7 days or more after 2025-03-10 00:00" in run.stdout
    assert "unseen candles, after those of the study: 2025-03-10 00:01 to 2025-03-16 23:59" in run.stdout
    assert "passivbot pareto held --holds --pick knee" in run.stdout
    with Study.open(place / "held") as study:
        window = study.definition.scenario["window"]
        assert utc(window["last_ms"]) == "2025-03-10 00:00"
        found = needed(study)
        assert found.window.first_ms == window["last_ms"] + 60_000
        members = study.members()
        assert found.numbers.tolist() == members.numbers.tolist()
        kept = members.numbers[holding(found, members)]
    printed = program("pareto", "held", "--holds", "--json", cwd=place)
    assert np.array_equal([record["candidate"] for record in json.loads(printed.stdout)], kept)


def test_a_study_killed_while_ray_starts_knows_what_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def starting(*args: object, **kwargs: object) -> Iterator[None]:
        with StudyLog.open(tmp_path / "killed") as log:
            assert held_out(log) == 7
            assert resumed(log.events(), iters=None, hours=None, until=None, default=1) == Budget(50, 2.0)
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr("cluster.run.site", starting)
    asked = Request(
        config=Path(QUICKSTART),
        candles=Path("demo"),
        study=str(tmp_path / "killed"),
        iters=50,
        hours=2.0,
        holdout=7,
    )
    with pytest.raises(KeyboardInterrupt):
        execute(plan_new(asked), workers=1, batch=None, lag=None, address=None, say=lambda line: None)
    assert not (tmp_path / "killed").exists()


def test_a_resume_keeps_the_days_out(place: Path, run: subprocess.CompletedProcess[str]) -> None:
    assert run.returncode == 0, run.stderr
    refused = program("optimize", "--study", "held", "--resume", "--holdout", "8", cwd=place)
    assert refused.returncode == 2
    assert "--holdout is '8'; allowed is what the study has: 7" in refused.stderr
    # The command that began it, with --resume and more candidates.
    about = ("--candles", "demo", "--iters", "260", "--seed", "3", "--holdout", "7", "--resume")
    more = program("optimize", QUICKSTART, "--study", "held", *about, cwd=place)
    assert more.returncode == 0, more.stderr
    assert "held out: 7 days or more after 2025-03-10 00:00" in more.stdout
    with Study.open(place / "held") as study:
        assert study.log.count() == 260
        assert needed(study).numbers.tolist() == study.members().numbers.tolist()


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ("3", "--holdout is '3'; allowed is a number of days from 7 on"),
        ("nan", "--holdout is 'nan'; allowed is a number of days from 7 on"),
        ("40", "--holdout 40 leaves no candles to search on: they run from 2025-03-03 00:00"),
    ],
)
def test_what_can_not_be_kept(place: Path, days: str, said: str) -> None:
    refused = program(
        *("optimize", QUICKSTART, "--study", "no", "--candles", "demo", "--holdout", days), cwd=place
    )
    assert refused.returncode == 2
    assert said in refused.stderr
    assert not (place / "no").exists()
