"""What ``passivbot pareto --serve`` refuses, in one line each."""

from pathlib import Path

import pytest

from passivbot.cli.main import main
from passivbot.study.serve.server import listen
from tests.demo_study import write_demo


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["pareto", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def test_options_that_do_not_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    for other in (("--json",), ("--pick", "knee"), ("--where", "adg<1")):
        assert "--serve goes with none of" in refusal(capsys, "s", "--serve", *other)
    assert "--port needs --serve" in refusal(capsys, "s", "--port", "8000")
    assert "65535" in refusal(capsys, "s", "--serve", "--port", "70000")


def test_no_study_and_a_taken_port(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no such study" in refusal(capsys, "nothing", "--serve")
    write_demo(tmp_path / "s", 20).close()
    with listen(0) as taken:
        port = str(taken.getsockname()[1])
        line = refusal(capsys, "s", "--serve", "--port", port)
    assert f"--port {port}: can't listen on 127.0.0.1:{port}" in line
