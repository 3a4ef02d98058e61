"""Patience: what is asked again, how long, and when it is given up."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from passivbot.exchanges.errors import ExchangeFault
from passivbot.exchanges.types import Failure
from passivbot.market.download.pace import Pace, Patience


def failing(times: int, failure: Failure, after_s: float | None = None) -> Callable[[], Awaitable[int]]:
    """A question that fails so often, then says how often it was asked."""
    calls = 0

    async def question() -> int:
        nonlocal calls
        calls += 1
        if calls <= times:
            raise ExchangeFault(failure, "no", after_s)
        return calls

    return question


def ask(pace: Pace, question: Callable[[], Awaitable[int]]) -> int:
    return asyncio.run(pace.ask(question))


@pytest.mark.parametrize("failure", [Failure.RETRY, Failure.MAINTENANCE, Failure.UNKNOWN, Failure.CLOCK])
def test_what_may_pass_is_asked_again_later_each_time(failure: Failure) -> None:
    waits: list[float] = []
    pace = Pace(
        "x", patience=Patience(0.01, 0.05, 5.0, 5.0), on_wait=lambda seconds, why: waits.append(seconds)
    )
    assert ask(pace, failing(5, failure)) == 6
    assert len(waits) == 5
    for place, wait in enumerate(waits):
        most = min(0.01 * 2**place, 0.05)
        assert most / 2 <= wait <= most


@pytest.mark.parametrize("failure", [Failure.REFUSED, Failure.AUTH, Failure.CLOSED, Failure.FUNDS])
def test_what_waiting_does_not_mend_is_raised_at_once(failure: Failure) -> None:
    pace = Pace("x", patience=Patience(0.01, 0.05, 5.0, 5.0))
    with pytest.raises(ExchangeFault):
        ask(pace, failing(1, failure))
    assert pace.questions == 1


def test_patience_ends() -> None:
    pace = Pace("x", patience=Patience(0.01, 0.02, 0.2, 5.0))
    began = time.monotonic()
    with pytest.raises(ExchangeFault):
        ask(pace, failing(10**6, Failure.RETRY))
    assert time.monotonic() - began < 5
    assert pace.questions > 3


def test_a_silence_grows_when_it_was_not_enough() -> None:
    waits: list[float] = []
    pace = Pace(
        "x", patience=Patience(0.01, 0.02, 0.1, 5.0), on_wait=lambda seconds, why: waits.append(seconds)
    )
    assert ask(pace, failing(3, Failure.RATE_LIMIT, 0.05)) == 4
    assert waits == [0.05, 0.1, 0.2]


def test_a_silence_that_is_too_long_is_not_waited_for() -> None:
    began = time.monotonic()
    with pytest.raises(ExchangeFault):
        ask(Pace("x", patience=Patience(silence_s=60)), failing(1, Failure.RATE_LIMIT, 61.0))
    assert time.monotonic() - began < 5


def test_all_are_silent_when_one_is_told_to() -> None:
    times: list[float] = []

    async def run() -> None:
        pace = Pace("x", at_once=3, patience=Patience(0.01, 0.02, 5.0, 5.0))
        began = time.monotonic()
        first = asyncio.create_task(pace.ask(failing(1, Failure.RATE_LIMIT, 0.4)))
        await asyncio.sleep(0.05)

        async def note() -> None:
            times.append(time.monotonic() - began)

        await asyncio.gather(first, *(pace.ask(note) for _ in range(20)))

    asyncio.run(run())
    assert len(times) == 20
    assert min(times) >= 0.39


def test_so_many_wait_for_an_answer_at_once_and_no_more() -> None:
    running, most = 0, 0

    async def question() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    async def run() -> None:
        pace = Pace("x", at_once=4)
        await asyncio.gather(*(pace.ask(question) for _ in range(40)))

    asyncio.run(run())
    assert most == 4
