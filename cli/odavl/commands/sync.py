"""``odavl sync``: the offline queue, the hub's jobs, and ``.odavl/`` between machines."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from odavl.commands.lazy import help_alone
from odavl.commands.session import Session, hub_options, output_options, pass_session
from odavl.commands.sync_jobs import jobs
from odavl.commands.sync_workspace import pull, push, status
from odavl.commands.terminal import ProgressLine, plural, printable

if TYPE_CHECKING:
    from pathlib import Path

    from odavl.hub.queue.items import QueuedUpload
    from odavl.hub.queue.sending import Failure, QueueReport
    from odavl.hub.queue.store import QueueContent

MOST_NAMED = 20
"""How many uploads are named one by one without ``-v``."""

SHOWN_ID = 8
"""How many characters of an id a person gets to see."""


@click.group(invoke_without_command=True)
@click.pass_context
def sync(context: click.Context) -> None:
    """Send what waits for the hub, follow its jobs, and bring .odavl/ to other machines."""
    help_alone(context)


for _command in (jobs, push, pull, status):
    sync.add_command(_command)


@sync.command()
@click.option("-c", "--clear", is_flag=True, help="Throw away everything that waits.")
@click.option("-y", "--yes", is_flag=True, help="Clear without asking.")
@click.option("--drop", metavar="ID", multiple=True, help="Throw away this one, or all `refused`.")
@click.option("--retry", metavar="ID", multiple=True, help="Try this one again, or all `refused`.")
@output_options
@pass_session
def queue(session: Session, /, **asked: Any) -> None:
    """Show what waits: how much, of which product, since when, and what stands against it.

    IDs are those that are shown; their beginning is enough. Without a terminal, --clear does not
    ask.
    """
    from odavl.hub.queue.store import UploadQueue

    waiting = UploadQueue(session.home)
    if asked["clear"] or asked["drop"] or asked["retry"]:
        from odavl.commands.queue_changes import change_queue

        change_queue(session, waiting, **asked)
        return
    content = waiting.content()
    if session.json:
        session.emit(queue_document(content, _hub(session, content)))
    else:
        _show_queue(session, content, waiting.quarantine)


@sync.command("process-queue")
@hub_options
@output_options
@pass_session
def process_queue(session: Session) -> None:
    """Send what waits, oldest first, each up to three times."""
    from odavl.hub.queue.store import UploadQueue

    waiting = UploadQueue(session.home)
    content = waiting.content()
    _warn_of_others(session, content, waiting.quarantine)
    if not content.items:
        _tell_report(session, None)
        return
    report = _process(session, waiting)
    _tell_report(session, report)
    raise click.exceptions.Exit(report.exit_code)


def queue_document(content: QueueContent, hub: str | None) -> dict[str, Any]:
    """For machines. ``oldest`` is the time of the oldest upload, None where none waits.

    ``byState`` counts as held what was queued for another hub than ``hub``, too.
    """
    return {
        "total": len(content.items),
        "byProduct": dict(Counter(item.product for item in content.items)),
        "byState": dict(Counter(_state(item, hub) for item in content.items)),
        "byHub": dict(Counter(item.hub for item in content.items)),
        "bytes": sum(item.bodySize for item in content.items),
        "oldest": content.items[0].createdAt if content.items else None,
        "newer": content.newer,
        "quarantined": content.quarantined,
        "hub": hub,
        "items": [item._asdict() for item in content.items],
    }


def _process(session: Session, waiting: Any) -> QueueReport:
    from odavl.hub.queue.sending import process_queue as send
    from odavl.hub.retry import ONCE

    with (
        session.client(policy=ONCE, alone=True) as client,
        ProgressLine(shown=session.talks) as line,
    ):
        report = send(waiting, client, wait=False, on_progress=line.tell)
        if report.busy:
            session.say("Another process is sending; this one waits for it.")
            report = send(waiting, client, on_progress=line.tell)
        return report


def _show_queue(session: Session, content: QueueContent, quarantine: Path) -> None:
    _warn_of_others(session, content, quarantine)
    if not content.items:
        session.show("The queue is empty.")
        return
    hub = _hub(session, content)
    products = Counter(item.product for item in content.items)
    session.show(f"{plural(len(content.items), 'upload')} queued")
    for product, count in sorted(products.items()):
        session.show(f"  {printable(product):10} {count:,}")
    session.show(f"Oldest: {printable(content.items[0].createdAt)}")
    hubs = Counter(item.hub for item in content.items)
    told = [f"{each} ({count:,})" if len(hubs) > 1 else each for each, count in hubs.items()]
    session.show(f"For:    {printable(', '.join(sorted(told)))}")
    states = Counter(_state(item, hub) for item in content.items)
    for state, text in _STATES.items():
        if states[state]:
            session.show(f"{state.capitalize() + ':':7} {states[state]:,} ({text})")
    troubled = [item for item in content.items if _state(item, hub) != "queued"]
    shown = content.items if session.verbose else troubled[:MOST_NAMED]
    for item in shown:
        session.show(_item_line(item, hub))
    if len(troubled) > len(shown):
        session.show(f"  and {len(troubled) - len(shown):,} more (-v shows all)")
    for line in _hints(content, hub):
        session.say(line)


def _hints(content: QueueContent, hub: str | None) -> list[str]:
    """What a person can do about what waits."""
    meant = {item.hub for item in content.items if item.state != "refused"}
    lines = []
    if hub in meant or (hub is None and meant):
        lines.append("Send them: odavl sync process-queue")
    if hub is not None:
        lines += [
            f"Send those for {other}: odavl sync process-queue --hub {other}"
            for other in sorted(meant - {hub})
        ]
    if any(item.state == "refused" for item in content.items):
        lines.append("What was refused, again or away: odavl sync queue --retry ID, --drop ID")
    return lines


_STATES = {
    "held": "until somebody mends the reason below",
    "refused": "kept to be looked at, not sent again by itself",
}


def _hub(session: Session, content: QueueContent) -> str | None:
    """The hub that would be sent to; None where nothing waits, and nothing need be read for it."""
    return session.known_address if content.items else None


def _state(item: QueuedUpload, hub: str | None) -> str:
    is_elsewhere = hub is not None and item.hub != hub
    return "held" if is_elsewhere and item.state == "queued" else item.state


def _item_line(item: QueuedUpload, hub: str | None) -> str:
    told = item.reason or "not tried yet"
    if (item.lastError or {}).get("retryAfter") and item.nextAttemptAt:
        told = f"{told} (not before {item.nextAttemptAt})"
    if hub is not None and item.hub != hub:
        told = f"queued for {item.hub}, and the hub is now {hub}"
    name = f"{item.product} {item.type} {item.filePath}"
    return f"  {printable(f'{item.id[:SHOWN_ID]}  {_state(item, hub):8} {name}: {told}')}"


def _warn_of_others(session: Session, content: QueueContent, quarantine: Path) -> None:
    for name in content.newer:
        session.warn(f"Left alone: {name} in the queue was written by a newer version of odavl.")
    for name in content.quarantined[: None if session.verbose else MOST_NAMED]:
        session.warn(f"Set aside: {quarantine / name} is damaged; it is not sent.")


def _tell_report(session: Session, report: QueueReport | None) -> None:
    processed = report.processed if report else 0
    succeeded = report.succeeded if report else 0
    failed = report.failed if report else 0
    failures = [*report.failures, *report.set_aside] if report else []
    if session.json:
        session.emit(
            {
                "processed": processed,
                "succeeded": succeeded,
                "failed": failed,
                "setAside": len(report.set_aside) if report else 0,
                "failures": [_failure_document(each) for each in failures],
            }
        )
        return
    session.show(f"Processed {processed}, succeeded {succeeded}, failed {failed}.")
    for each in failures[: None if session.verbose else MOST_NAMED]:
        name = f"{each.item.product} {each.item.type} {each.item.filePath}"
        session.warn(f"  {name}: {each.error.detail} {each.error.hint}".rstrip())
    if len(failures) > MOST_NAMED and not session.verbose:
        session.warn(f"  and {len(failures) - MOST_NAMED:,} more (-v shows all)")


def _failure_document(failure: Failure) -> dict[str, Any]:
    item, error = failure.item, failure.error
    told = (item.lastError or {}).get("code") if item.state == "refused" else None
    return {
        "id": item.id,
        "state": item.state,
        "code": told or error.code,
        "detail": error.detail,
        "attempts": item.attempts,
        "nextAttemptAt": item.nextAttemptAt,
    }
