"""``odavl sync queue --clear``, ``--drop`` and ``--retry``."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from odavl.commands.session import Session
from odavl.commands.terminal import plural
from odavl.wire.errors import UsageError

if TYPE_CHECKING:
    from odavl.hub.queue.items import QueuedUpload
    from odavl.hub.queue.store import UploadQueue

REFUSED = "refused"
"""In an id's place: all that are."""

SHORTEST = 4
"""Characters of an id that it must at least begin with: one must not be hit by accident."""

_HINT = "See the ids: odavl sync queue -v"


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
        waiting.change([_put_back(item) for item in again])
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


def _put_back(item: QueuedUpload) -> QueuedUpload:
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
