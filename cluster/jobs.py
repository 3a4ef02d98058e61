"""A study as a job of Ray: its driver runs on the head, so that the terminal that started it may go."""

import importlib
import json
import logging
import secrets
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cluster.board import Board
from passivbot.config import Config, load_config
from passivbot.config.load import named_file, split_set
from passivbot.errors import ClusterError, ConfigError, first_line

HOME = "PASSIVBOT_HOME"
"""Environment of the head: folder against which the paths of a job are taken; default: the user's home."""

_STOP_SECONDS = 60  # from SIGTERM to SIGKILL when Ray itself stops the job: for the front's files
_POLL_SECONDS = 0.5
_START_SECONDS = 120.0
_CHATTY = ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk", "ray._private")
_AGENT_SECONDS = 180.0  # a head takes jobs some time after it answers, a loaded one later
_TOKEN_BYTES = 3
_INTRODUCING = ("note: ", "search: ", "candles: ", "objectives: ", "held out: ", "stopped early: ")


@dataclass(frozen=True)
class Submission:
    """A study that was handed to a cluster.

    Attributes
    ----------
    study
        Its folder on the head.
    job
        Ray's id of the job.
    """

    study: str
    job: str

    @property
    def name(self) -> str:
        """Name of the study."""
        return Path(self.study).name


@dataclass(frozen=True)
class Parcel:
    """What is sent: files, and the command that runs with them.

    Attributes
    ----------
    files
        Name in the job's folder → file or folder of this machine.
    texts
        Name in the job's folder → what stands in a file that is made for it.
    command
        Of a shell on the head.
    study
        Folder of the study on the head.
    """

    files: Mapping[str, Path]
    texts: Mapping[str, str]
    command: str
    study: str


def parcel(
    arguments: Sequence[str],
    given: Mapping[str, Any],
    options: Mapping[str, str],
    config: Config | None = None,
) -> Parcel:
    """Return what has to be sent for ``passivbot optimize ARGUMENTS`` to run on the head.

    The configuration and starting configurations are files of this machine and go along; so do the lists of
    coins and the coins' configurations that the former names, as it is sent as it was read here, and those
    that the command line names. Candles and studies are folders of the head.

    Parameters
    ----------
    arguments
        As typed.
    given
        The command's parameters, as read from them.
    options
        The configuration's options, as read from them: dotted key → text.
    config
        The configuration that they name, read; None if they name none.

    Raises
    ------
    ConfigError
        A file is not there, or a coin's configuration can't be read.
    """
    files: dict[str, Path] = {}
    texts: dict[str, str] = {}
    moved: dict[str, str] = {}
    source = None if config is None else Path(given["config"])
    if config is not None and source is not None:
        # The study is called by its name.
        texts[source.name] = _text(config)
        moved[str(source)] = _there(source.name)
    for i, path in enumerate(given.get("start") or ()):
        if not Path(path).exists():
            raise ConfigError(f"{path}: no such file")
        if str(path) in moved:
            continue
        name = f"start-{i}" if Path(path).is_dir() else f"start-{i}{Path(path).suffix}"
        files[name] = Path(path)
        moved[str(path)] = _there(name)
    more: list[str] = []
    for entry, key, path, name in _named_files(given.get("sets") or (), options, source):
        if key.startswith("live."):
            files[name] = path
        else:
            texts[name] = _text(load_config(path).config)  # it may name files itself
        if entry:
            moved[entry] = f"{shlex.quote(f'{key}=')}{_there(name)}"
        else:
            more.append(f"--{key}={_there(name)}")  # of an option given twice the last counts
    study = given.get("study")
    if study is None:
        stem = "template" if given.get("config") is None else Path(given["config"]).stem
        study = f"studies/{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}-{stem}"
        more += ["--study", shlex.quote(study)]
    words = [*(_quoted(word, moved) for word in arguments), *more]
    command = (
        f'here=$PWD; cd "${{{HOME}:-$HOME}}" && exec passivbot optimize --address auto {" ".join(words)}'
    )
    return Parcel(files, texts, command, study)


def _named_files(
    sets: Sequence[str], options: Mapping[str, str], source: Path | None
) -> Iterator[tuple[str, str, Path, str]]:
    """Yield the files that keys on the command line name: text of ``--set`` or "", key, file, name there."""
    entries = [(entry, *split_set(entry)) for entry in sets]
    for i, (entry, key, text) in enumerate([*entries, *(("", *option) for option in options.items())]):
        if path := named_file(key, text, source):
            yield entry, key, path, f"named-{i}{path.suffix}"


def _quoted(word: str, moved: Mapping[str, str]) -> str:
    """Return a word for the shell; one that names a file that goes along names it there."""
    option, equals, value = word.partition("=")
    if there := _moved(word, moved):
        return there
    if equals and word.startswith("-") and (there := _moved(value, moved)):
        return f"{shlex.quote(option)}={there}"
    return shlex.quote(word)


def _moved(text: str, moved: Mapping[str, str]) -> str | None:
    """Return what stands for a text there; ``./my.json`` and ``front/`` are the paths that were read."""
    return moved.get(text) or (moved.get(str(Path(text))) if text else None)


