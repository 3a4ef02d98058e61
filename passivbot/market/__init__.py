"""Candles: folders, cleaning, the Arrow panel, the synthetic generator and the embedded demo set."""

from passivbot.market.folder import CandleFolder
from passivbot.market.panel import Panel, build_panel, carried_forward, panel_bytes

__all__ = ["CandleFolder", "Panel", "build_panel", "carried_forward", "panel_bytes"]
