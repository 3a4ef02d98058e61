"""Starting configurations of a search: ``--start`` (optimizer-semantics §5)."""

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
    """Starting vectors (k, 58), enforced and different, and the files of folders that held none."""

    vectors: NDArray[np.float64]
    findings: tuple[Finding, ...]


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
    for path in map(Path, paths):
        for config in _configs(path, findings):
            vector = space.vector(config)
            smaller = vector.copy()
            for side in SIDES:
                smaller[space.names.index(f"{side}_total_wallet_exposure_limit")] *= LESS_EXPOSURE
            for row in space.enforce(np.stack([vector, smaller])):
                found.setdefault(row.tobytes(), row)
    vectors = np.stack(list(found.values())) if found else np.empty((0, len(space.names)))
    return Seeds(vectors, tuple(findings))


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
