"""Runs whose job failed for good, and runs whose job is retried."""

from __future__ import annotations

import uuid

import msgspec
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from insight.models import Run, RunState
from insight.stream_locks import try_lock
from jobs.models import Job, State
from odavl.wire.errors import Conflict, InProgress, OdavlError, RefusedError
from odavl.wire.problem import Problem, problem_of, rebuild_error
from uploads.models import Upload, UploadState

CANCELLED: dict[str, object] = msgspec.to_builtins(
    problem_of(Conflict("The job was cancelled."))
) | {"code": "cancelled"}


@transaction.atomic
def fail_run(run_id: uuid.UUID | str, problem: dict[str, object]) -> bool:
    """Mark a run that has not been ingested as failed; False where it has been, or failed before.

    Without the stream's lock, which a worker may have for minutes: the condition is part of the
    write, and a worker that ingests the run at the same moment wins.
    """
    now = timezone.now()
    waiting = Run.across_organizations.filter(pk=run_id, state=RunState.QUEUED)
    if not waiting.update(state=RunState.FAILED, problem=problem, finished_at=now):
        return False
    Upload.across_organizations.filter(pk__in=_upload_of(run_id)).update(
        state=UploadState.FAILED, problem=problem, finished_at=now
    )
    return True


def fail_runs_of_dead_jobs() -> int:
    """Fail the runs whose job failed, and that were not told so (a crash in between); how many."""
    dead = Job.across_organizations.filter(
        pk=OuterRef("upload__job_id"), state__in=(State.FAILED, State.CANCELLED)
    )
    waiting = Run.across_organizations.filter(Exists(dead), state=RunState.QUEUED)
    found = 0
    for run in waiting.select_related("upload"):
        job = Job.across_organizations.get(pk=run.upload.job_id)
        found += fail_run(run.pk, job.error or CANCELLED)
    return found


@transaction.atomic
def requeue(run_id: uuid.UUID | str) -> None:
    """Let a failed run be ingested after all.

    Raises :class:`Conflict` once a later run of its stream is in: what was new and fixed then
    cannot be told anew, and where the run has been deleted. Raises :class:`InProgress` while a
    run of the stream is being ingested.
    """
    run = Run.across_organizations.select_related("stream").filter(pk=run_id).first()
    if run is None:
        raise Conflict("The run is not kept any more: upload the result again.")
    if not try_lock(run.stream):
        raise InProgress("A run of this branch is being taken in.", retry_after=5)
    later = Run.across_organizations.filter(
        stream_id=run.stream_id, sequence__gt=run.sequence, state=RunState.COMPLETED
    )
    if later.exists():
        raise Conflict("A later run of this branch has been taken in: upload the result again.")
    failed = Run.across_organizations.filter(pk=run_id, state=RunState.FAILED)
    if failed.update(state=RunState.QUEUED, problem=None, finished_at=None):
        Upload.across_organizations.filter(pk__in=_upload_of(run_id)).update(
            state=UploadState.PENDING, problem=None, finished_at=None
        )


def refusal(run: Run) -> OdavlError:
    """The error that a failed run tells of; trying again would not mend it."""
    try:
        error = rebuild_error(msgspec.convert(run.problem, Problem))
    except msgspec.ValidationError:
        return RefusedError("The run could not be read.")
    return error if isinstance(error, RefusedError) else RefusedError(error.detail)


def _upload_of(run_id: uuid.UUID | str) -> object:
    return Run.across_organizations.filter(pk=run_id).values("upload_id")
