"""``odavl sync``: the offline queue, the hub's jobs, and ``.odavl/`` between machines."""

from __future__ import annotations

import click

from odavl.commands.lazy import help_alone
from odavl.commands.sync_jobs import jobs
from odavl.commands.sync_queue import process_queue, queue
from odavl.commands.sync_workspace import pull, push, status


@click.group(invoke_without_command=True)
@click.pass_context
def sync(context: click.Context) -> None:
    """Send what waits for the hub, follow its jobs, and bring .odavl/ to other machines."""
    help_alone(context)


for _command in (queue, process_queue, jobs, push, pull, status):
    sync.add_command(_command)
