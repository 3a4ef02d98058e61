"""What errors mean: the code before the class, silence after a write, no signature in a text."""

import time
from typing import Any

import aiohttp
import ccxt
import pytest

from passivbot.exchanges import NAMES, adapter
from passivbot.exchanges.batch import Element, match
from passivbot.exchanges.errors import DEFAULT_RETRY_AFTER_S, body_of, classify, retry_after, shortened
from passivbot.exchanges.types import Failure


@pytest.mark.parametrize(
    ("name", "error", "expected"),
    [
        (
            "kucoinfutures",
            ccxt.BadRequest('kucoin {"code":"100004","msg":"can not be canceled"}'),
            Failure.GONE,
        ),
        (
            "kucoinfutures",
            ccxt.ExchangeError('kucoin {"code":"200002","msg":"too many"}'),
            Failure.RATE_LIMIT,
        ),
        ("bitget", ccxt.AuthenticationError('bitget {"code":"40010","msg":"timed out"}'), Failure.UNKNOWN),
        ("bitget", ccxt.ExchangeError('bitget {"code":"40786","msg":"Duplicate clientOid"}'), Failure.EXISTS),
        ("binanceusdm", ccxt.InvalidOrder('binanceusdm {"code":-4116,"msg":"dup"}'), Failure.EXISTS),
        ("binanceusdm", ccxt.ExchangeError('binanceusdm {"code":-2019,"msg":"margin"}'), Failure.FUNDS),
        ("bybit", ccxt.ExchangeError('bybit {"retCode":110043,"retMsg":"not modified"}'), Failure.UNCHANGED),
        (
            "bybit",
            ccxt.BadRequest('bybit {"retCode":10001,"retMsg":"position idx not match position mode"}'),
            Failure.MODE,
        ),
        (
            "okx",
            ccxt.ExchangeError(
                'okx {"code":"1","data":[{"sCode":"51016","sMsg":"exists"}],"msg":"All operations failed"}'
            ),
            Failure.EXISTS,
        ),
        ("gate", ccxt.AuthenticationError('gate {"label":"REQUEST_EXPIRED","message":""}'), Failure.CLOCK),
    ],
)
def test_the_exchanges_code_decides(name: str, error: Exception, expected: Failure) -> None:
    assert classify(error, adapter(name).verdicts, write=True).failure is expected


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("error", "read", "write"),
    [
        (ccxt.DDoSProtection("x 418 "), Failure.RATE_LIMIT, Failure.RATE_LIMIT),
        (ccxt.RateLimitExceeded("x 429 "), Failure.RATE_LIMIT, Failure.RATE_LIMIT),
        (ccxt.RequestTimeout("x POST https://x/y"), Failure.RETRY, Failure.UNKNOWN),
        (ccxt.ExchangeNotAvailable("x 502 <html>"), Failure.RETRY, Failure.UNKNOWN),
        (ccxt.BadResponse("x cut off"), Failure.RETRY, Failure.UNKNOWN),
        (ConnectionResetError("reset"), Failure.RETRY, Failure.UNKNOWN),
        (ccxt.OnMaintenance("x"), Failure.MAINTENANCE, Failure.MAINTENANCE),
        (ccxt.PermissionDenied("x"), Failure.AUTH, Failure.AUTH),
        (ccxt.InvalidOrder("x whatever"), Failure.REFUSED, Failure.REFUSED),
    ],
)
def test_classes_decide_where_no_code_does(
    name: str, error: Exception, read: Failure, write: Failure
) -> None:
    verdicts = adapter(name).verdicts
    assert classify(error, verdicts, write=False).failure is read
    assert classify(error, verdicts, write=True).failure is write


def test_an_answer_that_breaks_off_is_no_refusal() -> None:
    """ccxt raises its class of refusals; whether a write was carried out nobody knows."""
    error = ccxt.ExchangeError("x POST https://x/y")
    error.__cause__ = aiohttp.ClientPayloadError("Response payload is not completed")
    verdicts = adapter("binanceusdm").verdicts
    assert classify(error, verdicts, write=True).failure is Failure.UNKNOWN
    assert classify(error, verdicts, write=False).failure is Failure.RETRY


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"X-Bapi-Limit-Reset-Timestamp": str(int((time.time() + 5) * 1000))}, 5.0),
        ({"X-Gate-RateLimit-Reset-Timestamp": str(int(time.time() + 5))}, 5.0),
        ({"gw-ratelimit-reset": "3000"}, 3.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, DEFAULT_RETRY_AFTER_S),
        ({}, DEFAULT_RETRY_AFTER_S),
        (None, DEFAULT_RETRY_AFTER_S),
    ],
)
def test_how_long_a_rate_limit_lasts(headers: Any, seconds: float) -> None:
    # The clock went on since the table above was made, under load by some seconds.
    assert retry_after(headers) == pytest.approx(seconds, abs=5.0)


def test_the_answer_is_found_in_the_text() -> None:
    assert body_of(ccxt.ExchangeError('okx {"code":"1","data":[]} and more')) == {"code": "1", "data": []}
    assert body_of(ccxt.ExchangeError('x [{"code":-2011}]')) == [{"code": -2011}]
    assert body_of(ccxt.ExchangeError("x plain words")) == "x plain words"
    assert body_of(ccxt.ExchangeError("x {broken")) == "x {broken"


def test_texts_hold_no_query_and_one_line() -> None:
    text = shortened(ccxt.ExchangeNotAvailable("x GET https://a.b/c?timestamp=1&signature=abc 503\n\nbusy"))
    assert text == "ExchangeNotAvailable x GET https://a.b/c 503 busy"
    assert len(shortened(ccxt.ExchangeError("y" * 5000))) == 300


def test_elements_come_to_their_orders_by_id() -> None:
    refused = (Failure.FUNDS, "margin")
    outcomes = match(
        ["a", "b", "c"], [Element("c", "3", None), Element(None, "", refused), Element("a", "1", None)]
    )
    assert {k: (o.order_id, o.failure) for k, o in outcomes.items()} == {
        "a": ("1", None),
        "b": ("", Failure.FUNDS),
        "c": ("3", None),
    }


def test_what_an_answer_leaves_open_is_unknown() -> None:
    two = [Element(None, "", (Failure.FUNDS, "margin")), Element(None, "", (Failure.REFUSED, "step"))]
    assert {o.failure for o in match(["a", "b"], two).values()} == {Failure.UNKNOWN}
    assert match(["a"], []).popitem()[1].failure is Failure.UNKNOWN
    assert match(["a"], [Element("a", "", None)])["a"].failure is Failure.UNKNOWN
    assert match(["a"], [Element("a", "7", (Failure.FUNDS, "margin"))])["a"].failure is Failure.UNKNOWN
    assert match(["a"], [Element("b", "7", None)])["a"].failure is Failure.UNKNOWN
