"""Keeping and reading bytes."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.db.models import Model, QuerySet

from accounts.models import Organization
from odavl.wire.encoding import gunzip_pieces
from odavl.wire.errors import BytesMissing, PayloadExpired, ServiceUnavailable
from odavl.wire.limits import KIBIBYTE
from storage.claims import placing, refuse_if_going
from storage.collecting import discarding, expiring
from storage.collecting.discarding import content_name
from storage.configuration import object_store, require_present
from storage.joining import joined_pieces
from storage.models import ReleasedContent, StoredObject
from storage.objects.interface import ObjectMissing, Staged

_log = logging.getLogger(__name__)
MAX_INLINE_SIZE = 64 * KIBIBYTE
_GZIP = "application/gzip"
_AT_ONCE = 50
_STEP_SECONDS = 10.0
"""What a step of upkeep may take where the store is slow."""


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes that are so few that they will lie in the row."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)


@dataclass(slots=True)
class Flowing:
    """Bytes that go to the store as they come, where it has no place to stage them by itself."""

    pieces: Iterable[bytes]
    size: int

    def publish(self, key: str, *, content_type: str = "") -> None:
        """Write them to the store."""
        object_store().put(key, self.pieces, content_type=content_type)


@dataclass(frozen=True, slots=True)
class Placed:
    """A content whose bytes are safe: for :func:`keep_placed`, while its ``with`` block lasts."""

    record: StoredObject
    """As it would be inserted."""
    publish: Callable[[], None] | None
    """What is left to do in the transaction: nothing, or what takes no time."""
    was_known: bool = False
    """Its bytes lay there already, and nobody removes them meanwhile."""


@contextmanager
def stage(pieces: Iterable[bytes], *, size: int) -> Iterator[Staged | Held]:
    """Bytes on their way in, for :func:`placed`, one of ``pieces`` in memory at a time.

    ``size`` is about how many there are. Raises :class:`StorageFull` when the disk is,
    :class:`ServiceUnavailable` when the object store does not take them.
    """
    if size <= MAX_INLINE_SIZE:
        yield Held(b"".join(pieces))
        return
    with object_store().stage(pieces) as staged:
        yield staged


@contextmanager
def placed(
    *,
    organization: Organization,
    staged: Staged | Held,
    sha256: str,
    size: int,
    joinable: bool = False,
) -> Iterator[Placed]:
    """Have the bytes of a content where they will lie, before the transaction that refers to them.

    ``size`` and ``sha256`` are those of the uncompressed content, ``staged`` is its gzip form.
    A remote store is asked here and nowhere else: no transaction may be open, and the reference is
    to be committed before the end of the block. Bytes that are there already are not sent again,
    unless the store has lost them. Raises as :func:`stage` does.
    """
    record = StoredObject(
        id=uuid4(),
        organization=organization,
        sha256=sha256,
        size=size,
        stored_size=staged.size,
        joinable=joinable,
    )
    if isinstance(staged, Held):
        record.inline = staged.data
        yield Placed(record, None)
        return
    publish = partial(staged.publish, record.key, content_type=_GZIP)
    if object_store().is_near:
        yield Placed(record, publish)
        return
    with placing(content_name(organization.pk, sha256), record.key):
        known = StoredObject.objects.for_organization(organization).filter(sha256=sha256)
        found: StoredObject | None = known.defer("inline").first()
        is_needed = found is None or _may_mend(found, record)
        if is_needed:
            publish()
        yield Placed(record, None, was_known=not is_needed)


@contextmanager
def placed_content(
    *,
    organization: Organization,
    pieces: Iterable[bytes],
    sha256: str,
    size: int,
    stored_size: int,
) -> Iterator[Placed]:
    """As :func:`placed`, of ``pieces`` that can be had as often as asked: nothing is staged far."""
    with ExitStack() as opened:
        staged: Staged | Held = (
            Flowing(pieces, stored_size)
            if stored_size > MAX_INLINE_SIZE and not object_store().is_near
            else opened.enter_context(stage(pieces, size=stored_size))
        )
        yield opened.enter_context(
            placed(organization=organization, staged=staged, sha256=sha256, size=size)
        )


def keep_placed(content: Placed) -> StoredObject:
    """The record of a content; one that is known is not written again.

    In a transaction, nobody discards the record before its end. Bytes that the store had lost are
    there again.
    """
    record = content.record
    # A transaction of its own where the caller has none: until its end nobody takes the bytes for
    # ones that nothing refers to.
    with transaction.atomic(savepoint=False):
        found = discarding.hold(record.organization, record.sha256)
        if found is not None:
            return _mended(found, content) if found.lacks_bytes else found
        if content.was_known:
            raise ServiceUnavailable("The content has just been removed; send it again.")
        _publish(content)
        # Two uploads of the same content may race; the unique constraint decides, both get its row.
        if _is_first(record):
            return record
        # It is held, so nobody has discarded it.
        return discarding.hold(record.organization, record.sha256) or record


def keep(
    *,
    organization: Organization,
    pieces: Iterable[bytes],
    sha256: str,
    size: int,
    stored_size: int,
) -> StoredObject:
    """The record of a content that has been placed in one go; not for within a transaction.

    Arguments and errors are those of :func:`placed_content`.
    """
    with placed_content(
        organization=organization, pieces=pieces, sha256=sha256, size=size, stored_size=stored_size
    ) as content:
        return keep_placed(content)


def _publish(content: Placed) -> None:
    if content.publish is not None:
        refuse_if_going(content.record.key)
        content.publish()


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


# As :mod:`frame.database.prepared`: built from the model it takes ten times as long.
_INSERT = """
INSERT INTO storage_storedobject
    (id, organization_id, sha256, size, stored_size, inline, joinable, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, statement_timestamp())
