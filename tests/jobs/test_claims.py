"""Exactly one worker has a job, and who has lost it writes nothing."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import Organization
from jobs import relay, services
from jobs.claims import LEASE, Claim, LeaseLostError, claim
from jobs.models import Job, State
from odavl.wire.errors import Conflict

pytestmark = pytest.mark.django_db


def let_the_lease_expire(held: Claim) -> None:
    held.job.lease_expires_at = timezone.now() - timedelta(seconds=1)
    held.job.save(update_fields=["lease_expires_at"])


def taken_by_another(held: Claim) -> Claim:
    let_the_lease_expire(held)
    relay.release_expired()
    other = claim(held.job.id)
    assert other is not None
    return other


@pytest.mark.django_db(transaction=True)
def test_of_eight_who_claim_at_once_one_wins(job):
    together = threading.Barrier(8)

    def attempt() -> Claim | None:
        try:
            together.wait()
            return claim(job.id)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        claims = [future.result() for future in [pool.submit(attempt) for _ in range(8)]]

    assert len([held for held in claims if held is not None]) == 1
    job.refresh_from_db()
    assert (job.state, job.fence, job.attempts) == (State.ACTIVE, 1, 1)


def test_a_claim_has_a_lease_by_the_clock_of_the_database(job):
    held = claim(job.id)

    assert held.job.lease_expires_at - held.job.heartbeat_at == LEASE


def test_a_job_of_the_future_cannot_be_claimed(organization, handler):
    job = services.enqueue(
        organization=organization,
        job_type="test.work",
        payload={},
        run_at=timezone.now() + timedelta(minutes=1),
    )

    assert claim(job.id) is None


def test_an_expired_lease_is_released_under_a_new_fence(job):
    held = claim(job.id)
    let_the_lease_expire(held)

    assert relay.release_expired() == 1

    job.refresh_from_db()
    assert (job.state, job.fence, job.message_sent_at) == (State.WAITING, 2, None)


@pytest.mark.parametrize(
    "write",
    [
        lambda held: held.progress(50),
        lambda held: held.guard(),
        lambda held: held.complete(),
        lambda held: held.fail({"code": "x"}, retry_after=None),
    ],
    ids=["progress", "guard", "complete", "fail"],
)
def test_who_slept_past_the_lease_writes_nothing(job, write):
    sleeper = claim(job.id)
    other = taken_by_another(sleeper)

    with pytest.raises(LeaseLostError), transaction.atomic():
        write(sleeper)

    job.refresh_from_db()
    assert (job.state, job.fence, job.progress) == (State.ACTIVE, other.fence, 0)
    assert not sleeper.heartbeat()
    assert other.heartbeat()


def test_a_guard_needs_a_transaction(transactional_db):
    organization = Organization.objects.create(slug="acme", name="Acme")
    job = services.enqueue(organization=organization, job_type="test.other", payload={})
    held = claim(job.id)

    with pytest.raises(RuntimeError, match="there is none"):
        held.guard()


@pytest.mark.django_db(transaction=True)
def test_nobody_takes_a_guarded_job_before_its_commit(job):
    held = claim(job.id)
    released = []

    def release() -> None:
        try:
            released.append(relay.release_expired())
        finally:
            connection.close()

    with transaction.atomic():
        held.guard()
        Job.across_organizations.filter(id=job.id).update(
            lease_expires_at=Now() - timedelta(seconds=1)
        )
        other = threading.Thread(target=release)
        other.start()
        other.join()
        held.complete()

    assert released == [0]
    job.refresh_from_db()
    assert job.state == State.COMPLETED


def test_progress_stays_between_0_and_100(job):
    held = claim(job.id)

    for given, kept in ((-5, 0), (40, 40), (250, 100)):
        held.progress(given)
        job.refresh_from_db()
        assert job.progress == kept


@pytest.mark.parametrize("change", [services.cancel, services.pause])
def test_a_worker_notices_that_its_job_was_stopped(job, change):
    held = claim(job.id)

    change(job)

    assert not held.heartbeat()
    with pytest.raises(LeaseLostError):
        held.complete()


def test_a_paused_job_runs_after_it_was_resumed(job):
    services.pause(job)
    assert claim(job.id) is None

    services.resume(job)

    assert claim(job.id) is not None


def test_what_has_finished_cannot_be_cancelled(job):
    claim(job.id).complete()

    with pytest.raises(Conflict):
        services.cancel(job)


def test_a_cancelled_job_can_be_retried(job):
    claim(job.id)
    services.cancel(job)

    services.retry(job)

    held = claim(job.id)
    assert held is not None
    assert held.job.attempts == 1
