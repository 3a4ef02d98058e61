"""Keys in places of the test's own: nothing here reads or writes what the user has."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backends import fail

from passivbot.ops import vault
from tests.ops.ring_of_file import FileKeyring

SECRET = "s3cret-" + "q8XzPl0vTr" * 4
KEY = "k3y-" + "Ab9ZyLw2Mn" * 3
BYBIT = {"exchange": "bybit", "key": KEY, "secret": SECRET}
PASSPHRASE = "correct horse battery"


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("PASSIVBOT_KEYS_PASSPHRASE_FILE", "CREDENTIALS_DIRECTORY", "PASSIVBOT_KEYS_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PASSIVBOT_KEYS_FILE", str(tmp_path / "keys.enc"))
    # The work of real files takes half a second each; one test has it.
    monkeypatch.setattr(vault, "_COST", {"n": 2**12, "p": 1, "r": 8})
    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())
    yield
    keyring.set_keyring(before)


@pytest.fixture
def ring_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working keyring, and its file."""
    path = tmp_path / "ring.json"
    monkeypatch.setenv("TEST_KEYRING", str(path))
    keyring.set_keyring(FileKeyring())
    return path


@pytest.fixture
def passphrase(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PASSIVBOT_KEYS_PASSPHRASE", PASSPHRASE)
    return PASSPHRASE


@pytest.fixture
def key_file(tmp_path: Path) -> Callable[..., Path]:
    def write(document: Any = None, mode: int = 0o600) -> Path:
        path = tmp_path / "api-keys.json"
        path.write_text(
            document if isinstance(document, str) else json.dumps(document or {"bybit_01": BYBIT})
        )
        path.chmod(mode)
        return path

    return write
