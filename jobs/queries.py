"""Reads over jobs."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min, QuerySet

from accounts.models import Organization, Project
from accounts.principal import Principal
from frame.finding import found
from jobs.models import Awaited, Job, State
from jobs.registry import job_types


@dataclass(frozen=True, slots=True)
class Statistics:
    """How many jobs, by state, and by type and state; what does not occur is left out."""

    by_state: dict[str, int]
    by_type: dict[str, dict[str, int]]

    @property
    def total(self) -> int:
        return sum(self.by_state.values())

    @property
    def unfinished(self) -> int:
        still = (State.WAITING, State.ACTIVE, State.DELAYED, State.PAUSED)
        return sum(self.by_state.get(state, 0) for state in still)


def job(organization: Organization, job_id: uuid.UUID) -> Job:
    """One job of the organization. Raises :class:`NotFound`, for a stranger's job too."""
    rows: QuerySet[Job] = Job.objects.for_organization(organization).filter(id=job_id)
    return found(rows, "job")


def visible_job(principal: Principal, job_id: uuid.UUID, *, level: str = "read") -> Job:
    """As :func:`job`, within :func:`visible_jobs`."""
    return found(visible_jobs(principal, level=level).filter(id=job_id), "job")


def visible_jobs(principal: Principal, *, level: str = "read") -> QuerySet[Job]:
    """Jobs of the types that ``principal`` has the ``level`` for, in the project it is held to."""
    rows: QuerySet[Job] = Job.objects.for_organization(principal.organization)
    if principal.project is not None:
        rows = rows.filter(project=principal.project)
    if principal.may("projects:admin"):
        return rows  # types too that no room has any more
    allowed = [known.name for known in job_types() if principal.may(f"{known.area}:{level}")]
    return rows.filter(type__in=allowed)


def filtered(
    rows: QuerySet[Job],
    *,
    states: Sequence[str] = (),
    types: Sequence[str] = (),
    project: Project | None = None,
) -> QuerySet[Job]:
    """Those of ``rows``, newest first; an empty sequence means any."""
    if states:
        rows = rows.filter(state__in=states)
    if types:
        rows = rows.filter(type__in=types)
    if project is not None:
        rows = rows.filter(project=project)
    return rows.order_by("-created_at", "-id")


def statistics(rows: QuerySet[Job]) -> Statistics:
    """One query over ``rows``."""
    by_state: dict[str, int] = defaultdict(int)
    by_type: dict[str, dict[str, int]] = defaultdict(dict)
    counted = rows.order_by().values_list("type", "state").annotate(count=Count("id"))
    for job_type, state, count in sorted(counted):
        by_state[state] += count
        by_type[job_type][state] = count
    return Statistics(dict(by_state), dict(by_type))


def outages() -> dict[Awaited, datetime]:
    """What jobs wait for that is away, and since when; cheap, as few jobs are unfinished."""
    waiting = Job.across_organizations.filter(
        state__in=(State.WAITING, State.ACTIVE, State.DELAYED),
        waiting_for__in=(Awaited.STORE, Awaited.ROOM, Awaited.DATABASE),
    )
    since = waiting.order_by().values_list("waiting_for").annotate(since=Min("waiting_since"))
    return {Awaited(name): moment for name, moment in since}
