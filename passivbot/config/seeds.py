"""Starting configurations of a search: ``--start`` (optimizer-semantics §5)."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from passivbot.config.document import parse_document, read_mapping, read_text
from passivbot.config.findings import Finding
from passivbot.config.load import load_mapping
from passivbot.config.schema import SIDES, Config
from passivbot.errors import ConfigError

if TYPE_CHECKING:
    from passivbot.config.space import ParameterSpace

_LINES = "_pareto.txt"
_FILES = (".json", ".hjson")
LESS_EXPOSURE = 0.75
"""Factor of both sides' exposure limits in the second copy of a starting configuration."""


@dataclass(frozen=True, eq=False)
class Seeds:
    """Starting vectors (k, 58), enforced and different.

    ``findings`` name the files of folders that held none, ``notes`` how many there are, and the free
    parameters that had to be moved into their bounds.
    """

    vectors: NDArray[np.float64]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()


def read_seeds(space: "ParameterSpace", paths: Iterable[Path | str]) -> Seeds:
    """Read starting configurations.

    Each configuration gives its own vector and a copy with both ``total_wallet_exposure_limit`` × 0.75, both
    enforced; equal vectors count once, in the order of first appearance. ``n_positions`` is rounded, as in
    every loaded configuration.

    Parameters
    ----------
    space
        Bounds and rounding.
    paths
        JSON or Hjson files, text files ending in ``_pareto.txt`` with one JSON configuration a line, or
        folders that are searched for both, recursively and in the order of their names.

    Raises
    ------
    ConfigError
        A named file holds no configuration, or a folder none at all.
    """
    findings: list[Finding] = []
    found: dict[bytes, NDArray[np.float64]] = {}
    outside: Counter[str] = Counter()
    count = 0
    for path in map(Path, paths):
        for config in _configs(path, findings):
            vector = space.vector(config)
            count += 1
            outside.update(_outside(space, vector))
            smaller = vector.copy()
            for side in SIDES:
                smaller[space.names.index(f"{side}_total_wallet_exposure_limit")] *= LESS_EXPOSURE
            for row in space.enforce(np.stack([vector, smaller])):
                found.setdefault(row.tobytes(), row)
    vectors = np.stack(list(found.values())) if found else np.empty((0, len(space.names)))
    return Seeds(vectors, tuple(findings), _notes(count, len(vectors), outside))


def _outside(space: "ParameterSpace", vector: NDArray[np.float64]) -> list[str]:
    """Return the free parameters whose values lie outside their bounds by more than rounding does."""
    slack = 10.0**-space.digits * np.maximum(np.abs(space.low), np.abs(space.high))
    wrong = (vector < space.low - slack) | (vector > space.high + slack)
    return [name for name, w in zip(space.names, wrong & (space.high > space.low), strict=True) if w]


def _notes(count: int, vectors: int, outside: "Counter[str]") -> tuple[str, ...]:
    if not count:
        return ()
    files = "1 configuration" if count == 1 else f"{count} configurations"
    notes = [f"starts: {files}, {vectors} different candidate{'' if vectors == 1 else 's'} of them"]
    if outside:
        named = ", ".join(f"{name} ({times})" for name, times in outside.most_common(3))
        more = f" and {len(outside) - 3} more" if len(outside) > 3 else ""
        notes.append(
            f"starts: values outside optimize.bounds are moved into them, of {named}{more}; wider bounds "
            "keep the configurations as they are"
        )
    return tuple(notes)


def _configs(path: Path, findings: list[Finding]) -> Iterator[Config]:
    if not path.is_dir():
        yield from _of_file(path)
        return
    files = sorted(
        file
        for file in path.rglob("*")
        if file.is_file() and (file.suffix in _FILES or file.name.endswith(_LINES))
    )
    count = 0
    for file in files:
        try:
            for config in _of_file(file):
                count += 1
                yield config
        except ConfigError as error:
            findings.append(Finding(str(file), "--start", f"is left out: {error}"))
    if not count:
        raise ConfigError(f"{path}: the folder holds no configuration to start from")


def _of_file(file: Path) -> Iterator[Config]:
    if not file.name.endswith(_LINES):
        yield load_mapping(read_mapping(file), file).config
        return
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        if line.strip():
            content = parse_document(line, f"{file} line {number}")
            if not isinstance(content, dict):
                raise ConfigError(f"{file} line {number}: holds no configuration")
            yield load_mapping(content, file).config
