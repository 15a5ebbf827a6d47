"""What people do about jobs, noted in the audit log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts.principal import Principal
from accounts.services import record
from jobs import services
from jobs.models import FINISHED, Job
from odavl.wire.jobs import JobAction

_ACTIONS: dict[JobAction, tuple[Callable[[Job], None], str]] = {
    "cancel": (services.cancel, "job.cancelled"),
    "pause": (services.pause, "job.paused"),
    "resume": (services.resume, "job.resumed"),
    "retry": (services.retry, "job.retried"),
}


@transaction.atomic
def act(job: Job, action: JobAction, *, by: Principal) -> None:
    """Do ``action`` with a job of ``by``'s organization.

    Raises :class:`~odavl.wire.errors.Conflict` where the job's state does not allow it.
    """
    change, noted = _ACTIONS[action]
    change(job)
    record(
        organization=by.organization,
        action=noted,
        target=str(job),
        by=by,
        details={"jobId": str(job.id), "type": job.type},
    )


@transaction.atomic
def clear(rows: QuerySet[Job], *, older_than: timedelta, by: Principal) -> int:
    """Remove those of ``rows`` that finished longer ago than that; how many."""
    finished = rows.filter(state__in=FINISHED, finished_at__lte=Now() - older_than)
    count = finished.delete()[0]
    if count:
        record(
            organization=by.organization,
            action="jobs.cleared",
            by=by,
            details={"count": count, "daysToKeep": older_than.days},
        )
    return count
