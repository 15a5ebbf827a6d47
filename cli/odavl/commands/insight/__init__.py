"""``odavl insight``: analyse, import, and say what is installed."""

from __future__ import annotations

import click

from odavl.commands.lazy import LazyCommand, LazyGroup, help_alone

COMMANDS = {
    "analyze": LazyCommand(
        "odavl.commands.insight.analyze:analyze", "Run the detectors over a code base."
    ),
    "import": LazyCommand(
        "odavl.commands.insight.import_sarif:import_sarif", "Take in another tool's SARIF file."
    ),
    "detectors": LazyCommand(
        "odavl.commands.insight.detectors:detectors", "Show what is installed, and what is not."
    ),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
@click.pass_context
def insight(context: click.Context) -> None:
    """Find what is wrong in code and follow it from run to run."""
    help_alone(context)
