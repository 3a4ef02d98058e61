"""A finished backtest and the files it leaves (analysis-metrics §9).

``fills.parquet``, ``equity.parquet``, ``analysis.json``, ``config.json`` and two pages of plots. The folder
appears as a whole, under its name, when all of it is written.
"""

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from passivbot.backtest.scenario import DATA_SET, PROVENANCE, Scenario
from passivbot.config import Config, warmup_minutes
from passivbot.config.coins import side_notes
from passivbot.config.schema import SIDES
from passivbot.engine import STOPPED_MINUTE, BacktestResult
from passivbot.errors import ResourceError, first_line
from passivbot.market import Panel
from passivbot.market.clean import Floats
from passivbot.times import MINUTE_MS, utc

Metrics = dict[str, float | None]


@dataclass(frozen=True, eq=False)
class Report:
    """One backtest: what was run and what came out.

    Parameters
    ----------
    scenario
        Candles, market and account.
    config
        The configuration that ran.
    result
        Fills, equity and analysis of the engine.
    limits
        Those at which the run was to stop early; None: nothing stopped it.
    """

    scenario: Scenario
    config: Config
    result: BacktestResult
    limits: Mapping[str, float] | None = None

    @cached_property
    def analysis(self) -> dict[str, Metrics]:
        """``{"usd": …, "btc": …}``: metrics of the engine and of a report alone; None where not finite."""
        fills = self.result.fills
        sides = _sides(fills)
        pnl = fills.column("pnl").to_numpy()
        in_btc = pnl / fills.column("btc_price").to_numpy() if self.scenario.btc_usd is not None else pnl
        return {
            name: dict(sorted((_report_metrics(values, sides) | self.result.analysis[name]).items()))
            for name, values in (("usd", pnl), ("btc", in_btc))
        }

    @property
    def metrics(self) -> Metrics:
        """All metrics by the names that scoring and limits use; ``btc_`` stands before the BTC set's."""
        analysis = self.analysis
        btc = analysis["btc"] if self.scenario.btc_usd is not None else {}
        return analysis["usd"] | {f"btc_{name}": value for name, value in btc.items()}

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What in the result is easily misread, one line each."""
        panel, fills = self.scenario.panel, self.result.fills
        size = fills.column("position_size").to_numpy()
        held: dict[tuple[str, str], float] = {}
        for row, (coin, kind) in enumerate(
            zip(fills.column("coin").to_pylist(), fills.column("order_type").to_pylist(), strict=True)
        ):
            held[coin, kind.rpartition("_")[2]] = size[row]
        ends = dict(zip(panel.coins, panel.last_valid, strict=True))
        bar_ms = panel.interval_minutes * MINUTE_MS
        stopped = self.result.stopped
        last = panel.bars - 1 if stopped is None else stopped // panel.interval_minutes
        delisted = (
            f"{coin}: its candles end at {utc(panel.first_ms + ends[coin] * bar_ms)} with a {side} "
            "position open; from then on it counts neither as profit nor as loss"
            for (coin, side), left in sorted(held.items())
            if left != 0 and ends[coin] < last
        )
        return (*self._stop(), *delisted, *self._sides())

    def _sides(self) -> tuple[str, ...]:
        """Return what traded here and would not in the bot."""
        config = self.config
        trading = [s for s in SIDES if config.bot.side(s).trades]
        return side_notes(config, self.scenario.coins, trading)

    def _stop(self) -> tuple[str, ...]:
        """Return where the run was stopped early and why, as one note; nothing if it was not."""
        minute = self.result.stopped
        if minute is None:
            return ()
        metrics = self.metrics
        causes = [
            f"{name} is {_text(metrics[name])}, its limit {limit:g}"
            for name, limit in (self.limits or {}).items()
            if not _kept(metrics[name], limit)
        ]
        if pc.min(self.result.equity.column("usd")).as_py() <= 0.0:
            causes.insert(0, "the equity fell to 0 or below")
        at = utc(self.scenario.panel.first_ms + minute * MINUTE_MS)
        return (f"stopped early, as in its study, after minute {minute} ({at} UTC): {'; '.join(causes)}",)

    def differences(self, recorded: Mapping[str, float | None]) -> list[str]:
        """Return the names of recorded metrics that this run does not repeat to the bit; None is no value.

        One of them may be ``stopped_minute``.
        """
        here = {f"btc_{name}": value for name, value in self.analysis["btc"].items()} | self.analysis["usd"]
        here[STOPPED_MINUTE] = self.result.stopped
        return [name for name, value in sorted(recorded.items()) if not _same_bits(here.get(name), value)]

    def config_document(self) -> dict[str, Any]:
        """Return the configuration with the scenario and the metrics: it runs as it is, anywhere."""
        document = self.config.to_dict()
        before = document.get(PROVENANCE)
        document[PROVENANCE] = {
            **(before if isinstance(before, dict) else {}),
            **self.scenario.describe(),
            "metrics": self.metrics,
        }
        return document

    def write(self, folder: str | Path, *, plots: bool = True) -> Path:
        """Write the report's folder, all or nothing, and return its path.

        Raises
        ------
        ResourceError
            The folder exists already, or can't be written; nothing is left behind.
        """
        with new_folder(folder) as partial:
            self.save(partial, plots=plots)
        return Path(folder)

    def save(self, folder: Path, *, plots: bool = True) -> None:
        """Write the report's files into an existing folder."""
        panel = self.scenario.panel
        for name, table in (("fills", self.result.fills), ("equity", self.result.equity)):
            _write_table(_timed(table, panel), folder / f"{name}.parquet")
        _write_json(self.analysis, folder / "analysis.json")
        _write_json(self.config_document(), folder / "config.json")
        if plots:
            # Plotly takes longer to import than a backtest to run.
            from passivbot.backtest.plots import write_plots

            write_plots(self, folder)


