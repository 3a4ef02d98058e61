"""Disks that are full or can't be written: real ones, so it needs the right to mount."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from passivbot.cli.main import main
from passivbot.config.resources import configs_dir
from passivbot.errors import ResourceError
from passivbot.study import StudyLog
from tests import disks
from tests.cluster.toy import create, metrics_of, run

Mount = Callable[[str], Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mount a tmpfs with these options below the test's folder."""
    mounted: list[Path] = []

    def make(options: str) -> Path:
        folder = tmp_path / "disk"
        folder.mkdir(exist_ok=True)
        disks.mount(folder, "-t", "tmpfs", "-o", options, "tmpfs")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        disks.unmount(folder)


@pytest.mark.usefixtures("ray_cluster")
def test_full_disk_ends_the_run_and_the_study_goes_on_with_room(mount: Mount) -> None:
    disk = mount("size=1m")
    with create(disk / "s", search="random") as log, pytest.raises(ResourceError, match="the disk is full"):
        run(log, budget=20_000)
    with StudyLog.open(disk / "s") as log:
        rows = log.read()
        assert 100 < len(rows) < 20_000
        assert np.array_equal(rows.metrics, metrics_of(rows.parameters))
        budget = len(rows) + 200
    subprocess.run(["mount", "-o", "remount,size=30m", str(disk)], check=True)
    with StudyLog.open(disk / "s", write=True) as log:
        assert run(log, budget=budget).finished
        assert np.array_equal(log.read().numbers[:budget], np.arange(budget))


def test_read_only_folder_is_one_line(mount: Mount, capsys: pytest.CaptureFixture[str]) -> None:
    disk = mount("ro,size=1m")
    config = str(configs_dir() / "quickstart.json")
    assert main(["optimize", config, "--coins", "BTC", "--study", str(disk / "s")]) == 2
    error = capsys.readouterr().err
    assert f"error: {disk / 's'}" in error
    assert "Read-only file system" in error
