"""The queue of faults: what goes wrong with the next requests, on request.

A fault waits until a request fits it, spoils that one, and is used up after ``times`` of them. The log of
requests names the fault that met a request, so a test can say that it happened at all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from passivbot.venue.wire import OPERATIONS, Call, Reply, Route

FaultKind = Literal[
    "lost",
    "drop",
    "delay",
    "late",
    "status",
    "unknown",
    "limit",
    "error",
    "truncate",
    "repeat",
    "reverse",
    "edit",
    "cut",
]
"""What can go wrong:

``lost``
    carried out, then the connection breaks without a reply;
``drop``
    the connection breaks before anything is done;
``delay``
    the reply, and what it does, come after ``seconds``;
``late``
    carried out at once, the reply comes after ``seconds``;
``status``
    answered by ``status`` and ``body`` (a gateway's page by default), nothing done;
``unknown``
    carried out, but answered by ``status`` (503 by default) and ``body``;
``limit``
    the exchange's own rate-limit answer with Retry-After of ``seconds``, nothing done;
``error``
    the exchange's own answer for the error called ``name``, nothing done;
``truncate``
    the list in the reply keeps its first ``keep`` rows;
``repeat``
    every row of the list in the reply comes twice;
``reverse``
    the list in the reply comes backwards;
``edit``
    ``edit`` gets the decoded body and returns another;
``cut``
    the second half of the reply's bytes is missing.
"""


@dataclass
class Fault:
    """One fault in the queue.

    Parameters
    ----------
    operation
        Which operation it meets (:data:`passivbot.venue.wire.OPERATIONS`), ``*`` for any, or ``write`` for
        any that changes the account.
    kind
        What happens.
    times
        How many requests it meets.
    skip
        How many fitting requests pass first.
    exchange
        Whose requests; None for all.
    fits
        Further condition on the request.
    seconds, status, body, name, keep, edit
        As the kind says.
    """

    operation: str
    kind: FaultKind
    times: int = 1
    skip: int = 0
    exchange: str | None = None
    fits: Callable[[Call], bool] | None = None
    seconds: float = 1.0
    status: int = 503
    body: Any = None
    name: str = ""
    keep: int = 0
    edit: Callable[[Any], Any] | None = None
    met: int = 0

    def __post_init__(self) -> None:
        # A fault of any other name would meet nothing, and a test that waits for it would see nothing wrong.
        if self.operation not in ("*", "write", *OPERATIONS):
            raise ValueError(f"operation is {self.operation!r}; allowed is one of {', '.join(OPERATIONS)}")

    def matches(self, route: Route, call: Call) -> bool:
        """Tell whether it meets this request."""
        if self.exchange not in (None, route.exchange):
            return False
        if self.operation not in ("*", route.operation) and not (
            self.operation == "write" and route.kind == "write"
        ):
            return False
        return self.fits is None or self.fits(call)


class Faults:
    """The queue."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []
        self.done: list[Fault] = []

    def add(self, operation: str, kind: FaultKind, **settings: Any) -> Fault:
        """Queue a fault; the settings are those of :class:`Fault`."""
        fault = Fault(operation, kind, **settings)
        self.waiting.append(fault)
        return fault

    def clear(self) -> None:
        """Forget what still waits."""
        self.waiting.clear()

    def take(self, route: Route, call: Call) -> Fault | None:
        """Return the fault that meets a request, if one does; the first queued one wins."""
        for fault in self.waiting:
            if not fault.matches(route, call):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.met += 1
            if fault.met >= fault.times:
                self.waiting.remove(fault)
                self.done.append(fault)
            return fault
        return None


def spoiled(fault: Fault, reply: Reply) -> Reply:
    """Return the reply as a fault of contents leaves it."""
    if fault.kind == "edit" and fault.edit is not None:
        return Reply(fault.edit(reply.body), reply.status, reply.headers)
    if fault.kind == "cut":
        content = reply.encoded()
        return Reply(content[: len(content) // 2], reply.status, reply.headers)
    for rows in _lists(reply.body):
        if fault.kind == "truncate":
            del rows[fault.keep :]
        elif fault.kind == "repeat":
            rows[:] = [row for row in rows for _ in range(2)]
        elif fault.kind == "reverse":
            rows.reverse()
    return reply


def _lists(body: Any) -> list[list[Any]]:
    """Return the lists a reply is about: the longest, wherever it stands, and others of its length."""
    found: list[list[Any]] = []

    def look(node: Any) -> None:
        if isinstance(node, list):
            found.append(node)
            return
        if isinstance(node, dict):
            for child in node.values():
                look(child)

    look(body)
    longest = max((len(rows) for rows in found), default=0)
    return [rows for rows in found if len(rows) == longest]
