"""Front members as configuration files, each complete in itself: ``STUDY/front/NNNNNNN.json``.

Such a file has the evaluated (rounded, overridden) values, the bounds (the warm-up depends on them), the
overrides and the window; and below ``_provenance`` what the candidate met in the search: coins, minutes, fee,
market rules, digest of the candles, and the logged metrics. ``passivbot backtest`` of it gives the log's
bits.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passivbot.backtest.scenario import STOP_LIMITS
from passivbot.config import Config
from passivbot.disk import replace_file
from passivbot.engine import STOPPED_MINUTE
from passivbot.errors import StudyError
from passivbot.study.lock import unwritable
from passivbot.study.study import Results, Study

FRONT = "front"
PROVENANCE = "_provenance"
_MEMBER = re.compile(r"\d{7,}\.json(\.part)?")


def evaluated_config(study: Study, vector: NDArray[np.float64]) -> Config:
    """Return the configuration in which the study evaluated a logged vector (58,)."""
    return study.space.apply(study.config, vector)


def exported(study: Study, members: Results) -> list[tuple[int, dict[str, Any]]]:
    """Return (candidate, configuration as JSON-able dictionary) of each candidate."""
    return [
        (record["candidate"], _document(study, members.rows.parameters[i], record))
        for i, record in enumerate(members.records())
    ]


def _document(study: Study, vector: NDArray[np.float64], record: dict[str, Any]) -> dict[str, Any]:
    definition = study.definition
    document = evaluated_config(study, vector).to_dict()
    coins = list(definition.scenario.get("coins", ()))
    _pin_coins(document["live"], coins)
    document[PROVENANCE] = {
        **definition.scenario,
        "candidate": record["candidate"],
        "engine_version": definition.engine,
        "metrics": record["metrics"],
        "objectives": record["objectives"],
        "search": definition.search,
        "seed": definition.seed,
        **_stopping(study, record),
        "study": study.name,
        "violations": record["violations"],
    }
    return document


def _stopping(study: Study, record: dict[str, Any]) -> dict[str, Any]:
    """Return at which limits the study stopped its candidates, and where this one; nothing if it did not."""
    if study.stop_limits is None:
        return {}
    return {STOP_LIMITS: study.stop_limits, STOPPED_MINUTE: record.get(STOPPED_MINUTE)}


def _pin_coins(live: dict[str, Any], coins: list[str]) -> None:
    """State the coins of the run, each side keeping its own choice of them where they come from the lists."""
    approved = {side: [c for c in coins if c in listed] for side, listed in live["approved_coins"].items()}
    if {c for side in approved.values() for c in side} != set(coins):
        approved = {side: list(coins) for side in approved}
    live["approved_coins"] = approved
    live["ignored_coins"] = {
        side: [c for c in listed if c not in coins] for side, listed in live["ignored_coins"].items()
    }


def export_front(study: Study, members: Results, folder: Path | None = None) -> Path:
    """Write each member's configuration and remove files of candidates that are no longer members.

    Files are written beside and renamed; one whose content is the same stays untouched.

    Parameters
    ----------
    study
        The study.
    members
        What ``study.members()`` gives.
    folder
        Where to; ``front`` in the study's folder if None.

    Returns
    -------
    The folder.

    Raises
    ------
    StudyError
        The folder can't be written.
    ResourceError
        The disk is full.
    """
    folder = study.folder / FRONT if folder is None else folder
    kept = set()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for candidate, document in exported(study, members):
            path = folder / f"{candidate:07d}.json"
            kept.add(path.name)
            write_text(path, _text(document))
        for path in folder.iterdir():
            if _MEMBER.fullmatch(path.name) and path.name not in kept:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    return folder


def candidate_text(study: Study, candidate: int) -> str:
    """Return the configuration of any candidate that has metrics, as ``front/`` has those of its members.

    Raises
    ------
    StudyError
        It is not in the log, or failed.
    """
    ((_, document),) = exported(study, study.results(study.row(candidate)))
    return _text(document)


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=4, sort_keys=True, allow_nan=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write a file beside its name, then rename it; nothing happens if it has this text already.

    Raises
    ------
    StudyError
        The file can't be written.
    ResourceError
        The disk is full.
    """
    content = text.encode()
    try:
        if path.exists() and path.stat().st_size == len(content) and path.read_bytes() == content:
            return
    except OSError as error:
        raise unwritable(path, error) from error
    replace_file(path, content, StudyError, durable=False)
