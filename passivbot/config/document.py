"""Reading one JSON or Hjson document."""

import json
from pathlib import Path
from typing import Any

import hjson

from passivbot.errors import ConfigError


def read_document(path: Path) -> Any:
    """Return the content of a JSON or Hjson file as plain dictionaries, lists and scalars.

    Raises
    ------
    ConfigError
        The file is missing, can't be read, or is neither JSON nor Hjson.
    """
    return parse_document(read_text(path), path)


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the content of a file that must hold one mapping.

    Raises
    ------
    ConfigError
        As :func:`read_document`; or the document is something else, such as a list.
    """
    document = read_document(path)
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: holds {_named(document)}; a configuration is a mapping of sections")
    return document


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises
    ------
    ConfigError
        The file is missing, a folder, not readable, or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder; a configuration file is needed") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not a text file (byte {error.start} is not UTF-8)") from None
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror})") from None


def parse_document(text: str, file: str | Path) -> Any:
    """Return the content of a document; ``file`` is its origin, for messages.

    Raises
    ------
    ConfigError
        The text is neither JSON nor Hjson; names the line.
    """
    try:
        # JSON first: it is many times faster and what most files are.
        return json.loads(text)
    except ValueError:
        pass
    try:
        # object_pairs_hook: plain dictionaries instead of OrderedDict.
        return hjson.loads(text, object_pairs_hook=dict)
    except hjson.HjsonDecodeError as error:
        raise ConfigError(
            f"{file}: is neither JSON nor Hjson (line {error.lineno}, column {error.colno}: {error.msg})"
        ) from None
    except (ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(f"{file}: is neither JSON nor Hjson ({error})") from None


def _named(document: object) -> str:
    if isinstance(document, str):
        return "only text"
    return {list: "a list", type(None): "nothing"}.get(type(document), "a single value")


def dump_document(data: Any, indent: int = 4) -> str:
    """Return a document as JSON text for people: one key a line, lists of scalars on one line."""
    return _dumped(data, "", " " * indent) + "\n"


def _dumped(value: Any, margin: str, step: str) -> str:
    inner = margin + step
    if isinstance(value, dict) and value:
        entries = (f"{json.dumps(str(key))}: {_dumped(item, inner, step)}" for key, item in value.items())
        return "{\n" + ",\n".join(inner + entry for entry in entries) + f"\n{margin}}}"
    if isinstance(value, list | tuple) and any(isinstance(item, dict | list | tuple) for item in value):
        return "[\n" + ",\n".join(inner + _dumped(item, inner, step) for item in value) + f"\n{margin}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
