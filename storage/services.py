"""Keeping and reading bytes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from django.db import connection, transaction
from django.db.models import QuerySet

from accounts.models import Organization
from odavl.wire.encoding import gunzip_pieces
from odavl.wire.errors import BytesMissing
from odavl.wire.limits import KIBIBYTE
from storage import discarding
from storage.configuration import object_store
from storage.joining import joined_pieces
from storage.models import StoredObject
from storage.objects.interface import ObjectMissing, Staged

_log = logging.getLogger(__name__)
MAX_INLINE_SIZE = 64 * KIBIBYTE
_GZIP = "application/gzip"


def keep(
    *,
    organization: Organization,
    pieces: Iterable[bytes],
    sha256: str,
    size: int,
    stored_size: int,
) -> StoredObject:
    """The record of a content; one that is known is not written again.

    ``pieces`` are its gzip-compressed bytes, ``stored_size`` of them; ``size`` and ``sha256`` are
    those of the uncompressed ones. In a transaction, nobody discards the record before its end.
    Bytes that the store has lost are written again.

    Raises :class:`StorageFull` when the disk is, :class:`ServiceUnavailable` when the object store
    does not take it.
    """
    record = StoredObject(
        id=uuid4(),
        organization=organization,
        sha256=sha256,
        size=size,
        stored_size=stored_size,
    )

    def lay_down() -> None:
        if stored_size <= MAX_INLINE_SIZE:
            record.inline = b"".join(pieces)
        else:
            object_store().put(record.key, pieces, content_type=_GZIP)

    return _recorded(record, lay_down)


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes that are so few that they will lie in the row."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)


@contextmanager
def stage(pieces: Iterable[bytes], *, size: int) -> Iterator[Staged | Held]:
    """Bytes on their way in, for :func:`keep_staged`, one of ``pieces`` in memory at a time.

    ``size`` is about how many there are. Raises as :func:`keep` does.
    """
    if size <= MAX_INLINE_SIZE:
        yield Held(b"".join(pieces))
        return
    with object_store().stage(pieces) as staged:
        yield staged


def keep_staged(
    *, organization: Organization, staged: Staged | Held, sha256: str, size: int
) -> StoredObject:
    """As :func:`keep`, for the joinable form of a content that has been staged."""
    record = StoredObject(
        id=uuid4(),
        organization=organization,
        sha256=sha256,
        size=size,
        stored_size=staged.size,
        joinable=True,
    )

    def lay_down() -> None:
        if isinstance(staged, Held):
            record.inline = staged.data
        else:
            staged.publish(record.key, content_type=_GZIP)

    return _recorded(record, lay_down)


def _recorded(record: StoredObject, lay_down: Callable[[], None]) -> StoredObject:
    # A transaction of its own where the caller has none: until its end nobody takes the bytes for
    # ones that nothing refers to.
    with transaction.atomic(savepoint=False):
        found = discarding.hold(record.organization, record.sha256)
        if found is not None:
            return found if found.missing_since is None else _mended(found, record, lay_down)
        lay_down()
        # Two uploads of the same content may race; the unique constraint decides, both get its row.
        if _is_first(record):
            return record
        kept = discarding.hold(record.organization, record.sha256)
        assert kept is not None  # noqa: S101 - it is held, so nobody has discarded it
        return kept


def _is_first(record: StoredObject) -> bool:
    """Insert the record, unless its organization has one of the same content."""
    values: list[Any] = [
        record.pk,
        record.organization_id,
        record.sha256,
        record.size,
        record.stored_size,
        record.inline,
        record.joinable,
    ]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, values)
        row = cursor.fetchone()
    if row is not None:
        (record.created_at,) = row
    return row is not None


# As :mod:`accounts.statements`: built from the model it takes ten times as long.
_INSERT = """
INSERT INTO storage_storedobject
    (id, organization_id, sha256, size, stored_size, inline, joinable, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, statement_timestamp())
ON CONFLICT (organization_id, sha256) DO NOTHING RETURNING created_at
"""


def _mended(lost: StoredObject, sent: StoredObject, lay_down: Callable[[], None]) -> StoredObject:
    """The record of a content whose bytes the store had lost, with those that were sent again.

    What others are joined with must have the very form that they were joined with.
    """
    if lost.joinable and not (sent.joinable and sent.stored_size == lost.stored_size):
        return lost
    lay_down()
    lost.inline, lost.stored_size, lost.missing_since = sent.inline, sent.stored_size, None
    lost.save(update_fields=["inline", "stored_size", "missing_since"])
    return lost


def inflated(stored: StoredObject) -> Iterator[bytes]:
    """The content itself, in pieces; never more than its size."""
    return gunzip_pieces(pieces_of(stored), limit=stored.size)


def pieces_of(stored: StoredObject) -> Iterator[bytes]:
    """The gzip-compressed bytes, in pieces; :class:`BytesMissing` where the store has none."""
    if stored.inline is not None:
        return iter((bytes(stored.inline),))
    if stored.crc32 is not None:
        return joined_pieces(stored, pieces_of)
    try:
        return object_store().pieces(stored.key)
    except ObjectMissing:
        _log.exception("The bytes of %s are missing from the object store.", stored.key)
        raise BytesMissing(f"The hub's object store has lost the content {stored}.") from None


def read(stored: StoredObject) -> bytes:
    """The gzip-compressed bytes, whole."""
    return b"".join(pieces_of(stored))


def discard_chunks(*, older_than: datetime, at_most: int = 500) -> int:
    """Drop chunks that nothing refers to (any more) and nobody has sent since; how many."""
    candidates: QuerySet[StoredObject] = StoredObject.across_organizations.filter(
        joinable=True, created_at__lt=older_than
    )
    return discarding.discard(candidates, delete_bytes=object_store().delete, at_most=at_most)