def run_backtest(
    scenario: Scenario, config: Config | None = None, *, limits: Mapping[str, float] | None = None
) -> Report:
    """Run one configuration.

    Parameters
    ----------
    scenario
        Where it runs.
    config
        What runs; None: the configuration that the scenario was prepared from.
    limits
        Stop early at these, as ``Engine.backtest`` does.
    """
    config = config or scenario.config
    warmup, coin_warmup = warmup_minutes(config, scenario.coins)
    result = scenario.engine().backtest(
        config.bot.to_engine(),
        config.engine_overrides(scenario.coins),
        warmup_minutes=warmup,
        coin_warmup_minutes=coin_warmup,
        limits=limits,
    )
    return Report(scenario, config, result, limits)


def default_folder(config: Config, now: datetime | None = None) -> Path:
    """Return ``<base_dir>/combined/<UTC time>``; a number is appended where that exists already."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    folder = Path(config.backtest.base_dir) / DATA_SET / f"{moment:%Y-%m-%dT%H_%M_%S}"
    tried, number = folder, 1
    while tried.exists():
        number += 1
        tried = folder.with_name(f"{folder.name}_{number}")
    return tried


@contextmanager
def new_folder(folder: str | Path) -> Iterator[Path]:
    """Give a folder to write into, which takes the name ``folder`` when the block ends well.

    Raises
    ------
    ResourceError
        ``folder`` exists and is not empty, or something can't be written; nothing is left behind.
    """
    target = Path(folder)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise ResourceError(f"{target}: exists already; choose another folder with --out")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        yield partial
        # An empty folder that a user made before gives way.
        partial.replace(target)
    except OSError as error:
        # Arrow's errors carry the cause in their text alone.
        cause = error.strerror or first_line(error)
        raise ResourceError(f"{target}: can't be written ({cause})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _sides(fills: pa.Table) -> dict[str, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Return which fills are of each side."""
    order_type = fills.column("order_type")
    return {side: pc.ends_with(order_type, f"_{side}").to_numpy() for side in SIDES}


def _report_metrics(pnl: Floats, sides: Mapping[str, np.ndarray[Any, np.dtype[np.bool_]]]) -> Metrics:
    """Metrics that a report adds (analysis-metrics §9)."""
    net = {side: _total(pnl[chosen]) for side, chosen in sides.items()}
    metrics = {"pnl_ratio_long_short": _ratio(net["long"], net["long"] + net["short"])}
    for side, chosen in sides.items():
        own = pnl[chosen]
        ratio = _ratio(_total(own[own < 0]), _total(own[own > 0])) if own.size else 1.0
        metrics[f"loss_profit_ratio_{side}"] = None if ratio is None else abs(ratio)
    return metrics


def _total(values: Floats) -> float:
    """Sum in series order (analysis-metrics, head); ``sum`` differs between Python releases."""
    return float(np.cumsum(values)[-1]) if values.size else 0.0


def _same_bits(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return one == other and math.copysign(1.0, one) == math.copysign(1.0, other)


def _kept(value: float | None, limit: float) -> bool:
    return value is not None and value <= limit


def _text(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator else None


def _timed(table: pa.Table, panel: Panel) -> pa.Table:
    """Append the UTC time of each row's minute, and say how long the bars were."""
    times = table.column("minute").to_numpy() * MINUTE_MS + panel.first_ms
    timed = table.append_column("timestamp", pa.array(times).cast(pa.timestamp("ms", tz="UTC")))
    return timed.replace_schema_metadata({"interval_minutes": str(panel.interval_minutes)})


def _write_table(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd")


def _write_json(document: Mapping[str, Any], path: Path) -> None:
    text = json.dumps(document, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
