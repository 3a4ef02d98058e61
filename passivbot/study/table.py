"""All evaluations of a study as CSV, Parquet or JSON, piece by piece: the log may exceed the memory."""

import csv
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from passivbot.disk import part_of, settle
from passivbot.engine import STOPPED_MINUTE
from passivbot.errors import StudyError, located
from passivbot.study.lock import unwritable
from passivbot.study.study import Results, Study

FORMATS = ("csv", "parquet", "json")


def export_table(study: Study, form: str, out: Path | None) -> int:
    """Write all evaluations and return their number.

    Columns: ``candidate``, ``status``, ``worker``, ``seconds``, ``error``, the parameters, the metrics,
    ``objective.METRIC`` (minimised), ``violation.LIMIT`` and ``stopped_minute``. What is not finite is empty,
    null.

    Parameters
    ----------
    study
        The study.
    form
        One of :data:`FORMATS`.
    out
        The file, written beside and renamed; None: standard output, not for Parquet.

    Raises
    ------
    StudyError
        Unknown format, no file named for Parquet, or the file can't be written.
    ResourceError
        The disk is full.
    """
    if form not in FORMATS:
        raise StudyError(located("the command line", "--format", form, f"one of {', '.join(FORMATS)}"))
    if form == "parquet":
        if out is None:
            raise StudyError("--format parquet needs --out FILE")
        return _beside(out, lambda part: _write_parquet(study, part))
    write = _write_csv if form == "csv" else _write_json
    if out is None:
        return write(study, sys.stdout)

    def to_file(part: Path) -> int:
        with part.open("w", encoding="utf-8", newline="") as stream:
            return write(study, stream)

    return _beside(out, to_file)


def _beside(out: Path, write: Callable[[Path], int]) -> int:
    try:
        with part_of(out) as part:
            written = write(part)
            settle(part, out)
    except OSError as error:
        raise unwritable(out, error) from error
    return written


def _columns(study: Study) -> list[str]:
    return [
        *("candidate", "status", "worker", "seconds", "error"),
        *study.definition.space.names,
        *study.definition.metrics,
        *(f"objective.{objective.metric}" for objective in study.scoring.objectives),
        *(f"violation.{limit.key}" for limit in study.scoring.limits),
        STOPPED_MINUTE,
    ]


def _lines(results: Results) -> Iterator[list[Any]]:
    rows = results.rows
    for i, number in enumerate(rows.numbers.tolist()):
        values = [
            *rows.parameters[i].tolist(),
            *rows.metrics[i].tolist(),
            *results.objectives[i].tolist(),
            *results.violations[i].tolist(),
        ]
        yield [
            *(number, str(rows.status[i]), rows.worker[i], float(rows.seconds[i]), rows.error[i]),
            *(value if math.isfinite(value) else None for value in values),
            rows.stopped[i],
        ]


def _write_csv(study: Study, stream: TextIO) -> int:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_columns(study))
    count = 0
    for results in study.all():
        writer.writerows(_lines(results))
        count += len(results)
    return count


def _write_json(study: Study, stream: TextIO) -> int:
    count = 0
    for results in study.all():
        for i, record in enumerate(results.records()):
            rows = results.rows
            record |= {
                "error": rows.error[i],
                "seconds": float(rows.seconds[i]),
                "status": str(rows.status[i]),
                STOPPED_MINUTE: rows.stopped[i],
                "worker": rows.worker[i],
            }
            text = json.dumps(record, sort_keys=True, allow_nan=False)
            stream.write(("[\n" if count == 0 else ",\n") + text)
            count += 1
    stream.write("[]\n" if count == 0 else "\n]\n")
    return count


def _write_parquet(study: Study, path: Path) -> int:
    names = _columns(study)
    first = [pa.int64(), pa.string(), pa.string(), pa.float64(), pa.string()]
    types = [*first, *[pa.float64()] * (len(names) - len(first) - 1), pa.int64()]
    schema = pa.schema(list(zip(names, types, strict=True)))
    count = 0
    with pq.ParquetWriter(path, schema) as writer:
        for results in study.all():
            columns = list(zip(*_lines(results), strict=True))
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            count += len(results)
    return count
