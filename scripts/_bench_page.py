"""The page's server over large logs: the first look, and a look at what came since."""

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from _bench_work import ROOT

from passivbot.study import Definition, Evaluation, StudyLog
from passivbot.study.serve.desk import Desk
from passivbot.study.serve.site import Site
from passivbot.study.study import study_id

sys.path.insert(0, str(ROOT))

from tests.demo_study import demo

SIZES = (10_000, 100_000, 1_000_000)
EVALUATED = 500  # candidates that the engine runs; the others are these with some noise
LATER = 500  # rows that come after the first look
BATCH = 20_000


def bench_page(only: str | None) -> list[dict[str, Any]]:
    """Write logs of random candidates and look at them as a browser does."""
    definition, base = _evaluated()
    rows = []
    for size in SIZES:
        if only and only != str(size):
            continue
        with tempfile.TemporaryDirectory() as folder:
            rows.append(_look(Path(folder) / "study", definition, base, size))
    return rows


def _look(folder: Path, definition: Definition, base: "_Base", size: int) -> dict[str, Any]:
    random = np.random.default_rng(size)
    with StudyLog.create(folder, definition) as log:
        for start in range(0, size, BATCH):
            log.append(base.rows(random, start, min(size, start + BATCH)))
        site, key = Site(Desk(folders=[folder])), study_id(folder)
        started, answers = time.perf_counter(), 0
        while b'"reading"' in (answer := site.answer(f"api/studies/{key}", {}).body)[:200]:
            answers += 1
        first = time.perf_counter() - started
        log.append(base.rows(random, size, size + LATER))
        stamp = answer.split(b'"stamp":')[1].split(b",")[0].decode()
        started = time.perf_counter()
        later = site.answer(f"api/studies/{key}", {"after": str(size - 1), "stamp": stamp}).body
        then = time.perf_counter() - started
        started = time.perf_counter()
        for _ in range(20):
            site.answer(f"api/studies/{key}", {"after": "0", "stamp": "0"})
        whole = (time.perf_counter() - started) / 20
        return {
            "candidates": size,
            "first look": f"{first:.2f} s in {answers + 1} answers",
            "sent": f"{len(answer) / 1e6:.2f} MB",
            f"{LATER} later": f"{then * 1000:.0f} ms, {len(later) / 1e6:.2f} MB",
            "all of it again": f"{whole * 1000:.0f} ms",
        }


@dataclass(frozen=True)
class _Base:
    vectors: np.ndarray[Any, np.dtype[np.float64]]
    metrics: np.ndarray[Any, np.dtype[np.float64]]

    def rows(self, random: np.random.Generator, start: int, stop: int) -> Iterator[Evaluation]:
        chosen = random.integers(0, len(self.vectors), stop - start)
        noise = random.lognormal(0.0, 0.3, (stop - start, self.metrics.shape[1]))
        for number, index, factor in zip(range(start, stop), chosen, noise, strict=True):
            yield Evaluation(
                number, self.vectors[index], self.metrics[index] * factor, worker=f"worker {number % 16}"
            )


def _evaluated() -> tuple[Definition, _Base]:
    definition, rows = demo(EVALUATED, seed=1)
    vectors, metrics = np.stack([row.parameters for row in rows]), np.stack([row.metrics for row in rows])
    return replace(definition, population=1000), _Base(vectors, metrics)
