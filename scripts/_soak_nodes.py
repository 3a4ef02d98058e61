"""A study on real nodes that are lost and come back at random; then compared, to the bit."""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from passivbot.config.resources import configs_dir  # noqa: E402
from passivbot.study import StudyLog  # noqa: E402
from tests.cluster.nodes.sandbox import BIN, Node, Sandbox, missing  # noqa: E402
from tests.cluster.nodes.story import Study  # noqa: E402

CUT_SECONDS = (3.0, 30.0)
QUIET_SECONDS = (2.0, 12.0)
NODES = 3
MORE = 200


class Soak:
    """One study, and what is done to it."""

    def __init__(self, sandbox: Sandbox, study: Study, chance: random.Random) -> None:
        self.sandbox, self.study, self.chance = sandbox, study, chance
        self.done: Counter[str] = Counter()
        self.worst: dict[str, float] = {}
        self.next_index = 2

    def add(self) -> Node:
        """Switch on another machine, under an address that none had before."""
        node = self.sandbox.start(self.next_index, cpus=self.chance.choice((1, 1, 2)))
        self.next_index += 1
        return node

    def others(self) -> list[Node]:
        """Return the machines beside the head."""
        return [node for index, node in self.sandbox.nodes.items() if index != 1]

    def step(self) -> None:
        """Do one thing that happens to clusters."""
        others = self.others()
        choices = ["driver"] * 2 + ["head"]
        choices += ["add"] * 3 if len(others) < NODES else []
        choices += ["kill", "leave", "power loss", "cut"] * 2 if others else []
        what = self.chance.choice(choices)
        self.done[what] += 1
        since = time.time()
        if what == "add":
            self.sandbox.wait_until_ready(self.add())
        elif what == "driver":
            self.study.kill_driver()
            self.study.run("--resume")
        elif what == "head":
            self.sandbox.kill(self.study.head)
            self.sandbox.wait_until_ready(self.sandbox.start(1, head=True), *others)
            self.study.run("--resume")
        else:
            self._lose(what, self.chance.choice(others), since)
        print(f"{time.strftime('%H:%M:%S')} {what}: {self.study.count()} candidates", flush=True)

    def _lose(self, what: str, node: Node, since: float) -> None:
        busy = any(name.startswith(f"{node.name}/") for name in self.study.workers_after(since - 5.0))
        if what == "kill":
            self.sandbox.kill(node)
        elif what == "power loss":
            self.sandbox.power_loss(node)
        elif what == "leave":
            self.sandbox.leave(node)
        else:
            self.sandbox.cut(node)
        seconds = self.chance.uniform(*CUT_SECONDS) if what == "cut" else 20.0
        if busy and seconds > 15.0:
            self.study.wait_until_noticed(node, since, what)
            self.worst[what] = max(self.worst.get(what, 0.0), self.study.noticed[what])
        if what == "cut":
            time.sleep(max(0.0, since + seconds - time.time()))
            self.sandbox.heal(node)
        elif what == "leave":
            node.process.wait(60)
            self.sandbox.kill(node)


def main() -> int:
    """Soak, compare, report."""
    parser = argparse.ArgumentParser(prog="scripts/soak nodes", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1, help="of what happens when")
    parser.add_argument("--candles", type=Path, help="candle folder; default: the demo candles")
    options = parser.parse_args()
    if reason := missing():
        print(f"error: {reason}", file=sys.stderr)
        return 2
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="soak") as folder, Sandbox(Path(folder) / "nodes") as sandbox:
        search = [str(configs_dir() / "quickstart.json"), "--search", "nsga2", "--population", "120"]
        search += ["--seed", "7", "--iters", "10000000"]
        search += ["--candles", str(options.candles)] if options.candles else []
        study = Study(sandbox, search)
        soak = Soak(sandbox, study, chance)
        sandbox.wait_until_ready(sandbox.start(1, head=True), soak.add(), soak.add())
        study.run()
        study.wait_for_count(30)
        until = time.monotonic() + options.minutes * 60
        while time.monotonic() < until:
            time.sleep(chance.uniform(*QUIET_SECONDS))
            soak.step()
        study.kill_driver()
        budget = study.count() + MORE
        study.run("--resume", "--iters", str(budget))
        study.finish(900.0)
        with StudyLog.open(study.folder) as log:
            rows = log.read()
        alone = Path(folder) / "alone"
        command = [
            str(BIN / "passivbot"),
            "optimize",
            *search,
            "--iters",
            str(len(rows)),
            "--study",
            str(alone),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ})
        with StudyLog.open(alone) as log:
            reference = log.read()
        faults = []
        if rows.numbers.tolist() != list(range(len(rows))):
            faults.append("candidates are missing or doubled")
        if set(rows.status.tolist()) != {"ok"}:
            faults.append("candidates failed")
        if rows.parameters.tobytes() != reference.parameters.tobytes():
            faults.append("other candidates than on one machine")
        if rows.metrics.tobytes() != reference.metrics.tobytes():
            faults.append("other metrics than on one machine")
        table = Table("what", "times", "noticed within, s")
        for what, times in sorted(soak.done.items()):
            table.add_row(what, str(times), f"{soak.worst[what]:.1f}" if what in soak.worst else "")
        Console(width=120).print(table)
        print(
            f"{len(rows):,} candidates, {len({*rows.worker})} workers; "
            f"{'; '.join(faults) or 'all as on one machine'}"
        )
        return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
