from __future__ import annotations

import uuid

import pytest

from accounts.models import Organization
from jobs import queries, services
from jobs.models import Job, State
from odavl.wire.errors import NotFound

pytestmark = pytest.mark.django_db


def test_a_strangers_job_is_not_found(job):
    stranger = Organization.objects.create(slug="stranger", name="Stranger")

    with pytest.raises(NotFound):
        queries.job(stranger, job.id)
    with pytest.raises(NotFound):
        queries.job(job.organization, uuid.uuid4())
    assert queries.job(job.organization, job.id) == job


def test_jobs_are_listed_newest_first_and_filtered(organization, handler):
    first, second, third = (
        services.enqueue(organization=organization, job_type=name, payload={})
        for name in ("test.work", "test.other", "test.work")
    )
    services.cancel(first)

    rows = Job.objects.for_organization(organization)
    assert list(queries.filtered(rows)) == [third, second, first]
    assert list(queries.filtered(rows, states=(State.WAITING,))) == [third, second]
    assert list(queries.filtered(rows, types=("test.other",))) == [second]


def test_jobs_are_counted_by_state_and_type(organization, handler):
    for _ in range(3):
        services.enqueue(organization=organization, job_type="test.work", payload={})
    rows = Job.objects.for_organization(organization)
    services.cancel(rows[0])

    found = queries.statistics(rows)

    assert found.by_state == {"waiting": 2, "cancelled": 1}
    assert found.by_type == {"test.work": {"waiting": 2, "cancelled": 1}}
    assert (found.total, found.unfinished) == (3, 2)
