"""What is to be promoted, taken out of its study: one configuration, its digest and where it comes from."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passivbot.backtest.scenario import PROVENANCE
from passivbot.config import Config
from passivbot.config.load import load_mapping
from passivbot.errors import PromotionError, located
from passivbot.study.definition import canonical
from passivbot.study.export import exported
from passivbot.study.select import pick as choose
from passivbot.study.study import Study
from passivbot.study.unseen import narrowed

_SETTABLE = "live."


@dataclass(frozen=True, eq=False)
class Frozen:
    """A configuration as it will be traded.

    Parameters
    ----------
    config
        The candidate's, with the account and what ``--set`` changed below ``live``.
    sha256
        Of its canonical JSON.
    origin
        JSON-able facts for the history: study, candidate, how it was picked, metrics, engine version, what
        was set, digest of the candles.
    """

    config: Config
    sha256: str
    origin: Mapping[str, Any]

    @classmethod
    def of(cls, config: Config, origin: Mapping[str, Any]) -> "Frozen":
        """Return a configuration frozen."""
        return cls(config, digest_of(config), origin)

    def document(self) -> dict[str, Any]:
        """Return the part of a version's file that this is."""
        return {**self.origin, "config": self.config.to_dict(), "config_sha256": self.sha256}


def digest_of(config: Config) -> str:
    """Return the SHA-256 of a configuration's canonical JSON."""
    return hashlib.sha256(canonical(config.to_dict()).encode()).hexdigest()


def chosen(
    study: Study, method: str | None, candidate: int | None, conditions: Sequence[str] = ()
) -> tuple[int, str | None]:
    """Return the candidate that ``--pick`` or ``--candidate`` means, and how it was picked, for the history.

    Parameters
    ----------
    study
        The study.
    method, candidate
        One of them.
    conditions
        With a method: what members have to keep (:func:`passivbot.study.unseen.narrowed`).

    Raises
    ------
    PromotionError
        Both are given, or none.
    ConfigError, StudyError
        The method is unknown, or there is nothing to choose from.
    """
    if (method is None) == (candidate is None):
        raise PromotionError("the command line: needed is one of --pick METHOD and --candidate NUMBER")
    if candidate is not None:
        if conditions:
            raise PromotionError("the command line: --where and --holds go with --pick")
        return candidate, None
    members = narrowed(study, study.members(), conditions)
    return int(members.numbers[choose(members, str(method))]), ", ".join([str(method), *conditions])


def freeze(
    study: Study, candidate: int, *, account: str, sets: Sequence[str] = (), picked: str | None = None
) -> Frozen:
    """Return a candidate of a study as it will be traded.

    Parameters
    ----------
    study
        The study.
    candidate
        Its number.
    account
        Goes into ``live.user``.
    sets
        ``live.KEY=VALUE``, for what the account needs and no backtest knows; the strategy stays the
        candidate's.
    picked
        How it was chosen; for the history.

    Raises
    ------
    PromotionError
        ``sets`` would change something else than ``live``.
    StudyError
        The candidate is not in the log, or failed.
    ConfigError
        ``sets`` names an unknown key or a wrong value.
    """
    for entry in sets:
        if not entry.strip().startswith(_SETTABLE):
            allowed = "a key below live; search again for another strategy"
            raise PromotionError(located("the command line", "--set", entry, allowed))
    ((_, document),) = exported(study, study.results(study.row(candidate)))
    record = document.pop(PROVENANCE)
    # Where the study's configuration lay is a path of another machine perhaps, and means nothing here.
    document["live"]["base_config_path"] = f"{study.name}/{candidate}"
    config = load_mapping(document, Path(study.log.path), sets=[*sets, f"live.user={account}"]).config
    return Frozen.of(
        config,
        {
            "candidate": candidate,
            "candles_digest": record["candles_digest"],
            "engine_version": record["engine_version"],
            "metrics": record["metrics"],
            "objectives": record["objectives"],
            "picked": picked,
            "search": record["search"],
            "seed": record["seed"],
            "set": list(sets),
            "study": study.name,
            "window": record["window"],
        },
    )
