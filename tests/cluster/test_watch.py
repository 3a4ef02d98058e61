"""A head that is lost: whoever watches a study ends with one line."""

import os
import pty
import socket
import subprocess
import sys
from pathlib import Path

FOLLOW = """
import sys
from cluster.board import Board, Notice
from cluster.reach import follow

class Silent(Board):
    def __init__(self):
        self.head = sys.argv[1]
    def studies(self):
        return [Notice(id="a", name="a", folder="/a", host="h", pid=1, state="running")]

follow(Silent(), "a", lambda notice: None, 0.1)
"""


def test_a_lost_head_ends_who_follows_a_study() -> None:
    terminal, stdout = pty.openpty()
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-c", FOLLOW, address],
            cwd=Path(__file__).parents[2],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )
        head.settimeout(60)
        head.accept()[0].close()
        assert process.poll() is None
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.strip().splitlines() == [errors.strip()]
    assert errors.strip().startswith(f"error: the head of the cluster, {address}, is gone; ")
    assert os.read(terminal, 100) == b"\x1b[?25h"
    os.close(terminal)
    os.close(stdout)
