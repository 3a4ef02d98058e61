"""What goes into the log of a study and comes out of it: results of candidates, and events."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import repeat
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

STATUSES = ("ok", "failed", "stopped")


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The result of one candidate.

    Parameters
    ----------
    number
        Candidate, from 0.
    parameters
        float64 (58,), the enforced vector.
    metrics
        float64 (metrics of the definition,), NaN for null; all NaN where nothing came back.
    status
        ``ok``; ``failed`` (with ``error``); ``stopped`` (lost before the last candle, so that its metrics are
        those of the run up to the minute ``stopped``).
    worker, seconds
        Who evaluated it and the seconds in the engine: for people, never part of a result.
    error
        Cause of a failure.
    stopped
        Last minute of a candidate that was stopped.
    """

    number: int
    parameters: NDArray[np.float64]
    metrics: NDArray[np.float64]
    status: str = "ok"
    worker: str = ""
    seconds: float = 0.0
    error: str | None = None
    stopped: int | None = None


class _Columns:
    """Parallel columns, arrays or tuples, of which ``numbers`` is the first."""

    __slots__ = ()
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, index: NDArray[np.intp]) -> Self:
        """Return what stands at these indices (k,), in that order."""
        columns = (getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]
        return type(self)(*(_taken(column, index) for column in columns))


def _taken(column: Any, index: NDArray[np.intp]) -> Any:
    return column[index] if isinstance(column, np.ndarray) else tuple(column[i] for i in index)


@dataclass(frozen=True, slots=True, eq=False)
class LogBatch(_Columns):
    """The results of many candidates as parallel arrays; the fields are those of :class:`Evaluation`.

    Parameters
    ----------
    numbers
        int64 (n,).
    parameters, metrics
        float64 (n, p) and (n, m).
    status, worker, error
        n entries each.
    seconds
        float64 (n,).
    stopped
        float64 (n,), NaN for those that were not stopped.
    """

    numbers: NDArray[np.int64]
    parameters: NDArray[np.float64]
    metrics: NDArray[np.float64]
    status: Sequence[str]
    worker: Sequence[str]
    seconds: NDArray[np.float64]
    error: Sequence[str | None]
    stopped: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Rows(_Columns):
    """Rows of the log by candidate number: ``numbers`` (n,), ``parameters`` (n, p), ``metrics`` (n, m), …."""

    numbers: NDArray[np.int64]
    parameters: NDArray[np.float64]
    metrics: NDArray[np.float64]
    status: NDArray[np.str_]
    worker: tuple[str, ...]
    seconds: NDArray[np.float64]
    error: tuple[str | None, ...]
    logged: NDArray[np.float64]
    stopped: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the study, such as created, resumed, lag, worker_lost."""

    at: float
    kind: str
    payload: Mapping[str, Any]


def record(row: Evaluation, width: int, depth: int, now: float) -> tuple[object, ...]:
    """Return the record of one candidate in the log's table.

    Raises
    ------
    ValueError
        The row does not fit the definition: ``width`` parameters, ``depth`` metrics, a known status.
    """
    if row.status not in STATUSES:
        raise ValueError(
            f"candidate {row.number}: status {row.status!r}, allowed is one of {', '.join(STATUSES)}"
        )
    parameters = np.asarray(row.parameters, dtype="<f8")
    metrics = np.asarray(row.metrics, dtype="<f8")
    if parameters.shape != (width,) or metrics.shape != (depth,):
        raise ValueError(
            f"candidate {row.number}: {parameters.shape} parameters and {metrics.shape} metrics, "
            f"the definition has {width} and {depth}"
        )
    return (
        int(row.number),
        parameters.tobytes(),
        metrics.tobytes(),
        row.status,
        row.worker,
        float(row.seconds),
        row.error,
        now,
        row.stopped,
    )


def records(batch: LogBatch, width: int, depth: int, now: float) -> Iterator[tuple[object, ...]]:
    """Return the records of a batch; raises as :func:`record`."""
    for status in set(batch.status) - set(STATUSES):
        raise ValueError(f"status {status!r}, allowed is one of {', '.join(STATUSES)}")
    parameters = np.ascontiguousarray(batch.parameters, dtype="<f8")
    metrics = np.ascontiguousarray(batch.metrics, dtype="<f8")
    if parameters.shape != (len(batch), width) or metrics.shape != (len(batch), depth):
        raise ValueError(
            f"parameters {parameters.shape} and metrics {metrics.shape} of {len(batch)} candidates, "
            f"the definition has {width} and {depth}"
        )
    return zip(
        batch.numbers.tolist(),
        _blobs(parameters),
        _blobs(metrics),
        batch.status,
        batch.worker,
        batch.seconds.tolist(),
        batch.error,
        repeat(now, len(batch)),
        [None if math.isnan(minute) else int(minute) for minute in batch.stopped.tolist()],
        strict=True,
    )


def _blobs(values: NDArray[np.float64]) -> list[bytes]:
    data, width = values.tobytes(), values.shape[1] * 8
    return [data[i : i + width] for i in range(0, len(data), width)] if width else [b""] * len(values)


def matrix(blobs: Sequence[bytes], width: int) -> NDArray[np.float64]:
    """Return (n, width) numbers from the blobs of as many records.

    Raises
    ------
    ValueError
        One of them has another length.
    """
    if any(len(blob) != 8 * width for blob in blobs):
        raise ValueError("blob of another length")
    return (
        np.frombuffer(b"".join(blobs), dtype="<f8").astype(np.float64, copy=False).reshape(len(blobs), width)
    )
