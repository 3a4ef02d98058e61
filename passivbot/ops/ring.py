"""Keys in the keyring of the system (Secret Service, macOS Keychain, Windows Credential Locker …).

An account is one password of the service ``passivbot``, its entry as JSON. A keyring can't be listed, so the
names stand in one more password.
"""

import json
from collections.abc import Mapping
from typing import Any

import keyring
from keyring.errors import KeyringError, NoKeyringError, PasswordDeleteError

from passivbot.errors import KeysError

SERVICE = "passivbot"
ORIGIN = "keyring"
_INDEX = "accounts of passivbot"


def available() -> bool:
    """Return whether this machine has a keyring that keeps anything."""
    return float(keyring.get_keyring().priority) > 0


def find(account: str) -> dict[str, Any] | None:
    """Return the entry of an account, or None if the keyring has none or there is no keyring.

    Raises
    ------
    KeysError
        The keyring is locked or fails, or the entry is damaged.
    """
    text = _get(account)
    if text is None:
        return None
    try:
        entry = json.loads(text)
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        raise KeysError(f"keyring: the entry of {account} is damaged; import it again")
    return entry


def accounts() -> list[str]:
    """Return the names of the accounts that :func:`put` stored, ascending."""
    text = _get(_INDEX)
    try:
        names = json.loads(text or "[]")
    except ValueError:
        return []
    return sorted(map(str, names)) if isinstance(names, list) else []


def put(account: str, entry: Mapping[str, Any]) -> None:
    """Store the entry of an account.

    Raises
    ------
    KeysError
        There is no keyring, or it refuses.
    """
    try:
        keyring.set_password(SERVICE, account, json.dumps(dict(entry), sort_keys=True))
        keyring.set_password(SERVICE, _INDEX, json.dumps(sorted({*accounts(), account})))
    except NoKeyringError:
        raise KeysError("keyring: this machine has none; import with --to file") from None
    except KeyringError as error:
        raise KeysError(f"keyring: {account} can't be stored ({error})") from None


def remove(account: str) -> bool:
    """Remove an account; return whether it was there.

    Raises
    ------
    KeysError
        The keyring is locked or fails.
    """
    if _get(account) is None:
        return False
    try:
        keyring.delete_password(SERVICE, account)
        keyring.set_password(SERVICE, _INDEX, json.dumps([a for a in accounts() if a != account]))
    except PasswordDeleteError:
        return False
    except KeyringError as error:
        raise KeysError(f"keyring: {account} can't be removed ({error})") from None
    return True


def _get(name: str) -> str | None:
    try:
        return keyring.get_password(SERVICE, name)
    except NoKeyringError:
        return None
    except (KeyringError, OSError, RuntimeError) as error:  # backends let errors of their bus through
        raise KeysError(f"keyring: can't be read ({error})") from None
