"""Payloads that take too long for the request that brings them: kept now, taken in by a job."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Protocol

import msgspec
from django.db import transaction
from django.db.models.functions import Now
from django.utils.functional import Promise

from jobs import registry as jobs
from jobs.claims import Claim
from jobs.models import Job, Queue
from jobs.services import enqueue
from odavl.wire.envelope import UploadAccepted, UploadStored
from odavl.wire.errors import RefusedError
from odavl.wire.problem import problem_of
from uploads.contents import Content, fetched
from uploads.models import Upload, UploadState
from uploads.queries import upload_address

TIMEOUT = timedelta(minutes=15)


class Ingest(Protocol):
    def __call__(self, upload: Upload, content: Content, claim: Claim) -> UploadStored:
        """Take the payload in, within the caller's transaction."""


def defer(upload: Upload, *, job_type: str) -> UploadAccepted:
    """Have the job ``job_type`` take the payload in; it runs :func:`ingest`."""
    job = enqueue(
        organization=upload.organization,
        job_type=job_type,
        payload={"uploadId": str(upload.pk)},
        project=upload.project,
    )
    return UploadAccepted(
        upload_id=str(upload.pk), job_id=str(job.pk), status_url=upload_address(upload)
    )


def ingest(claim: Claim, work: Ingest) -> None:
    """Do ``work`` on the upload that the job names, exactly once: with its end in one transaction.

    No transaction waits for a remote store: what lies there is fetched before. What is raised is
    the job's problem, and so the upload's.
    """
    upload = (
        Upload.across_organizations.select_related("organization", "project", "stored")
        .defer("stored__inline")
        .get(pk=claim.payload["uploadId"])
    )
    if upload.state == UploadState.COMPLETED:
        return
    # A second worker that comes this far at the same time has no claim any more when it ends.
    with fetched(upload.stored) as content, transaction.atomic():
        answer = work(upload, content, claim)
        Upload.across_organizations.filter(pk=upload.pk).update(
            state=UploadState.COMPLETED,
            run_id=answer.run_id or answer.test_id,
            url=answer.url,
            finished_at=Now(),
        )
        claim.complete()


def job_type_for(name: str, work: Ingest, *, area: str, label: str | Promise) -> jobs.JobType:
    """The type of the jobs that do ``work``, for the payload type that needs them."""
    return jobs.JobType(
        name=name,
        handler=partial(ingest, work=work),
        queue=Queue.BULK,
        timeout=TIMEOUT,
        area=area,
        label=label,
        on_failure=give_up,
        on_retry=retry,
    )


def give_up(job: Job) -> None:
    """The job will not be tried again: note why with the upload, which outlives it."""
    problem = job.error or msgspec.to_builtins(problem_of(RefusedError("The job was cancelled.")))
    Upload.across_organizations.filter(
        pk=job.payload["uploadId"], state=UploadState.PENDING
    ).update(state=UploadState.FAILED, problem=problem, finished_at=Now())


def retry(job: Job) -> None:
    """A person wants the job run again."""
    Upload.across_organizations.filter(pk=job.payload["uploadId"], state=UploadState.FAILED).update(
        state=UploadState.PENDING, problem=None, finished_at=None
    )
