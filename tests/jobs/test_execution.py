"""One attempt: what becomes of the job when its handler returns or raises."""

from __future__ import annotations

import errno
from contextlib import suppress
from datetime import timedelta

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from django.db import OperationalError, connection
from django.db.models.functions import Now
from psycopg2.errors import lookup

from jobs import execution, registry, services
from jobs.models import Awaited, Job, State
from odavl.wire.errors import (
    InProgress,
    InvalidPayload,
    RateLimited,
    ServiceUnavailable,
    StorageFull,
)

pytestmark = pytest.mark.django_db


def test_a_handler_that_returns_completes_its_job(job, handler):
    assert execution.run(job.id)

    job.refresh_from_db()
    assert (job.state, job.progress, job.attempts) == (State.COMPLETED, 100, 1)
    assert job.finished_at is not None
    assert handler.claims[0].payload == {"n": 1}


def test_a_second_message_does_nothing(job, handler):
    execution.run(job.id)

    assert not execution.run(job.id)
    assert len(handler.claims) == 1


def test_a_refusal_is_final(job, handler):
    handler.errors = [InvalidPayload("line 3 is not a number")]

    execution.run(job.id)

    job.refresh_from_db()
    assert (job.state, job.error["code"]) == (State.FAILED, "invalid_payload")
    assert job.error["detail"] == "line 3 is not a number"


def test_a_failure_that_may_pass_is_retried_three_times_with_growing_pauses(job, handler):
    handler.errors = [RateLimited() for _ in range(4)]
    pauses = []

    for _ in range(4):
        execution.run(job.id)
        job.refresh_from_db()
        if job.state == State.DELAYED:
            pauses.append(round((job.run_at - job.heartbeat_at).total_seconds()))
            Job.across_organizations.filter(id=job.id).update(run_at=job.created_at)

    assert pauses == [2, 4, 6]
    assert (job.state, job.attempts, job.error["code"]) == (State.FAILED, 4, "rate_limited")


def test_a_defect_is_told_without_its_details(job, handler, caplog):
    handler.errors = [ZeroDivisionError("secret=hunter2")]

    execution.run(job.id)

    job.refresh_from_db()
    assert (job.state, job.error["code"]) == (State.DELAYED, "internal_error")
    assert "hunter2" not in str(job.error)
    assert "hunter2" in caplog.text


def test_a_job_out_of_time_says_so(job, handler):
    handler.errors = [SoftTimeLimitExceeded()]

    execution.run(job.id)

    job.refresh_from_db()
    assert (job.state, job.error["code"]) == (State.DELAYED, "request_timeout")


def test_a_type_without_a_handler_is_left_to_a_newer_version_and_fails_after_an_hour(organization):
    job = services.enqueue(organization=organization, job_type="test.unknown", payload={})

    assert not execution.run(job.id)
    job.refresh_from_db()
    assert (job.state, job.attempts) == (State.WAITING, 0)

    long_ago = job.run_at - timedelta(hours=1)
    Job.across_organizations.filter(id=job.id).update(run_at=long_ago)
    assert execution.run(job.id)
    job.refresh_from_db()
    assert job.state == State.FAILED
    assert "test.unknown" in job.error["detail"]


NO_HANDLER = {"code": "no_handler", "retryable": False}
AS_BEFORE = {"code": "internal_error", "retryable": False}
"""What the versions before said of it, whatever their words."""


def failed_with(organization, job_type, error, **fields) -> Job:
    job = services.enqueue(organization=organization, job_type=job_type, payload={}, **fields)
    Job.across_organizations.filter(id=job.id).update(
        state=State.FAILED, attempts=1, error=error, finished_at=Now()
    )
    return job


@pytest.mark.parametrize("error", [NO_HANDLER, AS_BEFORE])
def test_what_another_version_could_not_do_is_done_by_one_that_can(organization, handler, error):
    job = failed_with(organization, "test.work", error)
    stranger = failed_with(organization, "test.unknown", error)

    assert services.retry_unknown() == 1
    assert services.retry_unknown() == 0
    execution.run(job.id)

    job.refresh_from_db()
    stranger.refresh_from_db()
    assert (job.state, job.error, job.attempts) == (State.COMPLETED, None, 1)
    assert stranger.state == State.FAILED


@pytest.mark.parametrize(
    "error",
    [
        {"code": "internal_error", "retryable": True},
        {"code": "worker_lost", "retryable": False},
        {"code": "invalid_payload", "detail": "No handler is registered for 'test.work'."},
    ],
)
def test_what_failed_by_itself_is_left_alone_whatever_its_words(organization, handler, error):
    failed_with(organization, "test.work", error)
    assert services.retry_unknown() == 0


def test_what_no_version_can_do_says_so_by_a_code_that_is_found_again(organization):
    job = services.enqueue(organization=organization, job_type="test.later", payload={})
    Job.across_organizations.filter(id=job.id).update(run_at=Now() - timedelta(hours=2))
    assert execution.run(job.id)
    registry.register("test.later", lambda held: None)
    try:
        assert services.retry_unknown() == 1
    finally:
        registry.unregister("test.later")


def test_what_was_asked_for_again_meanwhile_is_not_done_twice(organization, handler):
    jobs = [
        failed_with(organization, "test.work", NO_HANDLER, deduplication_key="all")
        for _ in range(2)
    ]

    assert services.retry_unknown() == 1
    states = [Job.across_organizations.get(id=job.id).state for job in jobs]
    assert sorted(states) == [State.FAILED, State.WAITING]


