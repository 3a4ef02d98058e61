"""Promotion against an account: the real command, real ccxt over TLS, a loopback venue."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from passivbot.cli.main import main
from passivbot.ops import permissions
from passivbot.promotion import promote as module
from passivbot.promotion import read
from passivbot.promotion.history import entries
from tests.promotion.at_venue import AtVenue, at_venue
from tests.promotion.conftest import ACCOUNT, Made


@pytest.fixture
def venue(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AtVenue]:
    with at_venue(made.candles) as running:
        for name, value in running.environment(ACCOUNT).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PASSIVBOT_KEYS_FILE", str(tmp_path / "keys.enc"))
        monkeypatch.setattr(permissions, "connect", running.connect)
        # The dry plan goes by the venue's time.
        monkeypatch.setattr(module, "WallClock", lambda: running)
        monkeypatch.chdir(tmp_path)
        yield running


def promote(made: Made, candidate: int | None = None, *more: str) -> int:
    number = made.good[1] if candidate is None else candidate
    return main(["promote", str(made.folder), "--candidate", str(number), "--to", "main", *more])


def test_from_study_to_live_and_back(
    venue: AtVenue, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promote(made, made.good[1], "--confirm", ACCOUNT) == 0
    shown = capsys.readouterr().out
    for part in ("replay", "unseen data", "worst-case exposure", "minimum cost", "coins", "account", "holds"):
        assert part in shown
    assert "3 of 3 coins are traded" in shown
    assert "first cycle: 0 cancels," in shown
    assert venue.writes() == [], "nothing but questions"
    first = read("main", tmp_path / "live")
    assert first.account == ACCOUNT
    assert first.document["plan"]["creates"] != []
    assert promote(made, made.good[2], "--confirm", ACCOUNT, "--set", "live.leverage=7") == 0
    assert main(["promote", "diff", "main"]) == 0
    shown = capsys.readouterr().out
    assert "live.leverage" in shown
    assert main(["promote", "history", "main"]) == 0
    assert main(["promote", "rollback", "main", "--confirm", ACCOUNT]) == 0
    third = read("main", tmp_path / "live")
    assert third.version == 3
    assert third.config.to_dict() == first.config.to_dict()
    assert (third.document["restores"], third.document["action"]) == (1, "rollback")
    assert [entry.state for entry in entries(tmp_path / "live" / "main")] == ["past", "past", "current"]
    assert venue.writes() == []
