"""Where the shipped configurations lie, in a source tree and in an installed wheel."""

from pathlib import Path

from passivbot.errors import ConfigError

TEMPLATE = "template.json"


def configs_dir() -> Path:
    """Return the folder of the shipped configurations.

    An installed wheel carries them inside the package; a source tree has them beside it.

    Raises
    ------
    ConfigError
        Neither place has the template: the installation is incomplete.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_resources" / "configs", package.parent / "configs"):
        if (folder / TEMPLATE).is_file():
            return folder
    raise ConfigError(f"{package}: the shipped configurations are missing; install the package again")
