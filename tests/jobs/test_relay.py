"""Whatever the messenger loses, the relay finds; two relays do no harm."""

from __future__ import annotations

import socketserver
import threading
from datetime import timedelta
from functools import partial

import pytest
from celery import current_app
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from jobs import messages, relay, running, services
from jobs.claims import claim
from jobs.models import Job, PeriodicRun, State
from jobs.registry import PeriodicTask, periodic_tasks
from odavl.wire.errors import StorageFull
from tests.jobs.conftest import Recorder, use_broker

pytestmark = pytest.mark.django_db


def sent_long_ago(job: Job) -> None:
    Job.across_organizations.filter(id=job.id).update(message_sent_at=Now() - timedelta(minutes=1))


def test_a_job_without_a_message_gets_one(job, empty_queue):
    Job.across_organizations.filter(id=job.id).update(message_sent_at=None)

    assert relay.send_unsent("bulk") == 1
    assert messages.waiting_messages("bulk") == 1
    assert relay.send_unsent("bulk") == 0


def test_a_message_lost_by_the_broker_is_sent_again(job, empty_queue):
    sent_long_ago(job)

    assert relay.send_unsent("bulk") == 1
    assert messages.waiting_messages("bulk") == 1


def test_a_fresh_message_is_given_time(job, empty_queue):
    assert relay.send_unsent("bulk") == 0


def test_a_long_queue_does_not_grow_by_the_relay(job, empty_queue):
    messages.send(job)
    sent_long_ago(job)

    assert relay.send_unsent("bulk") == 0
    assert messages.waiting_messages("bulk") == 1


def test_a_dead_broker_is_tried_again_later(job, dead_broker):
    Job.across_organizations.filter(id=job.id).update(message_sent_at=None)

    assert relay.send_unsent("bulk") == 0
    job.refresh_from_db()
    assert (job.state, job.message_sent_at) == (State.WAITING, None)


def test_a_delayed_job_is_woken_when_it_is_due(organization, handler, empty_queue):
    job = services.enqueue(
        organization=organization,
        job_type="test.work",
        payload={},
        run_at=timezone.now() + timedelta(minutes=1),
    )
    assert relay.wake_delayed() == 0
    Job.across_organizations.filter(id=job.id).update(run_at=Now())

    relay.relay_once()

    job.refresh_from_db()
    assert job.state == State.WAITING
    assert messages.waiting_messages("bulk") == 1


def test_what_kills_its_worker_three_times_fails(job, empty_queue):
    for _ in range(3):
        lose(job)

    job.refresh_from_db()
    assert (job.state, job.attempts, job.error["code"]) == (State.FAILED, 3, "worker_lost")
    assert claim(job.id) is None


def test_failed_attempts_and_lost_workers_are_counted_apart(job, handler, empty_queue):
    """Else two outages before it would let the first dead worker fail a job."""
    for _ in range(2):
        fail(job, handler)
    for _ in range(2):
        lose(job)
        job.refresh_from_db()
        assert job.state == State.WAITING
    fail(job, handler)
    job.refresh_from_db()
    assert (job.state, job.attempts, job.losses) == (State.DELAYED, 5, 2)
    fail(job, handler)
    job.refresh_from_db()
    assert job.state == State.FAILED


def lose(job: Job) -> None:
    Job.across_organizations.filter(id=job.id).update(run_at=Now())
    held = claim(job.id)
    held.job.lease_expires_at = timezone.now() - timedelta(seconds=1)
    held.job.save(update_fields=["lease_expires_at"])
    relay.relay_once()


def fail(job: Job, handler: Recorder) -> None:
    handler.errors.append(StorageFull("no room"))
    Job.across_organizations.filter(id=job.id).update(run_at=Now())
    running.run(job.id)


def test_a_periodic_task_runs_once_a_turn_however_many_relays(db):
    runs = []
    task = PeriodicTask("test.tidy", timedelta(hours=1), lambda: runs.append(1))

    first, second = relay.run_if_due(task), relay.run_if_due(task)
    PeriodicRun.objects.filter(name="test.tidy").update(due_at=Now())
    third = relay.run_if_due(task)

    assert (first, second, third, len(runs)) == (True, False, True, 2)


@pytest.mark.django_db(transaction=True)
def test_two_relays_at_once_run_every_periodic_task_once_a_turn():
    """All the tasks there are, by their names; each turn begins for six relays at one moment."""
    runs: list[str] = []
    names = sorted(task.name for task in periodic_tasks())
    tasks = [PeriodicTask(name, timedelta(hours=1), partial(runs.append, name)) for name in names]
    for turn in range(1, 4):
        PeriodicRun.objects.update(due_at=Now())
        together = threading.Barrier(6)

        def relay_beside_others(together: threading.Barrier = together) -> None:
            together.wait()
            for task in tasks:
                relay.run_if_due(task)
            connection.close()

        threads = [threading.Thread(target=relay_beside_others) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(runs) == sorted(names * turn)
    assert {"jobs.delete_finished", "storage.clean_up", "storage.sweep"} <= set(names)


def test_a_failing_periodic_task_does_not_end_the_relay(db, caplog):
    task = PeriodicTask("test.broken", timedelta(hours=1), lambda: 1 // 0)

    assert relay.run_if_due(task)
    assert "test.broken" in caplog.text


def test_finished_jobs_are_removed_after_a_week(organization, handler):
    old, young, unfinished = (
        services.enqueue(organization=organization, job_type="test.work", payload={})
        for _ in range(3)
    )
    services.cancel(old)
    services.cancel(young)
    Job.across_organizations.filter(id=old.id).update(finished_at=Now() - timedelta(days=8))

    assert services.delete_finished() == 1
    assert set(Job.objects.for_organization(organization)) == {young, unfinished}


class AnswersNothingRight(socketserver.StreamRequestHandler):
    """What is left of a broker that dies as it is spoken to."""

    def handle(self) -> None:
        while self.connection.recv(65536):
            self.wfile.write(b"+OK\r\n")


def test_a_broker_that_dies_as_it_is_asked_ends_neither_relay_nor_request(job, tmp_path):
    address = tmp_path / "redis.sock"
    before = current_app.conf.broker_url
    with socketserver.ThreadingUnixStreamServer(str(address), AnswersNothingRight) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        use_broker(f"redis+socket://{address}?virtual_host=0")
        try:
            assert messages.waiting_messages("bulk") is None
            assert not messages.send(job)
        finally:
            use_broker(before)
            server.shutdown()
