"""Every error that a person can cause, and the form of its message.

The command line turns a :class:`PassivbotError` into one line on stderr and a non-zero exit code; anything
else that escapes is a defect of ours and keeps its traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class PassivbotError(Exception):
    """Root of the errors whose message alone tells the user what to change."""


class ConfigError(PassivbotError):
    """A configuration file, an option or a value in it is not usable."""


class CandleError(PassivbotError):
    """Candles or market rules are missing, malformed or do not cover what is asked."""


class EngineError(PassivbotError):
    """The engine refused its input."""


class StudyError(PassivbotError):
    """A study folder is missing, locked, of another configuration, or can't be written."""


class ResourceError(PassivbotError):
    """The machine lacks what the run needs: memory, disk."""


class ClusterError(PassivbotError):
    """The cluster can't be reached or its nodes do not fit together."""


class ExchangeError(PassivbotError):
    """An exchange is unknown, gone, can't be reached, or refuses what is asked for good."""


class KeysError(PassivbotError):
    """API keys are missing, unreadable, readable by others, or may do more than they should."""


class LiveError(PassivbotError):
    """The bot can't start or must not go on: a guard stopped it, or the account is not as it has to be."""


class PromotionError(PassivbotError):
    """A configuration can't be promoted, or a live configuration is not readable."""


def located(file: str | Path, key: str, value: object, allowed: str) -> str:
    """Return the standard message for one wrong value.

    Parameters
    ----------
    file
        Where the value stands: a path, or words such as ``the command line``.
    key
        Dotted key.
    value
        The value as the user wrote it.
    allowed
        What would have been accepted, as a noun phrase.
    """
    return f"{file}: {key} is {value!r}; allowed is {allowed}"


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its kind if it says nothing; libraries say much."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that looks most like ``name``, or None if none is close."""
    found = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return found[0] if found else None
