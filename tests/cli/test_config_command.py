"""``passivbot config show | check | template``."""

import json
from pathlib import Path

import pytest

from passivbot.cli.main import main
from passivbot.config import load_config
from passivbot.config.resources import configs_dir

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "c.json"
    path.write_text(
        '{"bot": {}, "live": {"levrage": 3}, "optimize": {"bounds": {"long_ema_span_0": [9, 8]}}}'
    )
    return path


def test_show_prints_the_effective_configuration(file: Path, capsys: Capture) -> None:
    args = ["--set", "backtest.starting_balance=5", "--set=live.user=me", "--backtest_starting_balance", "6"]
    assert main(["config", "show", str(file), *args]) == 0
    captured = capsys.readouterr()
    shown = json.loads(captured.out)
    assert (shown["backtest"]["starting_balance"], shown["live"]["user"]) == (6.0, "me")
    assert shown["optimize"]["bounds"]["long_ema_span_0"] == [8.0, 9.0]
    assert captured.err.splitlines() == [
        f"warning: {file}: live.levrage: is unknown and left out (nearest known key: live.leverage)",
        f"warning: {file}: optimize.bounds.long_ema_span_0: [9, 8] is reversed and read as [8, 9]",
    ]
    assert '"long_ema_span_0": [8.0, 9.0],' in captured.out


def test_show_can_be_loaded_again(file: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main(["config", "show", str(file)]) == 0
    shown = capsys.readouterr().out
    again = tmp_path / "again.json"
    again.write_text(shown)
    assert main(["config", "show", str(again)]) == 0
    assert capsys.readouterr() == (shown, "")


def test_show_without_a_file_is_the_template(capsys: Capture) -> None:
    assert main(["config", "show"]) == 0
    assert json.loads(capsys.readouterr().out) == load_config(None).config.to_dict()


def test_check_exits_1_on_findings(file: Path, capsys: Capture) -> None:
    assert main(["config", "check", str(file)]) == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        f"{file}: live.levrage: is unknown and left out (nearest known key: live.leverage)",
        f"{file}: optimize.bounds.long_ema_span_0: [9, 8] is reversed and read as [8, 9]",
    ]
    assert captured.err == ""


def test_check_exits_0_on_nothing_and_2_on_errors(file: Path, capsys: Capture) -> None:
    template = configs_dir() / "template.json"
    assert main(["config", "check", str(template)]) == 0
    assert capsys.readouterr().out == f"{template}: nothing to report\n"
    assert main(["config", "check", str(template), "--optimize.scoring", "adgg"]) == 2
    captured = capsys.readouterr()
    assert captured == (
        "",
        "error: the command line: optimize.scoring is 'adgg'; allowed is a metric such as adg\n",
    )


def test_template(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (configs_dir() / "template.json").read_text()
    assert main(["config", "template"]) == 0
    assert capsys.readouterr().out == text

    out = tmp_path / "mine.json"
    assert main(["config", "template", "--out", str(out)]) == 0
    assert (capsys.readouterr().out, out.read_text()) == (f"{out}: written\n", text)
    # Its file of coins is found from anywhere.
    monkeypatch.chdir(tmp_path)
    assert len(load_config(out).config.live.approved_coins["long"]) == 23

    out.write_text("mine")
    assert main(["config", "template", "--out", str(out)]) == 2
    assert capsys.readouterr().err == f"error: {out}: exists already; name another file\n"
    assert out.read_text() == "mine"

    nowhere = tmp_path / "no" / "folder.json"
    assert main(["config", "template", "--out", str(nowhere)]) == 2
    assert capsys.readouterr().err == f"error: {nowhere}: can't be written (No such file or directory)\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.json"]
