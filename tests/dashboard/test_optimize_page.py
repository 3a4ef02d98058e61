"""``passivbot optimize`` says where its page is, and serves it while it runs."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from passivbot.config.resources import configs_dir


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "passivbot", "optimize", str(configs_dir() / "quickstart.json")]
    command += ["--candles", "demo", "--workers", "1", "--seed", "1", "--study", str(folder), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_its_address_is_printed_and_answers(tmp_path: Path) -> None:
    search = start(tmp_path / "s", "--iters", "1000000")
    try:
        assert search.stdout is not None
        for line in search.stdout:
            found = re.match(r"page: (http://127\.0\.0\.1:\d+/) ", line)
            if found:
                break
        assert found
        with urllib.request.urlopen(f"{found[1]}api/studies", timeout=120) as answer:
            (card,) = json.loads(answer.read())["studies"]
        assert card["name"] == "s"
        assert card["state"] == "running"
    finally:
        search.send_signal(signal.SIGINT)
        search.communicate(timeout=120)


def test_it_can_be_left_out(tmp_path: Path) -> None:
    search = start(tmp_path / "s", "--iters", "8", "--no-page")
    output, _ = search.communicate(timeout=300)
    assert search.returncode == 0, output
    assert "http://" not in output
    assert "front.html" in output
