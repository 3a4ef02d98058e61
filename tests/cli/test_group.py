"""Groups with a command that needs no name: ``promote STUDY`` is ``promote study STUDY``."""

import pytest
import typer

from passivbot.cli.group import group_with_default


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer(cls=group_with_default("run"))

    @app.command("run")
    def run(name: str, loud: bool = False) -> None:
        print("run", name, loud)

    @app.command("list")
    def listing() -> None:
        print("list")

    return app


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["main"], "run main False"),
        (["--loud", "main"], "run main True"),
        (["run", "main"], "run main False"),
        (["run", "list"], "run list False"),
        (["list"], "list"),
    ],
)
def test_the_default_takes_what_is_no_command(
    app: typer.Typer, args: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    app(args, standalone_mode=False)
    assert capsys.readouterr().out.strip() == said


def test_help_shows_the_group(app: typer.Typer, capsys: pytest.CaptureFixture[str]) -> None:
    app(["--help"], standalone_mode=False)
    shown = capsys.readouterr().out
    assert "list" in shown
    assert "run" in shown
