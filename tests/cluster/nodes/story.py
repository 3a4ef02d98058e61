"""One study through everything that happens to a cluster, and what was seen on the way.

Machines join, are killed, lose their power, are cut off and healed; then the driver is killed, and the whole
head. Times are of one clock, as the machines are on one machine.
"""

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from passivbot.errors import StudyError
from passivbot.study import StudyLog
from tests.cluster.nodes.sandbox import BIN, OWN, PORT, Node, Sandbox, wait_for

STUDY = "s"
ADDRESS = f"10.77.0.1:{PORT}"
WAIT_SECONDS = 120.0


@dataclass
class Study:
    """A study that runs on a sandbox's first machine.

    Attributes
    ----------
    options
        Of ``passivbot optimize`` beside those of place and length.
    noticed
        What was lost → seconds until the log said so.
    joined
        Name of a machine → seconds from its being listed as alive to its first result.
    """

    sandbox: Sandbox
    options: Sequence[str]
    noticed: dict[str, float] = field(default_factory=dict)
    joined: dict[str, float] = field(default_factory=dict)
    driver: "subprocess.Popen[bytes] | None" = None

    @property
    def head(self) -> Node:
        return self.sandbox.nodes[1]

    @property
    def folder(self) -> Path:
        """Where the study lies, as seen from outside."""
        return self.sandbox.folder / "node1" / STUDY

    @property
    def output(self) -> Path:
        return self.sandbox.folder / "driver.log"

    def run(self, *more: str) -> None:
        """Start a driver."""
        command = [str(BIN / "passivbot"), "optimize", *self.options, "--study", f"{OWN}/{STUDY}"]
        self.driver = self.sandbox.popen(self.head, [*command, "--address", ADDRESS, *more], self.output)

    def finish(self, seconds: float = 300.0) -> None:
        """Wait for the driver's end."""
        assert self.driver is not None
        assert self.driver.wait(seconds) == 0, self.output.read_text()[-4000:]

    def count(self) -> int:
        """Return the number of logged candidates."""
        try:
            with StudyLog.open(self.folder) as log:
                return log.count()
        except StudyError:
            return 0

    def workers_after(self, moment: float) -> set[str]:
        """Return the names of the workers whose results were logged after a moment, UTC seconds."""
        try:
            with StudyLog.open(self.folder) as log:
                rows = log.read()
        except StudyError:
            return set()
        return {name for name, at in zip(rows.worker, rows.logged.tolist(), strict=True) if at > moment}

    def wait_for_count(self, count: int) -> None:
        """Wait until so many candidates are logged."""
        wait_for(f"{count} candidates", lambda: self._alive() and self.count() >= count, WAIT_SECONDS)

    def wait_for_results(self, *nodes: Node, workers: int = 1) -> None:
        """Wait for results from so many workers of each of the machines, from now on."""
        now = time.time()

        def there() -> bool:
            self._alive()
            names = self.workers_after(now)
            return all(sum(name.startswith(f"{n.name}/") for name in names) >= workers for n in nodes)

        wait_for(f"results of {[node.name for node in nodes]}", there, WAIT_SECONDS)

    def wait_until_noticed(self, node: Node, since: float, what: str) -> None:
        """Wait until the log says that a machine's workers are lost, and take down how long that took."""

        def noticed() -> float | None:
            with StudyLog.open(self.folder) as log:
                for event in log.events():
                    name = str(event.payload.get("worker", ""))
                    if event.kind == "worker_lost" and event.at >= since and name.startswith(f"{node.name}/"):
                        return event.at
            return None

        self.noticed[what] = wait_for(f"the loss of {node.name}", noticed, WAIT_SECONDS) - since

    def join(self, node: Node, workers: int = 1) -> None:
        """Wait until a machine that was switched on computes, and take down how long that took."""
        self.sandbox.wait_until_ready(node)
        alive = time.time()
        self.wait_for_results(node, workers=workers)
        self.joined[node.name] = time.time() - alive

    def kill_driver(self) -> None:
        """SIGKILL, as by the kernel when memory runs out."""
        assert self.driver is not None
        # Not nsenter, which waits outside for the program that it started on the machine.
        (program,) = psutil.Process(self.driver.pid).children()
        program.kill()
        self.driver.wait(30)

    def _alive(self) -> bool:
        assert self.driver is not None
        assert self.driver.poll() is None, self.output.read_text()[-4000:]
        return True
