"""Fixtures that every room's tests share."""

import os
import signal
from pathlib import Path

import pytest

from tests.needs import lacking

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# A store of the person who runs the tests is none of theirs.
os.environ.pop("PASSIVBOT_STORE", None)

# A shell ignores Ctrl-C for what it starts in the background, and programs inherit that; the tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder with the real candles and all parity cases; it lies beside the project, not in it."""
    folder = ROOT.parent / "shared"
    if not (folder / "parity").is_dir():
        lacking(f"needs the parity cases and candles in {folder.name}/ beside the project")
    return folder
