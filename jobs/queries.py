"""Reads over jobs."""

from __future__ import annotations

import uuid

from django.db.models import Count, QuerySet

from accounts.models import Organization
from jobs.models import Job
from odavl.wire.errors import NotFound


def job(organization: Organization, job_id: uuid.UUID) -> Job:
    """One job of the organization. Raises :class:`NotFound`, for a stranger's job too."""
    found: Job | None = Job.objects.for_organization(organization).filter(id=job_id).first()
    if found is None:
        raise NotFound("There is no such job.")
    return found


def jobs(
    organization: Organization,
    *,
    states: tuple[str, ...] = (),
    job_types: tuple[str, ...] = (),
) -> QuerySet[Job]:
    """The organization's jobs, newest first; an empty tuple means any."""
    rows: QuerySet[Job] = Job.objects.for_organization(organization)
    if states:
        rows = rows.filter(state__in=states)
    if job_types:
        rows = rows.filter(type__in=job_types)
    return rows.order_by("-created_at", "-id")


def count_by_state(organization: Organization) -> dict[str, int]:
    """How many jobs are in each state that occurs."""
    rows = Job.objects.for_organization(organization).order_by().values_list("state")
    return dict(rows.annotate(count=Count("id")))
