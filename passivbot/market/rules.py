"""What an exchange publishes of its markets, out of the client library's form of it."""

from collections.abc import Mapping
from typing import Any

from passivbot.exchanges.base import Exchange
from passivbot.market.listings import Market


def listings(exchange: Exchange) -> dict[str, Market]:
    """Return the markets of a connected exchange, by coin, ascending; see :func:`listing`."""
    rows = exchange.client.markets
    return {coin: listing(rows[market.symbol]) for coin, market in sorted(exchange.markets.items())}


def listing(row: Mapping[str, Any]) -> Market:
    """Read one market.

    Parameters
    ----------
    row
        A market of ccxt whose precision is given by steps, as that of all exchanges here.

    Notes
    -----
    What the exchange does not publish stays None; what a run takes in its place is decided where it is read
    (trading-semantics §7.4, market settings).
    """
    limits, precision = row["limits"], row["precision"]
    return Market(
        symbol=str(row["symbol"]),
        qty_step=float(precision["amount"]),
        price_step=float(precision["price"]),
        min_qty=_number(limits["amount"].get("min")),
        min_cost=_number(limits["cost"].get("min")),
        c_mult=_number(row.get("contractSize")) or 1.0,
        maker_fee=_number(row.get("maker")),
        taker_fee=_number(row.get("taker")),
        listing_ms=int(row["created"]) if row.get("created") else None,
        active=row.get("active") is not False,
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
