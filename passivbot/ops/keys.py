"""API keys: environment → the system's keyring → an encrypted file; and an object that does not leak them.

An entry is what ``api-keys.json`` holds for an account: ``exchange`` and the fields that the exchange asks
for. :class:`Keys` shows none of it in ``repr``, ``str``, a format or a traceback, and refuses to be pickled,
so it can't reach a Ray object, a cache or another process.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, SupportsIndex

from passivbot.errors import KeysError, located, nearest
from passivbot.ops import redact, ring
from passivbot.ops.environment import ACCOUNT as ENVIRONMENT
from passivbot.ops.vault import Vault, default_vault

FIELDS: Mapping[str, str] = {
    "key": "apiKey",
    "secret": "secret",
    "passphrase": "password",
    "uid": "uid",
    "wallet_address": "walletAddress",
    "private_key": "privateKey",
}
"""Field of an entry → name of the credential in ccxt."""

_SECRET = ("key", "secret", "passphrase", "private_key")
_WITH_KEY = ("key", "secret")
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "hyperliquid": ("wallet_address", "private_key"),
    "okx": (*_WITH_KEY, "passphrase"),
    "bitget": (*_WITH_KEY, "passphrase"),
    "kucoin": (*_WITH_KEY, "passphrase"),
    "kucoinfutures": (*_WITH_KEY, "passphrase"),
}
"""What an exchange asks for; the others a key and a secret."""

_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Keys:
    """The keys of one account. Only :meth:`credentials` gives them away, and nothing else does.

    Parameters
    ----------
    account
        Its name.
    entry
        ``exchange`` and the fields of :data:`FIELDS`; others, such as ``is_vault``, are kept as settings.
    origin
        Where they were found, for people.

    Raises
    ------
    KeysError
        No exchange is named, or a field that it asks for is missing or empty.
    """

    __slots__ = ("_credentials", "account", "exchange", "origin", "settings")

    account: str
    exchange: str
    origin: str
    settings: Mapping[str, Any]

    def __init__(self, account: str, entry: Mapping[str, Any], origin: str) -> None:
        redact.register(str(entry[field]) for field in _SECRET if entry.get(field))
        exchange = entry.get("exchange")
        if not isinstance(exchange, str) or not exchange.strip():
            raise KeysError(f"{origin}: {account}.exchange is missing; needed is the name of an exchange")
        self.account, self.origin = account, origin
        self.exchange = exchange.strip().lower()
        needed = _NEEDED.get(self.exchange, _WITH_KEY)
        for field in needed:
            value = entry.get(field)
            if not isinstance(value, str) or not value.strip():
                state = "is empty" if field in entry else "is missing"
                raise KeysError(
                    f"{origin}: {account}.{field} {state}; {self.exchange} needs {', '.join(needed)}"
                )
        self._credentials = {
            name: str(entry[field]).strip() for field, name in FIELDS.items() if entry.get(field)
        }
        self.settings = {k: v for k, v in entry.items() if k not in FIELDS and k != "exchange"}

    def credentials(self) -> dict[str, str]:
        """Return the credentials by their names in ccxt (``apiKey``, ``secret``, ``password`` …)."""
        return dict(self._credentials)

    def __repr__(self) -> str:
        return f"Keys(account={self.account!r}, exchange={self.exchange!r}, from {self.origin})"

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn:
        raise TypeError("API keys do not leave the process: they can't be pickled or copied")


@dataclass(frozen=True)
class Listed:
    """An account without its keys: for lists."""

    account: str
    exchange: str
    origin: str


def checked_account(account: str) -> str:
    """Return an account's name.

    Raises
    ------
    KeysError
        It is none.
    """
    if not _ACCOUNT.fullmatch(account):
        allowed = "letters, digits, dots, dashes and underscores"
        raise KeysError(located("the command line", "ACCOUNT", account, allowed))
    return account


def resolve(account: str, *, vault: Vault | None = None) -> Keys:
    """Return the keys of an account: from the environment, else the keyring, else the encrypted file.

    Parameters
    ----------
    account
        Name of the account.
    vault
        The encrypted file; None: the one in its usual place.

    Raises
    ------
    KeysError
        There are none, they are not complete, or a store can't be read; a keyring that can't is passed over.
    """
    checked_account(account)
    vault = default_vault() if vault is None else vault
    locked = ""
    for origin, find in _sources(vault):
        try:
            entry = find(account)
        except KeysError as error:
            if origin != ring.ORIGIN:
                raise
            # A desktop's keyring is locked while nobody is logged in; the file may have the account.
            locked = f"; {error}"
            continue
        if entry is not None:
            return Keys(account, entry, origin)
    near = None if locked else nearest(account, [a.account for a in accounts(vault=vault, unlock=False)])
    raise KeysError(
        f"there are no keys of the account {account}: neither {_variable(account, 'key')} in the "
        f"environment, nor in the keyring, nor in {vault.path}; passivbot keys import brings them in"
        + (f" (nearest: {near})" if near else "")
        + locked
    )


def accounts(*, vault: Vault | None = None, unlock: bool = True) -> list[Listed]:
    """Return all accounts that have keys, by name, without the keys.

    Parameters
    ----------
    vault
        The encrypted file; None: the one in its usual place.
    unlock
        Whether the encrypted file may be opened, which needs its passphrase; else it counts as empty.

    Raises
    ------
    KeysError
        A store can't be read.
    """
    vault = default_vault() if vault is None else vault
    found: dict[str, Listed] = {}
    entries: list[tuple[str, str, Mapping[str, Any]]] = []
    if unlock and vault.path.exists():
        entries += [(name, str(vault.path), entry) for name, entry in vault.entries().items()]
    entries += [(name, ring.ORIGIN, ring.find(name) or {}) for name in ring.accounts()]
    entries += [(name, "environment", _from_environment(name) or {}) for name in _environment_accounts()]
    for name, origin, entry in entries:  # the later ones win, as they do for resolve
        found[name] = Listed(name, str(entry.get("exchange", "?")), origin)
    return [found[name] for name in sorted(found)]


def _sources(vault: Vault) -> list[tuple[str, Callable[[str], Mapping[str, Any] | None]]]:
    return [("environment", _from_environment), (ring.ORIGIN, ring.find), (str(vault.path), vault.find)]


def _variable(account: str, field: str) -> str:
    return f"{ENVIRONMENT}{re.sub(r'[^A-Za-z0-9]', '_', account)}_{field}".upper()


def _from_environment(account: str) -> dict[str, Any] | None:
    fields = ("exchange", "is_vault", *FIELDS)
    names = {field: _variable(account, field) for field in fields}
    entry: dict[str, Any] = {field: os.environ[name] for field, name in names.items() if name in os.environ}
    if "is_vault" in entry:
        entry["is_vault"] = entry["is_vault"].strip().lower() in ("1", "true", "yes")
    return entry or None


def _environment_accounts() -> list[str]:
    """Return the accounts of the environment, in small letters: the variables do not keep their case."""
    ending = "_EXCHANGE"
    return [
        name[len(ENVIRONMENT) : -len(ending)].lower()
        for name in os.environ
        if name.startswith(ENVIRONMENT) and name.endswith(ending) and len(name) > len(ENVIRONMENT + ending)
    ]