def _there(name: str) -> str:
    """Return a file that goes along as a word for the shell there."""
    return f'"$here"/{shlex.quote(name)}'


def _text(config: Config) -> str:
    return json.dumps(config.to_dict(), indent=2)


def submit(parcel: Parcel, url: str) -> Submission:
    """Hand a study to the cluster whose dashboard is at ``url``.

    Raises
    ------
    ClusterError
        The dashboard can't be reached, or does not take it.
    """
    submission = Submission(parcel.study, f"{Path(parcel.study).name}-{secrets.token_hex(_TOKEN_BYTES)}")
    with tempfile.TemporaryDirectory(prefix="passivbot-job-") as folder:
        for name, source in parcel.files.items():
            target = Path(folder) / name
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copyfile(source, target)
        for name, text in parcel.texts.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        (Path(folder) / ".study").write_text(parcel.study)  # Ray takes no empty folder
        client = _client(url)
        until = time.monotonic() + _AGENT_SECONDS
        while not _taken(client, submission, parcel, folder, url, last=time.monotonic() > until):
            time.sleep(_POLL_SECONDS)
    return submission


def _taken(client: Any, submission: Submission, parcel: Parcel, folder: str, url: str, *, last: bool) -> bool:
    """Submit once; return False if the cluster is not ready for it and this was not the last try."""
    try:
        client.submit_job(
            entrypoint=parcel.command,
            submission_id=submission.job,
            runtime_env={
                "working_dir": folder,
                "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_SECONDS)},
            },
            metadata={"job_name": submission.name, "study": parcel.study},
        )
    except (RuntimeError, OSError, ValueError) as error:
        if "No available agent" in str(error) and not last:
            return False
        raise ClusterError(f"{url}: the cluster does not take the job: {_told(error)}") from error
    return True


def runs(board: Board) -> dict[str, float]:
    """Return id → start of the last run of every study of a cluster."""
    return {notice.id: notice.started for notice in board.studies()}


def wait_until_started(
    submission: Submission,
    url: str,
    board: Board | None,
    before: Mapping[str, float],
    say: Callable[[str], None],
) -> None:
    """Return when the study is on the board, or its job has ended well.

    Parameters
    ----------
    submission, url
        As :func:`submit` has them.
    board
        Of the cluster; None if only its dashboard can be reached: then when the job runs.
    before
        :func:`runs` before it was submitted: a study of that name may have been there.
    say
        Prints one line.

    Raises
    ------
    ClusterError
        The job failed.
    """
    client = _client(url)
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        status = _status(client, submission.job)
        if status in ("FAILED", "STOPPED"):
            raise ClusterError(f"job {submission.job}, on the head: {_cause(client, submission.job)}")
        if status == "SUCCEEDED" or (board is None and status == "RUNNING"):
            return
        if board is not None and any(
            notice.name == submission.name and notice.started != before.get(notice.id)
            for notice in board.studies()
        ):
            return
        time.sleep(_POLL_SECONDS)
    say(f"note: job {submission.job} has not begun yet; the cluster may be busy")


def introduction(submission: Submission, url: str) -> tuple[str, ...]:
    """Return what the driver has said of its study so far: search, candles, and what it assumed.

    Nothing if the dashboard does not say it: the study runs.

    Raises
    ------
    ClusterError
        The dashboard can't be reached.
    """
    lines: list[str] = []
    client = _client(url)
    with suppress(RuntimeError, OSError, ValueError):
        lines = str(client.get_job_logs(submission.job)).splitlines()
    return tuple(line for line in lines if line.startswith(_INTRODUCING))


def _status(client: Any, job: str) -> str:
    """Return the state of a job, nothing while the dashboard can't say it: the job is handed in."""
    with suppress(RuntimeError, OSError, ValueError):
        return str(getattr(client.get_job_status(job), "value", ""))
    return ""


def _cause(client: Any, job: str) -> str:
    """Return why a job failed: what the program said, else what Ray says."""
    try:
        lines = [line.strip() for line in str(client.get_job_logs(job)).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("error: ")]
        if errors:
            return errors[-1].removeprefix("error: ")
        message = client.get_job_info(job).message or "failed"
    except (RuntimeError, OSError, ValueError) as error:
        return f"failed; its output can't be had: {_told(error)}"
    return " ".join(f"{message} {lines[-1] if lines else ''}".split())[:300]


def _client(url: str) -> Any:
    sdk = importlib.import_module("ray.job_submission")
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.ERROR)
    try:
        return sdk.JobSubmissionClient(url)
    except (RuntimeError, OSError, ValueError) as error:
        text = _told(error)
        reason = "it asks for another token" if "uthentic" in text or "401" in text or "403" in text else text
        raise ClusterError(f"{url}: no dashboard of Ray that takes jobs: {reason}") from error


def _told(error: BaseException) -> str:
    """Return what an error says: its first line, or the ``detail`` of one that is JSON."""
    text = first_line(error)
    try:
        return str(json.loads(text).get("detail", text))
    except (ValueError, AttributeError):
        return text
