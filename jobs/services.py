"""What changes a job from outside of it: enqueue, cancel, retry, pause, resume, clean up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from django.db import IntegrityError, transaction
from django.db.models import DurationField, F, Q, Value
from django.db.models.functions import Now

from accounts.models import Organization, Project
from frame.database.errors import violates
from jobs import failure_hooks, messages
from jobs.claims import NOT_WAITING
from jobs.models import FINISHED, UNFINISHED, Job, Priority, Queue, State
from jobs.registry import (
    DEFAULT_TIMEOUT,
    UNKNOWN_FOR,
    job_type_named,
    job_types,
)
from odavl.wire.errors import Conflict, Duplicate

NO_HANDLER = "no_handler"
"""The code of what a job of an unknown type fails with."""

_WITHOUT_HANDLER = Q(error__code=NO_HANDLER) | Q(
    error__code="internal_error", error__retryable=False
)
"""The latter is what the versions before failed it with, and nothing else with."""
_FINISHED = Q(state__in=FINISHED)
_DONE_BY_ITSELF = Q(organization=None, state=State.COMPLETED)
_ONE_UNFINISHED = ("job_unfinished_unique", "job_system_unfinished_unique")
_BATCH = 500


def enqueue(
    *,
    organization: Organization | None,
    job_type: str,
    payload: Mapping[str, object],
    project: Project | None = None,
    priority: Priority | None = None,
    run_at: datetime | None = None,
    deduplication_key: str | None = None,
) -> Job:
    """Note a job in the caller's transaction; its message leaves after the commit.

    Queue, priority and time-out are its type's, unless another ``priority`` is given.
    ``payload`` is plain JSON (ids, not objects); its ``url`` is where a person sees the outcome.
    Without an ``organization`` it is the hub's own, and seen by operators only. ``run_at`` is by
    the database's clock. With a ``deduplication_key``, the unfinished job of that organization,
    type and key is given back instead of a second one.
    No error if the broker is away: the relay sends what could not be sent.
    """
    known = job_type_named(job_type)
    job = Job(
        organization=organization,
        type=job_type,
        project=project,
        queue=known.queue if known else Queue.DEFAULT,
        priority=priority or (known.priority if known else Priority.NORMAL),
        payload=dict(payload),
        timeout=known.timeout if known else DEFAULT_TIMEOUT,
        deduplication_key=deduplication_key,
    )
    if run_at is None:
        # Noted before it is true, so that the worker which takes the job at once is not kept
        # waiting for a second write. If we die in between, the relay sees that it is missing.
        job.message_sent_at = Now()  # the database's
    else:
        job.state, job.run_at = State.DELAYED, run_at
    if deduplication_key is not None:
        job, is_new = _saved_or_existing(job)
        if not is_new:
            return job
    else:
        job.save(force_insert=True)
        if run_at is None:
            job.message_sent_at = job.created_at  # the same statement, the same moment
    if run_at is None:
        transaction.on_commit(partial(messages.send, job), robust=True)
    return job


def cancel(job: Job) -> None:
    """Stop it for good; a worker that has it may write nothing from now on.

    Raises :class:`Conflict` when it has finished.
    """
    _change(job, UNFINISHED, state=State.CANCELLED, finished_at=Now())
    failure_hooks.publish_given_up(job.id, job.type)


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
    ago = Value(UNKNOWN_FOR, output_field=DurationField())
    failed = Job.across_organizations.filter(
        _WITHOUT_HANDLER,
        state=State.FAILED,
        finished_at__gte=Now() - ago,
        type__in=[each.name for each in job_types()],
    )
    retried = 0
    for job in failed[:_BATCH]:
        try:
            retry(job)
        except Conflict:
            continue  # somebody was faster, or asked for the same once more, which is under way
        retried += 1
    return retried


def delete_finished(*, older_than: datetime, at_most: int) -> int:
    """Remove jobs of organizations, and failed ones of the hub's own; how many."""
    return _delete(_FINISHED & ~_DONE_BY_ITSELF, older_than, at_most)


def delete_system_jobs(*, older_than: datetime, at_most: int) -> int:
    """Remove the hub's own jobs that succeeded: there are some in every minute; how many."""
    return _delete(_FINISHED & _DONE_BY_ITSELF, older_than, at_most)


def _delete(which: Q, older_than: datetime, at_most: int) -> int:
    rows = Job.across_organizations.filter(which, finished_at__lt=older_than)
    oldest = list(rows.order_by("finished_at").values_list("pk", flat=True)[:at_most])
    count: int = Job.across_organizations.filter(pk__in=oldest).delete()[0]
    return count


def _saved_or_existing(job: Job) -> tuple[Job, bool]:
    """Whether it is new."""
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
            return saved, saved.id == job.id


def _change(job: Job, allowed: tuple[State, ...], **values: object) -> None:
    # Conditional on the state, and with a new fence: the worker that has it notices, and of two
    # people who press the button only one succeeds.
    try:
        with transaction.atomic():
            changed = Job.across_organizations.filter(id=job.id, state__in=allowed).update(
                **values, **NOT_WAITING, fence=F("fence") + 1, lease_expires_at=None
            )
    except IntegrityError as error:
        if not violates(error, *_ONE_UNFINISHED):
            raise
        raise Duplicate("The same job is under way already.") from error
    if not changed:
        raise Conflict(f"The job is not {' or '.join(state.value for state in allowed)} any more.")
    job.refresh_from_db()
