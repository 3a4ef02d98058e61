"""A search started from a shell that holds API keys: no worker, log or study has them."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from passivbot.config.resources import configs_dir
from tests.ops.conftest import KEY, PASSPHRASE, SECRET

MARK = "PASSIVBOT_TEST_MARK"
PRIVATE = {
    "PASSIVBOT_ACCOUNT_BYBIT_01_EXCHANGE": "bybit",
    "PASSIVBOT_ACCOUNT_BYBIT_01_KEY": KEY,
    "PASSIVBOT_ACCOUNT_BYBIT_01_SECRET": SECRET,
    "PASSIVBOT_KEYS_PASSPHRASE": PASSPHRASE,
}


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """A short name: Ray's sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="pbk") as name:
        yield Path(name)


def environments(process: psutil.Process) -> dict[str, str]:
    """Command line → environment of all descendants, as far as they can be read."""
    found = {}
    for child in process.children(recursive=True):
        try:
            found[" ".join(child.cmdline())] = "\n".join(f"{k}={v}" for k, v in child.environ().items())
        except psutil.Error:
            continue
    return found


def test_no_worker_log_or_study_has_a_key(tmp_path: Path, ray_folder: Path) -> None:
    command = [sys.executable, "-m", "passivbot", "optimize", str(configs_dir() / "quickstart.json")]
    command += ["--iters", "64", "--workers", "1", "--study", str(tmp_path / "study")]
    environment = {**os.environ, **PRIVATE, "RAY_TMPDIR": str(ray_folder), MARK: "x"}
    with (tmp_path / "output").open("w") as output:
        process = psutil.Popen(command, cwd=tmp_path, env=environment, stdout=output, stderr=output)
        seen: dict[str, str] = {}
        try:
            deadline = time.monotonic() + 240
            while process.poll() is None and time.monotonic() < deadline:
                seen |= environments(process)
                time.sleep(0.2)
            assert process.poll() == 0, (tmp_path / "output").read_text()[-2000:]
        finally:
            if process.poll() is None:
                process.kill()
    assert any("raylet" in line for line in seen)
    workers = [text for line, text in seen.items() if "ray::" in line]
    assert any(MARK in text for text in workers), "what a shell holds gets to the workers, if nobody minds"
    assert any("RAY_USAGE_STATS_ENABLED=0" in text for text in seen.values()), (
        "what is read is the environment"
    )
    secrets = (KEY, SECRET, PASSPHRASE)
    assert [line for line, text in seen.items() if any(secret in text for secret in secrets)] == []
    files = [path for root in (tmp_path, ray_folder) for path in root.rglob("*") if path.is_file()]
    assert any(path.name == "study.sqlite" for path in files)
    assert any(path.suffix == ".log" for path in files)
    wanted = [secret.encode() for secret in secrets]
    assert [p for p in files if any(secret in p.read_bytes() for secret in wanted)] == []
