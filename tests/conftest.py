"""Fixtures that every room's tests share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder with the real candles and all parity cases; it lies beside the project, not in it."""
    folder = ROOT.parent / "shared"
    if not (folder / "parity").is_dir():
        message = f"needs the parity cases and candles in {folder.name}/ beside the project"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder
