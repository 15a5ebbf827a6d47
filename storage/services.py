"""Keeping and reading bytes."""

from __future__ import annotations

import errno
from uuid import uuid4

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db.models import QuerySet

from accounts.models import Organization
from odavl.wire.errors import ServiceUnavailable, StorageFull
from odavl.wire.limits import KIBIBYTE
from storage.models import StoredObject

MAX_INLINE_SIZE = 64 * KIBIBYTE
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def keep(*, organization: Organization, compressed: bytes, sha256: str, size: int) -> StoredObject:
    """The record of these gzip-compressed bytes; known content is not written again.

    Raises :class:`StorageFull` when the disk is, :class:`ServiceUnavailable` when the object store
    does not take it.
    """
    known: QuerySet[StoredObject] = StoredObject.objects.for_organization(organization).filter(
        sha256=sha256
    )
    if (found := known.defer("inline").first()) is not None:
        return found
    record = StoredObject(
        id=uuid4(), organization=organization, sha256=sha256, size=size, stored_size=len(compressed)
    )
    if len(compressed) <= MAX_INLINE_SIZE:
        record.inline = compressed
    else:
        _write(record.key, compressed)
    # Two uploads of the same content may race; the unique constraint decides, both get its row.
    StoredObject.across_organizations.bulk_create([record], ignore_conflicts=True)
    kept: StoredObject = known.defer("inline").get()
    return kept


def read(stored: StoredObject) -> bytes:
    """The gzip-compressed bytes."""
    if stored.inline is not None:
        return bytes(stored.inline)
    with storages["objects"].open(stored.key) as file:
        content: bytes = file.read()
    return content


def _write(key: str, content: bytes) -> None:
    try:
        storages["objects"].save(key, ContentFile(content))
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull("The hub's disk is full; the upload was not stored.") from error
        raise ServiceUnavailable("The object store did not take the upload.") from error