ON CONFLICT (organization_id, sha256) DO NOTHING RETURNING created_at
"""


def _may_mend(lost: StoredObject, sent: StoredObject) -> bool:
    """Whether bytes that were sent again are what the record has lost.

    What others are joined with must have the very form that they were joined with.
    """
    if not lost.lacks_bytes:
        return False
    return not lost.joinable or (sent.joinable and sent.stored_size == lost.stored_size)


def _mended(lost: StoredObject, content: Placed) -> StoredObject:
    """The record of a content whose bytes were lost or let go, with those that were sent again."""
    sent = content.record
    if content.was_known or not _may_mend(lost, sent):
        return lost
    _publish(content)
    lost.inline, lost.stored_size = sent.inline, sent.stored_size
    lost.missing_since = lost.expired_at = None
    lost.save(update_fields=["inline", "stored_size", "missing_since", "expired_at"])
    return lost


def inflated(stored: StoredObject) -> Iterator[bytes]:
    """The content itself, in pieces; never more than its size."""
    return gunzip_pieces(pieces_of(stored), limit=stored.size)


def pieces_of(stored: StoredObject) -> Iterator[bytes]:
    """The gzip-compressed bytes, in pieces.

    Raises :class:`BytesMissing` where the store has none, and :class:`PayloadExpired` where they
    were let go.
    """
    if stored.expired_at is not None:
        since = f"{stored.expired_at:%Y-%m-%d}"
        raise PayloadExpired(f"What was sent is not kept any more: it was let go on {since}.")
    if stored.inline is not None:
        return iter((bytes(stored.inline),))
    if stored.crc32 is not None:
        return joined_pieces(stored, pieces_of)
    try:
        return object_store().pieces(stored.key)
    except ObjectMissing:
        _log.exception("The bytes of %s are missing from the object store.", stored.key)
        raise BytesMissing(f"The hub's object store has lost the content {stored}.") from None


def is_at_hand(stored: StoredObject) -> bool:
    """Whether reading it asks no store that is far away and may take long."""
    return object_store().is_near or (stored.crc32 is None and stored.inline is not None)


def read(stored: StoredObject) -> bytes:
    """The gzip-compressed bytes, whole."""
    return b"".join(pieces_of(stored))


def discard_chunks(*, older_than: datetime, at_most: int = 500) -> int:
    """Drop chunks that nothing refers to (any more) and nobody has sent since; how many.

    Raises :class:`ServiceUnavailable` while the store is away.
    """
    candidates: QuerySet[StoredObject] = StoredObject.across_organizations.filter(
        joinable=True, created_at__lt=older_than
    )
    require_present()
    return discarding.discard(candidates, delete_bytes=object_store().delete, at_most=at_most)


def expire_payloads(
    candidates: QuerySet[StoredObject], *, of: type[Model], at_most: int
) -> Counter[UUID]:
    """Let go of the bytes of ``candidates`` to which only rows of ``of`` refer.

    How many, by organization. Raises :class:`ServiceUnavailable` while the store is away.
    """
    require_present()
    ends_at = time.monotonic() + _STEP_SECONDS
    kept = candidates.filter(expired_at=None, joinable=False)
    gone: Counter[UUID] = Counter()
    while (left := at_most - gone.total()) > 0 and time.monotonic() < ends_at:
        wanted = min(left, _AT_ONCE)
        went = expiring.expire(
            discarding.unreferenced(kept, but_by=of),
            delete_bytes=object_store().delete,
            at_most=wanted,
        )
        gone += went
        if went.total() < wanted:
            break
    return gone


def release(stored: Iterable[UUID]) -> None:
    """Note that references to contents go with the caller's transaction; others may have more."""
    ReleasedContent.objects.bulk_create(ReleasedContent(stored_id=pk) for pk in stored)


def discard_released(*, older_than: datetime, at_most: int) -> int:
    """Drop contents that were released before and to which nothing refers; how many were looked at.

    Must not run in a transaction. What somebody is just about to refer to is looked at again.
    Raises what the object store does; its bytes go with the sweep then.
    """
    ends_at = time.monotonic() + _STEP_SECONDS
    count = 0
    while (left := at_most - count) > 0 and time.monotonic() < ends_at:
        wanted = min(left, _AT_ONCE)
        looked = _discard_some(older_than=older_than, at_most=wanted)
        count += looked
        if looked < wanted:
            break
    return count


def _discard_some(*, older_than: datetime, at_most: int) -> int:
    notes = ReleasedContent.objects.filter(released_at__lte=older_than).order_by("pk")
    found = dict(notes.values_list("pk", "stored_id")[:at_most])
    rows = StoredObject.across_organizations.filter(pk__in=set(found.values()))
    discarding.discard(rows, delete_bytes=object_store().delete, at_most=at_most)
    left = set(discarding.unreferenced(rows).values_list("pk", flat=True))
    done = [pk for pk, stored in found.items() if stored not in left]
    count, _ = ReleasedContent.objects.filter(pk__in=done).delete()
    return count
