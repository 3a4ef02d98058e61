"""What the tests of real nodes need: namespaces, and a place that a failure leaves to be looked at."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.nodes.sandbox import Sandbox, missing
from tests.needs import lacking


@pytest.fixture(scope="session")
def privilege() -> None:
    """Skip where namespaces can't be made; with CI set, fail."""
    if reason := missing():
        lacking(reason)


@pytest.fixture(scope="module")
def sandbox(privilege: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Yield machines to switch on; what they wrote stays in the temporary folder if a test fails."""
    folder = tmp_path_factory.mktemp("nodes")
    with Sandbox(folder) as made:
        yield made
    for left in folder.glob("node*/ray/session_*/sockets"):
        shutil.rmtree(left, ignore_errors=True)


@pytest.fixture(scope="session")
def real_candles() -> Path | None:
    """Return a folder of real candles, None for the demo candles where there is none."""
    folder = Path(__file__).resolve().parent.parent.parent.parent.parent / "shared" / "candles" / "spot-2024"
    if folder.is_dir():
        return folder
    if os.environ.get("CI"):
        pytest.fail("needs the real candles in shared/ beside the project")
    return None
