"""A wheel built from this checkout, once for all tests of this folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import needed

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release wheel. Cargo is kept offline: what it needs is there since the environment was built."""
    needed("cargo")
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "maturin", "build", "--release", "--offline", "--quiet", "--out", str(out)],
        cwd=ROOT,
        check=True,
    )
    (built,) = out.glob("*.whl")
    return built
