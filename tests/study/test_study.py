import io
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from passivbot.backtest import Candidates
from passivbot.backtest.scenario import Scenario
from passivbot.cli.main import main
from passivbot.config import load_config
from passivbot.engine import STOPPED_MINUTE
from passivbot.errors import ResourceError, StudyError
from passivbot.study import Evaluation, StudyLog
from passivbot.study.export import export_front
from passivbot.study.replay import compare, logged
from passivbot.study.study import Study, find, write_records
from tests.disks import mount, unmount

from .conftest import Example


def text_of(study: Study, *, everything: bool = False) -> str:
    stream = io.StringIO()
    results = list(study.all()) if everything else [study.members()]
    write_records((record for part in results for record in part.records()), stream)
    return stream.getvalue()


def test_equal_studies_print_equal_bytes(tmp_path: Path, example: Example) -> None:
    """Order, batches, workers, seconds and folder do not show."""
    order = np.random.default_rng(3).permutation(len(example.rows))
    with StudyLog.create(tmp_path / "other", replace(example.definition, created="later")) as log:
        for batch in np.array_split(order, 6):
            log.append(replace(example.rows[i], worker="elsewhere", seconds=9.0) for i in batch)
        log.event("resumed")
    with Study.open(example.folder) as one, Study.open(tmp_path / "other") as other:
        assert text_of(one) == text_of(other)
        assert text_of(one, everything=True) == text_of(other, everything=True)
        assert one.front().hypervolume == other.front().hypervolume


def test_records(example: Example) -> None:
    with Study.open(example.folder) as study:
        front = study.front()
        records = json.loads(text_of(study))
        everything = json.loads(text_of(study, everything=True))
    assert len(records) == len(front) > 1
    assert [r["candidate"] for r in records] == front.numbers.tolist()
    assert [r["candidate"] for r in everything] == list(range(40))
    for record in records:
        row = example.rows[record["candidate"]]
        assert sorted(record) == ["candidate", "metrics", "objectives", "parameters", "violations"]
        assert [record["parameters"][n] for n in example.definition.space.names] == row.parameters.tolist()
        assert record["objectives"]["adg"] == -record["metrics"]["adg"]
        assert record["objectives"]["drawdown_worst"] == record["metrics"]["drawdown_worst"]
        assert set(record["violations"].values()) == {0.0}
        logged_metrics = dict(zip(example.definition.metrics, row.metrics.tolist(), strict=True))
        assert all(record["metrics"][name] in (value, None) for name, value in logged_metrics.items())
    failed = everything[5]
    assert set(failed["metrics"].values()) == set(failed["objectives"].values()) == {None}
    assert set(failed["violations"].values()) == {None}
    assert {5, 9}.isdisjoint(r["candidate"] for r in records)


def test_no_records_are_an_empty_array() -> None:
    stream = io.StringIO()
    write_records([], stream)
    assert json.loads(stream.getvalue()) == []


def test_export_runs_to_the_bits_of_the_log(tmp_path: Path, example: Example) -> None:
    folder = tmp_path / "example"
    shutil.copytree(example.folder, folder)
    with Study.open(folder) as study:
        members = study.members()
        assert export_front(study, members) == folder / "front"
        files = sorted((folder / "front").iterdir())
        assert [path.name for path in files] == [f"{n:07d}.json" for n in members.numbers.tolist()]
        for path, number in zip(files, members.numbers.tolist(), strict=True):
            loaded = load_config(path)
            assert loaded.findings == ()
            config = loaded.config
            vector = study.space.evaluated(example.rows[number].parameters).tolist()
            bot = config.bot.to_engine()
            for name, value in zip(example.definition.space.names, vector, strict=True):
                side, _, key = name.partition("_")
                # Loading rounds the number of slots as the engine does; everything else is the very value.
                assert bot[side][key] == (np.floor(value + 0.5) if key == "n_positions" else value)
            assert config.optimize.bounds == study.config.optimize.bounds
            document = json.loads(path.read_text())
            provenance = document["_provenance"]
            scenario = Scenario.replay(config, provenance)
            assert scenario.coins == example.scenario.coins
            assert config.live.approved_coins["long"] == example.scenario.coins
            candidate = logged(study, number)
            assert candidate.config.bot.to_engine() == bot
            replayed = replace(candidate, config=config).run(scenario)
            assert candidate.deviations(replayed) == ()
            assert compare(provenance["metrics"], replayed.analysis) == ()
            assert (provenance["study"], provenance["candidate"]) == ("example", number)
            assert provenance["candles_digest"] == example.scenario.candles_digest


def test_backtest_command_repeats_every_member(tmp_path: Path, example: Example) -> None:
    with Study.open(example.folder) as study:
        folder = export_front(study, study.members(), tmp_path / "front")
    for path in sorted(folder.iterdir()):
        out = tmp_path / "reports" / path.stem
        assert main(["backtest", str(path), "--out", str(out), "--disable-plotting"]) == 0
        document = json.loads(path.read_text())
        analysis = json.loads((out / "analysis.json").read_text())
        assert compare(document["_provenance"]["metrics"], analysis) == ()


