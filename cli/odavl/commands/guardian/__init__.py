"""``odavl guardian``: what Guardian found goes to the hub."""

from __future__ import annotations

import click

from odavl.commands.lazy import LazyCommand, LazyGroup, help_alone

COMMANDS = {
    "upload": LazyCommand("odavl.commands.guardian.upload:upload", "Send tests to the hub."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
@click.pass_context
def guardian(context: click.Context) -> None:
    """Send what a real browser found on web pages."""
    help_alone(context)
