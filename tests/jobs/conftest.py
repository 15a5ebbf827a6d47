from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from celery import current_app

from accounts.models import Organization
from jobs import registry, services
from jobs.claims import Claim
from jobs.models import Job, Queue


@pytest.fixture
def organization(db: None) -> Organization:
    return Organization.objects.create(slug="acme", name="Acme")


@dataclass
class Recorder:
    """A handler that notes its claims and does what it was told to."""

    claims: list[Claim] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    def __call__(self, claim: Claim) -> None:
        self.claims.append(claim)
        if self.errors:
            raise self.errors.pop(0)


@pytest.fixture
def handler() -> Iterator[Recorder]:
    recorder = Recorder()
    registry.register("test.work", recorder, queue="bulk", timeout=timedelta(seconds=30))
    yield recorder
    registry.unregister("test.work")


@pytest.fixture
def job(organization: Organization, handler: Recorder) -> Job:
    return services.enqueue(organization=organization, job_type="test.work", payload={"n": 1})


@pytest.fixture
def empty_queue() -> None:
    """No message lies in any queue of this test run's Redis."""
    with current_app.connection_for_write() as connection:
        for queue in Queue.values:
            connection.default_channel.queue_purge(queue)


@pytest.fixture
def dead_broker(tmp_path: Path) -> Iterator[None]:
    """Nothing listens where the broker should be."""
    before = current_app.conf.broker_url
    use_broker(f"redis+socket://{tmp_path}/nobody.sock")
    yield
    use_broker(before)


def use_broker(url: str) -> None:
    current_app.conf.broker_url = current_app.conf.broker_write_url = url
    current_app.conf.broker_read_url = url
    # The application keeps connections to the broker it knew.
    current_app.amqp._producer_pool = None
    current_app._pool = None
