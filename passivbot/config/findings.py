"""What a configuration has that is accepted but most likely not meant."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A warning about one key: loading goes on, ``passivbot config check`` exits with 1.

    Parameters
    ----------
    file
        Where the key stands: a path, or words such as ``the command line``.
    key
        Dotted key.
    message
        What is wrong and what was done about it.
    """

    file: str
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: {self.message}"
