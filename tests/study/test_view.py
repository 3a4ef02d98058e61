import io
import json
import math
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console, RenderableType

from passivbot.cli.main import main
from passivbot.study import Event, Front, StudyLog
from passivbot.study.page_data import promote_command
from passivbot.study.plot import page_data, write_page
from passivbot.study.publish import default_marks, publish
from passivbot.study.serve.view import last_front, state_of
from passivbot.study.study import Study
from passivbot.study.terminal import Scatter, render_front
from passivbot.study.terminal import number as shown

from .conftest import Example


def printed(renderable: RenderableType, *, encoding: str = "utf-8", width: int = 100) -> str:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding=encoding)
    Console(file=stream, width=width, color_system=None).print(renderable)
    stream.flush()
    return buffer.getvalue().decode(encoding)


def test_terminal_view(example: Example) -> None:
    with Study.open(example.folder) as study:
        front = study.front()
        members = study.members(front)
    text = printed(render_front(front, members, marks=default_marks(members)))
    assert text.startswith(
        f"front of {len(front)} from 40 candidates, {front.feasible_count} of them feasible; hyper"
    )
    assert "adg ↑" in text
    assert "drawdown_worst ↓" in text
    for number in members.numbers.tolist():
        assert re.search(rf"^ *{number} ", text, re.MULTILINE)
    assert "knee" in text
    assert len({c for c in text if 0x2800 < ord(c) < 0x2900}) > 1
    assert "2 of" in printed(render_front(front, members, rows=2))


def test_scatter_places_points() -> None:
    corners = np.array([[0.0, 0.0], [1.0, 1.0]])
    lines = printed(Scatter(corners, ("a", "b"), height=6, width=20), encoding="ascii", width=60).splitlines()
    plot = [line.split("|", 1)[1] for line in lines[1:7]]
    assert [(r, c) for r, line in enumerate(plot) for c, x in enumerate(line) if x == "*"] == [
        (0, 19),
        (5, 0),
    ]
    assert plot[2].strip() == ""
    assert printed(Scatter(np.array([[3.0, 4.0]]), ("a", "b")), encoding="ascii").count("*") == 1
    assert printed(Scatter(np.empty((0, 2)), ("a", "b"))) == ""


def test_page_holds_the_points_and_needs_no_network(tmp_path: Path, example: Example) -> None:
    with Study.open(example.folder) as study:
        front = study.front()
        members = study.members(front)
        path = write_page(study, front, members, tmp_path / "front.html", marks=default_marks(members))
        data = page_data(study, front, members, default_marks(members))
    text = path.read_text()
    found = re.search(r'<script type="application/json" id="study-data">(.*?)</script>', text)
    library = re.search(r"<script>/\*\*.*?</script>", text, re.DOTALL)
    assert found
    assert library
    embedded = json.loads(found[1])
    assert embedded["front"] == data["front"]
    assert embedded["front"]["candidate"] == members.numbers.tolist()
    assert embedded["front"]["metrics"]["adg"] == members.metric("adg").tolist()
    assert embedded["others"]["candidate"] == [
        n for n in range(40) if n not in {5, 9, *members.numbers.tolist()}
    ]
    assert embedded["front"]["history"]["candidates"][-1] == 40
    assert embedded["front"]["history"]["hypervolume"][-1] == front.hypervolume
    assert set(embedded["front"]["marks"].values()) & {"knee", "ideal", "knee, ideal"}
    assert len(embedded["parameters"]) == 29
    for name in (
        "front-plot",
        "hypervolume-plot",
        "parallel-plot",
        "axis-x",
        "axis-y",
        "axis-z",
        "front-table",
    ):
        assert f'id="{name}"' in text
    outside = text.replace(library[0], "")
    assert len(outside) < 200_000
    assert not re.search(r"https?://|src=", outside)
    assert "showSendToCloud: false" in outside


