"""A view follows a log as the log is in the end: whatever the order, the gaps and the pauses."""

import threading
from pathlib import Path

import numpy as np
import pytest

from passivbot.study import StudyLog
from passivbot.study.page_data import page_data
from passivbot.study.publish import default_marks
from passivbot.study.serve import view as view_module
from passivbot.study.serve.desk import Desk
from passivbot.study.serve.view import View
from passivbot.study.study import Study, study_id
from tests.demo_study import demo, write_demo

COUNT = 96


def shown(view: View) -> list[int]:
    return [int(n) for n in view.payload()["front"]["candidate"]]


def expected(folder: Path) -> list[int]:
    with Study.open(folder) as study:
        return [int(n) for n in study.members().numbers]


@pytest.mark.parametrize("order", ["forward", "backward", "random"])
def test_the_front_is_the_log_s_after_every_batch(tmp_path: Path, order: str) -> None:
    numbers = np.arange(COUNT)
    if order == "backward":
        numbers = numbers[::-1]
    if order == "random":
        np.random.default_rng(1).shuffle(numbers)
    _, rows = demo(COUNT)
    with write_demo(tmp_path / "s", COUNT, only=[]) as log:
        view = View(tmp_path / "s")
        try:
            for batch in np.split(numbers, 8):
                log.append([rows[n] for n in batch])
                while view.refresh():
                    pass
                assert shown(view) == expected(tmp_path / "s")
            assert view.told == COUNT
            others = view.payload()["others"]["candidate"]
            assert sorted([*others, *shown(view)]) == list(range(COUNT))
        finally:
            view.close()


def test_a_gap_that_stays_hides_nothing(tmp_path: Path) -> None:
    """A killed run leaves candidates out; what lies beyond is shown, and a resume fills them in."""
    _, rows = demo(COUNT)
    with write_demo(tmp_path / "s", COUNT, only=[n for n in range(COUNT) if n not in (3, 50)]) as log:
        view = View(tmp_path / "s")
        view.refresh()
        assert view.told == 3
        assert view.payload()["progress"]["logged"] == COUNT - 2
        assert shown(view) == expected(tmp_path / "s")
        log.append([rows[3]])
        view.refresh()
        assert view.told == 50
        assert shown(view) == expected(tmp_path / "s")
        view.close()


def test_only_what_is_new_is_sent(tmp_path: Path) -> None:
    _, rows = demo(COUNT)
    with write_demo(tmp_path / "s", COUNT, only=range(60)) as log:
        view = View(tmp_path / "s")
        view.refresh()
        first = view.payload()
        assert set(view.payload(59, first["stamp"])) == {"stamp", "identity", "told", "progress"}
        log.append(rows[60:])
        view.refresh()
        then = view.payload(first["told"] - 1, first["stamp"])
        assert then["stamp"] > first["stamp"]
        assert "objectives" not in then
        assert min(then["others"]["candidate"]) >= 60
        assert then["others"]["first"] == 60
        # Of the front only the members that the page lacks, though all are named.
        had, now = set(first["front"]["candidate"]), then["front"]["candidate"]
        assert now == expected(tmp_path / "s")
        assert then["front"]["sent"] == [n for n in now if n not in had]
        assert len(then["front"]["metrics"]["adg"]) == len(then["front"]["sent"]) < len(now)
        assert view.payload(59, 12345)["front"]["sent"] == now
        view.refresh()
        assert view.stamp == then["stamp"]
        view.close()


def test_thinning_is_by_number_and_spares_the_front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_module, "OTHERS", 20)
    monkeypatch.setattr(view_module, "CHUNK", 17)
    write_demo(tmp_path / "s", COUNT).close()
    view = View(tmp_path / "s")
    calls = 1
    while view.refresh(30):
        calls += 1
    assert calls > 1
    payload = view.payload()
    assert payload["others"]["stride"] == 8
    assert all(number % 8 == 0 for number in payload["others"]["candidate"])
    assert shown(view) == expected(tmp_path / "s")
    view.close()


