"""How fast an exchange may be asked, and what is done when it says no.

One :class:`Pace` an exchange or archive host. The client library keeps the documented rate; the pace adds
what it lacks: when the exchange asks for silence everybody is silent, and what may pass by waiting is asked
again, later each time.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from passivbot.exchanges.errors import ExchangeFault
from passivbot.exchanges.types import Failure

Answer = TypeVar("Answer")

_PASSING = frozenset({Failure.RETRY, Failure.UNKNOWN, Failure.MAINTENANCE, Failure.CLOCK, Failure.RATE_LIMIT})
"""Failures that waiting may mend; a question changes nothing, so it can always be asked again."""


@dataclass(frozen=True)
class Patience:
    """How long to wait.

    Parameters
    ----------
    first_s
        Wait after the first failure; doubled after each further one.
    most_s
        Longest wait of our own choice.
    total_s
        After so long without an answer the question is given up.
    silence_s
        After silences of so long altogether, which the exchange asked for, the question is given up.
    """

    first_s: float = 1.0
    most_s: float = 60.0
    total_s: float = 600.0
    silence_s: float = 900.0


FIRST_CONTACT = Patience(first_s=1.0, most_s=4.0, total_s=8.0)
"""Before anything was answered: a machine without a network shall say so at once."""


class Pace:
    """Asks one exchange.

    Parameters
    ----------
    name
        For messages.
    at_once
        Most questions that wait for an answer at a time.
    patience
        How long to wait.
    on_wait
        Told of each wait: seconds, and why in the exchange's words.
    """

    def __init__(
        self,
        name: str,
        at_once: int = 8,
        patience: Patience | None = None,
        on_wait: Callable[[float, str], None] | None = None,
    ) -> None:
        self.name = name
        self.patience = patience or Patience()
        self.questions = 0
        self._on_wait = on_wait
        self._slots = asyncio.Semaphore(at_once)
        self._silent_until = 0.0
        # Many questions that failed together shall not be asked again together.
        self._jitter = random.Random()

    async def ask(
        self, question: Callable[[], Awaitable[Answer]], patience: Patience | None = None
    ) -> Answer:
        """Return the answer of a question, asked as often as it takes.

        Raises
        ------
        ExchangeFault
            The exchange refuses it for good, or patience is at its end.
        """
        limits = patience or self.patience
        wait, silence, silent = limits.first_s, 0.0, 0.0
        began = time.monotonic()
        while True:
            try:
                async with self._slots:
                    await self._silence()
                    self.questions += 1
                    return await question()
            except ExchangeFault as fault:
                if fault.failure not in _PASSING:
                    raise
                if fault.failure is Failure.RATE_LIMIT:
                    # Told to be silent again right after a silence, it wants a longer one than it says.
                    silence = max(fault.retry_after_s or 0.0, limits.first_s, 2 * silence)
                    silent += silence
                    if silent > limits.silence_s:
                        raise
                    self._silent_until = max(self._silent_until, time.monotonic() + silence)
                    self._tell(silence, fault)
                    continue
                pause = min(wait, limits.most_s) * self._jitter.uniform(0.5, 1.0)
                waited = time.monotonic() - began - silent
                if waited + pause > limits.total_s:
                    raise
                wait *= 2
                self._tell(pause, fault)
                await asyncio.sleep(pause)

    def _tell(self, seconds: float, fault: ExchangeFault) -> None:
        if self._on_wait:
            self._on_wait(seconds, fault.text)

    async def _silence(self) -> None:
        while (left := self._silent_until - time.monotonic()) > 0:
            await asyncio.sleep(left)
