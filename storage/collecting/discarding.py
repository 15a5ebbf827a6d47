"""Letting go of bytes that nothing refers to, beside others who may take them up at any moment.

Whoever keeps a content holds its name (a shared advisory lock) until the commit that refers to it.
Whoever discards takes the name alone, and only then looks whether anything refers to the record;
the record goes before the bytes, so that a crash in between leaves an orphan and never a gap. The
bytes go when the lock is released, with a note that they do (:mod:`storage.claims`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast
from uuid import UUID

from django.db.models import Exists, ForeignObjectRel, Model, OuterRef, QuerySet

from accounts.models import Organization
from frame.database.prepared import Statement
from storage.claims import removing
from storage.models import ObjectPart, StoredObject

# Two statements: the second one sees what was discarded while the first one waited.
_HOLD_CONTENT = Statement(
    "SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 0));"
    " SELECT {columns} FROM storage_storedobject WHERE organization_id = %s AND sha256 = %s",
    StoredObject,
    without={"inline"},
)


def hold(organization: Organization, sha256: str) -> StoredObject | None:
    """The content's record, kept from being discarded until the end of the transaction.

    None where the content is not known; then it is held, too, for whoever keeps it now.
    """
    row = _HOLD_CONTENT.first([content_name(organization.pk, sha256), organization.pk, sha256])
    if row is None:
        return None
    record: StoredObject = row[0]
    record.organization = organization
    return record


def content_name(organization_id: object, sha256: str) -> str:
    """What is locked for a content."""
    return f"object:{organization_id}:{sha256}"


def key_name(key: str) -> str:
    """What is locked for any other object."""
    return f"key:{key}"


def discard(
    candidates: QuerySet[StoredObject], *, delete_bytes: Callable[[str], None], at_most: int
) -> int:
    """Drop those of ``candidates`` to which nothing refers; how many. ``delete_bytes`` takes a key.

    Must not run in a transaction: each record is committed by itself.
    """
    count = 0
    unused = unreferenced(candidates).values_list("pk", "organization_id", "sha256")
    for pk, organization_id, sha256 in unused.order_by("created_at")[:at_most]:
        count += _discarded(pk, content_name(organization_id, sha256), delete_bytes)
    return count


def _discarded(pk: UUID, name: str, delete_bytes: Callable[[str], None]) -> bool:
    row = StoredObject.across_organizations.filter(pk=pk)
    stored = row.defer("inline").first()
    if stored is None:
        return False
    has_bytes = not row.exclude(inline=None).exists() and stored.crc32 is None
    with removing(name, stored.key, lambda: _dropped(row)) as mine:
        if mine and has_bytes:
            delete_bytes(stored.key)
    return mine


def _dropped(row: QuerySet[StoredObject]) -> bool:
    """Drop the record, unless anything refers to it by now."""
    # A transfer that takes it up holds the row; one that comes later finds it gone.
    held = row.select_for_update(skip_locked=True, of=("self",)).defer("inline").first()
    if held is None or not unreferenced(row).exists():
        return False
    held.delete()
    return True


def unreferenced(
    rows: QuerySet[StoredObject], *, but_by: type[Model] | None = None
) -> QuerySet[StoredObject]:
    """Those to which nothing refers, or nothing ``but_by`` rows of that model.

    Whatever has a foreign key to stored objects, in whichever room, counts as a reference.
    """
    for relation in StoredObject._meta.get_fields(include_hidden=True):
        if not isinstance(relation, ForeignObjectRel):
            continue
        model, name = cast("type[Model]", relation.related_model), relation.field.name
        if (model, name) == _OWN_PARTS or model is but_by:
            continue
        # Of every organization, hidden or not: no manager's choice of rows.
        everywhere: QuerySet[Model] = QuerySet(model)
        rows = rows.exclude(Exists(everywhere.filter(**{f"{name}_id": OuterRef("pk")})))
    return rows


_OWN_PARTS = (ObjectPart, "whole")
"""An object's own parts go with it."""
