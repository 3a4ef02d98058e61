"""Panels of a store, kept: found again by what they are made of, and grown when candles are added.

A kept panel's name is a hash over everything that decides its content: the checksums of the months, each
coin's exchange, factor and life, and the bars. A panel that is not there takes from the kept ones, coin by
coin, the months that are the same, and decodes only the others.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from passivbot.errors import PassivbotError
from passivbot.market.clean import Floats
from passivbot.market.holding import Holding
from passivbot.market.panel import FIELDS, Panel
from passivbot.market.panel_file import ENDING, read_panel, read_recipe, write_panel
from passivbot.market.store import PANELS, Store
from passivbot.market.store_panel import build_store_panel
from passivbot.times import MINUTE_MS

MOST_BYTES = 8_000_000_000
"""What the kept panels of a store may take together; those not used for longest go first."""


def cached_panel(
    store: Store,
    holdings: Mapping[str, Holding],
    factors: Mapping[str, float],
    *,
    start_ms: int | None,
    interval_minutes: int = 1,
) -> tuple[Panel, Path | None]:
    """Return the panel of some holdings, mapped from the store's kept panels, made where it is not there.

    Parameters
    ----------
    store
        Where panels are kept.
    holdings, factors, start_ms, interval_minutes
        As :func:`build_store_panel` takes them.

    Returns
    -------
    panel
        Mapped; in memory if the store's disk can't take it, which a note then says.
    file
        Where it lies, for others to map; None if it can't be kept.

    Raises
    ------
    CandleError
        A file of the store is damaged.
    """
    recipe = _recipe(holdings, factors, interval_minutes)
    name = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
    path = store.root / PANELS / f"{name[:32]}{ENDING}"
    with contextlib.suppress(PassivbotError):
        panel = _restarted(read_panel(path), start_ms)
        with contextlib.suppress(OSError):
            os.utime(path)
        return panel, path
    known = _Known(path.parent, recipe) if interval_minutes == 1 else None
    panel = build_store_panel(
        holdings, factors, start_ms=start_ms, interval_minutes=interval_minutes, known=known
    )
    try:
        path.parent.mkdir(exist_ok=True)
        _make_room(path.parent, panel.table.nbytes)
        write_panel(panel, path, recipe)
        return _restarted(read_panel(path, verify=False), start_ms), path
    except (PassivbotError, OSError) as error:
        return replace(panel, notes=(*panel.notes, f"the panel could not be kept: {error}")), None


def _restarted(panel: Panel, start_ms: int | None) -> Panel:
    first = panel.first_ms
    return replace(panel, requested_start_ms=first if start_ms is None else max(start_ms, first))


def _recipe(
    holdings: Mapping[str, Holding], factors: Mapping[str, float], interval_minutes: int
) -> dict[str, Any]:
    return {
        "format": 1,
        "interval_minutes": interval_minutes,
        "coins": {
            coin: {
                "exchange": held.exchange,
                "factor": factors[coin],
                "first_ms": held.first_ms,
                "last_ms": held.last_ms,
                "months": [[facts.month, facts.sha256, facts.last_ms] for _, facts in held.months],
            }
            for coin, held in sorted(holdings.items())
        },
    }


class _Known:
    """The kept panels of a folder, as a source of months that a new panel shares with them."""

    def __init__(self, folder: Path, recipe: Mapping[str, Any]) -> None:
        self._coins = recipe["coins"]
        self._best: dict[str, tuple[int, Path]] = {}
        self._tables: dict[Path, Panel] = {}
        for path in sorted(folder.glob(f"*{ENDING}")) if folder.is_dir() else ():
            try:
                other = read_recipe(path)
            except PassivbotError:
                continue
            if other.get("interval_minutes") != 1:
                continue
            for coin, mine in self._coins.items():
                minutes = _shared(mine, other["coins"].get(coin))
                if minutes > self._best.get(coin, (0, path))[0]:
                    self._best[coin] = (minutes, path)
        for _, path in self._best.values():
            if path not in self._tables:
                with contextlib.suppress(PassivbotError):
                    # Verified: a wrong bit would otherwise be inherited.
                    self._tables[path] = read_panel(path)

    def take(self, coin: str, out: Floats) -> int:
        """Copy what is known of a coin's life into float64 (4, n); return how many minutes that are."""
        minutes, path = self._best.get(coin, (0, Path()))
        panel = self._tables.get(path)
        if panel is None:
            return 0
        first = panel.first_valid[panel.coins.index(coin)]
        for row, field in enumerate(FIELDS):
            out[row, :minutes] = panel.column(coin, field)[first : first + minutes]
        return minutes


def _shared(mine: Mapping[str, Any], other: Mapping[str, Any] | None) -> int:
    """Return how many minutes from the start of a coin's life two panels share: whole months of it."""
    if other is None or any(mine[key] != other[key] for key in ("exchange", "factor", "first_ms")):
        return 0
    last_ms = 0
    for one, two in zip(mine["months"], other["months"], strict=False):
        if one != two or one[2] > min(mine["last_ms"], other["last_ms"]):
            break
        last_ms = one[2]
    return (last_ms - mine["first_ms"]) // MINUTE_MS + 1 if last_ms else 0


def kept(store: Store) -> list[tuple[Path, int]]:
    """Return the kept panels and their sizes in bytes, the one not used for longest first."""
    found = []
    for path in (store.root / PANELS).glob(f"*{ENDING}"):
        with contextlib.suppress(OSError):
            stat = path.stat()
            found.append((stat.st_mtime_ns, path, stat.st_size))
    return [(path, size) for _, path, size in sorted(found)]


def _make_room(folder: Path, wanted: int) -> None:
    """Remove panels until another fits below :data:`MOST_BYTES`; whoever has one mapped keeps it."""
    panels = kept(Store(folder.parent))
    total = sum(size for _, size in panels) + wanted
    for path, size in panels:
        if total <= MOST_BYTES:
            break
        path.unlink(missing_ok=True)
        total -= size
    pa.default_memory_pool().release_unused()
