"""Telling the owner of a job's type that a job has ended without success."""

from __future__ import annotations

import uuid

from frame import events
from jobs.models import Job, State
from jobs.registry import job_type_named


class JobGivenUp(events.Event, frozen=True, kw_only=True):
    """A job will not be tried again: failed, poisonous, out of time or cancelled."""

    job_id: uuid.UUID
    job_type: str


def publish_given_up(job_id: uuid.UUID, job_type: str) -> None:
    """Publish that the caller's transaction gives the job up."""
    events.publish(JobGivenUp(job_id=job_id, job_type=job_type))


def run_hook(event: JobGivenUp) -> None:
    """Call the type's ``on_failure``. What it raises changes nothing: the job is given up."""
    known = job_type_named(event.job_type)
    if known is None or known.on_failure is None:
        return
    given_up = Job.across_organizations.filter(
        id=event.job_id, state__in=(State.FAILED, State.CANCELLED)
    )
    job = given_up.first()
    if job is not None:  # else somebody has it run again already
        known.on_failure(job)
