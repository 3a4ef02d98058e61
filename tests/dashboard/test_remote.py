"""A study whose log is elsewhere: from what its driver put on the board comes what the log would give."""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cluster.board import Board, Notice
from cluster.dashboard import desk
from cluster.dashboard.desk import ClusterDesk
from cluster.dashboard.remote import RemoteView
from passivbot.errors import StudyError
from passivbot.study.page_data import page_data
from passivbot.study.publish import default_marks
from passivbot.study.serve.equity import Replays
from passivbot.study.serve.facts import facts
from passivbot.study.study import Study
from tests.demo_study import write_demo

COUNT = 96
FAR = Path("/elsewhere/far")


@pytest.fixture
def study(tmp_path: Path) -> Study:
    write_demo(tmp_path / "s", COUNT).close()
    return Study.open(tmp_path / "s")


def board_text(study: Study) -> bytes:
    front = study.front()
    members = study.members(front)
    return json.dumps(page_data(study, front, members, default_marks(members)), allow_nan=False).encode()


def test_members_are_the_log_s_to_the_bit(study: Study) -> None:
    view = RemoteView(study.definition, FAR, lambda: board_text(study))
    view.renew()
    here, there = study.members(), view.members
    assert there.numbers.tolist() == here.numbers.tolist()
    assert there.rows.parameters.tobytes() == here.rows.parameters.tobytes()
    assert there.rows.metrics.tobytes() == here.rows.metrics.tobytes()
    assert there.objectives.tobytes() == here.objectives.tobytes()
    assert np.array_equal(there.total, here.total)


def test_a_candidate_is_told_and_run_as_from_the_log(study: Study) -> None:
    view = RemoteView(study.definition, FAR, lambda: board_text(study))
    view.renew()
    for candidate in (int(view.members.numbers[0]), view.payload()["others"]["candidate"][0]):
        there = facts(view.study, view.members, view.find(candidate))
        here = facts(study, study.members(), study.results(study.row(candidate)))
        for key in ("metrics", "parameters", "fixed", "limits", "ranks", "member", "candles", "engine"):
            assert there[key] == here[key], key
        assert there["promote"].startswith(f"passivbot promote {FAR} ")
        assert Replays().run(view.study, view.find(candidate))["deviations"] == []


def test_it_is_renewed_when_the_board_changed(study: Study) -> None:
    sent: list[bytes] = []
    view = RemoteView(study.definition, FAR, lambda: sent[-1] if sent else None)
    view.renew()
    with pytest.raises(StudyError, match="not sent its front yet"):
        view.payload()
    sent.append(board_text(study))
    view.renew()
    stamp = view.payload()["stamp"]
    view.renew()
    assert set(view.payload(stamp=stamp)) == {"stamp", "identity", "told", "progress"}
    sent.append(sent[0].replace(b'"told"', b'"told" '))
    view.renew()
    assert view.payload(stamp=stamp)["stamp"] > stamp


def test_what_the_driver_did_not_send_is_said(study: Study) -> None:
    view = RemoteView(study.definition, FAR, lambda: board_text(study))
    view.renew()
    with pytest.raises(StudyError, match="driver's machine"):
        view.find(10**6)
    assert view.past_front(32) is None


class OneStudy(Board):
    """A board with one study."""

    def __init__(self, notice: Notice, study: Study) -> None:
        self.notice = notice
        self.texts = {"definition": study.definition.to_json().encode(), "front": board_text(study)}

    def get(self, kind: str, study: str) -> bytes | None:
        return self.texts.get(kind)

    def studies(self) -> list[Notice]:
        return [self.notice]


def noticed(folder: Path) -> Notice:
    now = time.time()
    return Notice(
        id="far", name="far", folder=str(folder), host="h", pid=1, state="running", started=now, updated=now
    )


def test_another_study_in_the_same_folder_elsewhere_is_shown_as_what_it_is(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "_FRESH_SECONDS", -1.0)
    board = OneStudy(noticed(FAR), study)
    shown = ClusterDesk(board)
    with shown.using("far") as (view, _):
        assert view.study.definition == study.definition
    # Removed there and begun anew: it has the same place, and so the same id.
    other = replace(study.definition, created="2026-01-01T00:00:00+00:00")
    board.texts["definition"] = other.to_json().encode()
    with shown.using("far") as (view, _):
        assert view.study.definition == study.definition  # as long as the first one runs
    board.notice = replace(board.notice, started=board.notice.started + 60)
    with shown.using("far") as (view, _):
        assert view.study.definition == other


def test_a_log_that_can_not_be_read_for_a_moment_is_read_later(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "_FRESH_SECONDS", -1.0)
    folder = tmp_path / "late"
    folder.mkdir()
    (folder / "study.sqlite").write_bytes(b"not yet")
    shown = ClusterDesk(OneStudy(noticed(folder), study))
    assert shown.places() == {}
    shutil.copyfile(study.log.path, folder / study.log.path.name)
    assert shown.places()["far"] == folder
