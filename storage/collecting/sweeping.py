"""Removing objects to which no row refers: what crashes leave between an object and its row.

The walk goes through the store's own listing, a few pages a round. An object goes only if its key
is one that this hub makes for an organization it knows, if it is older than an upload can last,
and if no row refers to it: which is looked at once more while its name is held alone, as whoever
is about to refer to it says so until the commit (:mod:`storage.collecting.discarding`,
:mod:`storage.claims`).

Objects of other organizations are left alone: another hub may share the bucket, or this one may
have been given a database that is not the one which wrote them. ``manage.py storage_check`` tells
of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from django.conf import settings

from frame.database.clock import database_now
from odavl.wire.errors import OdavlError
from storage.claims import removing, removing_at_once
from storage.collecting.scan_cursor import ROUND_SECONDS, Round
from storage.configuration import object_store
from storage.keys import Key, key_of, of_known_organizations, unreferenced
from storage.models import StoredFile
from storage.objects.interface import Listed

_log = logging.getLogger(__name__)
NAME = "orphans"
EVERY = timedelta(minutes=5)


def sweep(*, seconds: float = ROUND_SECONDS) -> int:
    """One round; how many objects and unfinished uploads went. May run twice at once.

    Where the store does not answer, the next round goes on at the same place.
    """
    current = Round(NAME, seconds=seconds)
    if not current.is_due:
        return 0
    try:
        count = _swept(current)
    except OdavlError as error:
        _log.warning("The sweep waits for the object store: %s", error.detail)
        return 0
    if count:
        _log.info("The sweep removed %s objects that nothing referred to.", count)
    return count


def orphans(objects: Iterable[Listed], *, older_than: datetime) -> list[Key]:
    """The keys of those that may go."""
    old = (key_of(each.key) for each in objects if each.modified_at < older_than)
    return unreferenced(of_known_organizations(key for key in old if key is not None))


def limit() -> datetime:
    """What was written since may belong to an upload that is still under way."""
    return database_now() - timedelta(hours=settings.STORAGE_GRACE_HOURS)


def _swept(current: Round) -> int:
    store = object_store()
    older_than = limit()
    count = 0
    while True:
        try:
            page = store.listing(cursor=current.cursor)
        except ValueError:
            current.begin_anew()
            continue
        for key in orphans(page.objects, older_than=older_than):
            count += _removed(key)
            if current.is_over():
                return count  # the page is listed again, without what has gone
        if not page.next:
            count += sum(map(_aborted, _unfinished(older_than)))
            current.finish()
            return count
        current.go_on_at(page.next)
        if current.is_over():
            return count


def _removed(key: Key) -> bool:
    store = object_store()
    remove = removing_at_once if store.is_near else removing
    with remove(key.lock, key.text, lambda: bool(unreferenced([key]))) as mine:
        if mine:
            store.delete(key.text)
    return mine


def _unfinished(older_than: datetime) -> Iterator[tuple[str, str]]:
    """Key and id of old uploads in parts that belong to no file."""
    for each in object_store().unfinished():
        # The store says nothing of the key, or one of ours: another hub's uploads are not touched.
        key = key_of(each.key)
        ours = not each.key or (key is not None and of_known_organizations([key]))
        if not ours or each.started_at >= older_than:
            continue
        if not StoredFile.across_organizations.filter(multipart_id=each.upload_id).exists():
            yield each.key, each.upload_id


def _aborted(upload: tuple[str, str]) -> bool:
    object_store().abort_multipart(*upload)
    return True
