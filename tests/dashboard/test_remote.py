"""A study whose log is elsewhere: from what its driver put on the board comes what the log would give."""

import json
from pathlib import Path

import numpy as np
import pytest

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
