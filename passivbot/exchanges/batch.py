"""Batches: orders into them, and answers out of them by client order id, never by place."""

from collections.abc import Sequence
from dataclasses import dataclass

from passivbot.exchanges.errors import ExchangeFault
from passivbot.exchanges.types import Failure, NewOrder, Outcome


@dataclass(frozen=True)
class Element:
    """One element of an answer.

    Parameters
    ----------
    client_id
        That of the order asked; None: the element names none of them.
    order_id
        The exchange's; empty: it gave none.
    failed
        Why it failed, and the exchange's words; None: it says that it did not.
    """

    client_id: str | None
    order_id: str
    failed: tuple[Failure, str] | None


def split(orders: Sequence[NewOrder], size: int, *, of_one_market: bool) -> list[list[NewOrder]]:
    """Return orders in batches of at most ``size``, each of one market if that is asked for."""
    groups: dict[str, list[NewOrder]] = {}
    for order in orders:
        groups.setdefault(order.coin if of_one_market else "", []).append(order)
    return [group[i : i + size] for group in groups.values() for i in range(0, len(group), size)]


def failed(client_id: str, fault: ExchangeFault, order_id: str = "") -> Outcome:
    """Return the outcome of an order whose request failed."""
    return Outcome(client_id, order_id, fault.failure, fault.text, fault.retry_after_s)


def match(client_ids: Sequence[str], elements: Sequence[Element]) -> dict[str, Outcome]:
    """Return the outcome of each order asked.

    A rejected element often has no id of any kind. If all that is missing failed alike, it is clear which
    failed how; else the outcome is unknown, and the bot looks.
    """
    found = {
        element.client_id: _outcome(element.client_id, element)
        for element in elements
        if element.client_id is not None
    }
    missing = [client_id for client_id in client_ids if client_id not in found]
    nameless = [
        element
        for element in elements
        if element.client_id is None and (element.failed is not None or len(client_ids) == 1)
    ]
    if len(missing) == len(nameless) and len({element.failed for element in nameless}) == 1:
        return found | {
            client_id: _outcome(client_id, element)
            for client_id, element in zip(missing, nameless, strict=True)
        }
    words = "; ".join(sorted({element.failed[1] for element in nameless if element.failed is not None}))
    text = words or "the answer does not name it"
    return found | {client_id: Outcome(client_id, "", Failure.UNKNOWN, text) for client_id in missing}


def _outcome(client_id: str, element: Element) -> Outcome:
    failure, text = element.failed or (None, "")
    if (failure is None) != bool(element.order_id):
        # Placed without an id, or refused with one: the answer contradicts itself.
        failure, text = Failure.UNKNOWN, text or "the answer names no order"
    return Outcome(client_id, element.order_id, failure, text)
