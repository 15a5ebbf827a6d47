"""Letting go of the bytes of contents that have been kept long enough, and of nothing else.

The record stays, with size and digest: what refers to it goes on to tell of what was sent. As with
:mod:`storage.collecting.discarding`, whoever takes the content up at that moment comes first, and
the record says that the bytes have gone before they do; a crash in between leaves an orphan, which
the sweep takes. The same content, sent again, is kept again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from storage.claims import removing
from storage.collecting.discarding import content_name
from storage.models import ObjectPart, ReleasedContent, StoredObject


def expire(
    candidates: QuerySet[StoredObject], *, delete_bytes: Callable[[str], None], at_most: int
) -> Counter[UUID]:
    """Let go of the bytes of the oldest of ``candidates``; how many, by organization.

    ``candidates`` is asked once more under the lock of each. ``delete_bytes`` takes a key. Must not
    run in a transaction: each record is committed by itself.
    """
    gone: Counter[UUID] = Counter()
    for stored in candidates.defer("inline").order_by("created_at")[:at_most]:
        row = candidates.filter(pk=stored.pk)
        own = StoredObject.across_organizations.filter(pk=stored.pk, inline=None, crc32=None)
        has_bytes = own.exists()
        name = content_name(stored.organization_id, stored.sha256)
        with removing(name, stored.key, partial(_let_go, row)) as mine:
            gone[stored.organization_id] += mine
            if mine and has_bytes:
                delete_bytes(stored.key)
    return gone


def _let_go(row: QuerySet[StoredObject]) -> bool:
    # A transfer that takes it up holds the row.
    held = row.select_for_update(skip_locked=True, of=("self",)).defer("inline").first()
    if held is None or not row.exists():
        return False
    parts = ObjectPart.objects.belonging_to(whole=held)
    ReleasedContent.objects.bulk_create(
        ReleasedContent(stored_id=part) for part in set(parts.values_list("part_id", flat=True))
    )
    parts.delete()
    StoredObject.across_organizations.filter(pk=held.pk).update(
        inline=None, crc32=None, missing_since=None, expired_at=Now()
    )
    return True
