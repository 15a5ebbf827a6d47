"""Reading what became of uploads."""

from __future__ import annotations

from uuid import UUID

from accounts.principal import Principal
from jobs.models import Job, State
from odavl.wire.envelope import UploadStatus
from odavl.wire.errors import NotFound
from uploads.models import Upload, UploadState


def upload_of(principal: Principal, product: str, upload_id: UUID) -> Upload:
    """Raises :class:`NotFound` for a stranger's as for one that never was."""
    uploads = Upload.objects.for_organization(principal.organization)
    if principal.project is not None:
        uploads = uploads.filter(project=principal.project)
    upload: Upload | None = uploads.filter(product=product, pk=upload_id).first()
    if upload is None:
        raise NotFound("There is no such upload.")
    return upload


def status_of(upload: Upload) -> UploadStatus:
    """How far it is; ``progress`` is that of its job, in percent."""
    if upload.state == UploadState.COMPLETED:
        return UploadStatus(
            upload_id=str(upload.pk),
            state="completed",
            progress=100,
            run_id=str(upload.run_id) if upload.run_id else None,
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
