"""Fronts of several studies side by side: which search, seed or set of bounds found more.

All fronts are measured against one reference, made of all their members as a study's is of its first
population: so their hypervolumes compare, and differ from those that each study reports of itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import moocore
import numpy as np
from numpy.typing import NDArray

from passivbot.errors import StudyError
from passivbot.study.front import Reference
from passivbot.study.study import Results, Study

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Side:
    """One study in a comparison.

    Attributes
    ----------
    study, members
        Which, and its front.
    told
        Candidates logged.
    hypervolume
        Against the common reference.
    shared
        Members that are on the front of all studies together.
    beaten
        Members that a member of another study dominates.
    """

    study: Study
    members: Results
    told: int
    hypervolume: float
    shared: int
    beaten: int


def compare(studies: Sequence[Study]) -> list[Side]:
    """Compare the fronts of studies, in the order given.

    Raises
    ------
    StudyError
        They have other objectives, or one has no front.
    """
    fronts = [study.front() for study in studies]
    first = [(o.metric, o.weight) for o in studies[0].scoring.objectives]
    for study, front in zip(studies, fronts, strict=True):
        names = [(o.metric, o.weight) for o in study.scoring.objectives]
        if names != first:
            raise StudyError(
                f"{study.folder}: its objectives are {', '.join(n for n, _ in names)}, those of "
                f"{studies[0].folder} are {', '.join(n for n, _ in first)}; fronts compare in the same ones"
            )
        if not front.feasible:
            raise StudyError(f"{study.folder}: has no front: no candidate keeps all limits")
    values = [front.objectives for front in fronts]
    together = np.concatenate(values)
    reference = Reference.of(together, np.zeros(len(together)))
    assert reference is not None  # each front has a member
    owner = np.repeat(np.arange(len(values)), [len(part) for part in values])
    best = moocore.is_nondominated(together, keep_weakly=True)
    return [
        Side(
            study,
            study.members(front),
            front.told,
            reference.hypervolume(part),
            int((best & (owner == i)).sum()),
            int((~best & (owner == i)).sum()),
        )
        for i, (study, front, part) in enumerate(zip(studies, fronts, values, strict=True))
    ]


_FACTS = (("candles_digest", "other candles"), ("digest", "another balance, fee or other market rules"))


def differences(studies: Sequence[Study]) -> list[str]:
    """Return what makes fronts of these studies hard to compare: other candles, bars or limits."""
    found = []
    first = studies[0]
    for study in studies[1:]:
        one, other = first.definition.scenario, study.definition.scenario
        reason = next((words for key, words in _FACTS if one.get(key) != other.get(key)), None)
        if study.definition.interval_minutes != first.definition.interval_minutes:
            reason = "bars of another length"
        if reason is not None:
            found.append(f"{study.name} ran on {reason} than {first.name}: its metrics do not compare")
        if study.scoring.limits != first.scoring.limits:
            found.append(f"{study.name} has other limits than {first.name}: its front keeps those")
    return found
