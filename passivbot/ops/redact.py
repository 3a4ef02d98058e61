"""Taking secrets out of text: known ones by their value, signatures and tokens by their form.

Whoever holds a secret registers it, once; everything that leaves the process as text (logs, alerts, status)
goes through :func:`redacted`.
"""

import math
import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "[secret]"
_SHORTEST = 6
_lock = threading.Lock()
_known: set[str] = set()
_pattern: re.Pattern[str] | None = None

# Parts of a request that are no key but let somebody in for a while, as ccxt's messages show them.
_FORMS = re.compile(
    r"(?i)\b((?:signature|sign|listen_?key|token|passphrase|secret|api_?key|private_?key|"
    r"[\w-]*(?:api-?key|-sign|passphrase|authorization))[\"']?\s*[=:]\s*[\"']?)((?:Bearer\s+)?[^\s\"'&,;}\]]{6,})"
)


def register(secrets: Iterable[str]) -> None:
    """Remember secrets, so that no text shows them from now on.

    Texts of fewer than six characters are no secrets: removing them would spoil everything else.
    """
    global _pattern
    with _lock:
        for secret in secrets:
            for form in {
                secret,
                secret.strip(),
                quote(secret, safe=""),
                quote_plus(secret),
                _escaped(secret),
            }:
                if len(form) >= _SHORTEST:
                    _known.add(form)
        if _known:
            longest_first = sorted(_known, key=lambda text: (-len(text), text))
            _pattern = re.compile("|".join(map(re.escape, longest_first)))


def redacted(text: str) -> str:
    """Return a text without the registered secrets and without what looks like a signature or a token."""
    if _pattern is not None:
        text = _pattern.sub(MASK, text)
    return _FORMS.sub(lambda match: match[1] + MASK, text)


def cleaned(value: Any) -> Any:
    """Return a value as JSON can hold it, each text in it redacted; numbers stay, if finite.

    A passphrase of digits must not take a part of a price away, nor spoil the JSON.
    """
    if isinstance(value, str):
        return redacted(value)
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Mapping):
        return {redacted(str(key)): cleaned(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [cleaned(inner) for inner in value]
    return redacted(str(value))


def _escaped(secret: str) -> str:
    """Return the secret as JSON shows it: a key in PEM form has line ends."""
    return secret.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
