"""A panel as a file: Arrow IPC, mapped by who reads it, so that all processes of a machine share its pages.

``write_panel`` and ``read_panel`` take any panel, of a store or of a candle folder. The columns are the
table's; what else a panel knows stands in the schema's metadata as JSON under :data:`KEY`.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa

from passivbot.disk import part_of, settle
from passivbot.errors import CandleError, first_line
from passivbot.market.files import unwritable
from passivbot.market.panel import FIELDS, Panel, digest_of

KEY = b"passivbot.panel"
FORMAT = 1
ENDING = ".arrow"


def write_panel(panel: Panel, path: Path, recipe: Mapping[str, Any] | None = None) -> None:
    """Write a panel beside its name and rename it.

    Parameters
    ----------
    panel
        Any panel.
    path
        Where it goes; an existing file is replaced, and whoever has that mapped keeps it.
    recipe
        What it was made of, JSON-able; :func:`read_recipe` gives it back.

    Raises
    ------
    CandleError, ResourceError
        It can't be written; nothing is left behind.
    """
    facts = {
        "format": FORMAT,
        "coins": panel.coins,
        "interval_minutes": panel.interval_minutes,
        "first_ms": panel.first_ms,
        "requested_start_ms": panel.requested_start_ms,
        "first_valid": panel.first_valid,
        "last_valid": panel.last_valid,
        "notes": panel.notes,
        "digest": panel.digest,
        "recipe": recipe or {},
    }
    schema = panel.table.schema.with_metadata({KEY: json.dumps(facts, sort_keys=True)})
    try:
        with part_of(path) as part:
            with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
                writer.write_table(panel.table.replace_schema_metadata(schema.metadata))
            # Made of what is kept elsewhere: what a power cut spoils has another digest and is made anew.
            settle(part, path, durable=False)
    except (OSError, pa.ArrowException) as error:
        raise unwritable(path, error if isinstance(error, OSError) else OSError(str(error))) from None


def read_panel(path: Path, *, verify: bool = True) -> Panel:
    """Map a panel; its columns are read where they lie in the file.

    Parameters
    ----------
    verify
        Compare the content with the digest that was written: about a second for two gigabytes.

    Raises
    ------
    CandleError
        The file is missing, no panel, or its content is not what was written.
    """
    table, facts = _opened(path)
    digest = digest_table(table, facts["coins"]) if verify else facts["digest"]
    if digest != facts["digest"]:
        raise CandleError(f"{path}: its content is not that of its digest; remove it, and it is made anew")
    return Panel(
        table=table.replace_schema_metadata(None),
        coins=tuple(facts["coins"]),
        interval_minutes=int(facts["interval_minutes"]),
        first_ms=int(facts["first_ms"]),
        requested_start_ms=int(facts["requested_start_ms"]),
        first_valid=tuple(facts["first_valid"]),
        last_valid=tuple(facts["last_valid"]),
        notes=tuple(facts["notes"]),
        digest=digest,
    )


def read_recipe(path: Path) -> dict[str, Any]:
    """Return what a panel's file says that it was made of; empty if it says nothing.

    Raises
    ------
    CandleError
        The file is missing or no panel.
    """
    return dict(_opened(path)[1]["recipe"])


def panel_file(panel: Panel, folder: Path) -> Path:
    """Put a panel into a folder under the name of its digest, and return the file.

    Equal candles have one file, however often they are asked for; a file that is there already is kept.

    Raises
    ------
    CandleError, ResourceError
        It can't be written.
    """
    path = folder / f"{panel.digest}{ENDING}"
    if not path.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(folder, error) from None
        write_panel(panel, path)
    return path


def digest_table(table: pa.Table, coins: list[str]) -> str:
    """Return the digest of a panel's columns, as :class:`Panel` has it."""

    def one(name: str) -> str:
        return hashlib.sha256(table.column(name).chunk(0).to_numpy().data).hexdigest()

    names = [f"{coin}.{name}" for coin in coins for name in FIELDS]
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        sums = dict(zip(names, pool.map(one, names), strict=True))
    by_coin = {coin: [sums[f"{coin}.{name}"] for name in FIELDS] for coin in coins}
    return digest_of(table.column("timestamp").chunk(0).to_numpy(), by_coin)


def _opened(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        facts = json.loads((table.schema.metadata or {})[KEY])
        if facts["format"] != FORMAT:
            raise CandleError(f"{path}: is a panel of format {facts['format']}; this program reads {FORMAT}")
    except FileNotFoundError:
        raise CandleError(f"{path}: there is no such panel") from None
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        cause = first_line(error)
        raise CandleError(f"{path}: is no panel ({cause})") from None
    return table, facts
