"""Promotion against an account: the real command, real ccxt over TLS, a loopback venue."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from passivbot.cli.main import main
from passivbot.errors import PromotionError
from passivbot.exchanges.types import NewOrder
from passivbot.live.source import PromotedSource
from passivbot.ops import permissions
from passivbot.promotion import promote as module
from passivbot.promotion import read
from passivbot.promotion.checks import Check
from passivbot.promotion.history import append, entries, locked
from passivbot.promotion.promote import propose, take
from passivbot.study.study import Study
from passivbot.venue.account import ApiKey
from passivbot.versions import version_path
from tests.promotion.at_venue import AtVenue, at_venue
from tests.promotion.conftest import ACCOUNT, Made, make_study


@pytest.fixture(params=["binanceusdm"])
def venue(
    request: pytest.FixtureRequest, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AtVenue]:
    with at_venue(made.candles, name=request.param) as running:
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


@pytest.mark.parametrize("venue", ["binanceusdm", "bybit", "okx"], indirect=True)
def test_from_study_to_live_and_back(
    venue: AtVenue, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promote(made, made.good[1], "--confirm", ACCOUNT) == 0
    shown = capsys.readouterr().out
    for part in ("replay", "unseen data", "worst-case exposure", "minimum cost", "coins", "account", "holds"):
        assert part in shown
    assert "3 of 3 coins are traded" in shown
    assert "dry plan: 0 cancels," in shown
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


def refused(capsys: pytest.CaptureFixture[str], code: int, expected: int, *parts: str) -> None:
    """The exit code, and what was said; nothing became live by it."""
    captured = capsys.readouterr()
    shown = " ".join((captured.out + captured.err).split())
    assert code == expected, shown
    for part in parts:
        assert part in shown
    assert not Path("live/main/current").exists()


CONFIRM = ("--confirm", ACCOUNT)


def test_a_name_that_is_not_typed_changes_nothing(
    venue: AtVenue, made: Made, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(capsys, promote(made, None, "--confirm", "test_02"), 1, "not confirmed; nothing was changed")
    for typed in ("", "y\n", "TEST_01\n"):
        monkeypatch.setattr("sys.stdin", StringIO(typed))
        refused(capsys, promote(made), 1, "Type the name of the account", "not confirmed")
    monkeypatch.setattr("sys.stdin", StringIO(f"{ACCOUNT}\n"))
    assert promote(made) == 0


def test_a_balance_that_is_too_small_refuses(
    venue: AtVenue, made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    venue.core.balance = 60.0
    refused(
        capsys, promote(made, None, *CONFIRM), 1, "minimum cost; nothing was changed", "from a balance of"
    )
    venue.core.balance = 0.0
    refused(capsys, promote(made, None, *CONFIRM), 1, "the balance is not above 0")


def test_coins_that_are_not_traded_refuse_until_they_are_left_out(
    venue: AtVenue, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    venue.venue.source.change("SOL", active=False)
    refused(
        capsys,
        promote(made, None, *CONFIRM),
        1,
        "refused: coins",
        "2 of 3 coins are traded",
        "SOL",
        "--set live.ignored_coins=COIN",
    )
    assert promote(made, None, *CONFIRM, "--set", "live.ignored_coins=SOL") == 0
    promoted = read("main", tmp_path / "live")
    assert promoted.config.live.approved_coins["long"] == ("BTC", "ETH")
    (check,) = [c for c in promoted.document["checks"] if c["name"] == "unseen data"]
    assert check["figures"]["coins"] == ["BTC", "ETH"], "what is traded is what was tried"


def test_keys_that_may_too_much_or_too_little_refuse(
    venue: AtVenue, made: Made, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def use(*permissions: str) -> ApiKey:
        key = venue.venue.account(venue.name).new_key(permissions=frozenset({"read", *permissions}))
        for name, value in venue.environment(ACCOUNT, key).items():
            monkeypatch.setenv(name, value)
        return key

    use("trade", "withdraw")
    refused(capsys, promote(made, None, *CONFIRM), 1, "refused: account", "the key may withdraw")
    assert main(["keys", "check", ACCOUNT]) == 1
    refused(capsys, 1, 1, "may withdraw: yes", "refused: the key may withdraw")
    use()
    refused(capsys, promote(made, None, *CONFIRM), 1, "refused: account", "the key may not trade")
    use("trade").revoked = True
    refused(capsys, promote(made, None, *CONFIRM), 2, "the account can't be read: not authorised")
    assert main(["keys", "check", ACCOUNT]) == 2
    refused(capsys, 2, 2, "does not take the key")
    down = venue.venue.faults.add("*", "status", times=99)
    assert main(["keys", "check", ACCOUNT]) == 2
    refused(capsys, 2, 2, "can't be asked about the key")
    assert down.met
    venue.venue.faults.clear()
    use("trade")
    assert main(["keys", "check", ACCOUNT]) == 0
    shown = capsys.readouterr().out
    assert "may trade: yes" in shown
    assert "balance: 10,000.00 USDT, positions: 0" in shown


def test_an_exchange_that_does_not_answer_refuses(
    venue: AtVenue, made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    venue.venue.faults.add(kind="status", status=503, times=100, operation="balance")
    refused(capsys, promote(made, None, *CONFIRM), 2, "error: ")


def test_the_cap_is_kept_from_version_to_version(
    venue: AtVenue, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, promote(made, None, *CONFIRM, "--max-exposure", "0.4"), 1, "refused: worst-case exposure")
    assert promote(made, None, *CONFIRM, "--max-exposure", "1.75") == 0
    assert promote(made, made.good[2], *CONFIRM) == 0
    assert read("main", tmp_path / "live").document["max_exposure"] == 1.75
    # The bot has it from there.
    assert PromotedSource("main", tmp_path / "live").cap == 1.75
    capsys.readouterr()
    assert main(["promote", "history", "main", "--json"]) == 0
    assert [version["max_exposure"] for version in json.loads(capsys.readouterr().out)] == [1.75, 1.75]
    assert main(["promote", "history", "main"]) == 0
    assert capsys.readouterr().out.count("1.75") == 2


def test_every_check_of_the_study_refuses_the_command(
    venue: AtVenue, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, promote(made, made.stopped, *CONFIRM), 1, "refused: limits", "was stopped in the study")
    refused(capsys, promote(made, made.failed, *CONFIRM), 2, "failed: killed its worker twice")
    off = make_study(tmp_path / "off", made.candles, nudged="adg")
    refused(capsys, promote(off, None, *CONFIRM), 1, "refused: replay", "adg: logged")
    whole = make_study(tmp_path / "whole", made.candles, start="2025-03-04", end="2025-03-31")
    refused(capsys, promote(whole, None, *CONFIRM), 1, "refused: unseen data", "needed are 7")
    assert promote(whole, None, *CONFIRM, "--waive", "unseen=a week of paper trading instead") == 0
    assert main(["promote", "history", "main"]) == 0
    assert "unseen data: a week of paper" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("waiver", ["replay=no", "worst-case exposure=no", "unseen", "unseen= ", "=x"])
def test_nothing_else_can_be_waived_and_not_without_a_reason(
    waiver: str,
    made: Made,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(capsys, promote(made, None, "--waive", waiver), 2, "allowed is unseen=REASON or account=REASON")


def test_without_keys_it_is_said_before_anything_is_run(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PASSIVBOT_KEYS_FILE", str(tmp_path / "keys.enc"))
    refused(capsys, promote(made, None, *CONFIRM), 2, f"there are no keys of the account {ACCOUNT}")
    assert promote(made, None, *CONFIRM, "--waive", "account=only for paper trading") == 0
    document = read("main", tmp_path / "live").document
    assert document["plan"] is None
    assert [c["name"] for c in document["checks"] if c["state"] == "waived"] == ["account"]


def test_positions_that_are_there_are_told(
    venue: AtVenue, made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    async def hold() -> None:
        async with venue.connect(
            venue.name, {"apiKey": venue.key.key, "secret": venue.key.secret}
        ) as exchange:
            await exchange.set_up_account()
            (outcome,) = await exchange.create([NewOrder(f"{1:028x}", "BTC", "long", 0.1, None)])
            assert outcome.ok, outcome

    asyncio.run(hold())
    before = len(venue.writes())
    assert promote(made, None, *CONFIRM) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 positions" in shown
    assert "BTC long at exposure 0.6" in shown
    assert len(venue.writes()) == before


def test_a_proposal_is_not_taken_over_another_version(venue: AtVenue, made: Made) -> None:
    with Study.open(made.folder) as study:
        older = propose(study, "main", candidate=made.good[1])
        newer = propose(study, "main", candidate=made.good[2])
    with pytest.raises(PromotionError, match="not confirmed"):
        take(older, "test_02")
    assert take(newer, ACCOUNT).version == 1
    with pytest.raises(PromotionError, match="version 1 became current meanwhile; look at it again"):
        take(older, ACCOUNT)
    bad = replace(older, checks=[Check("limits", "fails", "breaks")])
    with pytest.raises(PromotionError, match="refused: limits: breaks"):
        take(bad, ACCOUNT)


def test_rollback_refuses_what_was_never_live(
    venue: AtVenue, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["promote", "rollback", "main"]) == 2
    refused(capsys, 2, 2, "nothing is promoted to main")
    assert promote(made, None, *CONFIRM) == 0
    folder = tmp_path / "live" / "main"
    assert main(["promote", "rollback", "main", *CONFIRM]) == 2
    assert "version 1 is the first" in capsys.readouterr().err
    with locked(folder):
        append(folder, {k: v for k, v in read("main", folder.parent).document.items() if k != "before"})
    assert promote(made, made.good[2], *CONFIRM) == 0
    assert main(["promote", "rollback", "main", "--version", "2", *CONFIRM]) == 2
    assert "allowed is one that was live: 1" in capsys.readouterr().err
    assert main(["promote", "rollback", "main", "--confirm", "other"]) == 1
    path = version_path(folder, 1)
    path.chmod(0o644)
    path.write_text(path.read_text().replace('"n_positions": ', '"n_positions": 1'))
    assert main(["promote", "rollback", "main", *CONFIRM]) == 2
    assert "was changed after version 2 was made" in capsys.readouterr().err
    assert main(["promote", "history", "main"]) == 2
    assert read("main", folder.parent).version == 3


def test_no_secret_is_written_anywhere(
    venue: AtVenue, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promote(made, None, *CONFIRM) == 0
    assert main(["promote", "history", "main", "--json"]) == 0
    shown = capsys.readouterr().out
    assert json.loads(shown[shown.index("[\n") :])[0]["state"] == "current"
    for secret in (venue.key.key, venue.key.secret):
        assert secret not in shown
        found = [
            path
            for root in (tmp_path, made.folder)
            for path in root.rglob("*")
            if path.is_file() and secret.encode() in path.read_bytes()
        ]
        assert found == []
