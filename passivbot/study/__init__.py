"""What a search produced: its log, the front, the choice of a member, its replay and its export."""

from passivbot.study.definition import Definition, Space
from passivbot.study.front import Front, Reference
from passivbot.study.log import StudyLog
from passivbot.study.rows import Evaluation, Event, LogBatch, Rows

__all__ = [
    "Definition",
    "Evaluation",
    "Event",
    "Front",
    "LogBatch",
    "Reference",
    "Rows",
    "Space",
    "StudyLog",
]
