"""A group with a command that needs no name: ``promote STUDY`` beside ``promote diff``."""

from typing import Any

from typer.core import TyperGroup


def group_with_default(default: str) -> type[TyperGroup]:
    """Return the class of a group that takes what is no command's name as arguments of ``default``.

    Parameters
    ----------
    default
        Name of that command; it works with its name too.
    """

    class DefaultGroup(TyperGroup):
        default_command = default

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            if args and args[0] not in self.commands and args[0] != "--help":
                args = [default, *args]
            return super().parse_args(ctx, args)

    return DefaultGroup
