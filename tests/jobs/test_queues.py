"""A worker takes from its own queue only, and what cannot be noted is not done."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F

from accounts.models import AuditEvent
from jobs import actions, services
from jobs.claims import claim_next
from jobs.models import Job, State
from tests.cast import Person

pytestmark = pytest.mark.django_db


def test_an_older_job_of_another_queue_is_not_taken(organization, job) -> None:
    other = services.enqueue(organization=organization, job_type="test.unknown", payload={})
    hour = timedelta(hours=1)
    Job.across_organizations.filter(pk=other.pk).update(run_at=F("run_at") - hour)
    assert other.queue != job.queue

    held = claim_next(job.queue)

    assert held is not None
    assert held.job.id == job.id
    assert claim_next(job.queue) is None
    assert Job.across_organizations.get(pk=other.pk).state == State.WAITING


def test_what_cannot_be_noted_is_not_done(
    alice: Person, handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = services.enqueue(organization=alice.organization, job_type="test.work", payload={})

    def fails(*_arguments: object, **_named: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(actions, "record", fails)
    with pytest.raises(OSError, match="no room"):
        actions.act(job, next(iter(actions._ACTIONS)), by=alice.principal)

    assert Job.across_organizations.get(pk=job.pk).state == State.WAITING
    assert (
        not AuditEvent.objects.for_organization(alice.organization).filter(target=str(job)).exists()
    )
