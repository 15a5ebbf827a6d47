"""``odavl sync push``, ``pull`` and ``status``: ``.odavl/`` from one machine to another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import click

from odavl.commands.session import AnyFunction, Session, hub_options, output_options, pass_session
from odavl.commands.terminal import ProgressLine, plural, printable

if TYPE_CHECKING:
    from odavl.hub.transport import HubClient
    from odavl.hub.workspace.folder import Folder, Sides
    from odavl.hub.workspace.merging import Change, Conflict
    from odavl.hub.workspace.pulling import Copy, Pulled
    from odavl.hub.workspace.pushing import Pushed

MOST_NAMED = 20
"""How many files of a kind are named without ``-v``."""

CONFLICTS = 1
"""The exit code where a person has to look at something."""

_WHY = {
    "changed-on-both-sides": "changed here and there",
    "deleted-here": "deleted here, changed there",
    "deleted-there": "changed here, deleted there",
    "names-clash": "some file systems take its name for that of a file here",
}


def _project_option(function: AnyFunction) -> AnyFunction:
    return click.option("--project", metavar="ID", help="With this project (id, slug or name).")(
        function
    )


_KILO = 1_000
Item = TypeVar("Item")
_dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")


@click.command()
@_dry_run
@_project_option
@hub_options
@output_options
@pass_session
def push(session: Session, *, dry_run: bool, project: str | None) -> None:
    """Send what changed under .odavl/ to the hub, for other machines to pull."""
    from odavl.hub.workspace.pushing import push as send

    with (
        _opened(session, project, leaves_queue=dry_run) as folder,
        ProgressLine(shown=session.talks) as line,
    ):
        pushed = send(folder, dry_run=dry_run, tell=line.tell)
    if session.json:
        session.emit(_push_document(pushed, dry_run=dry_run))
    else:
        _show_push(session, pushed, dry_run=dry_run)
    raise click.exceptions.Exit(CONFLICTS if pushed.refused else 0)


@click.command()
@_dry_run
@_project_option
@hub_options
@output_options
@pass_session
def pull(session: Session, *, dry_run: bool, project: str | None) -> None:
    """Bring what other machines pushed into .odavl/; nothing of yours is overwritten."""
    from odavl.hub.workspace.pulling import pull as take

    with (
        _opened(session, project, leaves_queue=dry_run) as folder,
        ProgressLine(shown=session.talks) as line,
    ):
        pulled = take(folder, dry_run=dry_run, tell=line.tell)
    if session.json:
        session.emit(_pull_document(pulled, dry_run=dry_run))
    else:
        _show_pull(session, pulled, dry_run=dry_run)
    raise click.exceptions.Exit(CONFLICTS if pulled.copies else 0)


@click.command()
@_project_option
@hub_options
@output_options
@pass_session
def status(session: Session, *, project: str | None) -> None:
    """Show what push would send, what pull would bring, and what contradicts."""
    with _opened(session, project, leaves_queue=True) as folder:
        sides = folder.sides()
    if session.json:
        session.emit(_status_document(sides))
        return
    _show_head(session, sides)
    found = sides.comparison
    _show_changes(session, "To push:", found.here)
    _show_changes(session, "To pull:", found.there)
    _show_conflicts(session, found.conflicts, sides.scan.copies)
    _show_skipped(session, sides)
    if not (found.here or found.there or found.conflicts or sides.scan.copies):
        session.show("Both sides are alike.")


@contextmanager
def _opened(session: Session, project: str | None, *, leaves_queue: bool) -> Iterator[Folder]:
    """``leaves_queue``: not even what is queued goes out, for commands that write nothing."""
    from odavl.hub.workspace.folder import Folder
    from odavl.hub.workspace.remote import Remote
    from odavl.project.root import PROJECT_FOLDER
    from odavl.wire.errors import UsageError

    path = session.root / PROJECT_FOLDER
    home, here = session.home.resolve(), path.resolve()
    if home == here or here in home.parents or home in here.parents:
        raise UsageError(
            f"{path} holds your own ODAVL files, such as keys; they are not synchronised.",
            hint="Run it in the folder of a project.",
        )
    with session.client(leaves_queue=leaves_queue) as client:
        yield Folder(path, Remote(client, _project(session, client, project)))


def _project(session: Session, client: HubClient, named: str | None) -> str:
    """The id of the project that this folder, or ``--project``, means."""
    from odavl.commands.link import project_named
    from odavl.hub.account import projects
    from odavl.project.link import read_link
    from odavl.wire.errors import UsageError

    if named is None and session.settings.project_id:
        return session.settings.project_id
    link = read_link(session.root) if named is None else None
    if link is not None and link.hub == session.address:
        return link.projectId
    named = named or session.settings.project
    if named is None:
        raise UsageError(
            "This folder is tied to no project of the hub.", hint="Run: odavl link PROJECT"
        )
    return project_named(projects(client), named).id


def _show_push(session: Session, pushed: Pushed, *, dry_run: bool) -> None:
    sides = pushed.sides
    found = sides.comparison
    if pushed.refused:
        _show_conflicts(session, found.conflicts, sides.scan.copies)
        told = "Pull first: odavl sync pull" if found.conflicts else "Settle these first."
        session.warn(f"Nothing was pushed. {told}")
        return
    if dry_run or pushed.revision is not None:
        _show_changes(session, "Would push:" if dry_run else "Pushed:", found.here)
    if pushed.revision is not None:
        session.show(
            f"Revision {pushed.revision.revision}: {plural(pushed.chunks_sent, 'chunk')} sent "
            f"({_size(pushed.bytes_sent)}); the hub had the rest."
        )
    elif not found.here:
        session.show("Nothing to push.")
    if found.there:
        session.say(f"{plural(len(found.there), 'change')} there: odavl sync pull")
    _show_skipped(session, sides)


def _show_pull(session: Session, pulled: Pulled, *, dry_run: bool) -> None:
    if not (pulled.taken or pulled.copies or pulled.held):
        session.show("Nothing to pull.")
    _show_changes(session, "Would pull:" if dry_run else "Pulled:", pulled.taken)
    if pulled.taken and not dry_run:
        session.show(
            f"Revision {pulled.sides.head.revision}: {_size(pulled.bytes_fetched)} of content "
            "fetched; the rest was here."
        )
        if any(change.how != "added" for change in pulled.taken):
            session.say("What was replaced or deleted is in earlier revisions while they are kept.")
    if pulled.copies:
        session.warn("In conflict:" if not dry_run else "Would be in conflict:")
        for copy in _few(session, pulled.copies):
            session.warn(f"  {printable(copy.path)}: {_copy_text(copy, dry_run=dry_run)}")
        _warn_of_more(session, pulled.copies)
    if any(copy.beside for copy in pulled.copies):
        session.warn("Keep what you want under the first name, delete the copies, then push.")
    for path, reason in pulled.held.items():
        session.warn(f"Not taken: {printable(path)}: {reason}.")
    _show_skipped(session, pulled.sides)


def _copy_text(copy: Copy, *, dry_run: bool) -> str:
    told = _WHY[copy.why]
    if dry_run:
        return told
    if copy.beside:
        return f"{told}; the hub's version is {printable(copy.beside)}"
    return f"{told}; {'brought back' if copy.why == 'deleted-here' else 'kept'}"


def _show_head(session: Session, sides: Sides) -> None:
    head = sides.head
    if not head.revision:
        session.show("Nothing was pushed yet.")
        return
    when = (head.pushed_at or "")[:19].replace("T", " ")
    who = printable(f"{head.pushed_by} on {head.machine}")
    session.show(f"Revision {head.revision}, pushed by {who}, {printable(when)} UTC")
    if sides.afresh:
        session.say("This machine has not synchronised with it yet.")


def _show_changes(session: Session, title: str, changes: Sequence[Change]) -> None:
    if not changes:
        return
    session.show(title)
    for change in _few(session, changes):
        session.show(f"  {change.how:9}{printable(change.path)}")
    if len(changes) > len(_few(session, changes)):
        session.show(f"  and {len(changes) - MOST_NAMED:,} more (-v shows all)")


def _show_conflicts(session: Session, conflicts: Sequence[Conflict], copies: Sequence[str]) -> None:
    from odavl.hub.workspace.scanning import original_of

    if conflicts:
        session.warn("In conflict:")
    for conflict in _few(session, conflicts):
        session.warn(f"  {printable(conflict.path)}: {_WHY[conflict.why]}")
    _warn_of_more(session, conflicts)
    if copies:
        session.warn("Not settled: keep what you want under the first name, delete the copy.")
    for copy in _few(session, copies):
        session.warn(f"  {printable(original_of(copy))} and {printable(copy)}")
    _warn_of_more(session, copies)


def _show_skipped(session: Session, sides: Sides) -> None:
    skipped = list(sides.scan.skipped.items())
    for path, reason in _few(session, skipped):
        session.say(f"Not synchronised: {printable(path)} {reason}.")
    if len(skipped) > MOST_NAMED and not session.verbose:
        session.say(f"Not synchronised: {len(skipped) - MOST_NAMED:,} more (-v shows all).")


def _warn_of_more(session: Session, items: Sequence[object]) -> None:
    if len(items) > MOST_NAMED and not session.verbose:
        session.warn(f"  and {len(items) - MOST_NAMED:,} more (-v shows all)")


def _few(session: Session, items: Sequence[Item]) -> Sequence[Item]:
    return items if session.verbose else items[:MOST_NAMED]


def _size(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "kB", "MB"):
        if size < _KILO or unit == "MB":
            break
        size /= 1000
    return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"


def _status_document(sides: Sides) -> dict[str, object]:
    found = sides.comparison
    return {
        **_sides_document(sides),
        "here": _by_kind(found.here),
        "there": _by_kind(found.there),
        "conflicts": [{"path": path, "why": why} for path, why in found.conflicts],
        "unresolved": sides.scan.copies,
        "held": found.held,
    }


def _push_document(pushed: Pushed, *, dry_run: bool) -> dict[str, object]:
    found = pushed.sides.comparison
    return {
        **_sides_document(pushed.sides),
        "dryRun": dry_run,
        "pushed": pushed.revision is not None,
        "revision": (pushed.revision or pushed.sides.head).revision,
        "changes": _by_kind(found.here),
        "conflicts": [{"path": path, "why": why} for path, why in found.conflicts],
        "unresolved": pushed.sides.scan.copies,
        "toPull": len(found.there),
        "chunksSent": pushed.chunks_sent,
        "bytesSent": pushed.bytes_sent,
    }


def _pull_document(pulled: Pulled, *, dry_run: bool) -> dict[str, object]:
    return {
        **_sides_document(pulled.sides),
        "dryRun": dry_run,
        "changes": _by_kind(pulled.taken),
        "conflicts": [
            {"path": copy.path, "why": copy.why, "beside": copy.beside or None}
            for copy in pulled.copies
        ],
        "held": [{"path": path, "reason": reason} for path, reason in pulled.held.items()],
        "bytesFetched": pulled.bytes_fetched,
    }


def _sides_document(sides: Sides) -> dict[str, object]:
    """``seenRevision`` is the newest one that this machine has seen; 0 for none."""
    return {
        "projectId": sides.head.project_id,
        "revision": sides.head.revision,
        "seenRevision": sides.revision_before,
        "skipped": [
            {"path": path, "reason": reason} for path, reason in sides.scan.skipped.items()
        ],
    }


def _by_kind(changes: Sequence[Change]) -> dict[str, list[str]]:
    return {
        kind: [change.path for change in changes if change.how == kind]
        for kind in ("added", "changed", "deleted")
    }