@pytest.fixture
def stopping(tmp_path: Path, example: Example) -> tuple[Path, int, int]:
    """The example as a study that stops early: its folder, a candidate that was stopped, one that was not."""
    limits = {"drawdown_worst": 0.05, "gain": 1.0}
    config = json.loads(json.dumps(example.definition.config))
    config["optimize"]["limits"] = limits
    definition = replace(example.definition, config=config, stop_early=True)
    with StudyLog.create(tmp_path / "stopping", definition) as log:
        study = Study(log)
        assert study.stop_limits == {"drawdown_worst": 0.05}
        vectors = np.stack([row.parameters for row in example.rows])
        candidates = Candidates.of(study.config, example.scenario.coins)
        wanted = (*definition.metrics, STOPPED_MINUTE)
        columns = candidates.evaluate(example.scenario.engine(), vectors, wanted, study.stop_limits)
        stopped = np.isfinite(columns[:, -1])
        assert 3 < stopped.sum() < 37
        log.append(
            Evaluation(n, vectors[n], row[:-1], "stopped", stopped=int(row[-1]))
            if stopped[n]
            else Evaluation(n, vectors[n], row[:-1])
            for n, row in enumerate(columns)
        )
    return tmp_path / "stopping", int(np.flatnonzero(stopped)[0]), int(np.flatnonzero(~stopped)[0])


def test_stopped_candidate_is_never_scored(stopping: tuple[Path, int, int]) -> None:
    folder, candidate, _ = stopping
    with Study.open(folder) as study:
        everything = study.results(study.log.read())
        stopped = everything.rows.status == "stopped"
        assert np.isinf(everything.total[stopped]).all()
        assert np.isnan(everything.objectives[stopped]).all()
        assert np.isinf(everything.violations[stopped]).all()
        assert np.isfinite(everything.objectives[~stopped]).any()
        assert study.front().scored == np.isfinite(everything.total).sum() <= (~stopped).sum()
        assert not np.isin(study.members().numbers, everything.numbers[stopped]).any()
        record = json.loads(text_of(study, everything=True))[candidate]
    assert record["stopped_minute"] % 1440 == 1439
    assert set(record["objectives"].values()) == set(record["violations"].values()) == {None}
    assert record["metrics"]["drawdown_worst"] > 0.05


def test_stopped_candidate_is_replayed(stopping: tuple[Path, int, int], example: Example) -> None:
    folder, candidate, other = stopping
    with Study.open(folder) as study:
        for number in (candidate, other):
            again = logged(study, number)
            assert (again.stopped is None) == (number == other)
            assert again.deviations(again.run(example.scenario)) == ()
        again = logged(study, candidate)
        whole = replace(again, limits=None).run(example.scenario)
        first = again.deviations(whole)[0]
        assert str(first) == f"stopped_minute: logged {again.stopped}, found None"


