"""Candles from the exchanges into the store.

:func:`passivbot.market.download.run.download` connects (:mod:`.source`), chooses coins (:mod:`.choose`), and
runs one :mod:`.job` a market: published files (:mod:`.archives`, :mod:`.trades`, :mod:`.web`) first, the
API's pages (:mod:`.pages`) for the rest, all at the exchange's :mod:`.pace`; a market that is gone is
:mod:`.remains`.
"""