def test_page_survives_hostile_names(tmp_path: Path, example: Example) -> None:
    scenario = {**example.definition.scenario, "coins": ["</script><b>$x"]}
    with StudyLog.create(tmp_path / "s", replace(example.definition, scenario=scenario)) as log:
        log.append(example.rows)
        study = Study(log)
        front = study.front()
        text = write_page(study, front, study.members(front)).read_text()
    assert "</script><b>" not in text
    assert "\\u003c/script>\\u003cb>$x" in text or "\\u003c/script>" in text


def nothing_feasible(folder: Path, example: Example) -> None:
    config = json.loads(json.dumps(example.definition.config))
    config["optimize"]["limits"] = {"drawdown_worst": -1.0}
    with StudyLog.create(folder, replace(example.definition, config=config)) as log:
        log.append(example.rows)


def test_nothing_feasible(tmp_path: Path, example: Example, capsys: pytest.CaptureFixture[str]) -> None:
    nothing_feasible(tmp_path / "s", example)
    assert main(["pareto", str(tmp_path / "s"), "--json"]) == 0
    out, err = capsys.readouterr()
    records = json.loads(out)
    assert len(records) == 10
    assert all(record["violations"]["drawdown_worst"] > 0 for record in records)
    assert "note: no candidate keeps all limits; these break them least" in err
    assert main(["pareto", str(tmp_path / "s")]) == 0
    out, _ = capsys.readouterr()
    assert (
        "no front yet: none of 40 candidates keeps all limits; the 10 that break them least are shown, they "
        "break drawdown_worst" in out
    )
    assert "(10 of them)" in out
    assert "violation" in out
    assert (tmp_path / "s" / "front.html").exists()


