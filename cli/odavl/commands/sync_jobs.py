"""``odavl sync jobs``: the hub's jobs for this project."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from odavl.commands.session import AnyFunction, Session, hub_options, output_options, pass_session
from odavl.commands.terminal import back_over, plural, printable, table

if TYPE_CHECKING:
    from odavl.hub.transport import HubClient
    from odavl.wire.jobs import JobAction, JobPage, JobSummary

WATCH_SECONDS = 1.0
_STATES = ("waiting", "active", "delayed", "paused", "completed", "failed", "cancelled")


def _list_options(function: AnyFunction) -> AnyFunction:
    for option in (
        click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True),
        click.option("--all", "everything", is_flag=True, help="Of every project."),
        click.option("--project", metavar="ID", help="Of this project (id or slug)."),
        click.option(
            "--state", "states", multiple=True, type=click.Choice(_STATES), help="Only these."
        ),
        click.option("--watch", is_flag=True, help="Look again until nothing is left to do."),
    ):
        function = option(function)
    return function


@click.group(invoke_without_command=True)
@_list_options
@hub_options
@output_options
@click.pass_context
def jobs(context: click.Context, /, **asked: Any) -> None:
    """Show what the hub does for this project; retry, cancel, pause or resume it."""
    if context.invoked_subcommand is None:
        _list(context.ensure_object(Session), **asked)


@jobs.command("list")
@_list_options
@hub_options
@output_options
@pass_session
def list_jobs(session: Session, /, **asked: Any) -> None:
    """List the latest jobs, as `odavl sync jobs` does."""
    _list(session, **asked)


@jobs.command()
@click.argument("job_id", metavar="ID")
@hub_options
@output_options
@pass_session
def retry(session: Session, job_id: str) -> None:
    """Run the failed or cancelled job ID again."""
    _act(session, "retry", job_id)


@jobs.command()
@click.argument("job_id", metavar="ID")
@hub_options
@output_options
@pass_session
def cancel(session: Session, job_id: str) -> None:
    """Stop the job ID for good."""
    _act(session, "cancel", job_id)


@jobs.command()
@click.argument("job_id", metavar="ID")
@hub_options
@output_options
@pass_session
def pause(session: Session, job_id: str) -> None:
    """Hold the job ID until it is resumed."""
    _act(session, "pause", job_id)


@jobs.command()
@click.argument("job_id", metavar="ID")
@hub_options
@output_options
@pass_session
def resume(session: Session, job_id: str) -> None:
    """Let the paused job ID go on."""
    _act(session, "resume", job_id)


def _list(session: Session, *, watch: bool, everything: bool, **asked: Any) -> None:
    if asked["project"] is None and not everything:
        asked["project"] = _project_here(session)
    with session.client() as client:
        page = _watched(session, client, **asked) if watch else _page(client, **asked)
    if session.json:
        import msgspec

        session.emit(msgspec.to_builtins(page))
    elif not watch:
        session.show(_text(page))


def _watched(session: Session, client: HubClient, **asked: Any) -> JobPage:
    """Show the list whenever it changes, in place on a terminal, until nothing is unfinished."""
    shown = ""
    while True:
        page = _page(client, **asked)
        text = _text(page)
        if text != shown and not session.json:
            if shown and sys.stdout.isatty():
                click.echo(back_over(shown), nl=False)
            session.show(text)
            sys.stdout.flush()
            shown = text
        if not any(_is_unfinished(job) for job in page.items):
            return page
        client.pause(WATCH_SECONDS)


def _page(
    client: HubClient, *, states: tuple[str, ...], project: str | None, limit: int
) -> JobPage:
    from odavl.hub.jobs import jobs as find

    return find(client, states=states, project=project, limit=limit)


def _act(session: Session, action: JobAction, job_id: str) -> None:
    from odavl.hub.jobs import act

    with session.client() as client:
        job = act(client, action, job_id)
    if session.json:
        import msgspec

        session.emit(msgspec.to_builtins(job))
    else:
        session.say(f"The job {printable(job.id)} is now {job.state}.")


def _project_here(session: Session) -> str | None:
    """The project of this folder, None where it is tied to none."""
    from odavl.project.link import read_link

    if session.settings.project_id:
        return session.settings.project_id
    link = read_link(session.root)
    return link.projectId if link and link.hub == session.address else None


def _text(page: JobPage) -> str:
    if not page.items:
        return "No jobs."
    rows = [
        (
            job.id,
            job.type,
            job.state,
            f"{job.progress} %",
            job.created_at[:19].replace("T", " "),
            _remark(job),
        )
        for job in page.items
    ]
    lines = [table(rows, ("ID", "TYPE", "STATE", "DONE", "SINCE (UTC)", ""))]
    if page.total > len(page.items):
        lines.append(f"and {plural(page.total - len(page.items), 'more job')} (--limit)")
    return "\n".join(lines)


def _remark(job: JobSummary) -> str:
    if job.problem is not None and job.state != "completed":
        return job.problem.detail
    return job.url or ""


def _is_unfinished(job: JobSummary) -> bool:
    # Whoever paused it will not see it move.
    return job.state in {"waiting", "active", "delayed"}
