"""Keys of the configuration as options of a command (config-format §8).

A command takes them by its class, and reads what was given from its context::

    @app.command(cls=config_command("backtest"))
    def backtest(context: typer.Context, config: Path, ...) -> None:
        loaded = load_config(config, sets=sets, options=given_options(context))

They are taken out of the arguments before the command's own options are parsed, so that
``--backtest.start_date 2024-01-01``, ``--backtest_start_date=2024``, ``-sd 2024`` and a value such as
``-0.1,0.1`` all work, and an option that nobody knows is an error with the nearest known one.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import typer
from typer.core import TyperCommand

from passivbot.errors import ConfigError, nearest

if TYPE_CHECKING:
    from passivbot.config.findings import Finding

CommandName = Literal["backtest", "optimize", "config"]

_META = "passivbot.options"
_LIMIT = re.compile(r"--optimize([._])limits\1(\w+)")
_LIMITS = "optimize.limits"

# What each command offers: prefixes of dotted keys. `passivbot config show` shows all of them.
_OFFERED: Mapping[CommandName, tuple[str, ...]] = {
    "backtest": (
        "backtest.",
        "bot.",
        "live.approved_coins",
        "live.ignored_coins",
        "live.minimum_coin_age_days",
        "logging.",
    ),
    "optimize": ("backtest.", "live.approved_coins", "live.minimum_coin_age_days", "optimize.", "logging."),
    "config": ("",),
}
_FIXED: Mapping[CommandName, Mapping[str, str]] = {
    "backtest": {"live.approved_coins": "-s", "live.ignored_coins": "-i"},
    "optimize": {
        "live.approved_coins": "-s",
        "optimize.iters": "-i",
        "optimize.scoring": "-os",
        "optimize.n_cpus": "-c",
    },
    "config": {},
}
_PREFIXES = ("backtest.", "live.", "optimize.bounds.", "optimize.limits.", "optimize.", "bot.")


@dataclass(frozen=True)
class OptionTable:
    """The options of a command: each spelling → dotted key."""

    command: CommandName
    keys: Mapping[str, str]

    def key_of(self, option: str) -> str | None:
        """Return the dotted key of an option, or None if the command has no such key."""
        limit = _LIMIT.fullmatch(option)
        if limit and any(_LIMITS.startswith(prefix) for prefix in _OFFERED[self.command]):
            return f"{_LIMITS}.{limit[2]}"
        return self.keys.get(option)


@cache
def option_table(command: CommandName) -> OptionTable:
    """Return the options that a command offers, with the short forms of backtest and optimize."""
    from passivbot.config.schema import KINDS

    keys: dict[str, str] = {}
    taken = set(_FIXED[command].values())
    for key in KINDS:
        if not key.startswith(_OFFERED[command]):
            continue
        keys[f"--{key}"] = keys[f"--{key.replace('.', '_')}"] = key
        if command == "config":
            # Among all keys half of the acronyms collide: numbered ones would help nobody.
            continue
        short = _FIXED[command].get(key) or _acronym(key, taken)
        taken.add(short)
        keys[short] = key
    return OptionTable(command, keys)


def _acronym(key: str, taken: Iterable[str]) -> str:
    """Return one dash and the first letters of the key's words; a number is appended where that is taken."""
    prefix = next((prefix for prefix in _PREFIXES if key.startswith(prefix)), "")
    letters = "-" + "".join(word[0] for word in re.split(r"[._]", key.removeprefix(prefix)) if word)
    if letters not in taken:
        return letters
    return next(f"{letters}{i}" for i in range(2, 1000) if f"{letters}{i}" not in taken)


def take_options(
    args: Sequence[str], table: OptionTable, declared: Mapping[str, bool], named: str | None = None
) -> tuple[dict[str, str], list[str]]:
    """Separate the configuration's options from a command's own arguments.

    Parameters
    ----------
    args
        Arguments after the command's name.
    table
        Options of the configuration.
    declared
        The command's own options → whether one takes a value. They win over the configuration's.
    named
        The command, for messages; None: as the table says.

    Returns
    -------
    dotted key → text, and the remaining arguments

    Raises
    ------
    ConfigError
        An option is unknown, or its value is missing.
    """
    options: dict[str, str] = {}
    rest: list[str] = []
    queue = list(args)
    while queue:
        arg = queue.pop(0)
        if arg == "--":
            return options, [*rest, arg, *queue]
        name, equals, value = arg.partition("=")
        if not name.startswith("-") or _is_number(arg) or name == "-":
            rest.append(arg)
        elif name in declared:
            rest.append(arg)
            if declared[name] and not equals and queue:
                rest.append(queue.pop(0))
        elif key := table.key_of(name):
            if not equals:
                if not queue or not _is_value(queue[0], key):
                    raise ConfigError(f"the command line: {name} ({key}) needs a value")
                value = queue.pop(0)
            options[key] = value
        else:
            raise ConfigError(_unknown(name, table, declared, named or table.command))
    return options, rest


def _is_number(text: str) -> bool:
    return re.match(r"-?\.?\d", text) is not None


def _is_value(text: str, key: str) -> bool:
    """Return whether an argument is a value: no option, or a number, a range, the text of limits."""
    return not text.startswith("-") or _is_number(text) or (key == _LIMITS and " " in text.strip())


def _unknown(name: str, table: OptionTable, declared: Mapping[str, bool], named: str) -> str:
    from passivbot.config.schema import KINDS

    message = f"the command line: {name} is not an option of passivbot {named}"
    elsewhere = {f"--{key}": key for key in KINDS} | {f"--{key.replace('.', '_')}": key for key in KINDS}
    if name in elsewhere:
        return f"{message}; allowed is --set {elsewhere[name]}=VALUE"
    near = nearest(name, [*declared, *(option for option in table.keys if option.startswith("--"))])
    return message + (f" (nearest known option: {near})" if near else "")


def config_command(command: CommandName, named: str | None = None) -> type[TyperCommand]:
    """Return the class of a command that takes the configuration's keys as options; see the module's text.

    Parameters
    ----------
    command
        Whose options it takes.
    named
        Its own name, if that is another.
    """

    class ConfigCommand(TyperCommand):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.epilog = self.epilog or (
                "Keys of the configuration are options too, dotted or with underscores: "
                "--backtest.start_date 2024-01-01. `passivbot config show` prints them all."
            )

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            declared = {
                name: not (getattr(param, "is_flag", False) or getattr(param, "count", False))
                for param in self.get_params(ctx)
                for name in (*param.opts, *param.secondary_opts)
                if name.startswith("-")
            }
            ctx.meta[_META], rest = take_options(args, option_table(command), declared, named)
            return super().parse_args(ctx, rest)

    return ConfigCommand


def given_options(context: Any) -> dict[str, str]:
    """Return the configuration's options of this call: dotted key → text, for ``load_config(options=…)``."""
    return dict(context.meta.get(_META, {}))


def with_interval(options: Mapping[str, str], interval: str | None) -> dict[str, str]:
    """Return the configuration's options with what ``--interval`` said."""
    return {**options} if interval is None else {**options, "backtest.candle_interval_minutes": interval}


def help_if_alone(context: typer.Context) -> None:
    """Print the help of a group that was called without a command."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def print_findings(findings: Iterable["Finding"]) -> None:
    """Print each finding as a warning on stderr."""
    for finding in findings:
        typer.echo(f"warning: {finding}", err=True)
