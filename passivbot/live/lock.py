"""One bot an account on a machine: an exclusive lock on the bot's folder."""

from pathlib import Path

from passivbot.errors import LiveError
from passivbot.lock import Lock

LOCK_FILE = "bot.lock"


def lock_account(folder: Path, account: str) -> Lock:
    """Take the lock of a bot's folder; the kernel frees it with the process, however that ends.

    Raises
    ------
    LiveError
        Another process has it, or the folder can't be written.
    ResourceError
        The disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise LiveError(f"{folder}: can't be made ({error.strerror})") from error
    return Lock(
        folder / LOCK_FILE,
        lambda other: f"account {account} is traded already by {other} ({folder}); one bot an account",
        LiveError,
    )
