"""The documents against the program: links lead somewhere, commands and options exist."""

import re
from pathlib import Path
from typing import cast

import pytest
import typer
from typer.core import TyperGroup

from passivbot.cli.main import build
from passivbot.cli.options import CommandName, option_table

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")})
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
# A command line in a code span or at the start of a line of a code block.
COMMAND = re.compile(r"(?:`|^ *)passivbot ([a-z][^`\n]*)", re.MULTILINE)
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]


def command_lines(path: Path) -> list[list[str]]:
    return [line.split() for line in COMMAND.findall(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    links = LINK.findall(path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def anchors(path: Path) -> set[str]:
    """Return what GitHub calls the headings of a document."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", NAMES)
def test_anchors_are_headings(name: str) -> None:
    path = ROOT / name
    links = re.findall(r"\]\((?!https?://)([^)#\s]*)#([^)\s]+)\)", path.read_text(encoding="utf-8"))
    wrong = [
        f"{file}#{anchor}"
        for file, anchor in links
        if anchor not in anchors(path.parent / file if file else path)
    ]
    assert wrong == []


def fault(words: list[str]) -> str | None:
    """What is wrong with the words after ``passivbot``: a command or option that does not exist."""
    command, path, words = typer.main.get_command(build()), ["passivbot"], list(words)
    while isinstance(command, TyperGroup):
        if not words or words[0].startswith("-"):
            return None
        default = getattr(command, "default_command", None)
        if default is not None and words[0].split("|")[0] not in command.commands:
            command = command.commands[default]
            continue
        names = words.pop(0).split("|")
        for name in names:
            if name not in command.commands:
                return f"{' '.join(path)} has no command {name}"
        path.append(names[0])
        command = command.commands[names[0]]
    known = {option for parameter in command.params for option in parameter.opts}
    if path[1] == "submit":  # takes what optimize takes
        whole = cast(TyperGroup, typer.main.get_command(build()))
        known |= {option for parameter in whole.commands["optimize"].params for option in parameter.opts}
    kind = path[1] if path[1] in {"backtest", "optimize", "config"} else None
    for word in words:
        option = word.strip("[]…").partition("=")[0]
        if not option.startswith("--") or option in known:
            continue
        if kind is None or option_table(cast(CommandName, kind)).key_of(option) is None:
            return f"{' '.join(path)} has no option {option}"
    return None


@pytest.mark.parametrize("name", NAMES)
def test_commands_and_options_exist(name: str) -> None:
    assert list(filter(None, map(fault, command_lines(ROOT / name)))) == []


def test_readme_shows_every_command() -> None:
    """And the check above finds what does not exist."""
    named = {words[0] for words in command_lines(ROOT / "README.md")}
    group = typer.main.get_command(build())
    assert isinstance(group, TyperGroup)
    assert named == set(group.commands)
    assert fault(["optimise", "my.json"]) == "passivbot has no command optimise"
    assert fault(["study", "list|shew"]) == "passivbot study has no command shew"
    assert fault(["optimize", "my.json", "--itres", "5"]) == "passivbot optimize has no option --itres"


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = LINK.findall((folder / "README.md").read_text(encoding="utf-8"))
    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))
