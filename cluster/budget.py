"""What ends a study: candidates, hours, a front that has stopped growing. None of it changes a candidate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from passivbot.errors import ConfigError, located
from passivbot.study import Event, StudyLog
from passivbot.study.stall import Stall

EVENT = "budget"
"""Event that states the budget of a study; the last one counts."""

STALLED = "stalled"
"""Event that states that the front stopped growing, and with how many candidates the study ends for it."""

NEVER = "never"
_STARTS = ("created", "resumed")


@dataclass(frozen=True)
class Budget:
    """Of a whole study, over all its runs; whatever is spent first ends it.

    Attributes
    ----------
    iters
        Candidates.
    hours
        Time in which it runs; None for any.
    until
        Rule by which the front has stopped growing; None for none.
    """

    iters: int
    hours: float | None = None
    until: Stall | None = None

    def payload(self) -> dict[str, Any]:
        """Return the payload of the event."""
        return {
            "iters": self.iters,
            **({} if self.hours is None else {"hours": self.hours}),
            **({} if self.until is None else {"until": str(self.until)}),
        }

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Self:
        """Read what :meth:`payload` gave."""
        until = payload.get("until")
        hours = payload.get("hours")
        return cls(
            iters=int(payload["iters"]),
            hours=None if hours is None else float(hours),
            until=None if until is None else Stall.parse(until),
        )

    def __str__(self) -> str:
        parts = [f"{self.iters:,} candidates"]
        if self.hours is not None:
            parts.append(f"{self.hours:g} h")
        if self.until is not None:
            parts.append(
                f"less than {self.until.gain:.3g} more hypervolume over the last {self.until.share:.3g}"
            )
        return " or ".join(parts)

    def seconds_left(self, log: StudyLog) -> float | None:
        """Return how long the study may still run; None for any time."""
        return None if self.hours is None else self.hours * 3600.0 - spent_seconds(log)


def parse_until(text: str) -> Stall | None:
    """Read ``--until``: a rule, or ``never``.

    Raises
    ------
    ConfigError
        It is neither.
    """
    return None if text == NEVER else Stall.parse(text)


def checked_hours(hours: float | None) -> float | None:
    """Return the value of ``--hours``.

    Raises
    ------
    ConfigError
        It is not above 0.
    """
    if hours is not None and not 0 < hours < float("inf"):
        raise ConfigError(located("the command line", "--hours", hours, "a number above 0"))
    return hours


def resumed(
    events: Sequence[Event], *, iters: int | None, hours: float | None, until: str | None, default: int
) -> Budget:
    """Return the budget of a resumed study: what is given, else what it had.

    A study whose front has stopped growing has no more budget, unless candidates, hours or another rule are
    given; the rule that ended it then counts no more.

    Parameters
    ----------
    events
        Of the study.
    iters, hours, until
        As given; None where nothing was.
    default
        Candidates, where neither says so.
    """
    stored = next((Budget.of(event.payload) for event in reversed(events) if event.kind == EVENT), None)
    stored = stored or Budget(default)
    kinds = [event.kind for event in events if event.kind in (EVENT, STALLED)]
    rule = stored.until
    ends = stored.iters
    if kinds[-1:] == [STALLED]:
        if iters is None and hours is None and until is None:
            ends = next(int(event.payload["ends"]) for event in reversed(events) if event.kind == STALLED)
        rule = None
    return Budget(
        iters=ends if iters is None else iters,
        hours=stored.hours if hours is None else checked_hours(hours),
        until=rule if until is None else parse_until(until),
    )


def spent_seconds(log: StudyLog) -> float:
    """Return how long a study has run: in each run from its start to its last result."""
    starts = [event.at for event in log.events() if event.kind in _STARTS]
    spent = 0.0
    for start, following in zip(starts, [*starts[1:], float("inf")], strict=True):
        last = log.last_logged(following)
        if last is not None and last > start:
            spent += last - start
    return spent
