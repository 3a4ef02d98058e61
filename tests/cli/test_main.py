"""The program: help, version, errors and exit codes."""

import os
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer

from passivbot.cli import main as program
from passivbot.errors import ExchangeError, StudyError


def passivbot(*args: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "passivbot", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **kwargs)


def test_help_names_the_commands_and_version_the_version() -> None:
    shown = passivbot("--help")
    assert shown.returncode == 0
    for name in ("config", "backtest", "study", "pareto", "optimize"):
        assert f"\n  {name} " in shown.stdout
    assert passivbot().stdout == shown.stdout
    version = passivbot("--version")
    assert (version.returncode, version.stdout) == (0, f"passivbot {metadata.version('passivbot-cluster')}\n")


def test_help_imports_no_heavy_library() -> None:
    code = (
        "import sys; sys.argv = ['passivbot', '--help']\n"
        "from passivbot.cli.main import main\n"
        "assert main(['--help']) == 0\n"
        "heavy = {'ray', 'optuna', 'plotly', 'pyarrow', 'pandas', 'deap', 'torch', 'moocore', 'pydantic', "
        "'numpy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["confg"], "error: No such command 'confg'"),
        (["config", "shw"], "error: No such command 'shw'"),
        (["config", "check"], "error: Missing argument 'file'."),
        (["config", "show", "none.json"], "error: none.json: there is no such file"),
        (
            ["config", "show", "--stes", "x=3"],
            "error: the command line: --stes is not an option of passivbot config (nearest known option: "
            "--set)",
        ),
    ],
)
def test_errors_of_the_user(args: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(args) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith(message)
    assert "Traceback" not in captured.err


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> dict[str, BaseException]:
    """Let a real program have one more command, which raises what the test puts here."""
    raised: dict[str, BaseException] = {}

    def build() -> typer.Typer:
        app = original()

        @app.command("fail")
        def fail() -> None:
            raise raised["error"]

        return app

    original = program.build
    monkeypatch.setattr(program, "build", build)
    return raised


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (StudyError("x: is locked"), 2, "error: x: is locked\n"),
        (KeyboardInterrupt(), 130, ""),
        (typer.Abort(), 130, ""),
        (typer.Exit(1), 1, ""),
        (typer.Exit(), 0, ""),
        (typer.BadParameter("no"), 2, "error: Invalid value: no\n"),
    ],
)
def test_exit_codes(
    error: BaseException,
    code: int,
    text: str,
    failing: dict[str, BaseException],
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing["error"] = error
    assert program.main(["fail"]) == code
    assert capsys.readouterr().err == text


def test_a_defect_of_ours_keeps_its_traceback(failing: dict[str, BaseException]) -> None:
    failing["error"] = ZeroDivisionError("ours")
    with pytest.raises(ZeroDivisionError, match="ours"):
        program.main(["fail"])


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m passivbot config show | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_ctrl_c(tmp_path: Path) -> None:
    # Reading a named pipe that nobody writes: the program waits until it is interrupted.
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "passivbot", "config", "show", str(pipe)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        writer = os.open(pipe, os.O_WRONLY)
        try:
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=30)
        finally:
            process.kill()
            os.close(writer)
    assert (process.returncode, stderr) == (130, "")


def test_a_command_that_lacks_its_library_takes_no_other_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = metadata.EntryPoint(
        name="broken", value="passivbot.no_such_module:register", group=program.COMMANDS
    )
    monkeypatch.setattr(program, "entry_points", lambda group: [entry])
    assert program.main(["config", "--help"]) == 0
    captured = capsys.readouterr()
    assert captured.err == (
        "warning: the command broken is not there (No module named 'passivbot.no_such_module')\n"
    )
    assert "check" in captured.out


def test_an_error_shows_no_signature(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing() -> None:
        raise ExchangeError("GET https://x/order?symbol=BTC&signature=0123456789abcdef failed")

    app = typer.Typer()
    app.command()(failing)
    monkeypatch.setattr("passivbot.cli.main.build", lambda: app)
    assert program.main([]) == 2
    assert capsys.readouterr().err == ("error: GET https://x/order?symbol=BTC&signature=[secret] failed\n")
