"""Where the shipped configurations lie, in a source tree and in an installed wheel."""

import os
from pathlib import Path

from passivbot.errors import ConfigError

TEMPLATE = "template.json"


def configs_dir() -> Path:
    """Return the folder of the shipped configurations.

    It lies inside the package: in a wheel the files themselves, in a source tree a link to ``configs``.

    Raises
    ------
    ConfigError
        The template is not there: the installation is incomplete.
    """
    folder = (Path(__file__).parents[1] / "_resources" / "configs").resolve()
    if not (folder / TEMPLATE).is_file():
        raise ConfigError(f"{folder}: the shipped configurations are missing; install the package again")
    return folder
