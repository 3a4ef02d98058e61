"""The way of a configuration to a bot: proposed with all figures, then confirmed, then taken.

A :class:`Proposal` changes nothing. :func:`take` is the only thing that does, and refuses a proposal that
fails a check, was not confirmed, or was made against a version that is not current any more.
"""

import asyncio
import getpass
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from passivbot.config import Config
from passivbot.config.schema import SIDES
from passivbot.errors import PromotionError, located
from passivbot.live.clock import WallClock
from passivbot.ops.keys import Keys, checked_account, resolve
from passivbot.promotion import checks as made
from passivbot.promotion.account import Plan, examined
from passivbot.promotion.checks import Check, waived
from passivbot.promotion.difference import Change, difference
from passivbot.promotion.exposure import DEFAULT_CAP, exposure_within, worst_case
from passivbot.promotion.freeze import Frozen, chosen, digest_of, freeze
from passivbot.promotion.history import append, entries, locked, swap
from passivbot.promotion.plan import DryPlanner
from passivbot.study.study import Study
from passivbot.versions import LIVE, Promoted, folder_of, read_pointer, read_version

Action = Literal["promote", "rollback"]
WAIVABLE: Mapping[str, str] = {
    "unseen": "the backtest on candles that the study has not seen",
    "account": "everything that asks the exchange: key, coins, minimum cost, positions, the dry plan",
}
"""Checks that ``--waive NAME=REASON`` leaves out; the reason goes into the history."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """A version that may become current.

    Parameters
    ----------
    folder
        Of the live configuration.
    action
        How it came about.
    frozen
        What would be traded.
    account
        Whose name has to be typed.
    before
        What is current now; None: nothing.
    changes
        What differs from it.
    checks
        What was checked.
    plan
        What the bot would send first; None: not planned.
    cap
        Largest worst-case exposure that was allowed.
    restores
        Version that a rollback brings back.
    """

    folder: Path
    action: Action
    frozen: Frozen
    account: str
    before: Promoted | None
    changes: Sequence[Change]
    checks: Sequence[Check]
    plan: Plan | None
    cap: float
    restores: int | None = None

    @property
    def failed(self) -> list[Check]:
        """Checks that refuse it."""
        return [found for found in self.checks if found.fails]

    def document(self) -> dict[str, Any]:
        """Return what goes into the history."""
        return {
            **self.frozen.document(),
            "account": self.account,
            "action": self.action,
            "at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "by": f"{getpass.getuser()}@{socket.gethostname()}",
            "checks": [found.document() for found in self.checks],
            "max_exposure": self.cap,
            "plan": None if self.plan is None else self.plan.document(),
            "restores": self.restores,
        }


@dataclass(frozen=True)
class Terms:
    """What a promotion is held to.

    Parameters
    ----------
    account
        Name of the account; None: that of the version that is current, else ``live.user``.
    cap
        Largest worst-case exposure, × balance; None: that of the version that is current, else
        :data:`~passivbot.promotion.exposure.DEFAULT_CAP`.
    waive
        Name of a check → why it is not made.
    """

    account: str | None = None
    cap: float | None = None
    waive: Mapping[str, str] = field(default_factory=dict)


def propose(
    study: Study,
    name: str,
    *,
    method: str | None = None,
    candidate: int | None = None,
    conditions: Sequence[str] = (),
    sets: Sequence[str] = (),
    candles: Path | None = None,
    more_candles: Path | None = None,
    terms: Terms = Terms(),
    root: Path = LIVE,
) -> Proposal:
    """Propose a candidate of a study.

    Parameters
    ----------
    study
        The study.
    name
        Live configuration.
    method, candidate
        Which candidate: one of them.
    conditions
        With a method: what members have to keep to be chosen.
    sets
        ``live.KEY=VALUE``.
    candles
        Where the candles of the study lie now; None: where they lay then.
    more_candles
        Folder with candles that the study has not seen; None: that of the study.
    terms
        What it is held to.
    root
        Folder of the live configurations.

    Raises
    ------
    PromotionError, StudyError, ConfigError, CandleError, KeysError, ExchangeError
        Something is missing or can't be read. What is read and does not suffice is a failed check.
    """
    folder = folder_of(name, root)
    before = _current(folder)
    account = _account(terms, before, study.config)
    cap = _cap(terms, before)
    number, picked = chosen(study, method, candidate, conditions)
    # Whoever has no keys need not wait for a backtest to be told.
    keys = _keys(account, terms)
    frozen = freeze(study, number, account=account, sets=sets, picked=picked)
    checks = [made.keeps_limits(study, number), made.replays(study, number, candles)]
    if "unseen" in terms.waive:
        checks.append(waived("unseen data", terms.waive["unseen"]))
    else:
        checks.append(made.unseen(study, frozen.config, more_candles or candles))
    more, plan = _with_account(frozen.config, keys, cap, terms, root)
    return Proposal(
        folder=folder,
        action="promote",
        frozen=frozen,
        account=account,
        before=before,
        changes=difference(None if before is None else before.config, frozen.config),
        checks=[*checks, *more],
        plan=plan,
        cap=cap,
    )


def propose_rollback(
    name: str,
    version: int | None = None,
    *,
    terms: Terms = Terms(),
    root: Path = LIVE,
) -> Proposal:
    """Propose an older version: the one before the current one, if none is named.

    It becomes a new version with the old content, checked as any other; replay and unseen data were checked
    when it was made, and their figures go along.

    Raises
    ------
    PromotionError
        There is none, or the history was changed.
    KeysError, ExchangeError
        The account can't be asked.
    """
    folder = folder_of(name, root)
    before = _current(folder)
    if before is None:
        raise PromotionError(f"{folder}: nothing is promoted to {name}")
    known = {entry.promoted.version: entry for entry in entries(folder)}
    target = before.document["previous"] if version is None else version
    if target is None:
        raise PromotionError(f"{folder}: version {before.version} is the first; there is none before it")
    past = [number for number, entry in known.items() if entry.state == "past"]
    if target not in past:
        named = ", ".join(map(str, past)) or "none"
        raise PromotionError(located("the command line", "--version", target, f"one that was live: {named}"))
    old = known[target].promoted
    account = _account(terms, before, before.config)
    cap = _cap(terms, before)
    live = old.config.live.model_copy(update={"user": account})
    config = old.config.model_copy(update={"live": live})
    kept = {
        key: value
        for key, value in old.document.items()
        if key not in ("config", "config_sha256", "before", "previous", "version", "format", "name")
    }
    earlier = made.check(
        "history",
        digest_of(old.config) == old.document["config_sha256"],
        f"version {target} is as it was promoted at {old.document['at']}, with the checks made then",
        version=target,
    )
    more, plan = _with_account(config, _keys(account, terms), cap, terms, root)
    return Proposal(
        folder=folder,
        action="rollback",
        frozen=Frozen.of(config, kept),
        account=account,
        before=before,
        changes=difference(before.config, config),
        checks=[earlier, *more],
        plan=plan,
        cap=cap,
        restores=target,
    )


def take(proposal: Proposal, typed: str) -> Promoted:
    """Make a proposal current.

    Parameters
    ----------
    proposal
        The proposal.
    typed
        What the person typed as the account's name.

    Raises
    ------
    PromotionError
        A check failed, the name is another, or another version became current meanwhile.
    ResourceError
        The disk is full.
    """
    if proposal.failed:
        raise PromotionError(f"refused: {proposal.failed[0].name}: {proposal.failed[0].text}")
    if typed.strip() != proposal.account:
        raise PromotionError(f"not confirmed: typed was {typed.strip()!r}, the account is {proposal.account}")
    with locked(proposal.folder):
        now = read_pointer(proposal.folder)
        expected = None if proposal.before is None else (proposal.before.version, proposal.before.sha256)
        if now != expected:
            version = "nothing" if now is None else f"version {now[0]}"
            raise PromotionError(f"{proposal.folder}: {version} became current meanwhile; look at it again")
        promoted = append(proposal.folder, proposal.document())
        swap(proposal.folder, promoted)
    return promoted


def read_waivers(texts: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=REASON``.

    Raises
    ------
    PromotionError
        No such check may be waived, or no reason is given.
    """
    found = {}
    for text in texts:
        name, _, reason = text.partition("=")
        if name.strip() not in WAIVABLE or not reason.strip():
            allowed = " or ".join(f"{known}=REASON" for known in WAIVABLE)
            raise PromotionError(located("the command line", "--waive", text, allowed))
        found[name.strip()] = reason.strip()
    return found


def _current(folder: Path) -> Promoted | None:
    pointer = read_pointer(folder)
    return None if pointer is None else read_version(folder, *pointer)


def _account(terms: Terms, before: Promoted | None, config: Config) -> str:
    if terms.account is not None:
        return checked_account(terms.account)
    return config.live.user if before is None else before.account


def _cap(terms: Terms, before: Promoted | None) -> float:
    if terms.cap is not None:
        return terms.cap
    known = None if before is None else before.max_exposure
    return DEFAULT_CAP if known is None else known


def _keys(account: str, terms: Terms) -> Keys | None:
    return None if "account" in terms.waive else resolve(account)


def _with_account(
    config: Config, keys: Keys | None, cap: float, terms: Terms, root: Path
) -> tuple[list[Check], Plan | None]:
    """Return the checks that need the account, or those that are left without it."""
    if keys is None:
        worst = worst_case(config, {side: sorted(config.live.approved(side)) for side in SIDES})
        return [exposure_within(config, worst, cap), waived("account", terms.waive["account"])], None
    planner = DryPlanner(keys.account, cap, root, WallClock())
    return asyncio.run(examined(keys, config, cap, planner))
