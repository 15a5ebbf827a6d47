"""One upload that waits: its file's form, and what a failure makes of it."""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from odavl.wire.errors import HeldError, NotAuthenticated, OdavlError

VERSION = 1

State = Literal["queued", "held", "refused"]
_STATES = ("queued", "held", "refused")
_ITEM_ID = re.compile(r"[0-9a-f]{32}")


class QueuedUpload(NamedTuple):
    """One upload that waits. Field names are those of the file; times are ISO 8601 in UTC.

    ``state``: ``queued`` is sent when its time comes; ``held`` waits for a person (credentials,
    quota); ``refused`` will never be taken as it is, and is kept to be looked at.
    ``organizationId`` and ``projectId`` are those of the sign-in; where nobody knows whose the key
    is, ``keyDigest`` tells it from others.
    """

    id: str
    product: str
    type: str
    filePath: str
    metadata: dict[str, object]
    hub: str
    idempotencyKey: str
    encoding: str
    size: int
    bodySize: int
    sha256: str
    createdAt: str
    attempts: int = 0
    lastAttemptAt: str | None = None
    nextAttemptAt: str | None = None
    lastError: dict[str, object] | None = None
    state: State = "queued"
    organizationId: str | None = None
    projectId: str | None = None
    keyDigest: str | None = None
    version: int = VERSION

    @property
    def reason(self) -> str:
        """What stands against it; empty where nothing is known."""
        return str((self.lastError or {}).get("detail", ""))


_TEXT_OR_NONE = (str, type(None))
_KINDS: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "product": str,
    "type": str,
    "filePath": str,
    "metadata": dict,
    "hub": str,
    "idempotencyKey": str,
    "encoding": str,
    "size": int,
    "bodySize": int,
    "sha256": str,
    "createdAt": str,
    "attempts": int,
    "lastAttemptAt": _TEXT_OR_NONE,
    "nextAttemptAt": _TEXT_OR_NONE,
    "lastError": (dict, type(None)),
    "organizationId": _TEXT_OR_NONE,
    "projectId": _TEXT_OR_NONE,
    "keyDigest": _TEXT_OR_NONE,
}
_FIELDS = frozenset(QueuedUpload._fields)


class DamagedItem(Exception):
    """An item's file that holds no item."""


class NewerItem(Exception):
    """An item's file that a newer version of odavl wrote: not ours to judge."""


def item_of(entry: object) -> QueuedUpload:
    """The item in a file's or the index's JSON. Raises the two above."""
    if not isinstance(entry, dict):
        raise DamagedItem
    version = entry.get("version")
    if type(version) is int and version > VERSION:
        raise NewerItem
    # Ten thousand of these are read at a start: no loop of ours.
    fits = all(map(isinstance, map(entry.get, _KINDS), _KINDS.values()))
    if version != VERSION or not fits or entry.get("state") not in _STATES:
        raise DamagedItem
    if entry.keys() != _FIELDS:
        entry = {key: entry[key] for key in entry.keys() & _FIELDS}
    return QueuedUpload(**entry)


def item_in(name: str, content: bytes) -> QueuedUpload:
    """The item in the file ``<name>.json``. Raises the two above."""
    try:
        item = item_of(json.loads(content))
    except (ValueError, RecursionError) as error:
        raise DamagedItem from error
    if item.id != name or not _ITEM_ID.fullmatch(name):
        raise DamagedItem
    return item


def new_item_id() -> str:
    return uuid.uuid4().hex


def timestamp(moment: datetime | None = None) -> str:
    """ISO 8601 in UTC with microseconds, so that texts sort as times do."""
    return (moment or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def with_failure(
    item: QueuedUpload, error: OdavlError, *, next_attempt_at: datetime | None
) -> QueuedUpload:
    """``item`` after a try that failed. What is held consumes no attempt.

    A key that the hub does not know is nobody's, so it binds the item to nobody: the right one may
    follow.
    """
    state = state_of(error)
    return item._replace(
        keyDigest=None if isinstance(error, NotAuthenticated) else item.keyDigest,
        state=state,
        attempts=item.attempts + (state != "held"),
        lastAttemptAt=timestamp(),
        nextAttemptAt=timestamp(next_attempt_at) if next_attempt_at else None,
        lastError={
            "code": error.code,
            "detail": error.detail,
            "retryable": error.retryable,
            "retryAfter": error.retry_after,
        },
    )


def state_of(error: OdavlError) -> State:
    """Where an upload goes that failed with ``error``."""
    if error.retryable:
        return "queued"
    return "held" if error.exit_code == HeldError.exit_code else "refused"
