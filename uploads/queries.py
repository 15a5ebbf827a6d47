"""Reading what became of uploads."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection
from django.db.models import QuerySet, Sum
from django.urls import reverse
from django.utils.dateparse import parse_datetime

from accounts.principal import Principal
from frame.database.clock import database_now
from frame.finding import found, no_such
from jobs.models import Job, State
from odavl.wire.envelope import UploadStatus
from odavl.wire.errors import Conflict, InvalidPayload, NotFound, TransferExpired
from odavl.wire.moments import checked
from uploads import registry
from uploads.models import Transfer, TransferChunk, TransferState, Upload, UploadState


def upload_of(principal: Principal, product: str, upload_id: UUID) -> Upload:
    """Raises :class:`NotFound` for a stranger's as for one that never was."""
    uploads: QuerySet[Upload] = Upload.objects.for_organization(principal.organization)
    if principal.project is not None:
        uploads = uploads.filter(project=principal.project)
    return found(uploads.filter(product=product, pk=upload_id), "upload")


def transfer_of(principal: Principal, product: str, upload_id: UUID) -> Transfer:
    """Raises :class:`NotFound` for a stranger's as for one that never was."""
    transfers: QuerySet[Transfer] = Transfer.objects.for_organization(principal.organization)
    if principal.project is not None:
        transfers = transfers.filter(project=principal.project)
    transfers = transfers.select_related("organization")
    return found(transfers.filter(product=product, pk=upload_id), "upload")


def check_open(state: str) -> None:
    """Raises :class:`TransferExpired`, or :class:`Conflict` where it has been finalized."""
    if state == TransferState.EXPIRED:
        raise TransferExpired("The transfer has expired or was dropped: begin a new one.")
    if state != TransferState.OPEN:
        raise Conflict("The transfer has been finalized.")


class Place(NamedTuple):
    """A chunk's place in a transfer."""

    transfer_id: UUID
    expires_at: datetime
    """When the transfer does, unless more comes for it."""
    looked_at: datetime
    """When that was, by the same clock: the database's."""
    sha256: str
    size: int
    """Of the uncompressed bytes, as the chunk's name."""
    has_arrived: bool


def place_of(
    principal: Principal,
    product: str,
    upload_id: UUID,
    *,
    sha256: str | None = None,
    position: int | None = None,
) -> Place:
    """The place of the chunk of that name, or at that position (counted from 0), while it is open.

    Raises as :func:`transfer_of` and :func:`check_open` do, and :class:`NotFound` for a chunk that
    was not announced.
    """
    project = principal.project
    with connection.cursor() as cursor:
        cursor.execute(
            _PLACE,
            {
                "organization": principal.organization.pk,
                "project": project.pk if project else None,
                "product": product,
                "transfer": upload_id,
                "sha256": sha256,
                "position": position,
            },
        )
        row = cursor.fetchone()
    if row is None:
        raise no_such("upload")
    state, *place = row
    check_open(state)
    chunk = Place._make(place)
    if chunk.sha256 is None:
        raise no_such("chunk")
    return chunk


# One statement for transfer and chunk, written by hand: every chunk that arrives asks it.
_PLACE = """
SELECT transfer.state, transfer.id, transfer.expires_at, statement_timestamp(),
       chunk.sha256, chunk.size, chunk.stored_id IS NOT NULL
FROM uploads_transfer AS transfer
LEFT JOIN uploads_transferchunk AS chunk ON chunk.transfer_id = transfer.id
    AND (chunk.sha256 = %(sha256)s OR chunk.position = %(position)s)
WHERE transfer.organization_id = %(organization)s AND transfer.product = %(product)s
  AND transfer.id = %(transfer)s
  AND (%(project)s::uuid IS NULL OR transfer.project_id = %(project)s)
LIMIT 1
"""


def sent_at(upload: Upload) -> datetime:
    """When the client says that it sent the upload; now, where it says nothing that can be."""
    return told_time(upload) or database_now()


def told_time(upload: Upload) -> datetime | None:
    """The time that the metadata tell; None where they tell nothing that can be."""
    try:
        moment = parse_datetime(upload.metadata.get("timestamp") or "")
        if moment is not None and moment.tzinfo is not None:
            return checked(moment, "/metadata/timestamp") - clock_ahead(upload)
    except (ValueError, InvalidPayload):
        pass
    return None


