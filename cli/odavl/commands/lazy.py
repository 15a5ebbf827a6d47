"""Groups that know their commands by name and import one only when it is run.

``--help`` shows the short help given here, so that it imports none of them.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import click


class LazyCommand(NamedTuple):
    """``place`` is ``package.module:attribute``."""

    place: str
    help: str

    def load(self) -> click.Command:
        module, _, attribute = self.place.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.place} is no command.")
        return command


def help_alone(ctx: click.Context) -> None:
    """The callback of a group: its help where no command was named."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


class LazyGroup(click.Group):
    """A group of :class:`LazyCommand`, in the order given."""

    def __init__(self, *, lazy: dict[str, LazyCommand], **settings: Any) -> None:
        super().__init__(invoke_without_command=True, **settings)
        self.lazy = lazy

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(self.lazy)

    def get_command(
        self,
        _ctx: click.Context,
        cmd_name: str,
    ) -> click.Command | None:
        command = self.lazy.get(cmd_name)
        return command.load() if command else None

    def format_commands(
        self,
        _ctx: click.Context,
        formatter: click.HelpFormatter,
    ) -> None:
        rows = [(name, command.help) for name, command in self.lazy.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
