"""One attempt: what becomes of the job when its handler returns or raises."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from django.db import OperationalError, connection
from django.utils import timezone

from jobs import running, services
from jobs.models import Job, State
from odavl.wire.errors import InvalidPayload, StorageFull

pytestmark = pytest.mark.django_db


def test_a_handler_that_returns_completes_its_job(job, handler):
    assert running.run(job.id)

    job.refresh_from_db()
    assert (job.state, job.progress, job.attempts) == (State.COMPLETED, 100, 1)
    assert job.finished_at is not None
    assert handler.claims[0].payload == {"n": 1}


def test_a_second_message_does_nothing(job, handler):
    running.run(job.id)

    assert not running.run(job.id)
    assert len(handler.claims) == 1


def test_a_refusal_is_final(job, handler):
    handler.errors = [InvalidPayload("line 3 is not a number")]

    running.run(job.id)

    job.refresh_from_db()
    assert (job.state, job.error["code"]) == (State.FAILED, "invalid_payload")
    assert job.error["detail"] == "line 3 is not a number"


def test_a_failure_that_may_pass_is_retried_three_times_with_growing_pauses(job, handler):
    handler.errors = [StorageFull() for _ in range(4)]
    pauses = []

    for _ in range(4):
        running.run(job.id)
        job.refresh_from_db()
        if job.state == State.DELAYED:
            pauses.append(round((job.run_at - job.heartbeat_at).total_seconds()))
            Job.across_organizations.filter(id=job.id).update(run_at=job.created_at)

    assert pauses == [2, 4, 6]
    assert (job.state, job.attempts, job.error["code"]) == (State.FAILED, 4, "storage_full")


def test_a_defect_is_told_without_its_details(job, handler, caplog):
    handler.errors = [ZeroDivisionError("secret=hunter2")]

    running.run(job.id)

    job.refresh_from_db()
    assert (job.state, job.error["code"]) == (State.DELAYED, "internal_error")
    assert "hunter2" not in str(job.error)
    assert "hunter2" in caplog.text


def test_a_job_out_of_time_says_so(job, handler):
    handler.errors = [SoftTimeLimitExceeded()]

    running.run(job.id)

    job.refresh_from_db()
    assert (job.state, job.error["code"]) == (State.DELAYED, "request_timeout")


def test_a_type_without_a_handler_is_left_to_a_newer_version_and_fails_after_an_hour(organization):
    job = services.enqueue(organization=organization, job_type="test.unknown", payload={})

    assert not running.run(job.id)
    job.refresh_from_db()
    assert (job.state, job.attempts) == (State.WAITING, 0)

    long_ago = job.run_at - timedelta(hours=1)
    Job.across_organizations.filter(id=job.id).update(run_at=long_ago)
    assert running.run(job.id)
    job.refresh_from_db()
    assert job.state == State.FAILED
    assert "test.unknown" in job.error["detail"]


def failed_as_unknown(organization, job_type, **fields) -> Job:
    """A job that a version without a handler for it has given up."""
    job = services.enqueue(organization=organization, job_type=job_type, payload={}, **fields)
    error = {"detail": f"No handler is registered for {job_type!r}."}
    Job.across_organizations.filter(id=job.id).update(
        state=State.FAILED, attempts=1, error=error, finished_at=timezone.now()
    )
    return job


def test_what_another_version_could_not_do_is_done_by_one_that_can(organization, handler):
    job = failed_as_unknown(organization, "test.work")
    stranger = failed_as_unknown(organization, "test.unknown")

    assert services.retry_unknown() == 1
    assert services.retry_unknown() == 0
    running.run(job.id)

    job.refresh_from_db()
    stranger.refresh_from_db()
    assert (job.state, job.error, job.attempts) == (State.COMPLETED, None, 1)
    assert stranger.state == State.FAILED


def test_what_was_asked_for_again_meanwhile_is_not_done_twice(organization, handler):
    jobs = [failed_as_unknown(organization, "test.work", deduplication_key="all") for _ in range(2)]

    assert services.retry_unknown() == 1
    states = [Job.across_organizations.get(id=job.id).state for job in jobs]
    assert sorted(states) == [State.FAILED, State.WAITING]


def test_a_handler_may_complete_within_its_own_transaction(job, handler, monkeypatch):
    monkeypatch.setattr(type(handler), "__call__", lambda self, claim: claim.complete())

    running.run(job.id)

    job.refresh_from_db()
    assert job.state == State.COMPLETED


def hang_up() -> None:
    """What a restart of the server does to a connection."""
    with suppress(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


@pytest.mark.django_db(transaction=True)
def test_a_message_that_meets_a_dead_connection_is_not_thrown_away(job, handler):
    hang_up()

    assert running.run(job.id)

    job.refresh_from_db()
    assert (job.state, job.attempts) == (State.COMPLETED, 1)


@pytest.mark.django_db(transaction=True)
def test_an_outage_in_the_middle_is_noted_and_not_left_to_the_lease(job, handler, monkeypatch):
    def lose_the_database(self, held) -> None:
        hang_up()
        Job.across_organizations.count()

    monkeypatch.setattr(type(handler), "__call__", lose_the_database)

    running.run(job.id)

    job.refresh_from_db()
    assert (job.state, job.lease_expires_at) == (State.DELAYED, None)
    assert job.error["code"] == "service_unavailable"


@pytest.mark.django_db(transaction=True)
def test_a_long_handler_keeps_its_lease(job, handler, monkeypatch):
    monkeypatch.setattr(running, "HEARTBEAT", timedelta(milliseconds=20))
    beats = []

    def wait_for_a_beat(self, held) -> None:
        before = held.job.heartbeat_at
        while not beats:
            now = Job.across_organizations.get(id=held.job.id).heartbeat_at
            beats.extend([now] if now > before else [])

    monkeypatch.setattr(type(handler), "__call__", wait_for_a_beat)

    running.run(job.id)

    job.refresh_from_db()
    assert job.state == State.COMPLETED
    assert connection.is_usable()
