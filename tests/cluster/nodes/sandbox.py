"""Machines on one machine: Ray nodes in namespaces of their own, joined by a bridge, that can be lost.

Each has a network with its own address, process ids, shared memory, host name and folder for temporary files
(`/run/own`, which lies in the sandbox's folder, so that its logs outlive it). What runs on it is a real
``ray start``, by ``scripts/node`` and so as on a user's machines. Nothing is reachable from outside.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil

ROOT = Path(__file__).resolve().parent.parent.parent.parent
BIN = Path(sys.executable).parent
PORT = 6379
OWN = "/run/own"
START_SECONDS = 300.0  # on a busy machine Ray gives up its first tries

_NAMESPACES = ("--net", "--mount", "--pid", "--uts", "--fork", "--kill-child=KILL", "--mount-proc")
# bash stays process 1, which adopts orphans and reaps them.
_SANDBOX = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/own
ip link set lo up
ip link add cluster type bridge
ip link set cluster up
touch "$1/up"
while :; do sleep 3600; done
"""
_PLUG = """
set -e
ip netns add n{i}
ip link add v{i} type veth peer name eth0 netns n{i}
ip link set v{i} master cluster up
ip -n n{i} addr add {address}/24 dev eth0
ip -n n{i} link set lo up
ip -n n{i} link set eth0 up
"""
_UNPLUG = "ip link del v{i} 2>/dev/null; ip netns del n{i} 2>/dev/null; true"
_NODE = """
mount --make-rprivate /
mount -t tmpfs -o size=1g tmpfs /dev/shm
mount --bind "$1" /run/own
hostname "$2"
[ -z "$OTHER_BUILD" ] || mount --bind "$OTHER_BUILD" "$3"
shift 3
"$@"
exit $?
"""


