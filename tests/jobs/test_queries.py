from __future__ import annotations

import uuid

import pytest

from accounts.models import Organization
from jobs import queries, services
from jobs.models import State
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

    assert list(queries.jobs(organization)) == [third, second, first]
    assert list(queries.jobs(organization, states=(State.WAITING,))) == [third, second]
    assert list(queries.jobs(organization, job_types=("test.other",))) == [second]


def test_jobs_are_counted_by_state(organization, handler):
    for _ in range(3):
        services.enqueue(organization=organization, job_type="test.work", payload={})
    services.cancel(queries.jobs(organization)[0])

    assert queries.count_by_state(organization) == {"waiting": 2, "cancelled": 1}
