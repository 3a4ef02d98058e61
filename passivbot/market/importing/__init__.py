"""Candles of other programs and of the exchanges' archives, read into a store."""

from passivbot.market.importing.run import Imported, import_files

__all__ = ["Imported", "import_files"]
