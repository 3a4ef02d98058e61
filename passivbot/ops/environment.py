"""The variables that hold secrets, and taking them away from processes that need none."""

import os
from collections.abc import MutableMapping

ACCOUNT = "PASSIVBOT_ACCOUNT_"
"""``PASSIVBOT_ACCOUNT_<ACCOUNT>_<FIELD>``, the account in capitals: ``PASSIVBOT_ACCOUNT_BYBIT_01_SECRET``."""
PASSPHRASE = "PASSIVBOT_KEYS_PASSPHRASE"
WEBHOOK = "PASSIVBOT_WEBHOOK"
LOG_REMOTE = "PASSIVBOT_LOG_REMOTE"
_PRIVATE = (ACCOUNT, PASSPHRASE, WEBHOOK, LOG_REMOTE)


def forget(environment: MutableMapping[str, str] | None = None) -> None:
    """Take all keys, passphrases and private addresses out of an environment.

    A cluster calls this before it starts anything, so no worker inherits what a trader's shell holds.

    Parameters
    ----------
    environment
        The one to clean; None: that of this process.
    """
    target = os.environ if environment is None else environment
    for name in [name for name in target if name.startswith(_PRIVATE)]:
        del target[name]
