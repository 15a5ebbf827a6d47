"""Keeping and reading bytes."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from datetime import datetime
from uuid import uuid4

from django.core.files.base import File
from django.core.files.storage import storages
from django.db.models import QuerySet

from accounts.models import Organization
from odavl.wire.errors import ServiceUnavailable, StorageFull
from odavl.wire.limits import KIBIBYTE
from storage import discarding
from storage.joining import joined_pieces
from storage.models import StoredObject

MAX_INLINE_SIZE = 64 * KIBIBYTE
_PIECE_SIZE = 256 * KIBIBYTE
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def keep(
    *,
    organization: Organization,
    pieces: Iterable[bytes],
    sha256: str,
    size: int,
    stored_size: int,
    joinable: bool = False,
) -> StoredObject:
    """The record of a content; one that is known is not written again.

    ``pieces`` are its gzip-compressed bytes, ``stored_size`` of them; ``size`` and ``sha256`` are
    those of the uncompressed ones. ``joinable`` tells that :mod:`storage.joining` made them.
    In a transaction, nobody discards the record before its end.

    Raises :class:`StorageFull` when the disk is, :class:`ServiceUnavailable` when the object store
    does not take it.
    """
    known: QuerySet[StoredObject] = StoredObject.objects.for_organization(organization).filter(
        sha256=sha256
    )
    discarding.hold(organization.pk, sha256)
    if (found := known.defer("inline").first()) is not None:
        return found
    record = StoredObject(
        id=uuid4(),
        organization=organization,
        sha256=sha256,
        size=size,
        stored_size=stored_size,
        joinable=joinable,
    )
    if stored_size <= MAX_INLINE_SIZE:
        record.inline = b"".join(pieces)
    else:
        _write(record.key, pieces)
    # Two uploads of the same content may race; the unique constraint decides, both get its row.
    StoredObject.across_organizations.bulk_create([record], ignore_conflicts=True)
    kept: StoredObject = known.defer("inline").get()
    return kept


def pieces_of(stored: StoredObject) -> Iterator[bytes]:
    """The gzip-compressed bytes, in pieces."""
    if stored.inline is not None:
        yield bytes(stored.inline)
        return
    if stored.crc32 is not None:
        yield from joined_pieces(stored, pieces_of)
        return
    with storages["objects"].open(stored.key) as file:
        while piece := file.read(_PIECE_SIZE):
            yield piece


def read(stored: StoredObject) -> bytes:
    """The gzip-compressed bytes, whole."""
    return b"".join(pieces_of(stored))


def discard_chunks(*, older_than: datetime, at_most: int = 500) -> int:
    """Drop chunks that nothing refers to (any more) and nobody has sent since; how many."""
    candidates: QuerySet[StoredObject] = StoredObject.across_organizations.filter(
        joinable=True, created_at__lt=older_than
    )
    return discarding.discard(candidates, delete_bytes=_delete, at_most=at_most)


class _Pieces(File):  # type: ignore[type-arg]  # generic in the stubs alone
    """What Django's storages read from, fed by an iterator."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        super().__init__(None)
        self._pieces = iter(pieces)
        self._rest = b""

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:  # noqa: ARG002 - Django's signature
        return self._pieces

    def read(self, size: int = -1) -> bytes:
        """What the S3 client asks for."""
        while size < 0 or len(self._rest) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._rest += piece
        taken, self._rest = (
            (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        )
        return taken


def _delete(key: str) -> None:
    storages["objects"].delete(key)


def _write(key: str, pieces: Iterable[bytes]) -> None:
    try:
        storages["objects"].save(key, _Pieces(pieces))
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull("The hub's disk is full; the upload was not stored.") from error
        raise ServiceUnavailable("The object store did not take the upload.") from error
