"""Keys in an encrypted file: scrypt makes the key from a passphrase, Fernet (AES-CBC, HMAC) encrypts.

The passphrase comes from ``PASSIVBOT_KEYS_PASSPHRASE``, from the file that ``PASSIVBOT_KEYS_PASSPHRASE_FILE``
names, from a systemd credential ``passivbot-passphrase``, or is asked for on a terminal.
"""

import base64
import getpass
import json
import os
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidKey
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from passivbot.disk import replace_file, unwritable
from passivbot.errors import KeysError, located
from passivbot.ops import redact
from passivbot.ops.environment import PASSPHRASE

FORMAT = "passivbot-keys/1"
PASSPHRASE_FILE = f"{PASSPHRASE}_FILE"
CREDENTIAL = "passivbot-passphrase"
PLACE = "PASSIVBOT_KEYS_FILE"
# 128 MiB and about half a second a guess: RFC 7914, OWASP's parameters of 2023.
_COST = {"n": 2**17, "p": 1, "r": 8}
_LARGEST_N = 2**20


class Vault:
    """An encrypted file of keys.

    Parameters
    ----------
    path
        The file; it need not exist.
    passphrase
        Called once, when the file is first read or written; ``True`` for a new file, whose passphrase is to
        be typed twice.
    """

    def __init__(self, path: Path, passphrase: Callable[[Path, bool], str] | None = None) -> None:
        self.path = path
        self._ask = passphrase or asked_passphrase
        self._passphrase: str | None = None

    def __repr__(self) -> str:
        return f"Vault({str(self.path)!r})"

    def find(self, account: str) -> dict[str, Any] | None:
        """Return the entry of an account, or None; a file that is not there is empty.

        Raises
        ------
        KeysError
            As :meth:`entries`.
        """
        return self.entries().get(account) if self.path.exists() else None

    def entries(self) -> dict[str, dict[str, Any]]:
        """Return account → entry.

        Raises
        ------
        KeysError
            The file can't be read, others can read it, it is damaged, or the passphrase is wrong.
        """
        if not self.path.exists():
            return {}
        content = read_private(self.path)
        try:
            document = json.loads(content)
            if document["format"] != FORMAT:
                raise KeysError(located(self.path, "format", document["format"], FORMAT))
            cost = {name: int(document["scrypt"][name]) for name in _COST}
            salt = base64.b64decode(document["scrypt"]["salt"], validate=True)
            token = str(document["token"]).encode()
        except (ValueError, KeyError, TypeError):
            raise KeysError(f"{self.path}: is no file of encrypted keys, or damaged") from None
        if cost["n"] > _LARGEST_N or cost["r"] > 32 or cost["p"] > 16:
            raise KeysError(f"{self.path}: asks for more work than this program ever wrote; it is damaged")
        try:
            plain = Fernet(_derived(self._secret(new=False), salt, cost)).decrypt(token)
        except (InvalidToken, InvalidKey, ValueError):
            self._passphrase = None
            raise KeysError(f"{self.path}: the passphrase is wrong, or the file was changed") from None
        entries: dict[str, dict[str, Any]] = json.loads(plain)
        return entries

    def put(self, changes: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Store entries, or remove those given as None, in one replacement of the file.

        Raises
        ------
        KeysError
            As :meth:`entries`, or the file can't be written.
        ResourceError
            The disk is full.
        """
        new = not self.path.exists()
        entries: dict[str, Mapping[str, Any]] = dict(self.entries())
        for account, entry in changes.items():
            if entry is None:
                entries.pop(account, None)
            else:
                entries[account] = dict(entry)
        salt = os.urandom(16)
        token = Fernet(_derived(self._secret(new=new), salt, _COST)).encrypt(json.dumps(entries).encode())
        document = {
            "format": FORMAT,
            "scrypt": {**_COST, "salt": base64.b64encode(salt).decode()},
            "token": token.decode(),
        }
        write_private(self.path, (json.dumps(document, indent=2) + "\n").encode())

    def _secret(self, *, new: bool) -> str:
        if self._passphrase is None:
            self._passphrase = self._ask(self.path, new)
            redact.register([self._passphrase])
        return self._passphrase


def default_vault() -> Vault:
    """Return the encrypted file in its usual place: ``PASSIVBOT_KEYS_FILE`` or the user's configuration."""
    named = os.environ.get(PLACE)
    if named:
        return Vault(Path(named))
    base = os.environ.get("XDG_CONFIG_HOME")
    return Vault((Path(base) if base else Path.home() / ".config") / "passivbot" / "keys.enc")


def asked_passphrase(path: Path, new: bool) -> str:
    """Return the passphrase of a file: from the environment, a file, a systemd credential or a terminal.

    Raises
    ------
    KeysError
        There is none and nobody to ask, it is empty, or its file can be read by others.
    """
    given = os.environ.get(PASSPHRASE)
    if given is None:
        given = _passphrase_of_file()
    if given is None and sys.stdin.isatty():
        given = getpass.getpass(f"Passphrase of {path}: ")
        if new and given != getpass.getpass("The same again: "):
            raise KeysError(f"{path}: the two passphrases differ; nothing was written")
    if given is None:
        raise KeysError(f"{path}: needs a passphrase: set {PASSPHRASE_FILE} to a file that holds it")
    if not given:
        raise KeysError(f"{path}: the passphrase is empty")
    return given


def _passphrase_of_file() -> str | None:
    named = os.environ.get(PASSPHRASE_FILE)
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if named:
        return read_private(Path(named)).decode(errors="replace").rstrip("\r\n")
    if credentials and (Path(credentials) / CREDENTIAL).is_file():
        return (Path(credentials) / CREDENTIAL).read_text().rstrip("\r\n")
    return None


def read_private(path: Path) -> bytes:
    """Return the content of a file that only its owner can read.

    Raises
    ------
    KeysError
        It is missing, can't be read, or others can read or change it.
    """
    try:
        with path.open("rb") as file:
            # Of the open file, so that nothing can be put in its place between the look and the reading.
            mode = os.fstat(file.fileno())
            if not stat.S_ISREG(mode.st_mode):
                raise KeysError(f"{path}: is no regular file")
            if mode.st_uid not in (os.geteuid(), 0):
                raise KeysError(f"{path}: belongs to another user, who can change it")
            if mode.st_mode & 0o077:
                raise KeysError(
                    f"{path}: others can read it (mode {stat.S_IMODE(mode.st_mode):04o}); "
                    f"allowed is 0600: chmod 600 {path}"
                )
            return file.read()
    except FileNotFoundError:
        raise KeysError(f"{path}: there is no such file") from None
    except OSError as error:
        raise KeysError(f"{path}: can't be read ({error.strerror})") from None


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read.

    Raises
    ------
    KeysError
        It can't be written.
    ResourceError
        The disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise unwritable(path, error, KeysError) from error
    replace_file(path, content, KeysError, mode=0o600)


def _derived(passphrase: str, salt: bytes, cost: Mapping[str, int]) -> bytes:
    kdf = Scrypt(salt=salt, length=32, n=cost["n"], r=cost["r"], p=cost["p"])
    return base64.urlsafe_b64encode(kdf.derive(passphrase.encode()))
