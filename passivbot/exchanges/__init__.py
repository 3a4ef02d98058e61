"""Exchanges: one thin adapter each over ccxt, one contract for all (:mod:`passivbot.exchanges.base`)."""

from passivbot.exchanges.base import Exchange
from passivbot.exchanges.errors import ExchangeFault
from passivbot.exchanges.registry import NAMES, adapter, canonical, connect

__all__ = ["NAMES", "Exchange", "ExchangeFault", "adapter", "canonical", "connect"]
