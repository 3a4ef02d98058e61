"""The live bot: one planning loop, one reconciliation, guards, a journal; the orders are the engine's."""
