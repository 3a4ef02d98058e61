"""The engine against its floor: seconds, coin-minutes a second, the cost model, and the targets."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from _bench_floor import LANES, Floor
from _bench_time import minima, peak_beyond
from _bench_work import YEAR, Work, fixed_works, forager, synthetic, with_random_bots
from numpy.typing import NDArray

from passivbot.engine import INSTRUCTION_SETS, Engine

BATCH = 32
"""Candidates of the timed batches."""

RANDOM = 30
"""Random configurations within the template's bounds."""

SHARE_OF_FLOOR = {"single": 0.9, "batch": 0.5}
"""Least speed without fills: that share of the scalar floor's, and of the lane floor's."""

MICROSECONDS_A_FILL = {False: 0.3, True: 1.0}
"""Most that a fill may add, on one coin and on several."""

SHARE_WHEN_FORCED = {"avx2": 0.7, "baseline": 0.5}
"""Least speed with a lesser instruction set, as a share of the speed asked of the best."""

KEPT = 2.0
"""Most that a run with fills and equity kept may take, as a multiple of one without."""

Row = dict[str, Any]


def bench_engine(runs: int) -> dict[str, list[Row]]:
    """Time all works.

    Returns
    -------
    dict
        ``runs``: one row per work, mode and instruction set; ``cost``: the fitted cost model of each work;
        ``random``: random configurations; ``memory``: sizes and peaks.
    """
    fixed = fixed_works()
    several = next(work for work in fixed if len(work.markets) == 15)
    tables: dict[str, list[Row]] = {"runs": [], "cost": [], "random": [], "memory": []}
    for work in fixed:
        _measure(work, runs, tables)
    _measure(forager(several), runs, tables)
    for work in fixed:
        _measure_random(with_random_bots(work, RANDOM), runs, tables)
    _measure(synthetic(20, YEAR, several.bots, "20 synthetic coins, a year"), runs, tables)
    return tables


def _measure(work: Work, runs: int, tables: dict[str, list[Row]]) -> None:
    print(f"{work.name} …", file=sys.stderr, flush=True)
    fills = work.fills(work.bots)
    if work.recorded is not None and fills.tolist() != list(work.recorded):
        sys.exit(f"error: {work.name}: the fills are {fills.tolist()}, recorded are {list(work.recorded)}")
    floor = Floor(work.table, work.best)
    single, kept, scalar = _singles(work, floor, runs)
    rows = _Rows(work, int(fills.sum()), tables["runs"])
    rows.add("single", None, single.sum(), scalar)
    rows.add("kept", None, kept.sum(), scalar)
    rows.add("batch", None, *_batch(work, work.best, floor, runs))
    for name in reversed(INSTRUCTION_SETS[:-1]):
        engine = work.held_to(name)
        forced = minima([work.evaluation([bot], engine=engine) for bot in work.bots], runs).sum()
        rows.add("single", name, forced, scalar)
        rows.add("batch", name, *_batch(work, engine, floor, runs))
    tables["cost"].append({"work": work.name, **cost_model(work.coin_minutes, fills, single)})
    tables["memory"].append(sizes(work, 64))


class _Rows:
    """Adds rows of one work, with what is asked of them."""

    def __init__(self, work: Work, fills: int, rows: list[Row]) -> None:
        self._work, self._fills, self._rows = work, fills, rows

    def add(self, mode: str, forced: str | None, seconds: float, floor: float) -> None:
        """Add a row.

        Parameters
        ----------
        mode
            ``single``, ``kept`` or ``batch``.
        forced
            Instruction set that the engine was held to; None: the best, which it chose.
        seconds, floor
            What the engine took, and the floor for as many coin-minutes.
        """
        times = BATCH // len(self._work.bots) if mode == "batch" else 1
        fills, minutes = self._fills * times, self._work.coin_minutes * len(self._work.bots) * times
        target = floor / SHARE_OF_FLOOR["batch" if mode == "batch" else "single"]
        target += MICROSECONDS_A_FILL[self._work.several] * 1e-6 * fills
        if mode == "kept":
            target *= KEPT
        if forced is not None:
            target /= SHARE_WHEN_FORCED[forced]
        reference = self._work.reference_seconds
        self._rows.append(
            {
                "work": self._work.name,
                "mode": f"batch of {BATCH}" if mode == "batch" else mode,
                "instructions": forced or f"{INSTRUCTION_SETS[-1]} (best)",
                "coin-minutes": minutes,
                "fills": fills,
                "seconds": float(seconds),
                "M coin-min/s": minutes / seconds / 1e6,
                "ns a coin-min": seconds / minutes * 1e9,
                "floor, M coin-min/s": minutes / floor / 1e6,
                "of floor's speed": floor / seconds,
                "target, seconds": float(target),
                "met": bool(seconds <= target),
                "x reference": None if reference is None else reference * times / seconds,
            }
        )


