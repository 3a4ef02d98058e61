"""A keyring backend for tests: a JSON file that ``TEST_KEYRING`` names; keyring itself is the real one."""

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.compat import properties
from keyring.errors import KeyringLocked, PasswordDeleteError


class FileKeyring(KeyringBackend):
    @properties.classproperty
    def priority(cls) -> float:
        # keyring takes any subclass it finds for a backend: this one only where a test asks for it.
        if "TEST_KEYRING" not in os.environ:
            raise RuntimeError("for tests only")
        return 9.0

    def _read(self) -> dict[str, str]:
        path = Path(os.environ["TEST_KEYRING"])
        if path.with_suffix(".locked").exists():
            raise KeyringLocked("the collection is locked")
        return json.loads(path.read_text()) if path.exists() else {}

    def _write(self, entries: dict[str, str]) -> None:
        Path(os.environ["TEST_KEYRING"]).write_text(json.dumps(entries))

    def get_password(self, service: str, username: str) -> str | None:
        return self._read().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._write({**self._read(), f"{service}/{username}": password})

    def delete_password(self, service: str, username: str) -> None:
        entries = self._read()
        if entries.pop(f"{service}/{username}", None) is None:
            raise PasswordDeleteError(username)
        self._write(entries)