def clock_ahead(upload: Upload) -> timedelta:
    """What to take off the times that the client told: by so much was its clock ahead of ours."""
    return timedelta(seconds=upload.metadata.get("clockAhead", 0))


def missing_chunks(transfer: Transfer) -> list[str]:
    """The names of the chunks that have not arrived, each once, in order."""
    rows = TransferChunk.objects.belonging_to(transfer=transfer).filter(stored=None)
    return list(dict.fromkeys(rows.order_by("position").values_list("sha256", flat=True)))


def status_of_any(principal: Principal, product: str, upload_id: UUID) -> UploadStatus:
    """How far an upload is, be it still a transfer. Raises as :func:`upload_of` does."""
    try:
        return status_of(upload_of(principal, product, upload_id))
    except NotFound:
        transfer = transfer_of(principal, product, upload_id)
    if transfer.state == TransferState.DONE and transfer.answer is not None:
        # The same upload came in one request before the transfer ended: that one is told of.
        told = _ANSWER.decode(bytes(transfer.answer))
        return status_of(upload_of(principal, product, UUID(told.upload_id)))
    return _status_of_transfer(transfer)


def _status_of_transfer(transfer: Transfer) -> UploadStatus:
    upload_id = str(transfer.pk)
    if transfer.state == TransferState.EXPIRED:
        raise TransferExpired("The transfer has expired or was dropped: begin a new one.")
    if transfer.state == TransferState.FAILED:
        return UploadStatus(
            upload_id=upload_id, state="failed", progress=100, problem=transfer.problem
        )
    if transfer.state == TransferState.ASSEMBLING:
        job = Job.across_organizations.filter(pk=transfer.job_id).only("state").first()
        # Checking the chunks is the lesser part of taking them in.
        state: Literal["pending", "processing"] = (
            "processing" if job and job.state == State.ACTIVE else "pending"
        )
        return UploadStatus(upload_id=upload_id, state=state, progress=0)
    return UploadStatus(
        upload_id=upload_id,
        state="receiving",
        progress=_percent_arrived(transfer),
        missing=missing_chunks(transfer),
        expires_at=transfer.expires_at.isoformat(),
    )


def _percent_arrived(transfer: Transfer) -> int:
    rows = TransferChunk.objects.belonging_to(transfer=transfer).exclude(stored=None)
    arrived = rows.aggregate(size=Sum("size"))["size"] or 0
    return int(100 * arrived / max(transfer.size, 1))


class _Answer(msgspec.Struct, rename="camel"):
    upload_id: str


_ANSWER = msgspec.json.Decoder(_Answer)


def status_of(upload: Upload) -> UploadStatus:
    """How far it is; ``progress`` is that of its job, in percent."""
    if upload.state == UploadState.COMPLETED:
        made = str(upload.run_id) if upload.run_id else None
        known = registry.find(upload.product, upload.type)
        is_test = known is not None and known.makes == "test"
        return UploadStatus(
            upload_id=str(upload.pk),
            state="completed",
            progress=100,
            run_id=None if is_test else made,
            test_id=made if is_test else None,
            url=upload.url or None,
        )
    job = (
        Job.across_organizations.filter(pk=upload.job_id).only("state", "progress", "error").first()
    )
    if upload.state == UploadState.FAILED or (job and job.state in _GIVEN_UP):
        return UploadStatus(
            upload_id=str(upload.pk),
            state="failed",
            progress=100,
            problem=upload.problem or (job.error if job else None),
        )
    progress = job.progress if job else 0
    return UploadStatus(
        upload_id=str(upload.pk),
        state="processing" if job and job.state == State.ACTIVE else "pending",
        progress=progress,
    )


_GIVEN_UP = (State.FAILED, State.CANCELLED)


def upload_address(upload: Upload) -> str:
    """Where to ask what became of it."""
    return _address(upload.product, str(upload.pk))


def transfer_address(transfer: Transfer) -> str:
    """Where to ask what is missing, and later what became of the upload."""
    return _address(transfer.product, str(transfer.pk))


def _address(product: str, upload_id: str) -> str:
    path = reverse("upload-status", args=[product, upload_id])
    return f"{settings.PUBLIC_URL}{path}"
