"""Bringing ``api-keys.json`` into a store that is not in the clear, and taking accounts out again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from passivbot.errors import KeysError
from passivbot.ops import ring
from passivbot.ops.keys import Keys, checked_account
from passivbot.ops.vault import Vault, default_vault, read_private

Store = Literal["auto", "keyring", "file"]


@dataclass(frozen=True)
class Imported:
    """What was taken: (account, exchange) each, where to, and what was left out."""

    accounts: tuple[tuple[str, str], ...]
    store: str
    notes: tuple[str, ...]


def import_file(
    file: Path, *, to: Store = "auto", replace: bool = False, vault: Vault | None = None
) -> Imported:
    """Take the accounts of an ``api-keys.json``: all of them, or none if one is wrong.

    Parameters
    ----------
    file
        Mapping of account to ``exchange`` and its fields. What is no such mapping (a list of referrals, a
        comment) is left out with a note.
    to
        ``keyring``, ``file``, or ``auto``: the keyring where there is one.
    replace
        Whether accounts that are in the store already are replaced.
    vault
        The encrypted file; None: the one in its usual place.

    Raises
    ------
    KeysError
        Others can read the file, it is no such file, an account is incomplete, or is there already.
    ResourceError
        The disk is full.
    """
    entries, notes = read_entries(file)
    vault = default_vault() if vault is None else vault
    keyring = to == "keyring" or (to == "auto" and ring.available())
    there = set(ring.accounts() if keyring else vault.entries()) & set(entries)
    if there and not replace:
        raise KeysError(f"{file}: {', '.join(sorted(there))} is stored already; --replace replaces it")
    if keyring:
        for account, entry in entries.items():
            ring.put(account, entry)
    else:
        vault.put(entries)
    found = tuple((account, str(entry["exchange"])) for account, entry in sorted(entries.items()))
    return Imported(found, ring.ORIGIN if keyring else str(vault.path), tuple(notes))


def read_entries(file: Path) -> tuple[dict[str, Mapping[str, Any]], list[str]]:
    """Return account → entry of an ``api-keys.json``, and a note for each thing that is none.

    Raises
    ------
    KeysError
        As :func:`import_file`.
    """
    content = read_private(file)
    try:
        document = json.loads(content)
    except ValueError as error:
        # The error's text would show a part of the file.
        line = getattr(error, "lineno", "?")
        raise KeysError(f"{file}: is no JSON (line {line})") from None
    if not isinstance(document, dict):
        raise KeysError(f"{file}: holds no mapping of account to keys")
    entries: dict[str, Mapping[str, Any]] = {}
    notes = []
    for account, entry in document.items():
        if not isinstance(entry, dict) or "exchange" not in entry:
            notes.append(f"{file}: {account} is no account (it names no exchange): left out")
            continue
        checked_account(account)
        Keys(account, entry, str(file))
        entries[account] = entry
    if not entries:
        raise KeysError(f"{file}: holds no account; needed is account → exchange, key, secret …")
    return entries, notes


def remove_account(account: str, vault: Vault | None = None) -> list[str]:
    """Remove an account from all stores; return which had it.

    Raises
    ------
    KeysError
        None had it, or a store can't be read or written.
    """
    checked_account(account)
    vault = default_vault() if vault is None else vault
    stores = [ring.ORIGIN] if ring.remove(account) else []
    if vault.find(account) is not None:
        vault.put({account: None})
        stores.append(str(vault.path))
    if not stores:
        raise KeysError(f"there are no keys of the account {account} in the keyring nor in {vault.path}")
    return stores
