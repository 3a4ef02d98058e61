"""Run recorded parity cases through the engine and compare everything.

Called by ``scripts/parity`` and by the tests. Agreement means: fills equal in number and in every column, bit
for bit (``total_wallet_exposure`` within 1e-12, because the reference adds it up in no fixed order); equity
within 1e-12 relative; metrics within 1e-9 relative.
"""

import argparse
import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from passivbot.engine import Engine, MarketRules
from passivbot.errors import CandleError, PassivbotError
from passivbot.market.folder import CandleFolder
from passivbot.market.panel import build_panel

EXACT_TEXT = ("coin", "order_type")
EXACT = (
    "minute",
    "pnl",
    "fee_paid",
    "balance",
    "balance_btc",
    "balance_usd",
    "btc_price",
    "qty",
    "price",
    "position_size",
    "position_price",
    "wallet_exposure",
)
EXPOSURE_TOLERANCE = 1e-12
EQUITY_TOLERANCE = 1e-12
METRIC_TOLERANCE = 1e-9


@dataclass
class Outcome:
    """What one case showed: its fills, the largest deviation a field, and what is beyond tolerance."""

    name: str
    fills: int = 0
    deviations: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def note(self, name: str, deviation: float, tolerance: float) -> None:
        """Keep a field's largest deviation; beyond its tolerance it is a fault."""
        self.deviations[name] = max(self.deviations.get(name, 0.0), deviation)
        if not deviation <= tolerance:
            self.faults.append(f"{name} deviates by {deviation:.3g}")


def case_files(folder: Path) -> list[Path]:
    """Return the case files of a folder, by name."""
    return sorted(folder.glob("*.case.json"))


def load_panel(case: Mapping[str, Any], folder: Path, candles: Path | None) -> pa.Table:
    """Return the candles of a case: a ready panel, or one built from a set of candle files.

    Parameters
    ----------
    case
        The case file's content.
    folder
        Where the case file lies.
    candles
        Where ``PANEL.parquet`` or a folder ``PANEL`` lies; None: the places beside the cases.
    """
    name = case["panel"]
    places = [candles] if candles else [folder.parent / "panels", folder.parent.parent / "candles"]
    for place in places:
        if (place / f"{name}.parquet").is_file():
            return pq.read_table(place / f"{name}.parquet").combine_chunks()
        if (place / name).is_dir():
            source = CandleFolder.open(place / name)
            return build_panel(source, case["coins"], union_of=source.coins).table
    raise CandleError(f"{folder}: the candles {name!r} of a case are in none of {[str(p) for p in places]}")


def run_case(path: Path, candles: Path | None = None) -> Outcome:
    """Run one case and compare it with what was recorded."""
    case = json.loads(path.read_text())
    stem = path.name.removesuffix(".case.json")
    outcome = Outcome(stem)
    panel = load_panel(case, path.parent, candles)
    btc = pq.read_table(path.with_name(f"{stem}.btc.parquet"))["btc_usd"] if case["btc_collateral"] else None
    engine = Engine(
        panel,
        {coin: MarketRules(**rules) for coin, rules in case["market_rules"].items()},
        starting_balance=case["starting_balance"],
        maker_fee=case["maker_fee"],
        btc_usd=btc,
    )
    for key, ours in (("first_valid", engine.first_valid), ("last_valid", engine.last_valid)):
        if list(ours) != case[key]:
            outcome.faults.append(f"{key} is {list(ours)} instead of {case[key]}")
    result = engine.backtest(case["bot"], case["coin_overrides"], warmup_minutes=case["warmup_minutes"])
    outcome.fills = result.fills.num_rows
    compare_fills(outcome, pq.read_table(path.with_name(f"{stem}.fills.parquet")), result.fills)
    compare_equity(outcome, pq.read_table(path.with_name(f"{stem}.equity.parquet")), result.equity)
    recorded = json.loads(path.with_name(f"{stem}.analysis.json").read_text())
    compare_analysis(outcome, recorded, result.analysis)
    return outcome


