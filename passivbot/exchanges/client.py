"""ccxt's client of an exchange, with its own hook for answers filled in: they must be JSON.

An answer that was cut off parses as nothing, and ccxt then hands out what is no answer at all; read as "no
open orders" that would be believed. The hook is one that ccxt leaves to its users; nothing of ccxt is
replaced.
"""

from functools import cache
from typing import Any

import ccxt.pro  # type: ignore[import-untyped]


@cache
def client_class(ccxt_id: str) -> Any:
    """Return the class of an exchange's client.

    Parameters
    ----------
    ccxt_id
        ccxt's name of the exchange.

    Returns
    -------
    A subclass of ccxt.pro's class; its instances have ``limit_headers``, those of the last answer that said
    too many requests (ccxt's own are of the last answer, maybe to another question).
    """
    base: Any = getattr(ccxt.pro, ccxt_id)

    class Client(base):  # type: ignore[misc]
        limit_headers: Any = None

        def on_rest_response(
            self, code: int, reason: str, url: str, method: str, headers: Any, body: str, *asked: Any
        ) -> Any:
            if code in (418, 429):
                self.limit_headers = headers
            text = super().on_rest_response(code, reason, url, method, headers, body, *asked)
            if 200 <= code < 300 and self.parse_json(text) is None:
                raise ccxt.BadResponse(f"{self.id} {method} {url}: the answer is cut off or no JSON")
            return text

    Client.__name__ = Client.__qualname__ = base.__name__
    return Client
