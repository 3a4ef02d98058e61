"""``passivbot backtest`` as a person types it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from passivbot.backtest import PROVENANCE, Scenario
from passivbot.cli.main import main
from passivbot.config import ParameterSpace, load_config, warmup_minutes
from passivbot.engine import METRICS

from .test_report import FILES

Run = Any


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command in an empty folder; returns exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*args: object) -> tuple[int, str, str]:
        code = main(["backtest", *map(str, args)])
        return code, *capfd.readouterr()

    return run


def error(result: tuple[int, str, str]) -> str:
    """Return the error of a run that the user caused: one line, exit code 2, no traceback."""
    code, out, err = result
    assert (code, out) == (2, "")
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "Traceback" not in err
    return lines[0].removeprefix("error: ")


def test_report_summary_and_notes(run: Run, write_config: Any, candles: Path, tmp_path: Path) -> None:
    code, out, _ = run(write_config(), "--candles", candles, "--out", "here")
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == FILES
    assert "2025-03-03 00:00 to 2025-03-08 23:59 UTC" in out
    assert out.splitlines()[-1] == "Report: here"
    assert "note:" not in out
    analysis = json.loads((tmp_path / "here" / "analysis.json").read_text())
    assert f"{analysis['usd']['gain']:.4f}" in out


def test_demo_candles_are_said(run: Run, write_config: Any) -> None:
    code, _, err = run(write_config(), "-dp")
    assert code == 0
    assert err.splitlines()[0] == (
        "note: these are the embedded demo candles, synthetic, of six coins and 14 days"
    )


def test_assumed_rules_are_said(run: Run, write_config: Any, candles: Path, tmp_path: Path) -> None:
    shutil.copytree(candles, tmp_path / "set")
    (tmp_path / "set" / "markets.json").unlink()
    _, _, err = run(write_config(), "--candles", "set", "-dp")
    assert "note: set has no markets.json: market rules assumed: quantity step 0.001, " in err
    assert "note: maker fee assumed: 0.0002" in err


def test_default_folder_and_layers(run: Run, write_config: Any, candles: Path, tmp_path: Path) -> None:
    config = write_config()
    code, out, _ = run(
        config, "--candles", candles, "--coins", "ETH,BTC", "--disable_plotting",
        "--set", "backtest.starting_balance=500", "--backtest.start_date", "2025-03-05",
    )  # fmt: skip
    assert code == 0
    (report,) = (tmp_path / "backtests" / "combined").iterdir()
    assert out.splitlines()[-1] == f"Report: {report.relative_to(tmp_path)}"
    document = json.loads((report / "config.json").read_text())
    scenario = document[PROVENANCE]
    assert scenario["coins"] == ["BTC", "ETH"]
    assert scenario["starting_balance"] == 500.0
    assert scenario["window"]["requested_start_ms"] == 1_741_132_800_000
    assert not list(report.glob("*.html"))


def test_replay_of_a_report(run: Run, write_config: Any, candles: Path, tmp_path: Path) -> None:
    config = write_config(backtest={"use_btc_collateral": True, "start_date": "2025-03-04", "base_dir": "b"})
    assert run(config, "--candles", candles, "--out", "one", "-dp")[0] == 0
    code, out, _ = run("one/config.json", "--out", "two", "-dp")
    assert code == 0
    one, two = tmp_path / "one", tmp_path / "two"
    metrics = json.loads((one / "config.json").read_text())[PROVENANCE]["metrics"]
    assert (
        out.splitlines()[-1]
        == f"All {len(metrics)} metrics recorded in one/config.json are repeated to the bit."
    )
    for name in ("analysis.json", "config.json", "fills.parquet", "equity.parquet"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_front_member_gives_the_bits_of_the_batch(
    run: Run, write_config: Any, candles: Path, tmp_path: Path
) -> None:
    """A candidate that was evaluated in a batch, written as a study does, and run alone."""
    bounds = {"long_ema_span_0": [300, 900], "long_entry_grid_spacing_pct": [0.004, 0.02]}
    config = load_config(write_config(optimize={"bounds": bounds})).config
    scenario = Scenario.prepare(config, candles)
    space = ParameterSpace.from_config(config)
    vectors = space.enforce(space.low + (space.high - space.low) * [[0.3], [0.6], [0.9]])
    members = [space.apply(config, vector) for vector in vectors]
    warmups = [warmup_minutes(member, scenario.coins) for member in members]
    metrics = scenario.engine().evaluate(
        [member.bot.to_engine() for member in members],
        METRICS,
        warmup_minutes=[everything for everything, _ in warmups],
        coin_warmup_minutes=[[by_coin[coin] for coin in scenario.coins] for _, by_coin in warmups],
    )
    for number, member in enumerate(members):
        values = {n: None if v != v else float(v) for n, v in zip(METRICS, metrics[number], strict=True)}
        document = member.to_dict() | {
            PROVENANCE: {
                **scenario.describe(),
                "metrics": values,
                "study": "s",
                "candidate": number,
            }
        }
        (tmp_path / f"{number}.json").write_text(json.dumps(document))
        code, out, err = run(f"{number}.json", "--out", f"report-{number}", "-dp")
        assert (code, err) == (0, "")
        assert f"All {len(METRICS)} metrics recorded in {number}.json are repeated to the bit." in out
        recorded = json.loads((tmp_path / f"report-{number}" / "config.json").read_text())[PROVENANCE]
        assert (recorded["study"], recorded["candidate"]) == ("s", number)
    assert len({tuple(row) for row in metrics.tolist()}) == 3


def test_difference_from_the_record_is_told(
    run: Run, write_config: Any, candles: Path, tmp_path: Path
) -> None:
    run(write_config(), "--candles", candles, "--out", "one", "-dp")
    document = json.loads((tmp_path / "one" / "config.json").read_text())
    document[PROVENANCE]["metrics"]["gain"] += 1e-15
    (tmp_path / "other.json").write_text(json.dumps(document))
    code, out, err = run("other.json", "--out", "two", "-dp")
    assert code == 1
    assert err.splitlines()[-1] == "difference: not as recorded in other.json: gain"
    assert out.splitlines()[-1] == "Report: two"


def test_other_candles_are_refused_unless_told(
    run: Run, write_config: Any, candles: Path, tmp_path: Path
) -> None:
    run(write_config(), "--candles", candles, "--out", "one", "-dp", "--coins", "BTC, ,ETH,")
    shutil.copytree(candles, tmp_path / "set")
    table = pq.read_table(tmp_path / "set" / "ETH.parquet")
    pq.write_table(table.slice(0, 5 * 1440), tmp_path / "set" / "ETH.parquet")
    message = error(run("one/config.json", "--candles", "set", "--out", "two", "-dp"))
    assert message.startswith(f"{tmp_path}/set: these are not the candles of the recorded run (digest ")
    assert not (tmp_path / "two").exists()
    code, out, _ = run("one/config.json", "--candles", "set", "--out", "two", "-dp", "--other-candles")
    assert code == 0
    assert "to the bit" not in out
    scenario = json.loads((tmp_path / "two" / "config.json").read_text())[PROVENANCE]
    assert scenario["coins"] == ["BTC", "ETH"]
    assert scenario["candles"] == str(tmp_path / "set")


@pytest.mark.parametrize(
    ("args", "key"),
    [
        (["--coins", "BTC"], "--coins"),
        (["--backtest.start_date", "2025-03-06"], "backtest.start_date"),
        (["--set", "backtest.starting_balance=5"], "backtest.starting_balance"),
        (["--live.approved_coins", "ETH"], "live.approved_coins"),
    ],
)
def test_recorded_scenario_is_not_changed_silently(
    run: Run, write_config: Any, candles: Path, args: list[str], key: str
) -> None:
    run(write_config(), "--candles", candles, "--out", "one", "-dp")
    assert error(run("one/config.json", "--out", "two", *args)) == (
        f"one/config.json: records the scenario of its run, which {key} would change; "
        "--other-candles allows it"
    )


def test_parameters_of_a_recorded_run_may_be_changed(
    run: Run, write_config: Any, candles: Path, tmp_path: Path
) -> None:
    run(write_config(), "--candles", candles, "--out", "one", "-dp")
    document = json.loads((tmp_path / "one" / "config.json").read_text())
    document[PROVENANCE]["candidate"] = 7
    (tmp_path / "member.json").write_text(json.dumps(document))
    code, out, _ = run("member.json", "--set", "bot.long.n_positions=1", "--out", "two", "-dp")
    assert code == 0
    assert "to the bit" not in out
    after = json.loads((tmp_path / "two" / "config.json").read_text())
    assert after["bot"]["long"]["n_positions"] == 1.0
    assert "candidate" not in after[PROVENANCE]
    assert after[PROVENANCE]["digest"] == document[PROVENANCE]["digest"]


def test_bad_input(run: Run, write_config: Any, candles: Path, tmp_path: Path) -> None:
    config = write_config()
    assert error(run(config, "--candles", "nowhere")) == "nowhere: there is no such candle folder"
    assert error(run(config, "--candles", candles, "--coins", " ,")) == (
        "the command line: --coins is ' ,'; allowed is coins such as BTC,ETH"
    )
    assert error(run(config, "--candles", candles, "--coins", "BTT")) == (
        f"{candles}: has no candles of BTT; the nearest is BTC"
    )
    assert error(run("none.json")) == "none.json: there is no such file"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    assert error(run(config, "--candles", candles, "--out", "full")) == (
        "full: exists already; choose another folder with --out"
    )
    (tmp_path / "file").write_text("")
    assert error(run(config, "--candles", candles, "--out", "file/report")) == (
        "file/report: can't be written (File exists)"
    )
    assert not (tmp_path / "backtests").exists()