def compare_fills(outcome: Outcome, theirs: pa.Table, ours: pa.Table) -> None:
    """Compare fill tables column by column."""
    if ours.schema.names != theirs.schema.names or ours.schema.types != theirs.schema.types:
        outcome.faults.append(f"the fill table has the columns {ours.schema.names}")
        return
    if ours.num_rows != theirs.num_rows:
        outcome.faults.append(f"{ours.num_rows} fills instead of {theirs.num_rows}")
    rows = min(ours.num_rows, theirs.num_rows)
    for name in EXACT_TEXT:
        if ours[name].slice(0, rows) != theirs[name].slice(0, rows):
            outcome.faults.append(f"{name} differs")
    for name in (*EXACT, "total_wallet_exposure"):
        a, b = (table[name].slice(0, rows).to_numpy() for table in (ours, theirs))
        deviation = float(np.max(np.abs(a - b))) if rows else 0.0
        outcome.note(name, deviation, EXPOSURE_TOLERANCE if name == "total_wallet_exposure" else 0.0)


def compare_equity(outcome: Outcome, theirs: pa.Table, ours: pa.Table) -> None:
    """Compare equity at the recorded minutes."""
    minutes = theirs["minute"].to_numpy()
    if len(minutes) and ours.num_rows <= minutes[-1]:
        outcome.faults.append(f"the equity ends at minute {ours.num_rows - 1} instead of {minutes[-1]}")
        return
    for currency in ("usd", "btc"):
        a = ours[currency].to_numpy()[minutes]
        b = theirs[f"equity_{currency}"].to_numpy()
        scale = np.maximum(np.abs(b), np.finfo(float).tiny)
        deviation = float(np.max(np.abs(a - b) / scale)) if len(minutes) else 0.0
        outcome.note(f"equity_{currency}", deviation, EQUITY_TOLERANCE)


def compare_analysis(outcome: Outcome, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Compare metrics; null only equals null."""
    for currency, recorded in theirs.items():
        for name, b in recorded.items():
            a = ours[currency][name]
            if (a is None) != (b is None):
                outcome.faults.append(f"{currency} {name} is {a} instead of {b}")
            elif a is not None:
                deviation = abs(a - b) / max(abs(b), sys.float_info.min) if a != b else 0.0
                outcome.note(f"{currency} {name}", deviation, METRIC_TOLERANCE)


def run_all(folder: Path, candles: Path | None) -> Iterator[Outcome]:
    """Run every case of a folder, by name."""
    for path in case_files(folder):
        yield run_case(path, candles)


def main(arguments: list[str] | None = None) -> int:
    """Print what every case of a folder showed; 1: some are beyond tolerance, 2: the folder can't be used."""
    parser = argparse.ArgumentParser(prog="scripts/parity", description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="folder with *.case.json and what was recorded"
    )
    parser.add_argument(
        "--candles", type=Path, help="folder with PANEL.parquet files or PANEL/ candle folders"
    )
    options = parser.parse_args(arguments)
    if not case_files(options.folder):
        print(f"error: {options.folder}: no *.case.json in it", file=sys.stderr)
        return 2
    largest: dict[str, float] = defaultdict(float)
    cases = fills = identical = 0
    try:
        for outcome in run_all(options.folder, options.candles):
            cases += 1
            fills += outcome.fills
            identical += not outcome.faults
            verdict = "; ".join(outcome.faults) or "identical"
            print(f"{outcome.name:<20} {outcome.fills:>8} fills  {verdict}", flush=True)
            for name, deviation in outcome.deviations.items():
                largest[name] = math.nan if math.isnan(deviation) else max(largest[name], deviation)
    except PassivbotError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"\n{cases} cases, {fills} fills, {identical} identical cases")
    print("largest deviation a field (0 where not named):")
    for name, deviation in sorted(largest.items(), key=lambda item: -item[1]):
        if deviation != 0.0:
            print(f"  {name:<40} {deviation:.3g}")
    return 0 if identical == cases else 1


if __name__ == "__main__":
    sys.exit(main())
