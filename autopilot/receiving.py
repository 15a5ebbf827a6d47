"""What Autopilot does with an upload: the receivers of its payload types."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import msgspec
from django.db import connection
from django.utils import timezone

from autopilot.models import DocumentType, RecipeTrust, SideDocument
from odavl.wire import limits
from odavl.wire.autopilot import RunHistory, Snapshot, TrustReport
from odavl.wire.encoding import shortened
from odavl.wire.envelope import UploadStored
from odavl.wire.errors import FieldError, InvalidPayload
from odavl.wire.moments import checked
from uploads.contents import Content
from uploads.documents import check_object, read_whole
from uploads.models import Upload
from uploads.queries import sent_at, upload_address

MAX_DOCUMENT_SIZE = 4 * limits.MEBIBYTE
"""Of recipe trust and run history, inflated; a snapshot may be as large as any payload."""

MAX_RECIPES = 5_000


class _Facts(NamedTuple):
    """What a document beside a ledger says of itself."""

    as_of: datetime
    run_id: str = ""


_Reader = Callable[[Upload, Content], _Facts]


def keep_document(upload: Upload, content: Content, *, read: _Reader) -> UploadStored:
    """Keep a document beside a ledger; recipe trust is read into rows as well."""
    facts = read(upload, content)
    named = facts.run_id or upload.metadata.get("runId", "")
    SideDocument.objects.for_organization(upload.organization).create(
        organization=upload.organization,
        project=upload.project,
        upload=upload,
        type=upload.type,
        run_id=shortened(named, limits.MAX_RUN_ID_LENGTH),
        as_of=facts.as_of,
    )
    return UploadStored(upload_id=str(upload.pk), url=upload_address(upload))


def read_snapshot(upload: Upload, content: Content) -> _Facts:
    """One that is too large to be held says nothing of itself."""
    if content.size > limits.MAX_ENVELOPE_SIZE:
        check_object(content)
        return _Facts(_as_of(upload, None))
    found = read_whole(content, _SNAPSHOT, most=limits.MAX_ENVELOPE_SIZE)
    return _Facts(_as_of(upload, found.created_at, "/createdAt"), found.run_id)


def read_history(upload: Upload, content: Content) -> _Facts:
    found = read_whole(content, _HISTORY, most=MAX_DOCUMENT_SIZE)
    return _Facts(_as_of(upload, found.updated_at))


def read_trust(upload: Upload, content: Content) -> _Facts:
    report = read_whole(content, _TRUST, most=MAX_DOCUMENT_SIZE)
    if len(report.recipes) > MAX_RECIPES:
        raise InvalidPayload(
            f"There may be {MAX_RECIPES} recipes.",
            errors=(FieldError("/recipes", "too_long", "Too many."),),
        )
    as_of = _as_of(upload, report.updated_at)
    _replace_trust(upload, report, as_of)
    return _Facts(as_of)


def _replace_trust(upload: Upload, report: TrustReport, as_of: datetime) -> None:
    """Replace what is known of the project's recipes, unless something later is known."""
    with connection.cursor() as cursor:
        # One report of a project at a time, until the commit.
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"trust:{upload.project_id}"]
        )
    later = SideDocument.objects.for_organization(upload.organization).filter(
        project=upload.project, type=DocumentType.RECIPE_TRUST, as_of__gt=as_of
    )
    if later.exists():
        return
    by_recipe = {shortened(each.recipe, limits.MAX_RULE_LENGTH): each for each in report.recipes}
    rows = RecipeTrust.objects.for_organization(upload.organization)
    rows.filter(project=upload.project).delete()
    RecipeTrust.across_organizations.bulk_create(
        RecipeTrust(
            organization=upload.organization,
            project=upload.project,
            recipe=name,
            trust=each.trust,
            runs=each.runs,
            successes=each.successes,
            failures=each.failures,
            blocked=each.blocked,
            updated_at=as_of,
        )
        for name, each in by_recipe.items()
    )


def _as_of(upload: Upload, written: datetime | None, pointer: str = "/updatedAt") -> datetime:
    """When the document was written: as it says, else when it was sent; never in the future.

    A clock that is wrong by years would otherwise make its report the latest one for years.
    """
    return min(checked(written, pointer) if written else sent_at(upload), timezone.now())


_SNAPSHOT = msgspec.json.Decoder(Snapshot)
_HISTORY = msgspec.json.Decoder(RunHistory)
_TRUST = msgspec.json.Decoder(TrustReport)
