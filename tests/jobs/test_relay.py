"""Whatever the messenger loses, the relay finds; two relays do no harm."""

from __future__ import annotations

import socketserver
import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from celery import current_app
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from frame.database.clock import database_now
from jobs import execution, messages, registry, relay, services
from jobs.claims import claim
from jobs.models import UNFINISHED, Job, PeriodicRun, Queue, State
from jobs.registry import PeriodicTask, periodic_tasks
from odavl.wire.errors import ServerFault
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
    handler.errors.append(ServerFault("no luck"))
    Job.across_organizations.filter(id=job.id).update(run_at=Now())
    execution.run(job.id)


def system_jobs(name: str) -> list[Job]:
    rows = Job.across_organizations.filter(organization=None, type=name)
    return list(rows.order_by("created_at"))


@pytest.fixture
def tidied() -> Iterator[list[int]]:
    runs: list[int] = []
    registry.register_periodic("test.tidy", lambda: runs.append(1), every=timedelta(hours=1))
    yield runs
    registry.unregister("test.tidy")


TIDY = PeriodicTask("test.tidy", timedelta(hours=1))


def due() -> None:
    PeriodicRun.objects.update(due_at=Now())


def test_a_periodic_task_is_one_job_a_turn_however_many_relays(db, tidied):
    first, second = relay.dispatch_if_due(TIDY), relay.dispatch_if_due(TIDY)
    (job,) = system_jobs("test.tidy")
    assert execution.run(job.id)
    due()
    third = relay.dispatch_if_due(TIDY)

    assert (first, second, third, tidied) == (True, False, True, [1])
    assert [job.state for job in system_jobs("test.tidy")] == [State.COMPLETED, State.WAITING]
    assert {job.queue for job in system_jobs("test.tidy")} == {Queue.SYSTEM}


@pytest.mark.parametrize("state", UNFINISHED)
def test_there_is_no_second_job_while_the_last_one_is_unfinished(db, tidied, state):
    relay.dispatch_if_due(TIDY)
    Job.across_organizations.filter(type="test.tidy").update(state=state)
    for _ in range(3):
        due()
        relay.dispatch_if_due(TIDY)

    (job,) = system_jobs("test.tidy")
    assert job.state == state


def test_the_database_itself_allows_no_second_one(db, tidied):
    relay.dispatch_if_due(TIDY)
    (job,) = system_jobs("test.tidy")
    job.pk = uuid.uuid4()
    with pytest.raises(IntegrityError), transaction.atomic():
        job.save(force_insert=True)


@pytest.mark.django_db(transaction=True)
def test_six_relays_at_once_make_one_job_a_turn_of_every_periodic_task():
    """All the tasks there are; each turn begins for six relays at one moment."""
    tasks = periodic_tasks()
    names = sorted(task.name for task in tasks)
    for turn in range(1, 4):
        due()
        together = threading.Barrier(6)

        def relay_beside_others(together: threading.Barrier = together) -> None:
            together.wait()
            for task in tasks:
                relay.dispatch_if_due(task)
            connection.close()

        threads = [threading.Thread(target=relay_beside_others) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        made = Job.across_organizations.filter(organization=None)
        assert sorted(made.values_list("type", flat=True)) == sorted(names * turn)
        made.update(state=State.COMPLETED)
    assert {"jobs.retry_unknown", "storage.clean_up", "storage.sweep"} <= set(names)


def test_a_periodic_task_that_fails_is_tried_again_and_keeps_nothing_from_being_sent(
    db, empty_queue, caplog
):
    registry.register_periodic("test.broken", lambda: 1 // 0, every=timedelta(hours=1))
    try:
        relay.dispatch_if_due(PeriodicTask("test.broken", timedelta(hours=1)))
        (job,) = system_jobs("test.broken")
        execution.run(job.id)
    finally:
        registry.unregister("test.broken")
    job.refresh_from_db()
    assert (job.state, job.error["code"]) == (State.DELAYED, "internal_error")
    assert "ZeroDivisionError" in caplog.text


def test_the_relay_does_no_periodic_work_itself(db, tidied, empty_queue):
    """Which may take a minute: a dead worker's job is not to wait for it."""
    for task in periodic_tasks():
        PeriodicRun.objects.update_or_create(name=task.name, defaults={"due_at": Now()})
    relay.relay_once()

    assert tidied == []
    assert [job.state for job in system_jobs("test.tidy")] == [State.WAITING]
    assert messages.waiting_messages(Queue.SYSTEM) >= 0


def test_what_was_lost_while_the_database_was_away_is_no_attempt(job, monkeypatch):
    """Nobody could extend a lease. Whoever lives has a lease's time to do so now."""
    held = claim(job.id)
    returned = database_now()
    ended = returned - timedelta(seconds=10)
    Job.across_organizations.filter(id=job.id).update(lease_expires_at=ended)
    assert relay.release_expired(returned) == relay.refund_attempts(returned) == 0
    assert held.heartbeat()

    Job.across_organizations.filter(id=job.id).update(lease_expires_at=ended)
    long_back = returned - timedelta(seconds=30)
    Job.across_organizations.filter(id=job.id).update(lease_expires_at=long_back - timedelta(1))
    assert relay.refund_attempts(long_back) == 1
    job.refresh_from_db()
    assert (job.state, job.attempts, job.losses) == (State.WAITING, 0, 0)


def test_what_is_dated_a_day_ahead_is_not_out_of_reach_until_then(job, tidied, empty_queue):
    """The clock was set back, or another's had noted it."""
    tomorrow = Now() + timedelta(days=1)
    claim(job.id)
    rows = Job.across_organizations.filter(id=job.id)
    rows.update(lease_expires_at=tomorrow)
    relay.relay_once()
    job.refresh_from_db()
    assert job.state == State.ACTIVE
    assert job.lease_expires_at <= database_now() + timedelta(seconds=30)

    rows.update(state=State.WAITING, message_sent_at=tomorrow, lease_expires_at=None)
    assert relay.send_unsent("bulk") == 1

    relay.dispatch_if_due(TIDY)
    Job.across_organizations.filter(type="test.tidy").update(state=State.COMPLETED)
    PeriodicRun.objects.filter(name="test.tidy").update(due_at=tomorrow)
    assert relay.dispatch_if_due(TIDY)
    assert PeriodicRun.objects.get(name="test.tidy").due_at < database_now() + timedelta(hours=2)


def test_the_relay_notes_when_the_database_came_back(db):
    presence = relay.Presence()
    started = presence.since()
    presence.mark_absent()
    back = presence.since()
    assert started < back == presence.since()


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
