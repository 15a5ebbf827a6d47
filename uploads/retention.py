"""Letting go of payloads that have been ingested for long enough; what was read from them stays."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Exists, OuterRef, Q

from accounts.models import Organization
from accounts.services.audit import record
from storage import services as storage
from storage.models import StoredObject
from uploads.models import Upload, UploadState

_OVER = (UploadState.COMPLETED, UploadState.FAILED)


def forget_payloads(*, older_than: datetime, at_most: int) -> int:
    """Let go of the bytes of uploads that ended before ``older_than``; how many contents.

    A content that came once more since, or that a job has still to read, is kept. Must not run in
    a transaction. Raises :class:`~odavl.wire.errors.ServiceUnavailable` while the store is away.
    """
    uploads = Upload.across_organizations.filter(stored=OuterRef("pk"))
    still_wanted = ~Q(state__in=_OVER) | Q(created_at__gte=older_than)
    candidates = StoredObject.across_organizations.filter(
        ~Exists(uploads.filter(still_wanted)), Exists(uploads), created_at__lt=older_than
    )
    gone = storage.expire_payloads(candidates, of=Upload, at_most=at_most)
    for organization in Organization.objects.filter(pk__in=[pk for pk in gone if gone[pk]]):
        record(
            organization=organization,
            action="payload.expired",
            details={"payloads": gone[organization.pk]},
        )
    return gone.total()