def test_empty_study(tmp_path: Path, example: Example, capsys: pytest.CaptureFixture[str]) -> None:
    StudyLog.create(tmp_path / "s", example.definition).close()
    assert main(["pareto", str(tmp_path / "s"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["pareto", str(tmp_path / "s")]) == 0
    assert "no front yet: none of 0 candidates could be scored" in capsys.readouterr().out
    assert main(["pareto", str(tmp_path / "s"), "--pick", "knee"]) == 2
    assert "error: there is no scored candidate to choose from" in capsys.readouterr().err
    assert main(["study", "show", str(tmp_path / "s")]) == 0
    assert "nothing yet" in capsys.readouterr().out


def test_pareto_command(tmp_path: Path, example: Example, capsys: pytest.CaptureFixture[str]) -> None:
    with StudyLog.create(tmp_path / "s", example.definition) as log:
        log.append(example.rows)
    name = str(tmp_path / "s")
    assert main(["pareto", name]) == 0
    out = capsys.readouterr().out
    assert f"page: {tmp_path / 's' / 'front.html'}" in out
    files = sorted(path.name for path in (tmp_path / "s" / "front").iterdir())
    assert main(["pareto", name, "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert files == [f"{record['candidate']:07d}.json" for record in records]
    assert main(["pareto", name, "--json", "--pick", "knee"]) == 0
    (chosen,) = json.loads(capsys.readouterr().out)
    assert chosen in records
    assert main(["pareto", name, "--pick", "knee"]) == 0
    out = capsys.readouterr().out
    assert f"configuration: {tmp_path / 's' / 'front'}/{chosen['candidate']:07d}.json" in out
    # All that was logged of it, with what was asked of it.
    head = rf"\nmetric +{chosen['candidate']} +\nadg +\S+ +objective, more is better *\n"
    assert re.search(head, out)
    for metric, value in chosen["metrics"].items():
        assert re.search(rf"\n{metric} +{re.escape(shown(math.nan if value is None else value))} ", out)
    best = min(record["metrics"]["drawdown_worst"] for record in records)
    assert main(["pareto", name, "--json", "--where", f"drawdown_worst<={best!r}"]) == 0
    assert [r["metrics"]["drawdown_worst"] for r in json.loads(capsys.readouterr().out)] == [best]
    assert main(["pareto", name, "--json", "--cap", "2"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert main(["pareto", name, "--json", "--all"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 40
    for arguments, message in (
        (["--all"], "--all needs --json"),
        (["--pick", "best"], "allowed is one of knee"),
        (["--json", "--where", "nonsense<1"], "nonsense is not logged"),
        (
            ["--where", "btc_equity_jerkiness_w<1"],
            "; a search also logs those that its scoring or limits name",
        ),
    ):
        assert main(["pareto", name, *arguments]) == 2
        assert message in capsys.readouterr().err
    assert main(["pareto", str(tmp_path / "nowhere")]) == 2
    assert "no such study" in capsys.readouterr().err


def test_study_commands(
    tmp_path: Path, example: Example, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["study", "list"]) == 0
    assert "studies: no studies" in capsys.readouterr().out
    log = StudyLog.create(tmp_path / "studies" / "first", example.definition)
    log.append(example.rows)
    log.change_lag(30, 16)
    (tmp_path / "studies" / "broken").mkdir()
    (tmp_path / "studies" / "broken" / "study.sqlite").write_bytes(b"x" * 5000)
    assert main(["study", "list"]) == 0
    out, err = capsys.readouterr()
    assert re.search(r"first +2026-01-01T00:00:00Z +random +40 +7 +6 coins +running, pid \d+ on ", out)
    assert "broken/study.sqlite: damaged" in err
    log.event("budget", {"iters": 1000})
    assert main(["study", "show", "first"]) == 0
    out = capsys.readouterr().out
    assert "1 failed, 38 ok, 1 stopped" in out
    assert "8 from candidate 0, 16 from candidate 30" in out
    assert "29 of 58 free" in out
    assert re.search(
        r"candles +2025-03-03 \d\d:\d\d to 2025-03-\d\d \d\d:\d\d UTC, [\d,]+ minutes with warm-up", out
    )
    assert re.search(r"\d\d:\d\d:\d\d +created +engine=0", out)
    assert re.search(r"lag +from=30 lag=16", out)
    log.close()
    assert main(["study", "show", "first"]) == 0
    assert "nobody writes" in capsys.readouterr().out
    assert main(["study", "list"]) == 0
    assert re.search(r"random +40 of 1,000 +7 +6 coins +stopped", capsys.readouterr().out)
    with StudyLog.open(tmp_path / "studies" / "first", write=True) as again:
        again.event("budget", {"iters": 40})
    assert main(["study", "list"]) == 0
    assert re.search(r"random +40 of 40 +7 +6 coins +done", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("events", "logged", "state"),
    [
        ([], 0, "stopped"),  # killed before it could say what it wanted
        ([("budget", {"iters": 40})], 39, "stopped"),
        ([("budget", {"iters": 40})], 40, "done"),
        ([("budget", {"iters": 40}), ("finished", {})], 12, "done"),  # its hours were spent
        ([("budget", {"iters": 40}), ("finished", {}), ("lag", {})], 12, "done"),
        ([("budget", {"iters": 40}), ("stopped", {})], 12, "stopped"),
        (
            [("budget", {"iters": 40}), ("finished", {}), ("resumed", {}), ("budget", {"iters": 90})],
            40,
            "stopped",
        ),
        ([("budget", {"iters": 40}), ("finished", {}), ("resumed", {})], 41, "done"),
    ],
)
def test_what_became_of_a_study(events: list[tuple[str, dict[str, Any]]], logged: int, state: str) -> None:
    assert state_of([Event(0.0, kind, payload) for kind, payload in events], logged) == state


def test_the_front_that_the_last_run_left() -> None:
    def left(*events: tuple[str, dict[str, Any]]) -> dict[str, Any] | None:
        return last_front([Event(0.0, kind, payload) for kind, payload in events])

    done = ("finished", {"logged": 40, "front": 12, "hypervolume": 0.5})
    assert left(done) == left(done, ("lag", {})) == {"size": 12, "hypervolume": 0.5}
    assert left() is None
    assert left(("finished", {"logged": 40})) is None, "a study of an earlier version"
    assert left(done, ("resumed", {"logged": 40})) is None, "it was killed then"
    assert left(done, ("resumed", {}), ("stopped", {"front": 14})) == {"size": 14, "hypervolume": None}


def test_export_formats(tmp_path: Path, example: Example, capsys: pytest.CaptureFixture[str]) -> None:
    name = str(example.folder)
    assert main(["study", "export", name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 41
    header = lines[0].split(",")
    assert header[:5] == ["candidate", "status", "worker", "seconds", "error"]
    first = dict(zip(header, lines[1].split(","), strict=True))
    assert float(first["long_ema_span_0"]) == example.rows[0].parameters[header.index("long_ema_span_0") - 5]
    assert float(first["objective.adg"]) == -float(first["adg"])
    assert lines[6].startswith("5,failed,,0.0,killed its worker twice,")
    out = tmp_path / "all.parquet"
    assert main(["study", "export", name, "--format", "parquet", "--out", str(out)]) == 0
    assert "40 candidates" in capsys.readouterr().out
    table = pq.read_table(out)
    assert table.column_names == header
    assert table.column("candidate").to_pylist() == list(range(40))
    assert table.column("adg")[5].as_py() is None
    assert main(["study", "export", name, "--format", "json", "--out", str(tmp_path / "all.json")]) == 0
    records = json.loads((tmp_path / "all.json").read_text())
    assert [record["status"] for record in records].count("ok") == 38
    assert records[3]["parameters"]["long_ema_span_1"] == table.column("long_ema_span_1")[3].as_py()
    capsys.readouterr()
    assert main(["study", "export", name, "--format", "parquet"]) == 2
    assert "--format parquet needs --out FILE" in capsys.readouterr().err
    assert main(["study", "export", name, "--format", "xml"]) == 2
    assert "--format is 'xml'; allowed is one of csv, parquet, json" in capsys.readouterr().err
    assert main(["study", "export", name, "--out", str(tmp_path / "no" / "x.csv")]) == 2
    assert "x.csv: can't be written (No such file or directory)" in capsys.readouterr().err


def test_a_study_on_longer_bars_says_so(
    tmp_path: Path, example: Example, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = {**example.definition.scenario, "interval_minutes": 15}
    monkeypatch.chdir(tmp_path)
    with StudyLog.create(tmp_path / "studies" / "s", replace(example.definition, scenario=scenario)) as log:
        log.append(example.rows)
    for command, words in (
        (["study", "list"], "6 coins, 15 min a bar"),
        (["study", "show", "s"], "20,160 minutes with warm-up, 15 a bar"),
        (["pareto", "s"], "feasible, on bars of 15 minutes; hypervolume"),
    ):
        assert main(command) == 0
        assert words in capsys.readouterr().out
    assert '"minutes a bar":"15"' in (tmp_path / "studies" / "s" / "front.html").read_text()
    for member in (tmp_path / "studies" / "s" / "front").iterdir():
        assert json.loads(member.read_text())["_provenance"]["interval_minutes"] == 15


def test_publish_of_a_live_front(tmp_path: Path, example: Example) -> None:
    """As the head uses it: one open log, one front that grows."""
    with StudyLog.create(tmp_path / "s", example.definition) as log:
        study = Study(log)
        front = Front(len(study.scoring.objectives), population=example.definition.population)
        for start in range(0, 40, 8):
            log.append(example.rows[start : start + 8])
            front.add_rows(log.read(after=front.told - 1), example.definition.metrics, study.scoring)
        assert front.numbers.tolist() == study.front().numbers.tolist()
        published = publish(study, front, study.members(front))
    assert published.page.stat().st_size > 1_000_000
    assert len(list(published.front.iterdir())) == len(front)


def test_the_command_that_promotes_begins_at_home(
    tmp_path: Path, example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Study.open(example.folder) as study:
        monkeypatch.setenv("HOME", str(tmp_path))
        assert f"passivbot promote {shlex.quote(str(example.folder))} --candidate" in promote_command(study)
        monkeypatch.setenv("HOME", str(example.folder.parent.parent))
        place = f"~/{example.folder.parent.name}/{example.folder.name}"
        assert promote_command(study).startswith(f"passivbot promote {place} --candidate CANDIDATE --to ")
