"""What a person finds in a study's folder afterwards: the members as configurations, and the page."""

from dataclasses import dataclass
from pathlib import Path

from passivbot.study.export import export_front
from passivbot.study.front import Front
from passivbot.study.plot import write_page
from passivbot.study.select import pick
from passivbot.study.study import Results, Study
from passivbot.study.terminal import marks_of

DEFAULT_PICKS = ("knee", "ideal")


@dataclass(frozen=True)
class Published:
    """Where the members' configurations and the page lie."""

    front: Path
    page: Path


def default_marks(members: Results) -> dict[int, str]:
    """Return candidate → methods that choose it by default; nothing while nothing is feasible."""
    if not members.feasible.any():
        return {}
    return marks_of([(method, int(members.numbers[pick(members, method)])) for method in DEFAULT_PICKS])


def publish(study: Study, front: Front, members: Results, marks: dict[int, str] | None = None) -> Published:
    """Write ``front/`` and ``front.html`` into the study's folder.

    Raises
    ------
    StudyError
        The folder can't be written.
    ResourceError
        The disk is full.
    """
    marks = default_marks(members) if marks is None else marks
    return Published(export_front(study, members), write_page(study, front, members, marks=marks))