def _singles(work: Work, floor: Floor, runs: int) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return seconds of each configuration, metrics only and all kept, and of the scalar floor for all.

    The floor is that of the instruction set which is fastest at it. Runs that keep all are timed afterwards:
    they put the candles out of the caches, where one run of a search leaves them to the next.
    """
    rows = []
    for bot in work.bots:
        acts: list[Callable[[], object]] = [work.evaluation([bot])]
        acts += [floor.scalar(bot, name) for name in floor.instruction_sets]
        rows.append(minima(acts, runs))
    seconds = np.array(rows)
    kept = np.array([minima([partial(work.backtest, bot)], runs)[0] for bot in work.bots])
    return seconds[:, 0], kept, float(seconds[:, 1:].sum(axis=0).min())


def _batch(work: Work, engine: Engine, floor: Floor, runs: int) -> tuple[float, float]:
    """Return seconds of a batch, and the lane floor's for the same coin-minutes."""
    bots = work.batch(BATCH)
    groups = [bots[n : n + LANES] for n in range(0, BATCH, LANES)]
    acts: list[Callable[[], object]] = [work.evaluation(bots, engine=engine)]
    acts += [floor.lanes(group, name) for name in floor.instruction_sets for group in groups]
    seconds = minima(acts, runs)
    return float(seconds[0]), float(seconds[1:].reshape(-1, len(groups)).sum(axis=1).min())


def cost_model(coin_minutes: int, fills: NDArray[np.int64], seconds: NDArray[np.float64]) -> Row:
    """Fit seconds = base × coin-minutes + cost × fills over the runs of one panel, by least squares."""
    factors = np.column_stack([np.full(len(fills), float(coin_minutes)), fills])
    (base, per_fill), *_ = np.linalg.lstsq(factors, seconds)
    rest = seconds - factors @ (base, per_fill)
    return {
        "runs": len(fills),
        "base, ns a coin-min": base * 1e9,
        "base, M coin-min/s": 1e-6 / base,
        "µs a fill": per_fill * 1e6,
        "R²": 1.0 - float(rest @ rest) / float(((seconds - seconds.mean()) ** 2).sum()),
    }


def _measure_random(work: Work, runs: int, tables: dict[str, list[Row]]) -> None:
    print(f"{work.name} …", file=sys.stderr, flush=True)
    fills = work.fills(work.bots)
    seconds, _, floor = _singles(work, Floor(work.table, work.best), runs)
    order = np.argsort(seconds)
    for what, value, count in (
        ("mean", seconds.mean(), fills.mean()),
        ("median", np.median(seconds), np.median(fills)),
        ("worst", seconds[order[-1]], fills[order[-1]]),
    ):
        tables["random"].append(
            {
                "work": work.name,
                "what": what,
                "fills": float(count),
                "seconds": float(value),
                "M coin-min/s": work.coin_minutes / value / 1e6,
                "ns a coin-min": value / work.coin_minutes * 1e9,
                "of floor's speed": floor / len(work.bots) / value,
            }
        )
    tables["cost"].append({"work": work.name, **cost_model(work.coin_minutes, fills, seconds)})


def sizes(work: Work, batch: int) -> Row:
    """Return sizes of panel and tables, and what a batch needs beyond them at its peak, in MB."""
    prepared = work.prepared
    bots = work.batch(batch)
    panel = sum(work.table[name].nbytes for name in work.table.column_names)
    row = {
        "work": work.name,
        "panel, MB": panel / 1e6,
        "prepared, MB": prepared.nbytes / 1e6,
        "share": prepared.nbytes / panel,
    }
    try:
        row[f"peak of a batch of {batch}, MB"] = peak_beyond(work.evaluation(bots)) / 1e6
    except (OSError, AttributeError):
        row[f"peak of a batch of {batch}, MB"] = None  # no such counters on this system
    return row
