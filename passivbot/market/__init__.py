"""Candles: store, folders, cleaning, the Arrow panel, the synthetic generator and the embedded demo set."""

from passivbot.market.demo import demo_folder
from passivbot.market.folder import CandleFolder
from passivbot.market.panel import Panel, build_panel, carried_forward, panel_bytes
from passivbot.market.panel_file import panel_file, read_panel, write_panel
from passivbot.market.store import Store
from passivbot.market.store_panel import build_store_panel
from passivbot.market.synthetic import generate, write_folder

__all__ = [
    "CandleFolder",
    "Panel",
    "Store",
    "build_panel",
    "build_store_panel",
    "carried_forward",
    "demo_folder",
    "generate",
    "panel_bytes",
    "panel_file",
    "read_panel",
    "write_folder",
    "write_panel",
]
