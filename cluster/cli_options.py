"""Options that several commands of a search or a cluster take."""

from pathlib import Path
from typing import Annotated

import typer

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