def missing() -> str | None:
    """Return what this machine lacks for a sandbox, None if nothing."""
    for program in ("unshare", "nsenter", "ip"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    tried = subprocess.run(
        [
            "unshare",
            *_user(),
            *_NAMESPACES,
            "bash",
            "-c",
            "ip link add x type bridge && mount -t tmpfs x /run",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return (
        f"namespaces of one's own are not allowed here: {tried.stderr.strip()}" if tried.returncode else None
    )


def _user() -> tuple[str, ...]:
    return () if os.geteuid() == 0 else ("--user", "--map-root-user")


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Return what a condition gives as soon as it is true; fail after ``seconds``."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > until:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)
    return found


@dataclass
class Node:
    """One machine."""

    index: int
    cpus: int
    folder: Path
    process: subprocess.Popen[bytes]
    init: int
    since: float

    @property
    def name(self) -> str:
        return f"node{self.index}"

    @property
    def address(self) -> str:
        return f"10.77.0.{self.index}"

    def alive(self) -> bool:
        return self.process.poll() is None

    def pids(self) -> list[int]:
        """Return its processes, as seen from here."""
        try:
            return [child.pid for child in psutil.Process(self.init).children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


@dataclass
class Sandbox:
    """The bridge and what hangs on it."""

    folder: Path
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    nodes: dict[int, Node] = field(default_factory=dict)
    _holder: subprocess.Popen[bytes] | None = None
    _init: int = 0

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._holder = subprocess.Popen(
            ["unshare", *_user(), *_NAMESPACES, "bash", "-c", _SANDBOX, "sandbox", str(self.folder)],
            stdin=subprocess.DEVNULL,
        )
        wait_for("the sandbox", (self.folder / "up").exists, 20.0)
        self._init = _first_child(self._holder.pid)
        return self

    def __exit__(self, *error: object) -> None:
        assert self._holder is not None
        for node in list(self.nodes.values()):
            self.kill(node)
        self._holder.kill()
        self._holder.wait()

    # ---- machines ----

    def start(
        self, index: int, *, cpus: int = 1, store: int = 200_000_000, head: bool = False, **changes: str
    ) -> Node:
        """Switch a machine on; it is ready some seconds later.

        Parameters
        ----------
        index
            Last part of its address.
        cpus, store
            Processors, and bytes of the object store, that it says it has; no processors: Ray does not run.
        head
            Whether it is the head.
        changes
            Of its environment. ``OTHER_BUILD`` is a folder that lies there in place of ``cluster/``.
        """
        address = f"10.77.0.{index}"
        folder = self.folder / f"node{index}"
        (folder / "home").mkdir(parents=True, exist_ok=True)
        self.run(["bash", "-c", _PLUG.format(i=index, address=address)])
        command = [str(ROOT / "scripts" / "node"), f"--node-ip-address={address}", f"--num-cpus={cpus}"]
        command += [f"--object-store-memory={store}"]
        if head:
            command += ["--head", f"--port={PORT}", "--include-dashboard=false"]
        else:
            command += [f"--address=10.77.0.1:{PORT}"]
        if not cpus:
            command = ["sleep", "infinity"]
        since = time.time()
        with (folder / "ray-start.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    *self._enter(self._init),
                    "nsenter",
                    f"--net=/run/netns/n{index}",
                    "unshare",
                    *(word for word in _NAMESPACES if word != "--net"),
                    *(
                        "bash",
                        "-c",
                        _NODE,
                        "node",
                        str(folder),
                        f"node{index}",
                        str(ROOT / "cluster"),
                        *command,
                    ),
                ],
                env=self.environment(**changes),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        init = wait_for("the node's first process", lambda: _deepest_init(process.pid, 3), 20.0)
        node = self.nodes[index] = Node(index, cpus, folder, process, init, since)
        return node

    def kill(self, node: Node) -> None:
        """End all its processes at once; its network is gone too."""
        self._end(node)
        self.run(["bash", "-c", _UNPLUG.format(i=node.index)])

    def leave(self, node: Node) -> None:
        """Ask it to end, as a provider does that takes a machine away."""
        (script,) = [pid for pid in node.pids() if _runs(pid, str(ROOT / "scripts" / "node"))]
        os.kill(script, signal.SIGTERM)

    def power_loss(self, node: Node) -> None:
        """Let it fall silent and die: nobody is told."""
        self.cut(node)
        self._end(node)

    def cut(self, node: Node) -> None:
        """Pull its cable."""
        self.run(["ip", "link", "set", f"v{node.index}", "down"])

    def heal(self, node: Node) -> None:
        """Put its cable back."""
        self.run(["ip", "link", "set", f"v{node.index}", "up"])

    def wait_until_ready(self, *nodes: Node) -> None:
        """Wait until Ray lists machines as alive, and no earlier ones of the same addresses."""
        head = self.nodes[1]
        seen: list[tuple[str, float]] = []

        def ready() -> bool:
            done = self.on(head, [sys.executable, "-c", _ALIVE, f"10.77.0.1:{PORT}"])
            seen[:] = [(address, float(start)) for address, start in map(str.split, done.stdout.splitlines())]
            starts = [[start for address, start in seen if address == node.address] for node in nodes]
            return all(
                len(found) == 1 and found[0] >= node.since for node, found in zip(nodes, starts, strict=True)
            )

        try:
            wait_for("machines are ready", ready, START_SECONDS)
        except AssertionError as error:
            error.add_note(f"wanted: {[(node.address, node.since) for node in nodes]}, alive: {seen}")
            raise

    def _end(self, node: Node) -> None:
        if self.nodes.pop(node.index, None) is None:
            return  # its process ids may be others' by now
        with suppress(ProcessLookupError):
            os.kill(node.init, signal.SIGKILL)
        node.process.wait()

    # ---- commands ----

    def environment(self, **changes: str) -> dict[str, str]:
        """Return what the processes of a machine find."""
        kept = {name: os.environ[name] for name in ("LANG", "CI") if name in os.environ}
        return {
            **kept,
            "PATH": os.pathsep.join([str(BIN), os.environ["PATH"]]),
            "HOME": f"{OWN}/home",
            "TMPDIR": OWN,
            "RAY_TMPDIR": OWN,
            "PYTHONPATH": str(ROOT),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            **changes,
        }

    def popen(
        self, node: Node, command: Sequence[str], output: Path, **changes: str
    ) -> subprocess.Popen[bytes]:
        """Start a program on a machine."""
        with output.open("ab") as file:
            return subprocess.Popen(
                [*self._enter(node.init), *command],
                env=self.environment(**changes),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

    def on(
        self, node: Node, command: Sequence[str], seconds: float = 120.0, **changes: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on a machine to its end."""
        return subprocess.run(
            [*self._enter(node.init), *command],
            env=self.environment(**changes),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def run(self, command: Sequence[str]) -> str:
        """Run a program beside the machines, where the cables are."""
        done = subprocess.run(
            [*self._enter(self._init), *command], capture_output=True, text=True, check=False, timeout=30
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def _enter(self, init: int) -> list[str]:
        user = ["--user", "--preserve-credentials"] if _user() else []
        return [
            "nsenter",
            f"--target={init}",
            *user,
            "--net",
            "--mount",
            "--pid",
            "--uts",
            "--",
            "env",
            "-C",
            str(ROOT),
        ]


_ALIVE = """
import sys
from ray._raylet import GcsClient
try:
    found = GcsClient(address=sys.argv[1]).get_all_node_info()
except Exception:
    raise SystemExit(1)
for info in found.values():
    if info.state == 0:
        print(info.node_manager_address, info.start_time_ms / 1000)
"""


def _runs(pid: int, program: str) -> bool:
    try:
        return program in psutil.Process(pid).cmdline()[:2]
    except psutil.Error:
        return False


def _first_child(pid: int) -> int:
    return int(wait_for("a child", lambda: psutil.Process(pid).children(), 20.0)[0].pid)


def _deepest_init(pid: int, depth: int) -> int | None:
    """Return which process below ``pid`` is the first of a process namespace ``depth`` levels down."""
    try:
        below = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess as error:
        raise AssertionError("the node's processes ended at once") from error
    for child in below:
        try:
            status = Path(f"/proc/{child.pid}/status").read_text()
        except OSError:
            continue
        ids = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
        if ids[-1:] == ["1"] and len(ids) >= depth:
            return child.pid
    return None
