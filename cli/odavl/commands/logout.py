"""``odavl logout``."""

from __future__ import annotations

import click

from odavl.commands.session import Session, hub_options, output_options, pass_session


@click.command()
@hub_options
@output_options
@pass_session
def logout(session: Session) -> None:
    """Forget the key of a hub. It stays valid there: odavl keys revoke ends it."""
    known = session.credentials.forget(session.address)
    if session.json:
        session.emit({"hub": session.address, "signedOut": known})
    elif known:
        session.say(f"Signed out of {session.address}.")
    else:
        session.say(f"Nobody was signed in to {session.address}.")
