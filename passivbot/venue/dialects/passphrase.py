"""What OKX, Bitget and KuCoin share: keys with a passphrase, signatures over time, method, path and body.

A signature is HMAC-SHA256 in base64. A request carries key, time, signature and passphrase in four headers
that differ by their prefix; a stream of OKX or Bitget is logged in to by the same four.
"""

import abc
import base64
import hashlib
import hmac
from typing import Any, ClassVar

from passivbot.venue.account import ApiKey
from passivbot.venue.dialects.base import Dialect, NotAllowed, Stream
from passivbot.venue.wire import Call


class PassphraseDialect(Dialect, abc.ABC):
    """A dialect whose requests are signed that way."""

    header_prefix: ClassVar[str]
    """What goes before ``-key``, ``-timestamp``, ``-sign`` and ``-passphrase``, in lower case."""
    window_ms: ClassVar[float] = 30_000.0
    """How old a request may be."""

    def authenticate(self, call: Call) -> ApiKey:
        """Check key, signature, passphrase and time of a request; raises :class:`NotAllowed`."""
        key = self.asking(call)
        sent = self._header(call, "timestamp")
        path = call.path + (f"?{call.raw_query}" if call.raw_query else "")
        expected = sign(key.secret, f"{sent}{call.method}{path}{call.body}")
        if not hmac.compare_digest(self._header(call, "sign"), expected):
            raise NotAllowed("signature")
        if self._header(call, "passphrase") != self.passphrase_of(key):
            raise NotAllowed("passphrase")
        self.check_time(self.time_of(sent), self.window_ms)
        return key

    def asking(self, call: Call) -> ApiKey:
        """Return the key that a request names; raises :class:`NotAllowed`."""
        return self.key_of(self._header(call, "key"))

    def passphrase_of(self, key: ApiKey) -> str:
        """Return what a request has to send as the passphrase."""
        return key.password

    def time_of(self, text: str) -> float:
        """Return the time that a header tells, Unix ms; raises ValueError."""
        return float(text)

    def log_in(self, stream: Stream, argument: dict[str, Any], verified: str) -> bool:
        """Let a stream in if its login is right; ``verified`` is the method and path that it signs."""
        stream.key = None
        key = self.account.keys.get(argument["apiKey"])
        if key is None or key.revoked or key.password != argument["passphrase"]:
            return False
        if abs(float(argument["timestamp"]) * 1000 - self.venue.wall_ms()) > self.window_ms:
            return False
        if hmac.compare_digest(argument["sign"], sign(key.secret, f"{argument['timestamp']}{verified}")):
            stream.key = key
        return stream.key is not None

    def _header(self, call: Call, name: str) -> str:
        return call.headers.get(f"{self.header_prefix}-{name}", "")


def sign(secret: str, text: str) -> str:
    """Return HMAC-SHA256 in base64."""
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()
