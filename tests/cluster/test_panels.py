"""Files of panels where something fails; between machines they are tried in nodes."""

import errno
from pathlib import Path
from typing import BinaryIO

import pytest

from cluster import panels
from passivbot.errors import CandleError


def test_a_place_that_is_full_keeps_no_part_of_a_panel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The disk that fills up on the way is the one thing that can't be had for real here."""
    source = tmp_path / "panel.arrow"
    source.write_bytes(b"1" * 1000)
    place = tmp_path / "shared"

    def fill(source: BinaryIO, sink: BinaryIO) -> None:
        sink.write(source.read(10))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(panels, "_copy", fill)
    with pytest.raises(CandleError, match="shared: can't be written"):
        panels._upload(source, panels.SharedFile("0" * 64, 1000, str(place)), str(place))
    assert list(place.iterdir()) == []
