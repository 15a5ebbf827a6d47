"""Whose turn it is in a queue: organizations take turns, however much one of them has enqueued.

Among jobs of one priority, the organization with the fewest running in the queue comes first, and
of several the one that was served longest ago. So one that has nothing running waits for at most
one job of each other organization, however many of theirs wait. Only the organizations that have
something waiting are visited, each by one probe of an index: a long queue costs no more than a
short one.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models.functions import Now

from jobs.models import Turn

# A "loose index scan": PostgreSQL has none of its own for the distinct beginnings of an index.
_IN_ORDER = """
WITH RECURSIVE place AS (
    (SELECT priority, organization_id FROM jobs_job
     WHERE state = 'waiting' AND queue = %(queue)s AND organization_id IS NOT NULL
     ORDER BY priority DESC, organization_id DESC LIMIT 1)
  UNION ALL
    SELECT following.priority, following.organization_id FROM place, LATERAL (
        SELECT job.priority, job.organization_id FROM jobs_job job
        WHERE job.state = 'waiting' AND job.queue = %(queue)s AND job.organization_id IS NOT NULL
          AND (job.priority, job.organization_id) < (place.priority, place.organization_id)
        ORDER BY job.priority DESC, job.organization_id DESC LIMIT 1
    ) following
), running AS (
    SELECT organization_id, count(*) AS jobs FROM jobs_job
    WHERE state = 'active' AND queue = %(queue)s GROUP BY organization_id
)
SELECT priority, organization_id FROM place
LEFT JOIN running USING (organization_id)
LEFT JOIN (SELECT organization_id, served_at FROM jobs_turn WHERE queue = %(queue)s) turn
    USING (organization_id)
ORDER BY priority DESC, coalesce(running.jobs, 0), served_at NULLS FIRST, organization_id
"""


class Place(NamedTuple):
    """Where jobs wait: an organization's of one priority."""

    priority: int
    organization_id: UUID


def in_order(queue: str) -> list[Place]:
    """The places in ``queue`` at which jobs wait, the one whose turn it is first."""
    with connection.cursor() as cursor:
        cursor.execute(_IN_ORDER, {"queue": queue})
        return [Place(*row) for row in cursor.fetchall()]


def record_turn(queue: str, organization_id: UUID) -> None:
    """The organization has had its turn."""
    Turn.across_organizations.bulk_create(
        [Turn(organization_id=organization_id, queue=queue, served_at=Now())],
        update_conflicts=True,
        unique_fields=["organization", "queue"],
        update_fields=["served_at"],
    )
