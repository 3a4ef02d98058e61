"""Comparing versions, or what is live with a candidate, without promoting anything."""

from collections.abc import Sequence
from pathlib import Path

from passivbot.errors import PromotionError
from passivbot.promotion.difference import Change, difference
from passivbot.promotion.freeze import chosen, freeze
from passivbot.study.study import Study
from passivbot.versions import LIVE, folder_of, read, read_version


def compare_versions(
    name: str, before: int | None = None, after: int | None = None, *, root: Path = LIVE
) -> tuple[str, list[Change]]:
    """Return a headline and what differs between two versions.

    Parameters
    ----------
    name
        Live configuration.
    before
        Version; None: the one that was live before ``after``.
    after
        Version; None: the one that is live.
    root
        Folder of the live configurations.

    Raises
    ------
    PromotionError
        There is no such version.
    """
    folder, now = folder_of(name, root), read(name, root)
    new = now if after is None else read_version(folder, after)
    first = new.document["previous"] if before is None else before
    if first is None:
        raise PromotionError(f"{folder}: version {new.version} is the first; there is none before it")
    old = read_version(folder, int(first))
    return f"from {old} to {new}", difference(old.config, new.config)


def compare_candidate(
    study: Study,
    name: str,
    *,
    method: str | None,
    candidate: int | None,
    conditions: Sequence[str] = (),
    sets: Sequence[str] = (),
    root: Path = LIVE,
) -> tuple[str, list[Change]]:
    """Return a headline and what differs between what is live and a candidate.

    Raises
    ------
    PromotionError
        Nothing is live, or not exactly one of ``method`` and ``candidate`` is given.
    StudyError, ConfigError
        As :func:`~passivbot.promotion.freeze.freeze`.
    """
    now = read(name, root)
    number, picked = chosen(study, method, candidate, conditions)
    frozen = freeze(study, number, account=now.account, sets=sets, picked=picked)
    return f"from {now} to candidate {number} of {study.name}", difference(now.config, frozen.config)
