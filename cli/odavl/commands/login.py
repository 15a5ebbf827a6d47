"""``odavl login --token``."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import click

from odavl.commands.session import Session, hub_options, output_options, pass_session

if TYPE_CHECKING:
    from odavl.hub.credentials import SignIn
    from odavl.wire.account import WhoAmI

_TOKEN = re.compile(r"[!-~]{8,4096}")
_LONGEST = 8192


@click.command()
@click.option(
    "--token", metavar="KEY", help="An API key; - reads it from standard input (or asks for it)."
)
@hub_options
@output_options
@pass_session
def login(session: Session, token: str | None) -> None:
    """Sign in to a hub with an API key, which is verified first and kept encrypted."""
    from odavl.hub import account
    from odavl.hub.transport import HubClient

    session.check_that_a_key_may_be_typed()
    secret = checked_token(token)
    with HubClient(session.address, token=secret, timeout=session.settings.timeout) as client:
        who = account.whoami(client)
    session.credentials.store(session.address, _sign_in_of(who), secret)
    session.contact, session.has_new_rights = client, True
    if session.json:
        from odavl.commands.whoami import document

        session.emit(document(session.address, who))
        return
    name = who.user.email if who.user else f"the key {who.key.name}" if who.key else "a key"
    session.say(f"Signed in to {session.address} as {name}, organization {who.organization.name}.")


def checked_token(token: str | None) -> str:
    """The key given, or the one typed or piped in. Raises :class:`UsageError` for no such thing."""
    from odavl.wire.errors import UsageError

    if token in {None, "-"}:
        if sys.stdin.isatty():
            token = str(click.prompt("API key", hide_input=True, err=True))
        else:
            token = sys.stdin.readline(_LONGEST)
    secret = (token or "").strip()
    if not _TOKEN.fullmatch(secret):
        raise UsageError(
            "That is not an API key.",
            hint="Make one on the hub's page API keys, then: odavl login --token -",
        )
    return secret


def _sign_in_of(who: WhoAmI) -> SignIn:
    from odavl.hub.credentials import SignIn

    return SignIn(
        token="",
        organization_id=who.organization.id,
        organization_slug=who.organization.slug,
        organization_name=who.organization.name,
        user_email=who.user.email if who.user else None,
        key_name=who.key.name if who.key else None,
    )
