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
from redis.exceptions import RedisError

from accounts.models import Organization
from jobs import registry, relay, services
from jobs.models import Job, Priority, State
from odavl_hub.launcher.embedded import EmbeddedRedis
from tests.jobs.conftest import use_broker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.end_to_end]
PROGRAM = Path(__file__).with_name("worker_process.py")


@pytest.fixture
def organization() -> Organization:
    return Organization.objects.create(slug="acme", name="Acme")


@pytest.fixture(autouse=True)
def _job_types() -> Iterator[None]:
    """The worker's types, as this process must know them to enqueue."""
    for name in ("test.sleep", "test.deaf"):
        registry.register(name, lambda claim: None, timeout=timedelta(seconds=1))
    yield
    for name in ("test.sleep", "test.deaf"):
        registry.unregister(name)


@pytest.fixture
def worker(tmp_path: Path, empty_queue: None) -> Iterator[psutil.Process]:
    yield from run_worker(tmp_path, settings.CELERY_BROKER_URL)


def run_worker(
    folder: Path, broker: str, *queues: str, program: Path = PROGRAM
) -> Iterator[psutil.Process]:
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
            [sys.executable, str(program), str(folder), *queues],
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


def test_a_worker_does_what_is_enqueued(organization, worker, tmp_path):
    job = enqueue(organization, "test.touch")

    wait_for(job, lambda job: job.state == State.COMPLETED)

    assert (tmp_path / str(job.id)).exists()
    assert job.attempts == 1


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


def test_a_critical_job_overtakes_all_that_wait(organization, worker, tmp_path):
    """Not even one message lies in the worker itself, where no other could overtake it."""
    os.mkfifo(tmp_path / "gate")
    gate = enqueue(organization, "test.gate")
    while not (tmp_path / f"{gate.id}.started").exists():
        gate.refresh_from_db()
    jobs = {
        priority: [
            services.enqueue(
                organization=organization, job_type="test.turn", payload={}, priority=priority
            )
            for _ in range(count)
        ]
        for priority, count in (
            (Priority.LOW, 50), (Priority.NORMAL, 3), (Priority.HIGH, 2), (Priority.CRITICAL, 1),
        )
    }  # fmt: skip

    (tmp_path / "gate").write_bytes(b"")
    wait_for(jobs[Priority.LOW][-1], lambda job: job.state == State.COMPLETED)

    turns = (tmp_path / "turns").read_text().split()
    wanted = [str(job.id) for priority in reversed(jobs) for job in jobs[priority]]
    assert turns == wanted


def test_a_job_out_of_time_is_stopped_and_tried_again(organization, worker):
    job = enqueue(organization, "test.sleep")

    wait_for(job, lambda job: job.state == State.DELAYED)

    assert job.error["code"] == "request_timeout"


def test_a_handler_that_hears_nothing_is_killed_and_the_queue_goes_on(
    organization, worker, tmp_path
):
    """Ten seconds after its time is over; what becomes of it then is as if its worker had died."""
    deaf = enqueue(organization, "test.deaf")
    while not (tmp_path / f"{deaf.id}.started").exists():
        deaf.refresh_from_db()

    next_one = enqueue(organization, "test.touch")
    wait_for(next_one, lambda job: job.state == State.COMPLETED)

    deaf.refresh_from_db()
    assert (deaf.state, deaf.attempts) == (State.ACTIVE, 1)
    expire(deaf)
    relay.relay_once()
    deaf.refresh_from_db()
    assert deaf.state in (State.WAITING, State.ACTIVE)


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


def test_a_broker_that_dies_and_comes_back_loses_nothing(organization, broker):
    first = enqueue(organization, "test.touch")
    wait_for(first, lambda job: job.state == State.COMPLETED)
    broker.kill()
    lost = enqueue(organization, "test.touch")
    broker.start()

    wait_for(lost, lambda job: job.state == State.COMPLETED)


def test_a_message_that_could_not_be_acknowledged_is_not_counted_for_ever(broker):
    """A worker may have one in its hands: it would never ask for another."""
    with current_app.connection_for_read() as connection:
        channel = connection.channel()
        channel.basic_qos(0, 1, False)
        channel.queue_declare("spare")
        channel.basic_publish(channel.prepare_message("{}"), exchange="", routing_key="spare")
        message = channel.basic_get("spare")
        assert not channel.qos.can_consume()
        broker.kill()
        with pytest.raises((RedisError, OSError)):
            channel.basic_ack(message.delivery_tag)
        assert channel.qos.can_consume()
        broker.start()
