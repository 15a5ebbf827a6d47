"""``odavl keys create``, ``list`` and ``revoke``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from odavl.commands.lazy import help_alone
from odavl.commands.session import Session, hub_options, output_options, pass_session
from odavl.commands.terminal import printable, table

if TYPE_CHECKING:
    from odavl.wire.account import ProjectSummary

_DURATION = re.compile(r"(?P<count>[1-9][0-9]{0,4})(?P<unit>[hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@click.group(invoke_without_command=True)
@click.pass_context
def keys(context: click.Context) -> None:
    """Create, list and revoke the organization's API keys."""
    help_alone(context)


@keys.command()
@click.argument("name")
@click.option(
    "--scopes",
    default="ci",
    show_default=True,
    help="all, ci, read-only, or a list such as insight:write,projects:read.",
)
@click.option("--project", help="Bind the key to this project (slug, name or id).")
@click.option("--expires-in", metavar="90d", help="After so many hours (h), days (d), weeks (w).")
@hub_options
@output_options
@pass_session
def create(
    session: Session, name: str, scopes: str, project: str | None, expires_in: str | None
) -> None:
    """Make a key NAME and print it, this once: the hub keeps no copy that it could show again."""
    import msgspec

    from odavl.hub import account

    expires_at = expiry(expires_in, datetime.now(UTC)) if expires_in else None
    with session.client() as client:
        project_id = _project_id(account.projects(client), project) if project else None
        made = account.create_key(
            client, name=name, scopes=scopes, project_id=project_id, expires_at=expires_at
        )
    if session.json:
        session.emit(msgspec.to_builtins(made))
        return
    session.show(printable(made.key))
    session.say(f"This is the only time the key {made.name} is shown. Keep it in a safe place.")


@keys.command("list")
@hub_options
@output_options
@pass_session
def list_keys(session: Session) -> None:
    """List the keys, without their secrets."""
    import msgspec

    from odavl.hub import account

    with session.client() as client:
        found = account.keys(client)
    if session.json:
        session.emit({"items": msgspec.to_builtins(found)})
    elif found:
        rows = [
            (
                key.id,
                key.name,
                ",".join(key.scopes),
                key.last_used_at or "never",
                "revoked" if key.revoked_at else key.expires_at or "never",
            )
            for key in found
        ]
        session.show(table(rows, ("ID", "NAME", "SCOPES", "LAST USED", "EXPIRES")))
    else:
        session.say("No keys.")


@keys.command()
@click.argument("key_id", metavar="ID")
@hub_options
@output_options
@pass_session
def revoke(session: Session, key_id: str) -> None:
    """End the key ID at once, for everybody who uses it."""
    from odavl.hub import account

    with session.client() as client:
        account.revoke_key(client, key_id)
    if session.json:
        session.emit({"id": key_id, "revoked": True})
    else:
        session.say(f"The key {key_id} is revoked.")


def expiry(text: str, now: datetime) -> str:
    """``90d`` from ``now`` as ISO 8601. Raises :class:`click.BadParameter` for another form."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise click.BadParameter(
            "give a number and h, d or w, such as 90d.", param_hint="--expires-in"
        )
    moment = now + int(match["count"]) * _UNITS[match["unit"]]
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _project_id(projects: Sequence[ProjectSummary], wanted: str) -> str:
    from odavl.commands.link import project_named

    return project_named(projects, wanted).id
