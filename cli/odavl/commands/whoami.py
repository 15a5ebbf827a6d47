"""``odavl whoami``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from odavl.commands.session import Session, hub_options, output_options, pass_session
from odavl.commands.terminal import printable

if TYPE_CHECKING:
    from odavl.wire.account import WhoAmI


@click.command()
@hub_options
@output_options
@pass_session
def whoami(session: Session) -> None:
    """Show who is signed in, to which organization, and what the key may do."""
    from odavl.hub import account

    with session.client() as client:
        who = account.whoami(client)
    if session.json:
        session.emit(document(session.address, who))
        return
    for name, value in _rows(session.address, who):
        session.show(f"{name + ':':14}{printable(value)}")


def document(address: str, who: WhoAmI) -> dict[str, object]:
    """For machines: the hub's answer, and which hub it was."""
    import msgspec

    return {"hub": address, **msgspec.to_builtins(who)}


def _rows(address: str, who: WhoAmI) -> list[tuple[str, str]]:
    rows = [
        ("Hub", address),
        ("User", who.user.email if who.user else "none (a key for machines)"),
        ("Organization", f"{who.organization.name} ({who.organization.slug})"),
    ]
    if who.key:
        rows += [
            ("Key", who.key.name),
            ("Scopes", ", ".join(who.key.scopes)),
            ("Expires", who.key.expires_at or "never"),
        ]
        if who.key.project_id:
            rows.append(("Only project", who.key.project_id))
    return rows
