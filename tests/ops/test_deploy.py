"""The files of ``deploy/`` against the program and, where it is there, against systemd itself."""

import re
import subprocess
import sys
from pathlib import Path

import typer
import yaml
from typer.core import TyperGroup

from passivbot.cli.main import build
from tests.needs import needed

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "passivbot@.service"


def options_of(*words: str) -> set[str]:
    command = typer.main.get_command(build())
    for word in words:
        assert isinstance(command, TyperGroup)
        command = command.commands[word]
    return {option for parameter in command.params for option in parameter.opts}


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = needed("systemd-analyze")
    program = Path(sys.executable).with_name("passivbot")
    text = UNIT.read_text().replace("/opt/passivbot/bin/passivbot", str(program))
    unit = tmp_path / UNIT.name
    unit.write_text(text)
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    unit.write_text(text.replace("Restart=on-failure", "Restart=sometimes"))
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert "sometimes" in done.stdout + done.stderr, "the check above sees what is wrong"


def test_the_unit_starts_what_is_there() -> None:
    text = UNIT.read_text()
    (line,) = re.findall(r"^ExecStart=\S+ (.*)$", text, re.MULTILINE)
    assert line == "live ${NAME} --account %i"
    assert "--account" in options_of("live", "run")
    assert "RestartPreventExitStatus=2" in text, "what a person has to mend is not started again"
    assert "passivbot-passphrase" in text


def test_the_image_is_made_of_what_is_there_and_runs_what_is_there() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    kept = [line[1:] for line in ignored if line.startswith("!")]
    assert [name for name in kept if not (ROOT / name).exists()] == []
    project = (ROOT / "pyproject.toml").read_text()
    for kind in ("README.md", "LICENSE", "engine-rs", "passivbot", "cluster"):
        assert kind in kept
        assert kind in project
    assert (ROOT / "passivbot" / "_resources" / "configs").resolve().name in kept, "a link to configs/"
    text = (DEPLOY / "Dockerfile").read_text()
    rust = re.search(r'rust-version *= *"([\d.]+)"', (ROOT / "engine-rs" / "Cargo.toml").read_text())
    assert rust is not None
    assert f"FROM rust:{rust[1]}-" in text
    assert "USER passivbot" in text
    assert 'CMD ["passivbot", "live", "status"]' in text
    options_of("live", "status")


def test_compose_keeps_the_bot_and_its_secret() -> None:
    (bot,) = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"].values()
    assert bot["restart"] == "on-failure:5"
    assert bot["command"][0] == "live"
    assert bot["environment"]["PASSIVBOT_KEYS_PASSPHRASE_FILE"].startswith("/run/secrets/")
    assert bot["stop_grace_period"] == "60s"
