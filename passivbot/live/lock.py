"""One bot an account on a machine: an exclusive lock on the bot's folder."""

from pathlib import Path

from passivbot.errors import LiveError, StudyError
from passivbot.study.lock import Lock, holder


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
    try:
        return Lock(folder)
    except StudyError as error:
        other = holder(folder)
        if other is None:
            raise LiveError(str(error)) from error
        raise LiveError(
            f"account {account} is traded already by {other} ({folder}); one bot an account"
        ) from error
