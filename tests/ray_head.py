"""A Ray head with its dashboard, as ``ray start`` makes it, on the loopback address and ports of its own."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
START_SECONDS = 180.0


@dataclass(frozen=True)
class RayHead:
    """Where it answers, and where its logs are."""

    pid: int
    port: int
    dashboard: str
    folder: Path
    environment: Mapping[str, str]

    @property
    def logs(self) -> Path:
        """Folder of the session's logs."""
        return self.folder / "session_latest" / "logs"

    def get(self, path: str, token: str | None = None) -> tuple[int, str]:
        """Return status and text of an address of the dashboard."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(f"{self.dashboard}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@contextmanager
def ray_head(cpus: int = 1, *options: str, cwd: Path | None = None, **environment: str) -> Iterator[RayHead]:
    """Start a head, wait for its dashboard, and end it with all that it started.

    ``options`` are further ones of ``ray start``; ``cwd`` is where it starts.
    """
    # The path of a socket in it must be short.
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True))
        )
        port, client, dashboard, agent = free_ports(4)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        variables = {**inherited, "RAY_USAGE_STATS_ENABLED": "0", **environment}
        command = [
            *(str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"),
            *(f"--node-ip-address={HOST}", f"--port={port}", f"--ray-client-server-port={client}"),
            *(f"--dashboard-host={HOST}", f"--dashboard-port={dashboard}", f"--temp-dir={folder}"),
            *(f"--dashboard-agent-listen-port={agent}", "--min-worker-port=0", "--max-worker-port=0"),
            *(f"--num-cpus={cpus}", "--object-store-memory=200000000"),
            *options,
        ]
        output = stack.enter_context((folder / "output").open("w"))
        process = subprocess.Popen(
            command, env=variables, cwd=cwd, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        stack.callback(_end, process)
        head = RayHead(process.pid, port, f"http://{HOST}:{dashboard}", folder, variables)
        _wait(head, process)
        yield head


def _wait(head: RayHead, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, (head.folder / "output").read_text()
        assert time.monotonic() < deadline, (head.folder / "output").read_text()
        try:
            if head.get("/")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.5)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the head's own session of processes: `ray start --block` ends its children with itself."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]
