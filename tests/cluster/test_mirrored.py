"""The whole head is lost in mid-run, its folder with it; the study goes on from its mirror."""

import shutil
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cluster.test_optimize import ARGUMENTS, front, program, started, wait_for_rows

ENDLESS = (*ARGUMENTS, "--iters", "1000000", "--no-page")
"""However fast the machine, it is killed in mid-run."""


def test_a_lost_head_is_resumed_from_the_mirror(tmp_path: Path) -> None:
    store = tmp_path / "store"
    arguments = (*ENDLESS, "--study", "lost", "--workers", "2", "--mirror", f"file://{store}")
    driver = started("optimize", *arguments, cwd=tmp_path)
    wait_for_rows(driver, tmp_path / "lost", 60)
    until_mirrored(store / "lost" / "rows")
    driver.kill()
    text = driver.communicate()[0]
    assert "finished" not in text
    assert f"mirror: file://{store}/lost\n" in text
    shutil.rmtree(tmp_path / "lost")
    there = sum(pq.read_metadata(file).num_rows for file in (store / "lost" / "rows").glob("*.parquet"))
    budget = str(there + 100)

    resumed = program(
        "optimize", "--resume", "--from-mirror", f"{store}/lost", "--iters", budget, "--no-page", cwd=tmp_path
    )
    assert resumed.returncode == 0, resumed.stderr
    assert f"restored: studies/lost, {there:,} candidates" in resumed.stdout
    assert f"mirror: {store}/lost\n" in resumed.stdout
    plain = program("optimize", *ARGUMENTS, "--iters", budget, "--study", "whole", "--no-page", cwd=tmp_path)
    assert plain.returncode == 0, plain.stderr
    assert front(tmp_path / "studies" / "lost", tmp_path) == front(tmp_path / "whole", tmp_path)

    # The mirror went on with it: it gives the finished study.
    again = program("study", "restore", f"{store}/lost", "--out", "again", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert f"again: {int(budget):,} candidates" in again.stdout
    assert front(tmp_path / "again", tmp_path) == front(tmp_path / "whole", tmp_path)


def until_mirrored(folder: Path) -> None:
    until = time.monotonic() + 60
    while not list(folder.glob("*.parquet")):
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--from-mirror", "nowhere"), "--from-mirror needs --resume"),
        (("--resume", "--from-mirror", "nowhere"), "nowhere: no mirror of a study"),
        (("--mirror", "pole://x"), "pole://x/s: not a place for a mirror"),
        (("--mirror", "/proc/none"), "/proc/none/s: the mirror can't be reached"),
        (("--until", "tomorrow"), "--until is 'tomorrow'; allowed is hypervolume-stalls"),
        (("--hours", "0"), "--hours is 0.0; allowed is a number above 0"),
        (("--weight", "-1"), "--weight is -1.0; allowed is a number above 0"),
    ],
)
def test_what_can_not_be_done_is_one_line(args: tuple[str, ...], message: str, tmp_path: Path) -> None:
    study = () if "--from-mirror" in args else ("--study", "s")
    refused = program("optimize", *ARGUMENTS, *study, "--no-page", *args, cwd=tmp_path)
    assert refused.returncode == 2, refused.stderr
    errors = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert not (tmp_path / "s").exists()
