"""A venue on loopback that speaks the exchanges' own dialects: for tests, for soaks and for paper trading.

:mod:`passivbot.venue.server` is the TLS server that the real, unpatched client library is pointed at;
:mod:`passivbot.venue.core` the account and its matching; :mod:`passivbot.venue.dialects` (private) and
:mod:`passivbot.venue.public` (public) translate between the two, one file per exchange;
:mod:`passivbot.venue.faults` is what goes wrong on request.
"""

from passivbot.venue.core import Core
from passivbot.venue.faults import Fault, Faults
from passivbot.venue.market import MarketSource, VenueMarket
from passivbot.venue.orders import Refused
from passivbot.venue.server import Venue

__all__ = ["Core", "Fault", "Faults", "MarketSource", "Refused", "Venue", "VenueMarket"]
