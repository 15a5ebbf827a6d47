"""Whether the store that is there is the one of which the rows speak.

A disk that is not mounted, an empty folder in its place, a bucket that was emptied or another one:
each looks like a store that has lost everything. So the hub leaves a mark in its store when it uses
it first, and keeps the mark's name in the database. Without the mark the store is away: nothing is
written, swept or called missing until it is back.
"""

from __future__ import annotations

import time
from itertools import chain
from uuid import uuid4

from odavl.wire.errors import ServiceUnavailable
from storage.models import FileState, StoredFile, StoredObject, StoreMark
from storage.objects.interface import ObjectStore

FAR_SECONDS = 30.0
"""For so long a remote store that was seen is believed to be there; a near one is looked at."""
_SAMPLE = 20
_RETRY_SECONDS = 30.0


class Presence:
    """What is known of ``store`` in this process."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._name: str | None = None
        self._seen_at: float | None = None
        """On the monotonic clock."""

    def require(self) -> None:
        """Raises :class:`ServiceUnavailable` where the store, looked at now, is not the hub's.

        One that is used for the first time, or was before there were marks, is marked.
        """
        self._seen_at = None
        name = self._name or self._found()
        if not self._store.has_mark(name):
            self._name = None  # perhaps it is another by now
            raise away()
        self._name, self._seen_at = name, time.monotonic()

    def require_lately(self) -> None:
        """As :meth:`require`, by what was seen a moment ago; for what is done often."""
        seen = self._seen_at
        if self._store.is_near or seen is None or time.monotonic() - seen > FAR_SECONDS:
            self.require()

    def check(self) -> None:
        """As :meth:`require`, for who only looks: one that was never used is left as it is."""
        if self._name or StoreMark.objects.exists():
            self.require()

    def accept(self) -> None:
        """Take the store as it is for the hub's; for a person who knows that it is."""
        self._store.mark(_settled_name(uuid4().hex))

    def _found(self) -> str:
        row = StoreMark.objects.first()
        if row is not None:
            return row.name
        if not _has_what_rows_say(self._store):
            raise away()
        name = uuid4().hex
        # Before its row: a hub that dies in between looks again, and nothing is taken for away.
        self._store.mark(name)
        return _settled_name(name)


def away() -> ServiceUnavailable:
    return ServiceUnavailable(
        "The object store is not the one that the hub has used: is it mounted, is it the right one?"
        " (manage.py storage_check --accept-store, if it is)",
        retry_after=_RETRY_SECONDS,
    )


def _settled_name(name: str) -> str:
    """The name in the database, which is that of whoever came first."""
    row, _ = StoreMark.objects.get_or_create(pk=1, defaults={"name": name})
    return row.name


def _has_what_rows_say(store: ObjectStore) -> bool:
    """Whether any of some objects that should be there is; true where none should."""
    contents = StoredObject.across_organizations.filter(
        inline=None, crc32=None, missing_since=None, expired_at=None
    ).defer("inline")
    files = StoredFile.across_organizations.filter(state=FileState.STORED, missing_since=None)
    known = [row.key for row in chain(contents[:_SAMPLE], files[:_SAMPLE])]
    return not known or any(store.exists(key) for key in known)