def test_backtest_command_repeats_a_stopped_candidate(
    tmp_path: Path, stopping: tuple[Path, int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, candidate, other = stopping
    for number in (candidate, other):
        file, out = tmp_path / f"{number}.json", tmp_path / f"report{number}"
        command = ["study", "export", str(folder), "--candidate", str(number)]
        assert main([*command, "--out", str(file)]) == 0
        assert capsys.readouterr().out == f"{file}: candidate {number}\n"
        assert main(command) == 0
        assert capsys.readouterr().out == file.read_text()
        assert main(["backtest", str(file), "--out", str(out), "--disable-plotting"]) == 0
        printed = capsys.readouterr()
        document = json.loads(file.read_text())["_provenance"]
        assert document["stop_limits"] == {"drawdown_worst": 0.05}
        rows = pq.read_metadata(out / "equity.parquet").num_rows
        if number == other:
            assert document["stopped_minute"] is None
            assert "stopped early" not in printed.err
            continue
        assert rows == document["stopped_minute"] + 1
        assert f"stopped early, as in its study, after minute {rows - 1} (" in printed.err
        assert "drawdown_worst is " in printed.err
        # The report's own configuration repeats the run once more; another minute would be noticed.
        assert main(["backtest", str(out / "config.json"), "--out", str(tmp_path / "again"), "-dp"]) == 0
        wrong = json.loads(file.read_text())
        wrong["_provenance"]["stopped_minute"] += 1440
        file.write_text(json.dumps(wrong))
        capsys.readouterr()
        assert main(["backtest", str(file), "--out", str(tmp_path / "wrong"), "-dp"]) == 1
        assert f"difference: not as recorded in {file}: stopped_minute" in capsys.readouterr().err


def test_candidate_that_has_no_metrics_is_not_exported(
    example: Example, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", "export", str(example.folder), "--candidate", "5"]) == 2
    assert "candidate 5 failed: killed its worker twice; it has no metrics" in capsys.readouterr().err
    assert main(["study", "export", str(example.folder), "--candidate", "40"]) == 2
    assert "candidate 40 is not in the log" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "begins"),
    [("a.csv", b"candidate,"), ("a.parquet", b"PAR1"), ("a.JSON", b"["), ("a", b"candidate,")],
)
def test_the_end_of_the_name_says_the_format(
    example: Example, tmp_path: Path, name: str, begins: bytes
) -> None:
    assert main(["study", "export", str(example.folder), "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / name).read_bytes().startswith(begins)


def test_full_disk_leaves_no_half_export(small_disk: Path, example: Example) -> None:
    with Study.open(example.folder) as study:
        everything = study.results(study.log.read())
        room = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        (small_disk / "filler").write_bytes(bytes(room - 3 * 4096 * 6))
        with pytest.raises(ResourceError, match=rf"{small_disk}/front/\d+\.json: the disk is full"):
            export_front(study, everything, small_disk / "front")
    written = list((small_disk / "front").iterdir())
    assert 0 < len(written) < 40
    for path in written:
        assert path.suffix == ".json"
        assert json.loads(path.read_text())["_provenance"]["study"] == "example"


def test_read_only_study_can_be_looked_at(
    tmp_path: Path, example: Example, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    mount(target, "--bind", "-o", "ro", str(example.folder.parent))
    try:
        assert main(["pareto", str(target / "example")]) == 0
    finally:
        unmount(target)
    out, err = capsys.readouterr()
    assert "front of " in out
    assert "page:" not in out
    assert (
        f"warning: no files were written: {target}/example/front: can't be written (Read-only file system)"
        in err
    )


def test_lossless_override_is_in_the_export(tmp_path: Path, example: Example) -> None:
    config = json.loads(json.dumps(example.definition.config))
    config["optimize"]["enable_overrides"] = ["lossless_close_trailing"]
    with StudyLog.create(tmp_path / "s", replace(example.definition, config=config)) as log:
        log.append(example.rows[:3])
        study = Study(log)
        changed = 0
        for row in example.rows[:3]:
            bot = logged(study, row.number).config.bot.long
            logged_value = row.parameters[
                example.definition.space.names.index("long_close_trailing_threshold_pct")
            ]
            expected = max(logged_value, bot.close_trailing_retracement_pct)
            assert bot.close_trailing_threshold_pct == expected
            changed += expected != logged_value
        assert changed


def test_export_replaces_stale_members_only(tmp_path: Path, example: Example) -> None:
    target = tmp_path / "front"
    target.mkdir()
    (target / "0009999.json").write_text("{}")
    (target / "0009998.json.part").write_text("{")
    (target / "mine.json").write_text("{}")
    with Study.open(example.folder) as study:
        members = study.members()
        export_front(study, members, target)
        names = {path.name for path in target.iterdir()}
        assert names == {"mine.json", *(f"{n:07d}.json" for n in members.numbers.tolist())}
        stamp = {path: path.stat().st_mtime_ns for path in target.iterdir()}
        export_front(study, members.take(slice(0, 1)), target)
        assert {path.name for path in target.iterdir()} == {"mine.json", f"{members.numbers[0]:07d}.json"}
        assert all(path.stat().st_mtime_ns == stamp[path] for path in target.iterdir())


def test_deviations_name_the_metric(example: Example) -> None:
    metrics = {"adg": 0.1, "gain": None, "btc_adg": 2.0, "flat_btc_balance_hours": 1.0}
    same = {"usd": {"adg": 0.1, "flat_btc_balance_hours": 1.0}, "btc": {"adg": 2.0}}
    assert compare(metrics, same) == ()
    other = {
        "usd": {"adg": np.nextafter(0.1, 1), "gain": 3.0, "flat_btc_balance_hours": 1.0},
        "btc": {"adg": 2.0},
    }
    assert [d.metric for d in compare(metrics, other)] == ["adg", "gain"]
    assert str(compare(metrics, other)[1]) == "gain: logged None, found 3.0"
    assert [d.metric for d in compare({"x": 0.0}, {"usd": {"x": -0.0}, "btc": {}})] == ["x"]
    with (
        Study.open(example.folder) as study,
        pytest.raises(StudyError, match="candidate 5 failed: killed its"),
    ):
        logged(study, 5)


def test_find(tmp_path: Path, example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(example.folder) == example.folder
    assert find("example", example.folder.parent) == example.folder
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match=r"exampel: no such study; .* \(nearest: example\)"):
        find("exampel", example.folder.parent)


def test_scored_metric_that_is_not_logged(tmp_path: Path, example: Example) -> None:
    definition = replace(example.definition, metrics=("adg",))
    StudyLog.create(tmp_path / "s", definition).close()
    with pytest.raises(StudyError, match="drawdown_worst is scored or limited but not logged"):
        Study.open(tmp_path / "s")
