"""What ``passivbot submit`` sends: files of this machine go along, whatever names them."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest
import typer

from cluster import jobs
from cluster.cli_jobs import _optimize_parameters
from cluster.jobs import Parcel, Submission, introduction, parcel, wait_until_started
from passivbot.config import load_config
from passivbot.config.resources import configs_dir, write_template
from passivbot.errors import ClusterError, ConfigError


def packed(*arguments: str) -> Parcel:
    context = typer.Context(typer.main.get_command(typer.Typer(callback=lambda: None)), info_name="submit")
    context.args = list(arguments)
    given, options = _optimize_parameters(context)
    file = given.get("config")
    config = None if file is None else load_config(file, sets=given["sets"] or (), options=options).config
    return parcel(context.args, given, options, config)


def arguments_there(sent: Parcel, tmp_path: Path) -> list[str]:
    """Return what the program gets on the head, run by a shell from the job's folder."""
    fake = tmp_path / "bin" / "passivbot"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    fake.chmod(0o755)
    job = tmp_path / "job"
    job.mkdir()
    environment = {"PATH": f"{fake.parent}{os.pathsep}{os.environ['PATH']}", "PASSIVBOT_HOME": str(tmp_path)}
    done = subprocess.run(
        ["sh", "-c", sent.command], cwd=job, env=environment, capture_output=True, text=True, check=True
    )
    return [word.replace(str(job), "JOB") for word in done.stdout.splitlines()]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_template(Path("my.json"))
    Path("coins.txt").write_text("ETH BTC", encoding="utf-8")
    Path("bad.txt").write_text("XRP", encoding="utf-8")
    Path("front").mkdir()
    return folder


def test_files_that_set_names_go_along(here: Path, tmp_path: Path) -> None:
    sent = packed(
        "my.json", "--set", "live.approved_coins=coins.txt", "--set=live.ignored_coins.long=bad.txt"
    )
    assert dict(sent.files) == {"named-0.txt": Path("coins.txt"), "named-1.txt": Path("bad.txt")}
    words = arguments_there(sent, tmp_path)
    assert words[3:7] == [
        "JOB/my.json",
        "--set",
        "live.approved_coins=JOB/named-0.txt",
        "--set=live.ignored_coins.long=JOB/named-1.txt",
    ]


@pytest.mark.parametrize(
    "option",
    [("-s", "coins.txt"), ("--live.approved_coins=coins.txt",), ("--live_approved_coins", "coins.txt")],
)
def test_files_that_an_option_names_go_along(here: Path, tmp_path: Path, option: tuple[str, ...]) -> None:
    sent = packed("my.json", *option)
    assert dict(sent.files) == {"named-0.txt": Path("coins.txt")}
    words = arguments_there(sent, tmp_path)
    assert words[words.index("--study") - 1] == "--live.approved_coins=JOB/named-0.txt"  # the last one counts
    assert json.loads(sent.texts["my.json"])["live"]["approved_coins"]["long"] == ["BTC", "ETH"]


def test_the_configuration_of_a_coin_goes_along_as_it_was_read(here: Path, tmp_path: Path) -> None:
    Path("btc.hjson").write_text(
        '{"bot": {"long": {"ema_span_0": 777}}, "live": {"approved_coins": "coins.txt"} # mine\n}',
        encoding="utf-8",
    )
    sent = packed("my.json", "--set", "coin_overrides.BTC.override_config_path=btc.hjson")
    read = json.loads(sent.texts["named-0.hjson"])
    assert read["bot"]["long"]["ema_span_0"] == 777
    assert read["live"]["approved_coins"]["long"] == ["BTC", "ETH"]
    assert "coin_overrides.BTC.override_config_path=JOB/named-0.hjson" in arguments_there(sent, tmp_path)


def test_without_a_configuration_they_go_along_as_well(here: Path) -> None:
    assert "named-0.txt" in packed("--study", "x", "--resume", "--set", "live.approved_coins=coins.txt").files


def test_coins_and_other_values_stay_as_typed(here: Path, tmp_path: Path) -> None:
    sent = packed("my.json", "--set", "live.approved_coins=BTC,ETH", "--set", "bot.long.n_positions=3")
    assert not sent.files
    assert arguments_there(sent, tmp_path)[4:8] == [
        *("--set", "live.approved_coins=BTC,ETH"),
        *("--set", "bot.long.n_positions=3"),
    ]


def test_paths_go_along_however_they_are_written(here: Path, tmp_path: Path) -> None:
    sent = packed("./my.json", "--start", "front/", "--start=./my.json")
    assert arguments_there(sent, tmp_path)[3:7] == [
        "JOB/my.json",
        *("--start", "JOB/start-0"),
        "--start=JOB/my.json",
    ]


def test_a_file_that_is_not_there_is_named(here: Path) -> None:
    with pytest.raises(ConfigError, match=r"live\.approved_coins is 'none\.txt'; allowed is a file of coins"):
        packed("--set", "live.approved_coins=none.txt")


def test_a_shipped_list_of_coins_goes_along(here: Path) -> None:
    name = "approved_coins_top23mcap.json"
    assert packed("--set", f"live.approved_coins={name}").files["named-0.json"] == configs_dir() / name


class Busy:
    """A dashboard that does not answer some questions."""

    def __init__(self, *answers: str | Exception) -> None:
        self._answers = list(answers)

    def get_job_status(self, job: str) -> Any:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return type("Status", (), {"value": answer})()

    def get_job_logs(self, job: str) -> NoReturn:
        raise RuntimeError("Request failed with status code 500: no agent")


def test_a_dashboard_that_does_not_answer_once_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_POLL_SECONDS", 0.0)
    said: list[str] = []
    client = Busy(ConnectionError("refused"), RuntimeError("status code 503"), "PENDING", "RUNNING")
    monkeypatch.setattr(jobs, "_client", lambda url: client)
    wait_until_started(Submission("studies/a", "a-1"), "http://h:1", None, {}, said.append)
    assert not client._answers
    assert not said
    assert introduction(Submission("studies/a", "a-1"), "http://h:1") == ()
    # It says that the job failed, and can't say why.
    client._answers = ["FAILED"]
    with pytest.raises(
        ClusterError, match="job a-1, on the head: failed; its output can't be had: Request failed"
    ):
        wait_until_started(Submission("studies/a", "a-1"), "http://h:1", None, {}, said.append)
