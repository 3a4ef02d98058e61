"""Candles: folders, cleaning, the Arrow panel, the synthetic generator and the embedded demo set."""

from passivbot.market.demo import demo_folder
from passivbot.market.folder import CandleFolder
from passivbot.market.panel import Panel, build_panel, carried_forward, panel_bytes
from passivbot.market.synthetic import generate, write_folder

__all__ = [
    "CandleFolder",
    "Panel",
    "build_panel",
    "carried_forward",
    "demo_folder",
    "generate",
    "panel_bytes",
    "write_folder",
]
