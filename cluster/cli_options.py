"""Options that several commands of a search or a cluster take."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from passivbot.config import Config

INTERRUPTED = 130
"""Exit code of a search that Ctrl-C ended."""

AddressOption = Annotated[
    str, typer.Option(metavar="HOST:PORT", help="Of the cluster's head; auto: the cluster of this machine.")
]

ClusterOption = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Run on this Ray cluster (auto: the one on this machine)."),
]

WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Number of workers. Default: one a processor.")
]

PopulationOption = Annotated[
    int | None, typer.Option(min=2, help="Size of the population. Default: optimize.population_size.")
]

StartOption = Annotated[
    list[Path] | None,
    typer.Option("--start", "-t", help="Starting configurations: a file or folder; repeatable."),
]


def asked_workers(workers: int | None, options: Mapping[str, str], config: "Config") -> int | None:
    """Return the number of workers that was typed: ``--workers``, or v7's ``--n_cpus``."""
    if workers is None and "optimize.n_cpus" in options:
        return config.optimize.n_cpus
    return workers
