"""What changes a job from outside of it: enqueue, cancel, retry, pause, resume, clean up."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import Organization, Project
from jobs import endings, messages
from jobs.models import FINISHED, UNFINISHED, Job, Priority, Queue, State
from jobs.registry import (
    DEFAULT_TIMEOUT,
    UNKNOWN_FOR,
    job_type_named,
    job_types,
    no_handler,
)
from odavl.wire.errors import Conflict

KEEP_FINISHED = timedelta(days=7)
_BATCH = 500


def enqueue(
    *,
    organization: Organization,
    job_type: str,
    payload: Mapping[str, Any],
    project: Project | None = None,
    priority: Priority = Priority.NORMAL,
    run_at: datetime | None = None,
    deduplication_key: str | None = None,
) -> Job:
    """Note a job in the caller's transaction; its message leaves after the commit.

    ``payload`` is plain JSON (ids, not objects); its ``url`` is where a person sees the outcome.
    With a ``deduplication_key``, the unfinished job of that organization, type and key is given
    back instead of a second one.
    No error if the broker is away: the relay sends what could not be sent.
    """
    known = job_type_named(job_type)
    now = timezone.now()
    job = Job(
        organization=organization,
        type=job_type,
        project=project,
        queue=known.queue if known else Queue.DEFAULT,
        priority=priority,
        payload=dict(payload),
        timeout=known.timeout if known else DEFAULT_TIMEOUT,
        deduplication_key=deduplication_key,
        state=State.WAITING if run_at is None or run_at <= now else State.DELAYED,
        run_at=run_at or now,
    )
    if job.state == State.WAITING:
        # Noted before it is true, so that the worker which takes the job at once is not kept
        # waiting for a second write. If we die in between, the relay sees that it is missing.
        job.message_sent_at = now
    if deduplication_key is None:
        job.save(force_insert=True)
    else:
        existing = _existing_or_saved(job)
        if existing is not None:
            return existing
    if job.state == State.WAITING:
        transaction.on_commit(partial(messages.send, job), robust=True)
    return job


def cancel(job: Job) -> None:
    """Stop it for good; a worker that has it may write nothing from now on.

    Raises :class:`Conflict` when it has finished.
    """
    _change(job, UNFINISHED, state=State.CANCELLED, finished_at=Now())
    endings.tell(job.id, job.type)


def pause(job: Job) -> None:
    """Hold it until :func:`resume`. Raises :class:`Conflict` when it has finished."""
    _change(job, (State.WAITING, State.ACTIVE, State.DELAYED), state=State.PAUSED)


def resume(job: Job) -> None:
    """Let a paused job run, its attempts counted anew. Raises :class:`Conflict` if not paused."""
    _change(
        job,
        (State.PAUSED,),
        state=State.WAITING,
        attempts=0,
        losses=0,
        run_at=Now(),
        message_sent_at=Now(),
    )
    transaction.on_commit(partial(messages.send, job), robust=True)


@transaction.atomic
def retry(job: Job) -> None:
    """Run a failed or cancelled job again, from its first attempt.

    Raises :class:`Conflict` for one in another state, or where its type's owner has a reason.
    """
    _change(
        job,
        (State.FAILED, State.CANCELLED),
        state=State.WAITING,
        attempts=0,
        losses=0,
        progress=0,
        run_at=Now(),
        message_sent_at=Now(),
        error=None,
        finished_at=None,
    )
    known = job_type_named(job.type)
    if known is not None and known.on_retry is not None:
        known.on_retry(job)
    transaction.on_commit(partial(messages.send, job), robust=True)


def retry_unknown() -> int:
    """Run again what another version of the hub failed because it has no handler; how many.

    While a hub is deployed, the workers of the version before take jobs that only this one can do.
    """
    details = [no_handler(each.name) for each in job_types()]
    failed = Job.across_organizations.filter(
        state=State.FAILED,
        finished_at__gte=timezone.now() - UNKNOWN_FOR,
        error__detail__in=details,
    )
    retried = 0
    for job in failed[:_BATCH]:
        # Somebody was faster, or asked for the same once more, which is under way.
        with suppress(Conflict, IntegrityError):
            retry(job)
            retried += 1
    return retried


def delete_finished(*, older_than: timedelta = KEEP_FINISHED) -> int:
    """Remove jobs that finished longer ago than that; how many."""
    limit = timezone.now() - older_than
    finished = Job.across_organizations.filter(state__in=FINISHED, finished_at__lt=limit)
    return finished.delete()[0]


def _existing_or_saved(job: Job) -> Job | None:
    # ON CONFLICT DO NOTHING rather than catching the error: the caller's transaction lives on.
    # A job that finishes between the two statements makes room, so we try again.
    while True:
        Job.across_organizations.bulk_create([job], ignore_conflicts=True)
        saved: Job | None = (
            Job.across_organizations.filter(
                organization_id=job.organization_id,
                type=job.type,
                deduplication_key=job.deduplication_key,
                state__in=UNFINISHED,
            )
            .order_by("created_at")
            .first()
        )
        if saved is not None:
            return None if saved.id == job.id else saved


def _change(job: Job, allowed: tuple[State, ...], **values: Any) -> None:
    # Conditional on the state, and with a new fence: the worker that has it notices, and of two
    # people who press the button only one succeeds.
    changed = Job.across_organizations.filter(id=job.id, state__in=allowed).update(
        **values, fence=F("fence") + 1, lease_expires_at=None
    )
    if not changed:
        raise Conflict(f"The job is not {' or '.join(state.value for state in allowed)} any more.")
    job.refresh_from_db()