def test_a_handler_may_complete_within_its_own_transaction(job, handler, monkeypatch):
    monkeypatch.setattr(type(handler), "__call__", lambda self, claim: claim.complete())

    execution.run(job.id)

    job.refresh_from_db()
    assert job.state == State.COMPLETED


def hang_up() -> None:
    """What a restart of the server does to a connection."""
    with suppress(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


@pytest.mark.django_db(transaction=True)
def test_a_message_that_meets_a_dead_connection_is_not_thrown_away(job, handler):
    hang_up()

    assert execution.run(job.id)

    job.refresh_from_db()
    assert (job.state, job.attempts) == (State.COMPLETED, 1)


def passing(code: str) -> OperationalError:
    """What Django raises for an error that PostgreSQL told of by ``code``."""
    error = OperationalError()
    error.__cause__ = lookup(code)()
    # Only a server sets it; whether the class was found by it is what matters here.
    error.__cause__ = type("Told", (type(error.__cause__),), {"pgcode": code})()
    return error


OUTAGES = {
    "store": ServiceUnavailable("The object store does not answer."),
    "room": StorageFull("The object store is full."),
    "room-on-disk": OSError(errno.ENOSPC, "No space left on device"),
    "room-of-database": passing("53100"),
    "database": OperationalError("the connection is closed"),
    "database-shuts-down": passing("57P01"),
    "database-starts": passing("57P03"),
    "database-has-no-connection-left": passing("53300"),
    "turn": InProgress("A run of this branch is being taken in."),
    "turn-deadlock": passing("40P01"),
    "turn-lock": passing("55P03"),
    "turn-serialization": passing("40001"),
}


@pytest.mark.parametrize("what", OUTAGES)
def test_no_outage_spends_an_attempt_however_long_it_lasts(job, handler, what):
    """Not even after an hour: then the job is tried every few minutes, and told to wait."""
    waits = []
    for _ in range(12):
        handler.errors = [OUTAGES[what]]
        assert execution.run(job.id)
        job.refresh_from_db()
        assert (job.state, job.attempts, job.waiting_for) == (
            State.DELAYED, 0, what.partition("-")[0],
        )  # fmt: skip
        waits.append(round((job.run_at - job.heartbeat_at).total_seconds()))
        # What the wait does: all of it lies farther back.
        waited = timedelta(seconds=waits[-1])
        Job.across_organizations.filter(id=job.id).update(
            run_at=Now(), waiting_since=job.waiting_since - waited
        )
    longest = 15 if job.waiting_for == "turn" else 300
    assert waits == sorted(waits)
    assert waits[0] == pytest.approx(2, abs=1)
    assert waits[-1] == pytest.approx(longest, abs=1)

    execution.run(job.id)
    job.refresh_from_db()
    assert (job.state, job.attempts) == (State.COMPLETED, 1)
    assert (job.waiting_for, job.waiting_since, job.error) == ("", None, None)


def test_a_statement_out_of_time_is_the_jobs_own_failure(job, handler):
    handler.errors = [passing("57014")]
    execution.run(job.id)
    job.refresh_from_db()
    assert (job.state, job.attempts, job.waiting_for) == (State.DELAYED, 1, "")


def test_own_failures_between_outages_are_counted_and_no_others(job, handler):
    for error in [ServiceUnavailable(), RateLimited()] * 4:
        handler.errors = [error]
        Job.across_organizations.filter(id=job.id).update(run_at=Now())
        execution.run(job.id)
    job.refresh_from_db()
    assert (job.state, job.attempts, job.error["code"]) == (State.FAILED, 4, "rate_limited")
    assert (job.waiting_for, job.waiting_since) == ("", None)


def test_the_first_that_comes_through_wakes_the_others(organization, handler):
    jobs = [
        services.enqueue(organization=organization, job_type="test.work", payload={})
        for _ in range(4)
    ]
    for job, error in zip(
        jobs, [ServiceUnavailable(), ServiceUnavailable(), StorageFull()], strict=False
    ):
        handler.errors = [error]
        execution.run(job.id)
    in_minutes = Now() + timedelta(minutes=5)
    Job.across_organizations.filter(state=State.DELAYED).update(run_at=in_minutes)
    Job.across_organizations.filter(id=jobs[0].id).update(run_at=Now())

    execution.run(jobs[0].id)

    soon = Job.across_organizations.filter(state=State.DELAYED, run_at__lte=Now())
    assert set(soon) == {jobs[1]}


@pytest.mark.django_db(transaction=True)
def test_an_outage_in_the_middle_is_noted_and_not_left_to_the_lease(job, handler, monkeypatch):
    def lose_the_database(self, held) -> None:
        hang_up()
        Job.across_organizations.count()

    monkeypatch.setattr(type(handler), "__call__", lose_the_database)

    execution.run(job.id)

    job.refresh_from_db()
    assert (job.state, job.lease_expires_at) == (State.DELAYED, None)
    assert (job.attempts, job.waiting_for) == (0, Awaited.DATABASE)
    assert job.error["code"] == "service_unavailable"


@pytest.mark.django_db(transaction=True)
def test_a_long_handler_keeps_its_lease(job, handler, monkeypatch):
    monkeypatch.setattr(execution, "HEARTBEAT", timedelta(milliseconds=20))
    beats = []

    def wait_for_a_beat(self, held) -> None:
        before = held.job.heartbeat_at
        while not beats:
            now = Job.across_organizations.get(id=held.job.id).heartbeat_at
            beats.extend([now] if now > before else [])

    monkeypatch.setattr(type(handler), "__call__", wait_for_a_beat)

    execution.run(job.id)

    job.refresh_from_db()
    assert job.state == State.COMPLETED
    assert connection.is_usable()
