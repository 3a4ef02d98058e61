"""What the reference engine recorded: every case agrees, and the runner notices when one does not."""

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT / "tests" / "fixtures" / "parity"
CASE = "listings-03"


def load_runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("_parity", ROOT / "scripts" / "_parity.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["_parity"] = module
    spec.loader.exec_module(module)
    return module


runner = load_runner()


def faults(folder: Path, candles: Path | None = None) -> dict[str, list[str]]:
    return {outcome.name: outcome.faults for outcome in runner.run_all(folder, candles) if outcome.faults}


@pytest.mark.parametrize("path", runner.case_files(RECORDED / "cases"), ids=lambda path: path.name[:-10])
def test_recorded_case(path: Path) -> None:
    outcome = runner.run_case(path)
    assert outcome.faults == []
    assert outcome.fills == json.loads(path.read_text())["fills"] > 0


def test_recorded_cases_are_a_good_sample() -> None:
    cases = [json.loads(path.read_text()) for path in runner.case_files(RECORDED / "cases")]
    assert {case["panel"] for case in cases} == {"crash", "delist", "gaps", "listings"}
    assert sum(case["btc_collateral"] for case in cases) == 2
    assert sum(bool(case["coin_overrides"]) for case in cases) >= 4
    assert max(len(case["coins"]) for case in cases) == 3


def test_all_synthetic_cases(shared_dir: Path) -> None:
    folder = shared_dir / "parity" / "synthetic" / "cases"
    assert len(runner.case_files(folder)) == 48
    assert faults(folder) == {}


def test_all_real_cases(shared_dir: Path) -> None:
    folder = shared_dir / "parity" / "real"
    assert len(runner.case_files(folder)) == 24
    assert faults(folder) == {}


# -- what the comparison notices ---------------------------------------------------------------------


def copy_case(folder: Path) -> Path:
    """Copy what belongs to one case; its candles stay where they are."""
    for path in (RECORDED / "cases").glob(f"{CASE}.*"):
        shutil.copy(path, folder)
    return folder


def change_column(path: Path, name: str, change: Callable[[np.ndarray], None]) -> None:
    columns = pq.read_table(path).to_pydict()
    values = np.array(columns[name])
    change(values)
    columns[name] = values.tolist()
    pq.write_table(pa.table(columns, schema=pq.read_schema(path)), path)


def one_ulp(row: int) -> Callable[[np.ndarray], None]:
    def change(values: np.ndarray) -> None:
        values[row] = np.nextafter(values[row], np.inf)

    return change


@pytest.mark.parametrize("name", runner.EXACT)
def test_every_column_of_the_fills_is_exact(tmp_path: Path, name: str) -> None:
    copy_case(tmp_path)
    fills = tmp_path / f"{CASE}.fills.parquet"
    if name == "minute":
        change_column(fills, name, lambda minutes: np.add.at(minutes, -1, 1))
    else:
        change_column(fills, name, one_ulp(-1))
    (fault,) = faults(tmp_path, RECORDED / "panels")[CASE]
    assert fault.startswith(f"{name} deviates by")


@pytest.mark.parametrize(("name", "text"), [("coin", "LI00"), ("order_type", "close_grid_long")])
def test_texts_of_the_fills_are_exact(tmp_path: Path, name: str, text: str) -> None:
    copy_case(tmp_path)
    change_column(tmp_path / f"{CASE}.fills.parquet", name, lambda texts: texts.put(0, text))
    assert faults(tmp_path, RECORDED / "panels") == {CASE: [f"{name} differs"]}


@pytest.mark.parametrize(
    ("column", "factor", "notices"),
    [("total_wallet_exposure", 1 + 1e-10, True), ("total_wallet_exposure", 1 + 1e-15, False)],
)
def test_total_exposure_has_a_tolerance(tmp_path: Path, column: str, factor: float, notices: bool) -> None:
    copy_case(tmp_path)
    fills = tmp_path / f"{CASE}.fills.parquet"
    change_column(fills, column, lambda values: np.multiply.at(values, 0, factor))
    assert bool(faults(tmp_path, RECORDED / "panels")) == notices


@pytest.mark.parametrize(("factor", "notices"), [(1 + 1e-11, True), (1 + 1e-13, False)])
def test_equity_has_a_tolerance(tmp_path: Path, factor: float, notices: bool) -> None:
    copy_case(tmp_path)
    equity = tmp_path / f"{CASE}.equity.parquet"
    change_column(equity, "equity_usd", lambda values: np.multiply.at(values, 7, factor))
    assert bool(faults(tmp_path, RECORDED / "panels")) == notices


@pytest.mark.parametrize(
    ("metric", "change", "fault"),
    [
        ("adg", lambda value: value * (1 + 1e-8), "usd adg deviates by 1e-08"),
        ("adg", lambda value: value * (1 + 1e-10), None),
        ("adg", lambda value: None, "usd adg is "),
    ],
)
def test_metrics_have_a_tolerance(
    tmp_path: Path, metric: str, change: Callable[[float], float | None], fault: str | None
) -> None:
    copy_case(tmp_path)
    path = tmp_path / f"{CASE}.analysis.json"
    analysis: dict[str, Any] = json.loads(path.read_text())
    analysis["usd"][metric] = change(analysis["usd"][metric])
    path.write_text(json.dumps(analysis))
    found = faults(tmp_path, RECORDED / "panels").get(CASE, [])
    assert len(found) == (fault is not None)
    assert fault is None or found[0].startswith(fault)


def test_missing_and_additional_fills_are_noticed(tmp_path: Path) -> None:
    copy_case(tmp_path)
    path = tmp_path / f"{CASE}.fills.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(0, table.num_rows - 1), path)
    assert faults(tmp_path, RECORDED / "panels") == {CASE: ["13 fills instead of 12"]}


# -- the program -------------------------------------------------------------------------------------


def program(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [ROOT / "scripts" / "parity", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_program(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "cases").mkdir()
    copy_case(tmp_path / "cases")

    good = program(tmp_path / "cases", "--candles", RECORDED / "panels")
    assert good.returncode == 0
    assert "listings-03                13 fills  identical\n" in good.stdout
    assert "\n1 cases, 13 fills, 1 identical cases\n" in good.stdout

    change_column(tmp_path / "cases" / f"{CASE}.fills.parquet", "balance", one_ulp(3))
    changed = program(tmp_path / "cases", "--candles", RECORDED / "panels")
    assert changed.returncode == 1
    assert "13 fills  balance deviates by 1.14e-13\n" in changed.stdout
    assert "\n1 cases, 13 fills, 0 identical cases\n" in changed.stdout

    empty = program(tmp_path / "empty")
    assert (empty.returncode, empty.stdout) == (2, "")
    assert empty.stderr == f"error: {tmp_path / 'empty'}: no *.case.json in it\n"

    without_candles = program(tmp_path / "cases")
    assert without_candles.returncode == 2
    assert "the candles 'listings' of a case are in none of" in without_candles.stderr
