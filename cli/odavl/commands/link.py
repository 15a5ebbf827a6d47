"""``odavl link`` and ``odavl unlink``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from odavl.commands.session import Session, hub_options, output_options, pass_session
from odavl.wire.errors import UsageError

if TYPE_CHECKING:
    from odavl.project.git import GitFacts
    from odavl.wire.account import ProjectSummary


@click.command()
@click.argument("project", required=False)
@click.option(
    "--create", is_flag=True, help="Make the project where the hub has none of that name."
)
@hub_options
@output_options
@pass_session
def link(session: Session, project: str | None, *, create: bool) -> None:
    """Tie this folder to PROJECT (slug, name or id); without one, to that of its Git remote."""
    from odavl.hub import account
    from odavl.project.git import git_facts
    from odavl.project.link import ProjectLink, write_link

    git = git_facts(session.root)
    with session.client() as client:
        organization = account.whoami(client).organization
        known = account.projects(client)
        found = _named(known, project) if project else _of_remote(known, git)
        if found is None and create:
            found = account.create_project(
                client,
                name=project or session.root.name,
                git_remote=git.remote,
                default_branch=git.branch,
            )
    if found is None:
        raise _not_found(project)
    tie = ProjectLink(
        hub=session.address,
        projectId=found.id,
        projectName=found.name,
        organizationId=organization.id,
    )
    path = write_link(session.root, tie)
    if session.json:
        session.emit({"projectId": found.id, "projectName": found.name, "file": str(path)})
    else:
        session.say(f"{session.root} is now {found.name} on {session.address}.")


@click.command()
@output_options
@pass_session
def unlink(session: Session) -> None:
    """Undo the tie of this folder to a project; the project itself stays."""
    from odavl.project.link import remove_link

    was_linked = remove_link(session.root)
    if session.json:
        session.emit({"unlinked": was_linked})
    else:
        session.say("Unlinked." if was_linked else "This folder was not linked.")


def project_named(projects: Sequence[ProjectSummary], wanted: str) -> ProjectSummary:
    """The project whose id, slug or (only) name is ``wanted``. Raises :class:`UsageError`."""
    found = _named(projects, wanted)
    if found is None:
        raise _not_found(wanted)
    return found


def _named(projects: Sequence[ProjectSummary], wanted: str) -> ProjectSummary | None:
    ways = (
        [each for each in projects if wanted in {each.id, each.slug}],
        [each for each in projects if wanted == each.name],
    )
    return next((found[0] for found in ways if len(found) == 1), None)


def _of_remote(projects: Sequence[ProjectSummary], git: GitFacts) -> ProjectSummary | None:
    same = [each for each in projects if git.remote and _remote(each) == git.remote]
    return same[0] if len(same) == 1 else None


def _remote(project: ProjectSummary) -> str | None:
    from odavl.project.git import normalize_remote

    return normalize_remote(project.git_remote) if project.git_remote else None


def _not_found(wanted: str | None) -> UsageError:
    if wanted is None:
        return UsageError(
            "No project of the hub has this folder's Git remote.",
            hint="Name one (odavl projects lists them), or make one: odavl link NAME --create",
        )
    return UsageError(
        f"The hub has no project {wanted}, or several of that name.",
        hint=f"See odavl projects, or make it: odavl link {wanted} --create",
    )
