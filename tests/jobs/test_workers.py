"""Real workers: what they do with jobs, and what becomes of jobs when they die."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from celery import current_app
from django.conf import settings
from django.db import connection
from django.db.models.functions import Now

from accounts.models import Organization
from jobs import messages, registry, relay, services
from jobs.models import Job, State
from odavl_hub.embedded import EmbeddedRedis
from tests.jobs.conftest import use_broker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.end_to_end]
PROGRAM = Path(__file__).with_name("worker_process.py")


@pytest.fixture
def organization() -> Organization:
    return Organization.objects.create(slug="acme", name="Acme")


@pytest.fixture(autouse=True)
def _job_types() -> Iterator[None]:
    """The worker's types, as this process must know them to enqueue."""
    registry.register("test.sleep", lambda claim: None, timeout=timedelta(seconds=1))
    yield
    registry.unregister("test.sleep")


@pytest.fixture
def worker(tmp_path: Path, empty_queue: None) -> Iterator[psutil.Process]:
    yield from run_worker(tmp_path, settings.CELERY_BROKER_URL)


def run_worker(folder: Path, broker: str, *queues: str) -> Iterator[psutil.Process]:
    parameters = connection.get_connection_params()
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "odavl_hub.settings",
        "DATABASE_URL": (
            f"postgresql://{parameters['user']}@{parameters['host'].replace('/', '%2F')}"
            f"/{parameters['dbname']}"
        ),
        "REDIS_URL": broker,
        "PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")]),
    }
    with (folder / f"worker{'-'.join(queues)}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(folder), *queues],
            env=environment,
            stdout=log,
            stderr=log,
        )
    yield psutil.Process(process.pid)
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    process.wait()


def enqueue(organization: Organization, job_type: str) -> Job:
    return services.enqueue(organization=organization, job_type=job_type, payload={})


def wait_for(job: Job, seen: Callable[[Job], bool]) -> None:
    """Look at the job until ``seen``, with the relay at work; the test's time limit ends it."""
    job.refresh_from_db()
    while not seen(job):
        relay.relay_once()
        job.refresh_from_db()


def expire(job: Job) -> None:
    """What half a minute without a heartbeat does."""
    Job.across_organizations.filter(id=job.id, state=State.ACTIVE).update(
        lease_expires_at=Now() - timedelta(seconds=1)
    )


@pytest.mark.timeout(60)
def test_a_worker_does_what_is_enqueued(organization, worker, tmp_path):
    job = enqueue(organization, "test.touch")

    wait_for(job, lambda job: job.state == State.COMPLETED)

    assert (tmp_path / str(job.id)).exists()
    assert job.attempts == 1


@pytest.mark.timeout(120)
def test_a_job_that_kills_its_worker_fails_and_the_queue_goes_on(organization, worker, tmp_path):
    poison = enqueue(organization, "test.poison")
    for attempt in (1, 2, 3):
        wait_for(poison, lambda job: job.state == State.ACTIVE)
        while not (tmp_path / f"{poison.id}.{attempt}").exists():
            poison.refresh_from_db()
        expire(poison)
        relay.relay_once()
        poison.refresh_from_db()

    healthy = enqueue(organization, "test.touch")
    wait_for(healthy, lambda job: job.state == State.COMPLETED)

    poison.refresh_from_db()
    assert (poison.state, poison.error["code"]) == (State.FAILED, "worker_lost")


@pytest.mark.timeout(60)
def test_a_job_out_of_time_is_stopped_and_tried_again(organization, worker):
    job = enqueue(organization, "test.sleep")

    wait_for(job, lambda job: job.state == State.DELAYED)

    assert job.error["code"] == "request_timeout"


@dataclass
class OwnBroker:
    """A Redis for one test, which may kill it, with a worker that knows no other."""

    redis: EmbeddedRedis
    server: subprocess.Popen[bytes]

    def kill(self) -> None:
        self.server.kill()
        self.server.wait()

    def start(self) -> None:
        self.server = self.redis.start(subprocess.DEVNULL)
        self.redis.wait(self.server)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[OwnBroker]:
    redis = EmbeddedRedis(tmp_path)
    redis.prepare()
    server = redis.start(subprocess.DEVNULL)
    redis.wait(server)
    before = current_app.conf.broker_url
    use_broker(redis.url)
    workers = run_worker(tmp_path, redis.url)
    next(workers)
    found = OwnBroker(redis, server)
    yield found
    next(workers, None)
    use_broker(before)
    redis.stop(found.server)


@pytest.mark.timeout(120)
def test_a_broker_that_dies_and_comes_back_loses_nothing(organization, broker):
    first = enqueue(organization, "test.touch")
    wait_for(first, lambda job: job.state == State.COMPLETED)
    broker.kill()
    lost = enqueue(organization, "test.touch")
    broker.start()

    wait_for(lost, lambda job: job.state == State.COMPLETED)


@pytest.mark.timeout(60)
def test_a_worker_goes_on_after_a_message_that_it_could_not_acknowledge(
    organization, broker, tmp_path
):
    running, reserved = (enqueue(organization, name) for name in ("test.hold", "test.touch"))
    while not (tmp_path / f"{running.id}.started").exists() or messages.waiting_messages("default"):
        pass  # the worker has one job in its hands, and the message of the next
    broker.kill()
    (tmp_path / "go").touch()
    while not (tmp_path / str(reserved.id)).exists():
        pass  # it has taken it up, and told nobody
    broker.start()

    after = enqueue(organization, "test.touch")
    wait_for(after, lambda job: job.state == State.COMPLETED)
