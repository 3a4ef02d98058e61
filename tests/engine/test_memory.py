"""What a batch needs beside the candles: a bound, whatever the panel's size."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")

ROOT = Path(__file__).resolve().parents[2]
BOUND = 64_000_000


@pytest.fixture(scope="module")
def measured() -> dict[str, int]:
    command = [sys.executable, "-m", "tests.engine.batch_peak"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    figures: dict[str, int] = json.loads(done.stdout)
    return figures


def test_the_measure_sees_a_copy(measured: dict[str, int]) -> None:
    assert measured["a copy of a column"] > 0.9 * measured["column"]


@pytest.mark.parametrize("metrics", ["daily", "all"])
def test_a_batch_of_64_stays_under_64_mb(measured: dict[str, int], metrics: str) -> None:
    """The panel is much larger: nothing may copy it, and no run's series may pile up."""
    assert measured["panel"] > 2 * BOUND
    assert measured[metrics] < BOUND


def test_tables_are_at_most_30_percent_of_the_panel(measured: dict[str, int]) -> None:
    assert measured["tables"] <= 0.3 * measured["panel"]
