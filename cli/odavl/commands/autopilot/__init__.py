"""``odavl autopilot``: what Autopilot did goes to the hub."""

from __future__ import annotations

import click

from odavl.commands.lazy import LazyCommand, LazyGroup, help_alone

COMMANDS = {
    "upload": LazyCommand("odavl.commands.autopilot.upload:upload", "Send runs to the hub."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
@click.pass_context
def autopilot(context: click.Context) -> None:
    """Send the record of what recipes changed, what held and what was taken back."""
    help_alone(context)
