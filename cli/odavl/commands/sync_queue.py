"""``odavl sync queue`` and ``process-queue``: what waits for the hub, and what to do about it."""

from __future__ import annotations

import sys
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from odavl.commands.session import Session, hub_options, output_options, pass_session
from odavl.commands.terminal import ProgressLine, plural, printable
from odavl.wire.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from odavl.hub.queue.items import QueuedUpload
    from odavl.hub.queue.sending import Failure, QueueReport
    from odavl.hub.queue.store import QueueContent, UploadQueue

MOST_NAMED = 20
"""How many uploads are named one by one without ``-v``."""

SHOWN_ID = 8
"""How many characters of an id a person gets to see."""

REFUSED = "refused"
"""In an id's place: all that are."""

SHORTEST = 4
"""Characters of an id that it must at least begin with: one must not be hit by accident."""

_HINT = "See the ids: odavl sync queue -v"


@click.command()
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
        change_queue(session, waiting, **asked)
        return
    content = waiting.content()
    if session.json:
        session.emit(queue_document(content, _hub(session, content)))
    else:
        _show_queue(session, content, waiting.quarantine)


@click.command("process-queue")
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


def queue_document(content: QueueContent, hub: str | None) -> dict[str, object]:
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


def _process(session: Session, waiting: UploadQueue) -> QueueReport:
    from odavl.hub.queue.sending import process_queue as send
    from odavl.hub.retry import ONCE

    with (
        session.client(policy=ONCE, leaves_queue=True) as client,
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


def _failure_document(failure: Failure) -> dict[str, object]:
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


def change_queue(
    session: Session,
    waiting: UploadQueue,
    *,
    clear: bool,
    yes: bool,
    drop: Sequence[str],
    retry: Sequence[str],
) -> None:
    """Do what is asked of the queue. Raises :class:`UsageError` and then has done nothing."""
    if clear and (drop or retry):
        raise UsageError("--clear throws everything away; --drop and --retry are for single ones.")
    if clear:
        _clear(session, waiting, yes=yes)
        return
    items = waiting.content().items
    dropped, again = chosen(items, drop), chosen(items, retry)
    if both := {item.id for item in dropped} & {item.id for item in again}:
        raise UsageError(f"{min(both)} cannot be dropped and tried again.")
    if dropped:
        waiting.drop(dropped)
    if again:
        waiting.change([put_back(item) for item in again])
    if session.json:
        session.emit({"dropped": _ids(dropped), "retried": _ids(again)})
        return
    if drop:
        session.say(f"Dropped {plural(len(dropped), 'queued upload')}.")
    if retry:
        said = f"{plural(len(again), 'upload')} will be tried again."
        session.say(f"{said} Now: odavl sync process-queue" if again else said)


def chosen(items: Sequence[QueuedUpload], wanted: Sequence[str]) -> list[QueuedUpload]:
    """Those of ``items`` that ``wanted`` names by the beginning of an id, or by ``refused``."""
    found: dict[str, QueuedUpload] = {}
    for name in wanted:
        if name == REFUSED:
            found.update((item.id, item) for item in items if item.state == REFUSED)
        else:
            item = _named(items, name.strip().lower())
            found[item.id] = item
    return list(found.values())


def _named(items: Sequence[QueuedUpload], name: str) -> QueuedUpload:
    if len(name) < SHORTEST:
        raise UsageError(f"{name!r} is too short; give {SHORTEST} characters of an id.", hint=_HINT)
    fitting = [item for item in items if item.id.startswith(name)]
    if not fitting:
        raise UsageError(f"No queued upload has an id that begins with {name!r}.", hint=_HINT)
    if len(fitting) > 1:
        ids = ", ".join(_ids(fitting[:5]))
        raise UsageError(f"{len(fitting)} ids begin with {name!r}: {ids}.", hint="Give more of it.")
    return fitting[0]


def put_back(item: QueuedUpload) -> QueuedUpload:
    """``item`` as if it was never tried; what stood against it last can still be read.

    The hub may keep its refusal for the key of the request, and would repeat it for ever. Whose
    key it was queued with does not count any more: a person asks for it to be sent with theirs.
    """
    key = uuid.uuid4().hex if item.state == REFUSED else item.idempotencyKey
    return item._replace(
        state="queued", attempts=0, nextAttemptAt=None, idempotencyKey=key, keyDigest=None
    )


def _clear(session: Session, waiting: UploadQueue, *, yes: bool) -> None:
    # A script goes on clearing without being asked.
    if sys.stdin.isatty() and sys.stderr.isatty() and not (yes or session.json):
        count = len(waiting.content().items)
        asked = f"Throw away {plural(count, 'queued upload')} that no hub has?"
        if not click.confirm(asked, err=True):
            session.say("Nothing was cleared.")
            return
    removed = waiting.clear()
    if session.json:
        session.emit({"cleared": removed})
    else:
        session.say(f"Cleared {plural(removed, 'queued upload')}.")


def _ids(items: Sequence[QueuedUpload]) -> list[str]:
    return [item.id for item in items]
