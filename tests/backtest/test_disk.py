"""A report on a full disk and in a folder that can't be written: one message, nothing left behind."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from passivbot.backtest import Report
from passivbot.errors import ResourceError
from tests.disks import mount, unmount


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte. Root ignores mode bits, so only a mount can be full or read-only."""
    place = tmp_path / "mount"
    place.mkdir()
    mount(place, "-t", "tmpfs", "-o", "size=1m", "none")
    yield place
    unmount(place)


@pytest.mark.parametrize("plots", [True, False])
def test_full_disk(report: Report, mounted: Path, plots: bool) -> None:
    (mounted / "ballast").write_bytes(bytes(40_000 if plots else 1_000_000))
    with pytest.raises(ResourceError) as caught:
        report.write(mounted / "report", plots=plots)
    assert str(caught.value).startswith(f"{mounted}/report: can't be written (")
    assert "No space left on device" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in mounted.iterdir()] == ["ballast"]


def test_read_only_folder(report: Report, mounted: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    with pytest.raises(ResourceError) as caught:
        report.write(mounted / "report")
    assert str(caught.value) == f"{mounted}/report: can't be written (Read-only file system)"
    with pytest.raises(ResourceError, match=r"can't be written \(Read-only file system\)"):
        report.write(mounted / "deeper" / "report")
