"""``odavl projects``."""

from __future__ import annotations

import click

from odavl.commands.session import Session, hub_options, output_options, pass_session
from odavl.commands.terminal import table


@click.command()
@hub_options
@output_options
@pass_session
def projects(session: Session) -> None:
    """List the projects of the hub that the key may see."""
    import msgspec

    from odavl.hub import account

    with session.client() as client:
        found = account.projects(client)
    if session.json:
        session.emit({"items": msgspec.to_builtins(found)})
    elif found:
        rows = [(each.slug, each.name, each.default_branch or "", each.url) for each in found]
        session.show(table(rows, ("PROJECT", "NAME", "BRANCH", "ADDRESS")))
    else:
        session.say("No projects yet. An upload makes one: odavl insight analyze --upload")
