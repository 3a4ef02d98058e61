"""Where the shipped configurations lie, in a source tree and in an installed wheel."""

from pathlib import Path

from passivbot.disk import replace_file
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


def write_template(out: Path | None) -> str:
    """Return the text of the shipped template; write it to ``out`` if that is given.

    Raises
    ------
    ConfigError
        ``out`` exists already, or can't be written.
    """
    text = (configs_dir() / TEMPLATE).read_text(encoding="utf-8")
    if out is None:
        return text
    if out.exists():
        raise ConfigError(f"{out}: exists already; name another file")
    replace_file(out, text.encode(), ConfigError)
    return text
