"""Readers of ccxt's unified structures that need nothing of the exchange they came from."""

from collections.abc import Mapping
from typing import Any

from passivbot.config.coins import coin_of
from passivbot.engine import MarketRules
from passivbot.exchanges.types import Market, Ticker


def choose_markets(loaded: Mapping[str, Any], quote: str) -> dict[str, Market]:
    """Return the perpetual markets of a quote currency, by coin, ascending.

    Of two markets of one coin (SHIB and 1000SHIB) it is the one that is traded, then the one of the shorter
    name. Markets whose steps are not published are left out.
    """
    markets: dict[str, Market] = {}
    for row in loaded.values():
        if not (row.get("swap") and row.get("linear") and row.get("settle") == quote):
            continue
        if None in (row["precision"].get("amount"), row["precision"].get("price")):
            continue  # announced, without rules yet
        market = read_market(row)
        known = markets.get(market.coin)
        if known is None or (not known.active, len(known.symbol)) > (not market.active, len(market.symbol)):
            markets[market.coin] = market
    return dict(sorted(markets.items()))


def read_market(row: Mapping[str, Any]) -> Market:
    """Read a market of ccxt."""
    limits, precision = row["limits"], row["precision"]
    leverage = (limits.get("leverage") or {}).get("max")
    return Market(
        coin=coin_of(str(row["base"])),
        symbol=str(row["symbol"]),
        rules=MarketRules(
            qty_step=float(precision["amount"]),
            price_step=float(precision["price"]),
            min_qty=float(limits["amount"]["min"] or precision["amount"]),
            min_cost=float(limits["cost"]["min"] or 0.0),
            c_mult=float(row.get("contractSize") or 1.0),
        ),
        maker_fee=float(row["maker"] if row.get("maker") is not None else 0.0002),
        taker_fee=float(row["taker"] if row.get("taker") is not None else 0.0005),
        active=row.get("active") is not False,
        listed_ms=int(row["created"]) if row.get("created") else None,
        max_leverage=float(leverage) if leverage else None,
    )


def read_ticker(row: Mapping[str, Any]) -> Ticker | None:
    """Read a ticker of ccxt; None: it has no price."""
    last = row.get("last") or row.get("close")
    if not last:
        return None
    return Ticker(float(row.get("bid") or last), float(row.get("ask") or last), float(last))


def id_key(text: str) -> tuple[int, str]:
    """Return the sort key of ids within a millisecond: numbers by value, others stay as they came."""
    return (len(text), text) if text.isdigit() else (0, "")
