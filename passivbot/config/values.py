"""What one value of a configuration may be, in a file and on the command line.

A :class:`Kind` is attached to a field of the schema (``Annotated[float, NUMBER]``). It turns what a JSON file
holds into the field's type, turns the text of an option into what a file would hold (config-format §8), and
says in words what is allowed, so that a message about a wrong value is the same wherever the value stands.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_TRUE = frozenset({"y", "yes", "true", "t", "1"})
_FALSE = frozenset({"n", "no", "false", "f", "0"})
_NOW = frozenset({"", "now", "today"})


@dataclass(frozen=True)
class Kind:
    """The kind of a value.

    Parameters
    ----------
    allowed
        What is accepted, as a noun phrase.
    convert
        Value of a file → value of the model. Raises ``ValueError`` on anything that is not allowed.
    from_text
        Text of an option → value as a file would hold it. Raises ``ValueError``.
    """

    allowed: str
    convert: Callable[[Any], Any]
    from_text: Callable[[str], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Put the conversion before pydantic's own check of the type."""

        def check(value: Any) -> Any:
            try:
                return self.convert(value)
            except ValueError:
                raise ValueError(self.allowed) from None

        return core_schema.no_info_before_validator_function(check, handler(source))


def finite(value: object) -> float:
    """Return a finite number of a file as float; a boolean is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    try:
        number = float(value)
    except OverflowError:
        raise ValueError from None
    if not math.isfinite(number):
        raise ValueError
    return number


def nint(value: float) -> float:
    """Return the nearest integer, halves away from zero (trading-semantics §1), never −0."""
    whole = math.floor(abs(value))
    return math.copysign(whole + (abs(value) - whole >= 0.5), value) + 0.0


def number_of(text: str) -> float | int:
    """Read a number of the command line; it stays an integer if it is written as one."""
    try:
        return int(text)
    except ValueError:
        return finite(float(text))


def split_list(text: str) -> list[str]:
    """Return the parts of comma-separated text; a JSON list is accepted too."""
    if text.strip().startswith("["):
        parts = json.loads(text)
        if not all(isinstance(part, str) for part in parts):
            raise ValueError
        return list(parts)
    return [part.strip() for part in text.split(",") if part.strip()]


def _span(low: float | None, high: float | None, above: float | None) -> str:
    if above is not None:
        return f" above {above:g}"
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    return f" of at least {low:g}" if low is not None else ""


def _within(value: float, low: float | None, high: float | None, above: float | None) -> bool:
    return (
        (low is None or value >= low) and (high is None or value <= high) and (above is None or value > above)
    )


def number(*, low: float | None = None, high: float | None = None, above: float | None = None) -> Kind:
    """Return the kind of a finite real number, optionally limited."""

    def convert(value: object) -> float:
        result = finite(value)
        if not _within(result, low, high, above):
            raise ValueError
        return result

    return Kind(f"a number{_span(low, high, above)}", convert, number_of)


def integer(*, low: int | None = None, high: int | None = None) -> Kind:
    """Return the kind of an integer; a float without a fraction counts as one."""

    def convert(value: object) -> int:
        result = finite(value)
        if result != math.floor(result) or not _within(result, low, high, None):
            raise ValueError
        return int(result)

    return Kind(f"an integer{_span(low, high, None)}", convert, number_of)


def choice(*names: str) -> Kind:
    """Return the kind of a text that is one of a few."""

    def convert(value: object) -> str:
        if value not in names:
            raise ValueError
        return str(value)

    return Kind(", ".join(name or "empty" for name in names), convert, str)


def whole_choice(*numbers: int) -> Kind:
    """Return the kind of an integer that is one of a few."""

    def convert(value: object) -> int:
        if finite(value) not in numbers:
            raise ValueError
        return int(finite(value))

    *others, last = map(str, numbers)
    return Kind(f"{', '.join(others)} or {last}", convert, number_of)


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    return finite(value) != 0.0


def _flag_of(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError
    return word in _TRUE


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _names(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(split_list(value))
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise ValueError
    return tuple(value)


def date_ms(text: str) -> int:
    """Return a date of a configuration in UTC milliseconds.

    ``YYYY``, ``YYYY-MM``, ``YYYY-MM-DD`` or a full timestamp; without a zone it is UTC.

    Raises
    ------
    ValueError
        The text is none of these.
    """
    word = text.strip()
    if re.fullmatch(r"\d{4}", word):
        word += "-01-01"
    elif re.fullmatch(r"\d{4}-\d{1,2}", word):
        year, month = word.split("-")
        word = f"{year}-{int(month):02}-01"
    elif re.fullmatch(r"\d{5,7}|\d{8}", word):
        # fromisoformat would read 20240101; the format names only the dashed forms.
        raise ValueError(text)
    moment = datetime.fromisoformat(word)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def is_open(text: str) -> bool:
    """Return whether a date leaves its end of the window open: ``now``, ``today`` or empty."""
    return text.strip().lower() in _NOW


def _date(value: object) -> str:
    # A year is often written without quotes.
    if isinstance(value, int) and not isinstance(value, bool) and 1970 <= value <= 9999:
        return str(value)
    text = _text(value)
    if not is_open(text):
        date_ms(text)
    return text


BoundValue = float | tuple[float, float] | tuple[float, float, float]
"""A number that fixes a parameter; its lowest and highest value; and the step between its values."""


def _bound(value: object) -> BoundValue:
    if not isinstance(value, list | tuple):
        return finite(value)
    if len(value) not in (1, 2, 3):
        raise ValueError
    ends = [finite(end) for end in value[:2]]
    low, high = min(ends), max(ends)
    # Without a step, or with 0, all values between the ends are meant.
    step = finite(value[2] or 0.0) if len(value) == 3 else 0.0
    if step < 0.0 or step > high - low:
        raise ValueError
    return (low, high, step) if step else (low, high)


def _bound_of(text: str) -> Any:
    parts = text.strip().removeprefix("[").removesuffix("]").split(",")
    ends = [number_of(part) for part in parts]
    return ends[0] if len(ends) == 1 and not text.strip().startswith("[") else ends


def parse_limits(text: str) -> dict[str, float]:
    """Read limits written as ``--key number --key: number`` (optimizer-semantics §3.3).

    Raises
    ------
    ValueError
        The text has another form; its message is the part that can't be read.
    """
    tokens = text.split()
    if len(tokens) % 2:
        raise ValueError(tokens[-1])
    limits: dict[str, float] = {}
    for key, value in zip(tokens[::2], tokens[1::2], strict=True):
        if not key.startswith("--"):
            raise ValueError(key)
        try:
            limits[key[2:].rstrip(":")] = finite(float(value))
        except ValueError:
            raise ValueError(f"{key} {value}") from None
    return limits


def _limits(value: object) -> dict[str, float]:
    if isinstance(value, str):
        return parse_limits(value)
    if not isinstance(value, Mapping):
        raise ValueError
    return {str(key): finite(limit) for key, limit in value.items()}


def _limits_of(text: str) -> Any:
    return json.loads(text) if text.strip().startswith("{") else parse_limits(text)


def _coin_sides(value: object) -> Any:
    """Accept only resolved lists: files and free forms are read by ``coins.resolve`` while loading."""
    if not isinstance(value, Mapping) or set(value) != {"long", "short"}:
        raise ValueError
    return {side: _names(names) for side, names in value.items()}


def _mapping(value: object) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError
    return dict(value)


def _no_text(_: str) -> Any:
    raise ValueError


def known(names: Iterable[str]) -> str:
    """Return names as a list for a message."""
    return ", ".join(names)


NUMBER = number()
SHARE = number(low=0.0, high=1.0)
NOT_NEGATIVE = number(low=0.0)
POSITIVE = number(above=0.0)
INTEGER = integer()
COUNT = integer(low=1)
FLAG = Kind("true or false", _flag, _flag_of)
TEXT = Kind("a text", _text, str)
NAMES = Kind("a list of names", _names, split_list)
START_DATE = Kind("YYYY, YYYY-MM, YYYY-MM-DD, a timestamp, or empty for the first candle", _date, str)
INTERVAL = whole_choice(*(n for n in range(1, 61) if 60 % n == 0))
END_DATE = Kind("YYYY, YYYY-MM, YYYY-MM-DD, a timestamp, now or today", _date, str)
BOUND = Kind("a number, [x], [low, high] or [low, high, step]", _bound, _bound_of)
LIMITS = Kind('a mapping of limit to number, or a text such as "--drawdown_worst 0.3"', _limits, _limits_of)
COINS = Kind("a list of coins, a path to one, or {long, short} of these", _coin_sides, str)
MAPPING = Kind("a mapping", _mapping, _no_text)
SLOTS = Kind("a number", lambda value: nint(finite(value)), number_of)
MULTIPLIER = Kind("a number", lambda value: m if (m := finite(value)) > 0.0 else 1.0, number_of)
MODE = choice(
    *("", "n", "normal", "m", "manual", "gs", "graceful_stop", "graceful-stop"),
    *("t", "tp", "tp_only", "tp-only", "p", "panic"),
)
