"""Versions and the pointer: written once, swapped whole, whatever happens in between."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from passivbot import disk as disk_module
from passivbot.config import Config
from passivbot.errors import PromotionError, ResourceError
from passivbot.promotion import Follower, Promoted, history, read
from passivbot.promotion.history import append, entries, locked, swap
from passivbot.versions import exists, folder_of, names, version_path
from tests.disks import mount, unmount


def document(leverage: float = 10.0, **more: Any) -> dict[str, Any]:
    config = Config()
    live = config.live.model_copy(update={"leverage": leverage})
    config = config.model_copy(update={"live": live})
    return {
        "account": "test_01",
        "action": "promote",
        "candidate": 7,
        "config": config.to_dict(),
        "study": "first",
        **more,
    }


def put(folder: Path, leverage: float = 10.0) -> Promoted:
    with locked(folder):
        promoted = append(folder, document(leverage))
        swap(folder, promoted)
    return promoted


def test_a_version_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = put(tmp_path / "main", 3.0)
    found = read("main", tmp_path)
    assert (found.version, found.sha256, found.config.live.leverage) == (1, written.sha256, 3.0)
    assert found.account == "test_01"
    assert str(found) == "main version 1 (candidate 7 of first)"
    assert names(tmp_path) == ["main"]
    assert exists("main", tmp_path)


def test_nothing_promoted_names_the_nearest(tmp_path: Path) -> None:
    put(tmp_path / "main")
    with pytest.raises(PromotionError, match=r"nothing is promoted to mian \(nearest: main\)"):
        read("mian", tmp_path)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "bots", "a b", "x" * 65])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    assert not exists(name, tmp_path)
    with pytest.raises(PromotionError, match="NAME is"):
        folder_of(name, tmp_path)


def test_a_follower_sees_each_new_version_once(tmp_path: Path) -> None:
    put(tmp_path / "main", 1.0)
    follower = Follower("main", tmp_path)
    assert follower.now.version == 1
    assert follower.poll() is None
    put(tmp_path / "main", 2.0)
    put(tmp_path / "main", 3.0)
    found = follower.poll()
    assert found is not None
    assert (found.version, found.config.live.leverage) == (3, 3.0)
    assert follower.poll() is None


def test_a_follower_keeps_its_version_when_the_new_one_is_damaged(tmp_path: Path) -> None:
    folder = tmp_path / "main"
    put(folder)
    follower = Follower("main", tmp_path)
    (folder / "current").write_text("{")
    with pytest.raises(PromotionError, match="is damaged"):
        follower.poll()
    assert follower.now.version == 1
    assert follower.poll() is None, "the same damage is told once"
    (folder / "current").unlink()
    with pytest.raises(PromotionError, match="is gone; the bot keeps version 1"):
        follower.poll()
    put(folder)
    assert follower.poll() is not None


def test_an_edited_version_is_not_traded(tmp_path: Path) -> None:
    put(tmp_path / "main")
    path = version_path(tmp_path / "main", 1)
    path.chmod(0o644)
    path.write_text(path.read_text().replace('"leverage": 10.0', '"leverage": 90.0'))
    with pytest.raises(PromotionError, match="was changed after it was promoted"):
        read("main", tmp_path)


def test_a_history_that_was_edited_or_shortened_shows_it(tmp_path: Path) -> None:
    folder = tmp_path / "main"
    for leverage in (1.0, 2.0, 3.0):
        put(folder, leverage)
    assert [entry.state for entry in entries(folder)] == ["past", "past", "current"]
    path = version_path(folder, 1)
    content = path.read_text()
    path.chmod(0o644)
    path.write_text(content.replace('"candidate": 7', '"candidate": 8'))
    with pytest.raises(PromotionError, match=r"000001.json: was changed after version 2 was made"):
        entries(folder)
    path.unlink()
    with pytest.raises(PromotionError, match=r"000001.json: version 1 is missing"):
        entries(folder)
    path.write_text(content)
    assert len(entries(folder)) == 3


def test_what_was_never_swapped_in_is_told_apart(tmp_path: Path) -> None:
    folder = tmp_path / "main"
    put(folder)
    with locked(folder):
        append(folder, document(5.0))
    put(folder, 6.0)
    assert [entry.state for entry in entries(folder)] == ["past", "never taken", "current"]


def test_two_promotions_at_once_are_one_and_a_refusal(tmp_path: Path) -> None:
    folder = tmp_path / "main"
    with (
        locked(folder),
        pytest.raises(PromotionError, match=rf"pid {os.getpid()} on .* promotes or rolls back now"),
        locked(folder),
    ):
        pass
    with locked(folder):
        pass


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount(disk, "-t", "tmpfs", "-o", "size=64k", "tmpfs")
    try:
        put(disk / "main", 4.0)
        filler = disk / "filler"
        fill(filler)
        with pytest.raises(ResourceError, match="the disk is full"):
            put(disk / "main", 5.0)
        assert read("main", disk).config.live.leverage == 4.0
        filler.unlink()
        assert put(disk / "main", 6.0).version == 2
        assert len(entries(disk / "main")) == 2
    finally:
        unmount(disk)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass


def killed_at(line: int, action: Callable[[], object]) -> bool:
    """Run an action in a process that kills itself at the n-th line it executes in ``history`` or
    ``disk``.

    Returns whether it got so far.
    """
    pid = os.fork()
    if pid == 0:
        left = line

        def trace(frame: FrameType, event: str, _: object) -> Any:
            nonlocal left
            if frame.f_code.co_filename not in (history.__file__, disk_module.__file__):
                return None
            if event == "line":
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        try:
            sys.settrace(trace)
            action()
        except BaseException:
            os._exit(2)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the promotion itself failed"
    return os.WIFSIGNALED(status)


def test_a_kill_at_any_step_leaves_the_old_version_or_the_new_one(tmp_path: Path) -> None:
    outcomes: list[tuple[bool, str]] = []
    killed = True
    while killed:
        root = tmp_path / str(len(outcomes))
        folder = root / "main"
        put(folder, 1.0)
        killed = killed_at(len(outcomes) + 1, lambda: put(folder, 2.0))  # noqa: B023 it runs at once
        now, known = read("main", root), entries(folder)
        states = [entry.state for entry in known]
        assert known[now.version - 1].state == "current"
        if now.config.live.leverage == 2.0:
            assert states == ["past", "current"]
        else:
            assert now.config.live.leverage == 1.0
            assert states in (["current"], ["current", "never taken"])
        outcomes.append((killed, states[-1] if len(states) == 2 else "nothing"))
        # Whoever comes after goes on as if nothing had been, and leaves no half file.
        assert put(folder, 3.0).version == len(states) + 1
        assert [entry.state for entry in entries(folder)][-1] == "current"
        assert [path.name for path in root.rglob("*.part")] == []
    assert outcomes[-1] == (False, "current"), "without a kill the new version is taken"
    assert len(outcomes) > 60
    assert {state for killed, state in outcomes if killed} == {"nothing", "never taken", "current"}


def test_a_reader_never_meets_half_a_swap(tmp_path: Path) -> None:
    folder = tmp_path / "main"
    put(folder, 1.0)
    follower = Follower("main", tmp_path)
    pid = os.fork()
    if pid == 0:
        try:
            for number in range(2, 82):
                put(folder, float(number))
        except BaseException:
            os._exit(2)
        os._exit(0)
    seen = [1]
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        assert read("main", tmp_path).version >= seen[-1]
        found = follower.poll()
        if found is not None:
            assert found.config.live.leverage == float(found.version)
            seen.append(found.version)
    follower.poll()
    assert follower.now.version == 81
    assert seen == sorted(set(seen))
    assert len(seen) > 10, "it read while it was written"
