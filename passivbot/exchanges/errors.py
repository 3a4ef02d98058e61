"""What an exchange's error means: codes first, as the exchange documents them, ccxt's classes after.

ccxt maps codes to classes, not always to the right one (a KuCoin order that can't be cancelled is a bad
request, a Bitget time-out an authentication error), and for some by text. So each adapter has a table of its
own, and the classes are the fallback for what it doesn't name.
"""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import ccxt  # type: ignore[import-untyped]

from passivbot.exchanges.types import Failure

DEFAULT_RETRY_AFTER_S = 10.0
"""How long to wait where a rate limit does not say."""

_WAITS: Mapping[str, Callable[[float], float]] = {
    "retry-after": lambda seconds: seconds,
    "x-bapi-limit-reset-timestamp": lambda at_ms: at_ms / 1000 - time.time(),
    "x-gate-ratelimit-reset-timestamp": lambda at_s: at_s - time.time(),
    "gw-ratelimit-reset": lambda rest_ms: rest_ms / 1000,
}
"""Header of an answer → how many seconds its value means."""


class ExchangeFault(Exception):
    """A request failed; what that means stands in ``failure``.

    Parameters
    ----------
    failure
        What it means.
    text
        For people: the exchange's words.
    retry_after_s
        Only of a rate limit.
    """

    def __init__(self, failure: Failure, text: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"{failure}: {text}")
        self.failure = failure
        self.text = text
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Verdicts:
    """An exchange's table.

    Parameters
    ----------
    codes
        Its code, as text → what it means.
    texts
        Where codes say too little: (pattern of the message, what it means); first match wins, before codes.
    code_keys
        Where a code stands in an answer, first found wins.
    """

    codes: Mapping[str, Failure]
    texts: Sequence[tuple[str, Failure]] = ()
    code_keys: Sequence[str] = ("code",)

    def of_body(self, body: Any) -> Failure | None:
        """Return what an answer (or one element of a batch) means; None: the table doesn't name it."""
        text = body if isinstance(body, str) else json.dumps(body)
        for pattern, failure in self.texts:
            if re.search(pattern, text, re.IGNORECASE):
                return failure
        for code in _codes(body, self.code_keys):
            if code in self.codes:
                return self.codes[code]
        return None


# Subclasses before their parents.
_CLASSES: tuple[tuple[type[Exception], Failure], ...] = (
    (ccxt.DDoSProtection, Failure.RATE_LIMIT),
    (ccxt.RateLimitExceeded, Failure.RATE_LIMIT),
    (ccxt.OnMaintenance, Failure.MAINTENANCE),
    (ccxt.InvalidNonce, Failure.CLOCK),
    (ccxt.NetworkError, Failure.RETRY),
    (ccxt.OrderImmediatelyFillable, Failure.WOULD_CROSS),
    (ccxt.DuplicateOrderId, Failure.EXISTS),
    (ccxt.OrderNotFound, Failure.GONE),
    (ccxt.InsufficientFunds, Failure.FUNDS),
    (ccxt.AuthenticationError, Failure.AUTH),
    (ccxt.NoChange, Failure.UNCHANGED),
    (ccxt.MarketClosed, Failure.CLOSED),
    (ccxt.BadSymbol, Failure.CLOSED),
    (ccxt.ExchangeError, Failure.REFUSED),
)

_SILENT = (ccxt.RequestTimeout, ccxt.ExchangeNotAvailable, ccxt.BadResponse)
"""Classes after which nobody knows whether a write was carried out."""


def classify(
    error: Exception,
    verdicts: Verdicts,
    *,
    write: bool,
    headers: Mapping[str, Any] | None = None,
) -> ExchangeFault:
    """Return what an error of ccxt means.

    Parameters
    ----------
    error
        As raised.
    verdicts
        The exchange's table.
    write
        Whether the request would have changed something: silence then leaves open whether it did.
    headers
        Of the last response, for Retry-After.
    """
    text = shortened(error)
    failure = verdicts.of_body(body_of(error))
    if failure is None:
        failure = next((verdict for kind, verdict in _CLASSES if isinstance(error, kind)), None)
        # An answer that broke off is an ExchangeError of ccxt like any refusal; its cause tells them apart.
        broken = isinstance(error.__cause__, aiohttp.ClientError)
        if failure is None or broken or (failure is Failure.RETRY and isinstance(error, _SILENT)):
            failure = Failure.UNKNOWN if write else Failure.RETRY
    if failure is Failure.UNKNOWN and not write:
        failure = Failure.RETRY
    wait = retry_after(headers) if failure is Failure.RATE_LIMIT else None
    return ExchangeFault(failure or Failure.RETRY, text, wait)


def body_of(error: Exception) -> Any:
    """Return the exchange's answer out of an error's text: ccxt puts it after the exchange's name."""
    text = str(error)
    starts = [place for mark in "{[" if (place := text.find(mark)) >= 0]
    if not starts:
        return text
    try:
        return json.JSONDecoder().raw_decode(text[min(starts) :])[0]
    except ValueError:
        return text


def retry_after(headers: Mapping[str, Any] | None) -> float:
    """Return how many seconds a rate limit asks to wait, by Retry-After or the exchange's own header."""
    found = {str(name).lower(): value for name, value in (headers or {}).items()}
    for name, seconds in _WAITS.items():
        try:
            return max(0.0, seconds(float(found[name])))
        except (KeyError, ValueError):
            continue
    return DEFAULT_RETRY_AFTER_S


def shortened(error: Exception, limit: int = 300) -> str:
    """Return an error in one line, without the queries of its addresses: signatures stand there."""
    text = re.sub(r"(https?://[^\s?]+)\?\S*", r"\1", f"{type(error).__name__} {error}")
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _codes(body: Any, keys: Sequence[str]) -> list[str]:
    """Return the codes in an answer, those of its elements before its own."""
    if isinstance(body, list):
        return [code for child in body for code in _codes(child, keys)]
    if not isinstance(body, dict):
        return []
    inner = [
        code for child in body.values() if isinstance(child, dict | list) for code in _codes(child, keys)
    ]
    return inner + [str(body[key]) for key in keys if body.get(key) not in (None, "")]