def test_earlier_fronts_are_those_of_the_candidates_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_module, "FRONT_STEP", 8)
    monkeypatch.setattr(view_module, "FRONTS", 4)
    definition, rows = demo(COUNT)
    write_demo(tmp_path / "s", COUNT).close()
    view = View(tmp_path / "s")
    view.refresh()
    kept = [past["told"] for past in view.payload()["fronts"]]
    assert kept == [32, 64, 96]
    for told in kept:
        with StudyLog.create(tmp_path / f"first {told}", definition) as log:
            log.append(rows[:told])
        past = view.past_front(told)
        assert past is not None
        assert past["candidate"] == expected(tmp_path / f"first {told}")
        assert past["metrics"]["adg"] == [
            rows[n].metrics[definition.metrics.index("adg")] for n in past["candidate"]
        ]
    assert view.past_front(33) is None
    view.close()


def test_another_study_in_the_same_folder_is_seen(tmp_path: Path) -> None:
    write_demo(tmp_path / "s", COUNT, only=range(5)).close()
    view = View(tmp_path / "s")
    assert not view.replaced()
    for path in (tmp_path / "s").iterdir():
        path.unlink()
    assert view.replaced()
    write_demo(tmp_path / "s", COUNT, only=range(9)).close()
    assert view.replaced()
    view.close()


def test_a_study_that_is_put_away_while_it_is_wanted_is_opened_again(tmp_path: Path) -> None:
    """More readers than studies that are kept open, all at once."""
    folders = [tmp_path / f"s{n}" for n in range(7)]
    for folder in folders:
        write_demo(folder, COUNT, only=range(20)).close()
    desk, seen = Desk(folders=folders), []

    def read(shift: int) -> None:
        for turn in range(25):
            with desk.using(study_id(folders[(shift + turn) % len(folders)])) as (view, reading):
                assert reading is None
                seen.append(len(view.find(turn % 20)))

    threads = [threading.Thread(target=read, args=(shift,)) for shift in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 200
    desk.close()


def test_whether_it_stopped_before_its_budget_is_told(tmp_path: Path) -> None:
    with write_demo(tmp_path / "s", COUNT) as log:
        log.event("budget", {"iters": 200})
    view = View(tmp_path / "s")
    view.refresh()
    assert view.payload()["progress"]["state"] == "stopped"
    (card,) = Desk(roots=[tmp_path]).cards()
    assert card["state"] == "stopped"
    with StudyLog.open(tmp_path / "s", write=True) as log:
        log.event("budget", {"iters": COUNT})
    assert view.progress()["state"] == "done"
    view.close()


def test_the_list_knows_fronts_of_studies_that_nobody_opened(tmp_path: Path) -> None:
    with write_demo(tmp_path / "s", COUNT) as log:
        log.event("finished", {"logged": COUNT, "front": 7, "hypervolume": 0.25})
        (card,) = Desk(roots=[tmp_path]).cards()
        assert (card["state"], card["front"]) == ("running", None)
    desk = Desk(roots=[tmp_path])
    (card,) = desk.cards()
    assert card["front"] == {"size": 7, "hypervolume": 0.25}
    with desk.using(card["id"]) as (view, _):
        size = len(view.members)
    (card,) = desk.cards()
    assert card["front"]["size"] == size, "what was read counts"
    desk.close()


def test_a_study_without_rows_is_shown(tmp_path: Path) -> None:
    with write_demo(tmp_path / "s", COUNT, only=[]):
        view = View(tmp_path / "s")
        view.refresh()
        payload = view.payload()
        assert payload["front"]["candidate"] == []
        assert payload["others"]["candidate"] == []
        assert payload["importance"] is None
        assert payload["progress"]["state"] == "running"
        view.close()


def test_file_and_server_show_the_same(tmp_path: Path) -> None:
    write_demo(tmp_path / "s", COUNT).close()
    with Study.open(tmp_path / "s") as study:
        front = study.front()
        members = study.members(front)
        page = page_data(study, front, members, default_marks(members))
    view = View(tmp_path / "s")
    view.refresh()
    served = view.payload()
    for part in ("front", "others", "importance", "objectives", "parameters", "bounds", "limits", "facts"):
        assert served[part] == page[part], part
    view.close()
