"""An account of the venue: the keys that open it and what they may do."""

import secrets
from dataclasses import dataclass, field
from typing import Literal

from passivbot.venue.core import Core

Permission = Literal["read", "trade", "withdraw"]


@dataclass
class ApiKey:
    """A key pair of an account.

    Parameters
    ----------
    key, secret, password
        As the exchange names them; for hyperliquid ``key`` is the wallet's address and ``secret`` the private
        key that signs.
    permissions
        What it may do.
    addresses
        IP addresses it is bound to; empty: any.
    listed
        False: the address the requests come from is not one of them.
    revoked
        The exchange does not know it any more.
    """

    key: str
    secret: str
    password: str = ""
    permissions: frozenset[Permission] = frozenset({"read", "trade"})
    addresses: tuple[str, ...] = ("127.0.0.1",)
    listed: bool = True
    revoked: bool = False


@dataclass
class Account:
    """An account: its matching core, and any number of keys."""

    core: Core
    keys: dict[str, ApiKey] = field(default_factory=dict)
    user_id: str = "20011"

    def new_key(
        self,
        *,
        permissions: frozenset[Permission] = frozenset({"read", "trade"}),
        addresses: tuple[str, ...] = ("127.0.0.1",),
    ) -> ApiKey:
        """Make a key pair."""
        # 20 and 32 bytes in hexadecimal: also an address and a private key, for the venue that signs by
        # wallets.
        secret = secrets.token_hex(32)
        key = ApiKey(secrets.token_hex(20), secret, secrets.token_hex(8), permissions, addresses)
        return self.add(key)

    def add(self, key: ApiKey) -> ApiKey:
        """Let a key in."""
        self.keys[key.key] = key
        return key
