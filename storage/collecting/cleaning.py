"""What goes by itself: expired files, uploads that never ended, what crashes left behind."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db.models import Q, QuerySet

from frame.database.clock import database_now
from odavl.wire.errors import OdavlError
from storage.claims import forget_ended
from storage.configuration import local_store, object_store
from storage.files import remove, settle
from storage.models import FileState, StoredFile

_log = logging.getLogger(__name__)
EVERY = timedelta(minutes=5)
_GRACE = timedelta(minutes=10)
"""Beyond the end of a signed address: an upload that began in time may still run."""
_REFUSED_KEPT = timedelta(days=1)
"""So that whoever asks late still learns why."""
_LEFTOVER_SECONDS = 86_400.0
_AT_ONCE = 200


def clean_up() -> int:
    """Tidy up, at most 200 files of each kind; how many rows went. May run twice at once."""
    now = database_now()
    rows: QuerySet[StoredFile] = StoredFile.across_organizations.select_related("organization")
    gone = Q(state=FileState.DELETED) | Q(state=FileState.STORED, expires_at__lte=now)
    count = sum(_removed(file) for file in rows.filter(gone)[:_AT_ONCE])
    told_yet = Q(state=FileState.REFUSED, upload_until__gt=now - _REFUSED_KEPT)
    over = rows.filter(upload_until__lt=now - _GRACE).exclude(told_yet)
    over = over.exclude(state=FileState.DELETED).order_by("upload_until")
    count += sum(_ended(file) for file in over[:_AT_ONCE])
    forget_ended()
    store = local_store()
    if store is not None:
        store.forget_leftovers(older_than=_LEFTOVER_SECONDS)
    return count


def _ended(file: StoredFile) -> bool:
    """Nobody can send to it any more: keep it if it is whole, else let it go."""
    try:
        state = settle(file).state
        if state != FileState.STORED:
            return _removed(file)
        _forget_incoming(file)
    except OdavlError as error:
        _log.warning("A file could not be tidied up now: %s", error)
    return False


def _forget_incoming(file: StoredFile) -> None:
    """What a second use of its address may have left."""
    object_store().delete(file.incoming)
    StoredFile.across_organizations.filter(pk=file.pk).update(upload_until=None)


def _removed(file: StoredFile) -> bool:
    try:
        remove(file)
    except OdavlError as error:
        _log.warning("A file's object could not be removed now: %s", error.detail)
        return False
    return True
