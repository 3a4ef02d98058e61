"""The whole head is lost in mid-run, its folder with it; the study goes on from its mirror."""

import shutil
import time
from pathlib import Path

import pytest

from tests.cluster.test_optimize import ARGUMENTS, front, program, started, wait_for_rows

BUDGET = 2500
"""The mirror's first rows are there after three seconds; the study has to last longer."""
LONGER = (*ARGUMENTS, "--iters", str(BUDGET), "--no-page")


def test_a_lost_head_is_resumed_from_the_mirror(tmp_path: Path) -> None:
    plain = program("optimize", *LONGER, "--study", "whole", "--workers", "2", cwd=tmp_path)
    assert plain.returncode == 0, plain.stderr

    store = tmp_path / "store"
    arguments = (*LONGER, "--study", "lost", "--workers", "2", "--mirror", f"file://{store}")
    driver = started("optimize", *arguments, cwd=tmp_path)
    wait_for_rows(driver, tmp_path / "lost", 60)
    until_mirrored(store / "lost" / "rows")
    driver.kill()
    text = driver.communicate()[0]
    assert "finished" not in text
    assert f"mirror: file://{store}/lost\n" in text
    shutil.rmtree(tmp_path / "lost")

    resumed = program("optimize", "--resume", "--from-mirror", f"{store}/lost", "--no-page", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "restored: studies/lost, " in resumed.stdout
    assert f"mirror: {store}/lost\n" in resumed.stdout
    assert front(tmp_path / "studies" / "lost", tmp_path) == front(tmp_path / "whole", tmp_path)

    # The mirror went on with it: it gives the finished study.
    again = program("study", "restore", f"{store}/lost", "--out", "again", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert f"again: {BUDGET:,} candidates" in again.stdout
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
