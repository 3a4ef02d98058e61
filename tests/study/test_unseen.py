"""The front on candles that the search has not seen: the last eight days of the demo candles."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from passivbot.backtest import Scenario, run_backtest
from passivbot.backtest.outside import between, traded
from passivbot.cli.main import main
from passivbot.errors import CandleError, ConfigError, StudyError
from passivbot.study.export import evaluated_config
from passivbot.study.select import matching
from passivbot.study.study import Study
from passivbot.study.unseen import (
    FILE,
    examine,
    holding,
    holds,
    known,
    matching_there,
    may_find,
    needed,
    rank_correlation,
    save,
    unseen_scenario,
)
from passivbot.study.unseen_table import summary, verdict
from tests.short_study import write_short


@pytest.fixture(scope="session")
def first_week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies") / "week"
    write_short(folder, 40)
    return folder


@pytest.fixture
def study(first_week: Path, tmp_path: Path) -> Iterator[Study]:
    shutil.copytree(first_week, tmp_path / "week")
    with Study.open(tmp_path / "week") as opened:
        yield opened


def test_minutes_and_metrics_are_those_of_a_backtest_of_those_days(study: Study) -> None:
    scenario = unseen_scenario(study)
    window = traded(scenario)
    assert window.first_ms == study.definition.scenario["window"]["last_ms"] + 60_000
    assert window.days == 8 - 1 / 1440
    found = examine(study, study.members(), scenario)
    assert len(found.numbers) >= 3
    alone = between(study.config, "demo", "2025-03-09T00:01", "", None)
    for number, row in zip(found.numbers.tolist(), found.metrics, strict=True):
        config = evaluated_config(study, study.row(number).parameters[0])
        metrics = run_backtest(
            Scenario.prepare(config.model_copy(update={"backtest": alone.config.backtest}), "demo")
        ).metrics
        wanted = [np.nan if metrics[name] is None else metrics[name] for name in found.metric_names]
        assert np.array_equal(row, wanted, equal_nan=True), number


def test_who_interrupts_waits_for_what_runs_and_no_more(study: Study) -> None:
    everything = study.results(study.log.rows(range(40)))
    told: list[int] = []

    def interrupt(count: int) -> None:
        told.append(count)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        examine(study, everything, unseen_scenario(study), interrupt)
    assert told == [16]
    told.clear()
    examine(study, everything, unseen_scenario(study), told.append)
    assert sum(told) == 40


def test_what_was_found_comes_back_from_the_folder(study: Study) -> None:
    members = study.members()
    found = examine(study, members, unseen_scenario(study))
    assert known(study) is None
    with pytest.raises(StudyError, match="passivbot study unseen"):
        needed(study)
    save(study, found)
    again = needed(study)
    assert again.numbers.tolist() == found.numbers.tolist()
    assert np.array_equal(again.metrics, found.metrics, equal_nan=True)
    assert (again.window, again.coins, again.metric_names) == (found.window, found.coins, found.metric_names)
    document = json.loads((study.folder / FILE).read_text())
    document["study"]["seed"] = "8"  # of a study that lay here before
    (study.folder / FILE).write_text(json.dumps(document))
    assert known(study) is None
    (study.folder / FILE).write_text('{"members": ')
    assert known(study) is None


def test_members_are_narrowed_by_what_was_found(study: Study) -> None:
    members = study.members()
    found = examine(study, members, unseen_scenario(study))
    seen, there = found.of(members)
    assert seen.numbers.tolist() == there.numbers.tolist() == members.numbers.tolist()
    assert not np.array_equal(seen.metric("adg"), there.metric("adg"))
    median = float(np.median(there.metric("adg")))
    mask = matching_there(found, members, f"adg>{median!r}")
    assert mask.tolist() == (there.metric("adg") > median).tolist()
    assert not np.array_equal(mask, matching(members, f"adg>{median!r}"))
    assert holding(found, members).tolist() == holds(there).tolist()
    # One that was not tried matches nothing.
    fewer = examine(study, members.take(slice(1, None)), unseen_scenario(study))
    assert not matching_there(fewer, members, "adg>-9")[0]
    assert matching_there(fewer, members, "adg>-9")[1:].all()


def test_verdicts_name_the_limit(study: Study) -> None:
    members = study.members()
    found = examine(study, members, unseen_scenario(study))
    _, there = found.of(members)
    column = found.metric_names.index("drawdown_worst")
    found.metrics[0, column] = 0.75
    found.metrics[1, found.metric_names.index("volume_pct_per_day_avg")] = 0.0
    _, there = found.of(members)
    assert verdict(there, 0) == "breaks drawdown_worst: 0.75"
    assert verdict(there, 1) == "trades nothing"
    assert holds(there).tolist()[:2] == [False, False]


def test_a_loss_that_keeps_all_limits_is_said(study: Study) -> None:
    members = study.members()
    found = examine(study, members, unseen_scenario(study))
    first = int(np.flatnonzero(holding(found, members))[0])
    gain = found.metric_names.index("gain")
    found.metrics[:, gain] = 1.2
    assert "at a loss" not in summary(found, members)
    found.metrics[first, gain] = 0.958
    assert verdict(found.of(members)[1], first) == "holds, but loses 4.2 %"
    assert " keep all limits and trade there (1 of them at a loss)" in summary(found, members)


def test_whether_there_are_unseen_candles_is_known_before_they_are_read(study: Study, tmp_path: Path) -> None:
    assert may_find(study)  # the last eight days
    write_short(tmp_path / "before", 4, "backtest.start_date=2025-03-11", end="")
    with Study.open(tmp_path / "before") as before:
        assert may_find(before)
    write_short(tmp_path / "all", 4, end="")
    with Study.open(tmp_path / "all") as everything:
        assert not may_find(everything)
        with pytest.raises(CandleError, match="days that the study has not seen"):
            unseen_scenario(everything)


def test_rank_correlation() -> None:
    one = np.array([1.0, 2.0, 3.0, 4.0])
    assert rank_correlation(one, one**3) == pytest.approx(1)
    assert rank_correlation(one, -one) == pytest.approx(-1)
    assert rank_correlation(one, np.array([np.nan, 2.0, 3.0, np.inf])) is None
    assert rank_correlation(one, np.zeros(4)) is None


def test_periods_that_were_seen_or_are_too_short(study: Study) -> None:
    with pytest.raises(
        ConfigError, match="overlaps what the study has seen, 2025-03-03 00:00 to 2025-03-09 00:00"
    ):
        unseen_scenario(study, None, "2025-03-08", "2025-03-16")
    with pytest.raises(CandleError, match=r"2.0 days beyond the warm-up; needed are 7"):
        unseen_scenario(study, None, "2025-03-15", None)


def test_dates_and_folders_that_are_none(study: Study, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--start-date is '2025-13-01'; allowed is YYYY"):
        unseen_scenario(study, None, "2025-13-01", None)
    with pytest.raises(ConfigError, match="--end-date is 'soon'"):
        unseen_scenario(study, None, None, "soon")
    with pytest.raises(CandleError, match=r"nowhere: there is no such candle folder"):
        unseen_scenario(study, tmp_path / "nowhere")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "BTC.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(CandleError, match=r"BTC.parquet"):
        unseen_scenario(study, tmp_path / "bad")


def test_a_study_that_saw_everything(tmp_path: Path) -> None:
    write_short(tmp_path / "all", 2, end="")
    with (
        Study.open(tmp_path / "all") as study,
        pytest.raises(CandleError, match=r"demo: 0.0 days that the study has not seen"),
    ):
        unseen_scenario(study)


def test_commands(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    name = str(study.folder)
    assert main(["pareto", name, "--holds"]) == 2
    assert "were not tried on unseen candles" in capsys.readouterr().err
    assert main(["study", "unseen", name]) == 0
    printed = capsys.readouterr().out
    members = study.members()
    found = needed(study)
    assert "after those of the study: 2025-03-09 00:01 to 2025-03-16 23:59 UTC, 8.0 days" in printed
    assert f"{len(members)} of {len(members)} members tried" in printed
    for objective in study.scoring.objectives:
        assert objective.metric in printed
    assert "rank correlation" in printed
    assert main(["pareto", name, "--holds", "--json"]) == 0
    kept = [record["candidate"] for record in json.loads(capsys.readouterr().out)]
    assert kept == members.numbers[holding(found, members)].tolist()
    assert main(["pareto", name, "--where", "unseen.adg>1000"]) == 2
    assert f"unseen.adg>1000 leaves none of {len(members)} members" in capsys.readouterr().err
    assert main(["pareto", name, "--where", "unseen.adg>1000", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["study", "unseen", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found.document(study)
