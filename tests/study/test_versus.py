"""Fronts side by side."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from passivbot.cli.main import main
from passivbot.errors import StudyError
from passivbot.study.study import Study
from passivbot.study.versus import compare, differences
from tests.short_study import write_short


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Forty candidates; the first fifteen of them; both with another objective, or on other days."""
    root = tmp_path_factory.mktemp("studies")
    write_short(root / "many", 40)
    write_short(root / "few", 15)
    write_short(root / "other", 15, "optimize.scoring=adg,sharpe_ratio")
    write_short(root / "later", 15, end="2025-03-10")
    write_short(root / "strict", 15, "optimize.limits=--drawdown_worst 0.2")
    write_short(root / "none", 15, "optimize.limits=--drawdown_worst 0.00000001")
    return {folder.name: folder for folder in root.iterdir()}


@pytest.fixture
def opened(folders: dict[str, Path]) -> Iterator[dict[str, Study]]:
    studies = {name: Study.open(folder) for name, folder in folders.items()}
    yield studies
    for study in studies.values():
        study.log.close()


def test_more_candidates_are_nowhere_worse(opened: dict[str, Study]) -> None:
    few, many = compare([opened["few"], opened["many"]])
    assert (few.told, many.told) == (15, 40)
    assert many.beaten == 0
    assert many.shared == len(many.members)
    a, b = few.members.objectives, many.members.objectives
    dominated = [bool(((b <= row).all(axis=1) & (b < row).any(axis=1)).any()) for row in a]
    assert few.beaten == sum(dominated)
    assert few.shared == len(a) - sum(dominated)
    assert 0 < few.hypervolume < many.hypervolume
    # The order in which they are named does not matter.
    again = compare([opened["many"], opened["few"]])
    assert np.allclose([side.hypervolume for side in again], [many.hypervolume, few.hypervolume], rtol=1e-12)


def test_what_does_not_compare(opened: dict[str, Study]) -> None:
    with pytest.raises(StudyError, match=r"objectives are adg, sharpe_ratio, those of .* are adg, drawdown"):
        compare([opened["few"], opened["other"]])
    with pytest.raises(StudyError, match="has no front"):
        compare([opened["few"], opened["none"]])
    assert differences([opened["few"], opened["many"]]) == []
    assert differences([opened["few"], opened["later"]]) == [
        "later ran on other candles than few: its metrics do not compare"
    ]
    assert differences([opened["few"], opened["strict"]]) == [
        "strict has other limits than few: its front keeps those"
    ]


def test_command(folders: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "compare", str(folders["few"]), str(folders["many"])]) == 0
    out, _ = capsys.readouterr()
    assert "(100.0%)" in next(line for line in out.splitlines() if line.startswith("many"))
    assert "(100.0%)" not in next(line for line in out.splitlines() if line.startswith("few"))
    assert main(["study", "compare", str(folders["few"])]) == 2
    assert "needed are two studies or more" in capsys.readouterr().err
