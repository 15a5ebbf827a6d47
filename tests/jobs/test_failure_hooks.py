"""The owner of a type hears at once that a job was given up, and may forbid a retry."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from django.db import connection
from django.utils import timezone

from jobs import execution, registry, relay, services
from jobs.claims import Claim, LeaseLostError, claim
from jobs.models import Job, State
from odavl.wire.errors import Conflict, InvalidPayload, ServiceUnavailable

pytestmark = pytest.mark.django_db(transaction=True)


class Owner:
    """Does what it was told, and notes what it heard of."""

    def __init__(self) -> None:
        self.raises: Exception | None = None
        self.refuses_retry = False
        self.heard: list[tuple[str, str | None]] = []

    def handle(self, held: Claim) -> None:
        if self.raises is not None:
            raise self.raises

    def on_failure(self, job: Job) -> None:
        self.heard.append((job.state, (job.error or {}).get("code")))

    def on_retry(self, job: Job) -> None:
        if self.refuses_retry:
            raise Conflict("Too late.")


@pytest.fixture
def owner() -> Iterator[Owner]:
    found = Owner()
    registry.register(
        "test.owned", found.handle, on_failure=found.on_failure, on_retry=found.on_retry
    )
    yield found
    registry.unregister("test.owned")


@pytest.fixture
def job(organization, owner: Owner) -> Job:
    return services.enqueue(organization=organization, job_type="test.owned", payload={})


def test_a_refusal_is_told_at_once(job: Job, owner: Owner) -> None:
    owner.raises = InvalidPayload("No.")
    execution.run(job.id)
    assert owner.heard == [("failed", "invalid_payload")]


def test_what_will_be_tried_again_is_not_told(job: Job, owner: Owner) -> None:
    owner.raises = ServiceUnavailable("Later.")
    execution.run(job.id)
    assert owner.heard == []


def test_the_last_time_out_is_told(job: Job, owner: Owner) -> None:
    Job.across_organizations.update(max_retries=0)
    owner.raises = SoftTimeLimitExceeded()
    execution.run(job.id)
    assert owner.heard == [("failed", "request_timeout")]


def test_poison_is_told(job: Job, owner: Owner) -> None:
    claim(job.id)
    Job.across_organizations.update(
        losses=2, lease_expires_at=timezone.now() - timedelta(seconds=1)
    )
    relay.relay_once()
    assert owner.heard == [("failed", "worker_lost")]


def test_a_cancellation_is_told(job: Job, owner: Owner) -> None:
    services.cancel(job)
    assert owner.heard == [("cancelled", None)]


def test_an_owner_that_fails_changes_nothing(job: Job, owner: Owner, caplog) -> None:
    owner.heard = None
    services.cancel(job)
    job.refresh_from_db()
    assert job.state == State.CANCELLED
    assert "could not be told" in caplog.text


def test_an_owner_may_forbid_a_retry(job: Job, owner: Owner) -> None:
    services.cancel(job)
    owner.refuses_retry = True
    with pytest.raises(Conflict, match="Too late"):
        services.retry(job)
    job.refresh_from_db()
    assert job.state == State.CANCELLED
    owner.refuses_retry = False
    services.retry(job)
    assert claim(job.id) is not None


def test_a_job_that_was_paused_often_still_runs(job: Job, owner: Owner) -> None:
    for _ in range(6):
        assert claim(job.id) is not None
        services.pause(job)
        services.resume(job)
    assert execution.run(job.id)
    job.refresh_from_db()
    assert job.state == State.COMPLETED


def test_a_note_is_shown_by_the_next_heartbeat_and_refused_once_lost(job: Job) -> None:
    held = claim(job.id)
    assert held is not None
    held.note(42)
    job.refresh_from_db()
    assert job.progress == 0
    assert held.heartbeat()
    job.refresh_from_db()
    assert job.progress == 42
    held.lost = True
    with pytest.raises(LeaseLostError):
        held.note(43)


@pytest.mark.parametrize("change", [services.cancel, services.pause])
def test_a_handler_that_waits_for_the_database_is_stopped_within_seconds(
    job: Job, owner: Owner, change
) -> None:

    started = threading.Event()

    def wait(_held: Claim) -> None:
        with connection.cursor() as cursor:
            started.set()
            cursor.execute("SELECT pg_sleep(100000)")

    registry.unregister("test.owned")
    registry.register("test.owned", wait)

    def stop() -> None:
        started.wait()
        change(Job.across_organizations.get(id=job.id))
        connection.close()

    thread = threading.Thread(target=stop)
    thread.start()
    execution.run(job.id)
    thread.join()
    job.refresh_from_db()
    assert job.state in {State.CANCELLED, State.PAUSED}
    assert job.error is None
