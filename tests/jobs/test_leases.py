"""A lease lasts as long as its worker says that it lives, and not longer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F

from jobs import relay
from jobs.claims import LEASE, Claim, claim
from jobs.models import Job, State

pytestmark = pytest.mark.django_db


def pass_by(held: Claim, seconds: float) -> None:
    """As though so many seconds had gone by since the last beat."""
    by = timedelta(seconds=seconds)
    Job.across_organizations.filter(pk=held.job.pk).update(
        heartbeat_at=F("heartbeat_at") - by, lease_expires_at=F("lease_expires_at") - by
    )


@pytest.mark.parametrize("share", [0.1, 0.9, 1.5], ids=["early", "late", "behind the end"])
def test_a_beat_makes_the_lease_whole_again(job, share: float) -> None:
    held = claim(job.id)
    pass_by(held, LEASE.total_seconds() * share)

    assert held.heartbeat()

    job.refresh_from_db()
    assert job.lease_expires_at - job.heartbeat_at == LEASE


def test_a_worker_that_beats_keeps_its_job_for_many_leases(job) -> None:
    held = claim(job.id)

    for _ in range(4):
        pass_by(held, LEASE.total_seconds() * 0.9)
        assert held.heartbeat()
        relay.release_expired()

    job.refresh_from_db()
    assert (job.state, job.fence, job.losses) == (State.ACTIVE, held.fence, 0)
    held.complete()


def test_one_that_does_not_beat_loses_it(job) -> None:
    held = claim(job.id)
    pass_by(held, LEASE.total_seconds() + 1)

    relay.release_expired()

    assert not held.heartbeat()
    job.refresh_from_db()
    assert job.state != State.ACTIVE
