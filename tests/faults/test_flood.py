"""Row 49 of what must go wrong without harm: bulk work never keeps a person waiting."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from celery import current_app
from django.conf import settings

from accounts.models import Organization
from jobs import registry, services
from jobs.models import Job, Queue, State
from tests.jobs.test_workers import run_worker, wait_for

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.end_to_end,
]
FLOOD = 300
IN_TIME = 1.0


@pytest.fixture(autouse=True)
def _types() -> Iterator[None]:
    """The workers' types, as this process must know them to enqueue."""
    registry.register("test.bulk", lambda held: None, queue="bulk")
    registry.register("test.interactive", lambda held: None, queue="interactive")
    with current_app.connection_for_write() as connection:
        for queue in Queue.values:
            connection.default_channel.queue_purge(queue)
    yield
    registry.unregister("test.bulk")
    registry.unregister("test.interactive")


@contextmanager
def workers(folder: Path) -> Iterator[None]:
    """As a hub has them: one for people, one for bulk."""
    with ExitStack() as ending:
        for queues in ("interactive,default", "bulk"):
            running = run_worker(folder, settings.CELERY_BROKER_URL, queues)
            next(running)
            ending.callback(next, running, None)
        yield


def test_row_49_interactive_jobs_start_in_time_under_a_flood_of_bulk(tmp_path: Path) -> None:
    acme = Organization.objects.create(slug="acme", name="Acme")

    def enqueue(job_type: str) -> Job:
        return services.enqueue(organization=acme, job_type=job_type, payload={})

    with workers(tmp_path):
        for job_type in ("test.bulk", "test.interactive"):
            wait_for(enqueue(job_type), lambda job: job.state == State.COMPLETED)
        for _ in range(FLOOD):
            enqueue("test.bulk")
        waits = []
        for _ in range(20):
            job = enqueue("test.interactive")
            wait_for(job, lambda job: job.state == State.COMPLETED)
            assert job.started_at is not None
            waits.append((job.started_at - job.created_at).total_seconds())
        flood = Job.across_organizations.filter(type="test.bulk", state=State.WAITING).count()
    waits.sort()
    sys.stderr.write(
        f"\nrow 49: behind {flood} bulk jobs, interactive ones started after "
        f"{waits[len(waits) // 2]:.3f} s in the median, {waits[-1]:.3f} s at most\n"
    )
    assert flood > FLOOD / 2
    assert waits[18] <= IN_TIME
