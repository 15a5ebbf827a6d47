"""Two at once: whatever the order, one wins, nothing is lost and nobody is told otherwise.

Each race is run in threads with connections of their own. Where the order matters, a lock that the
test holds makes it: the one waits for the row, the other commits, then the first goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.db import connection, transaction
from django.db.models.functions import Now

from accounts.models import AuditEvent, Organization
from jobs import actions, execution, messages, registry, relay, services
from jobs.claims import Claim, LeaseLostError, claim, claim_next
from jobs.models import FINISHED, Awaited, Job, PeriodicRun, Priority, State
from odavl.wire.errors import Conflict, Duplicate, InProgress, ServerFault, ServiceUnavailable
from tests.cast import Person
from tests.jobs.conftest import Recorder, use_broker
from tests.sessions import until_somebody_waits

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*steps: Callable[[], Any]) -> list[Any]:
    """What each step gave back or raised, all begun at one moment."""
    together = threading.Barrier(len(steps))

    def beside(step: Callable[[], Any]) -> Any:
        try:
            together.wait()
            return step()
        except (Conflict, Duplicate, LeaseLostError, InProgress) as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(steps)) as pool:
        return [future.result() for future in [pool.submit(beside, step) for step in steps]]


@contextmanager
def held_row(job: Job) -> Iterator[None]:
    with transaction.atomic():
        Job.across_organizations.select_for_update().get(id=job.id)
        yield


def after_another(job: Job, first: Callable[[], Any], second: Callable[[], Any]) -> Any:
    """``second`` begins, waits for the row that ``first`` changes, and goes on after its commit."""
    with ThreadPoolExecutor(1) as pool:
        with held_row(job):
            waiting = pool.submit(lambda: at_once(second)[0])
            until_somebody_waits()
            first()
        return waiting.result()


def row(job: Job) -> Job:
    found: Job = Job.across_organizations.get(id=job.id)
    return found


# ── A person beside a worker ─────────────────────────────────────────────────


STOPS = {"cancel": (services.cancel, State.CANCELLED), "pause": (services.pause, State.PAUSED)}


@pytest.mark.parametrize("action", STOPS)
def test_stopped_as_it_is_claimed(job: Job, action: str) -> None:
    """The worker waits for the row, and then finds nothing to take."""
    stop, state = STOPS[action]
    held = after_another(job, lambda: stop(row(job)), lambda: claim(job.id))
    assert held is None
    assert (row(job).state, row(job).attempts) == (state, 0)


@pytest.mark.parametrize("action", STOPS)
def test_claimed_as_it_is_stopped(job: Job, action: str) -> None:
    """The person's word counts: the worker that was faster has lost it again."""
    stop, state = STOPS[action]
    claims: list[Claim | None] = []
    after_another(job, lambda: claims.append(claim(job.id)), lambda: stop(row(job)))
    (held,) = claims
    assert held is not None
    assert row(job).state == state
    with pytest.raises(LeaseLostError):
        held.complete()


@pytest.mark.parametrize("action", STOPS)
def test_stopped_as_it_finishes(job: Job, action: str) -> None:
    """What is done stays done, and the person is told."""
    stop, _ = STOPS[action]
    held = claim(job.id)
    assert held is not None
    told = after_another(job, held.complete, lambda: stop(row(job)))
    assert isinstance(told, Conflict)
    assert row(job).state == State.COMPLETED


@pytest.mark.parametrize("action", STOPS)
def test_finishing_as_it_is_stopped(job: Job, action: str) -> None:
    """What the handler did goes with its transaction."""
    stop, state = STOPS[action]
    held = claim(job.id)
    assert held is not None

    def finish() -> None:
        with transaction.atomic():
            PeriodicRun.objects.create(name="the handler's work", due_at=Now())
            held.complete()

    told = after_another(job, lambda: stop(row(job)), finish)
    assert isinstance(told, LeaseLostError)
    assert row(job).state == state
    assert not PeriodicRun.objects.filter(name="the handler's work").exists()


def test_a_guard_keeps_a_person_waiting_until_the_commit(job: Job) -> None:
    held = claim(job.id)
    assert held is not None
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            held.guard()
            cancelling = pool.submit(lambda: at_once(lambda: services.cancel(row(job)))[0])
            until_somebody_waits()
            held.complete()
        assert isinstance(cancelling.result(), Conflict)
    assert row(job).state == State.COMPLETED


def test_retried_twice_at_once_it_runs_once(job: Job, empty_queue: None) -> None:
    held = claim(job.id)
    assert held is not None
    held.fail({"code": "x"}, retry_after=None)
    told = at_once(*[lambda: services.retry(row(job)) for _ in range(4)])
    assert sorted(type(each).__name__ for each in told) == ["Conflict"] * 3 + ["NoneType"]
    assert (row(job).state, row(job).fence) == (State.WAITING, held.fence + 1)
    assert messages.waiting_messages("bulk") == 1


@pytest.mark.parametrize("_time", range(3))
def test_retried_as_it_is_cancelled(job: Job, _time: int) -> None:
    """Either comes first; it never ends half in each."""
    held = claim(job.id)
    assert held is not None
    held.fail({"code": "x"}, retry_after=None)
    retried, cancelled = at_once(
        lambda: services.retry(row(job)), lambda: services.cancel(row(job))
    )
    found = row(job)
    assert retried is None
    assert (found.attempts, found.error) == (0, None)
    if isinstance(cancelled, Conflict):
        assert (found.state, found.finished_at) == (State.WAITING, None)
    else:
        assert found.state == State.CANCELLED
        assert found.finished_at is not None


def test_only_one_of_many_who_press_the_button_is_noted(alice: Person, handler: Recorder) -> None:
    job = services.enqueue(
        organization=alice.organization, job_type="test.work", payload={}, project=None
    )
    told = at_once(*[lambda: actions.act(row(job), "cancel", by=alice.principal) for _ in range(5)])
    assert [type(each) for each in told].count(Conflict) == 4
    events = AuditEvent.objects.for_organization(alice.organization)
    assert events.filter(action="job.cancelled").count() == 1


# ── Workers beside workers ───────────────────────────────────────────────────


def test_as_many_workers_as_jobs_take_one_each(
    organization: Organization, handler: Recorder
) -> None:
    jobs = {
        services.enqueue(organization=organization, job_type="test.work", payload={}).id
        for _ in range(6)
    }
    taken = at_once(*[lambda: claim_next("bulk") for _ in range(6)])
    # Whoever met a row that another was about to take left it, so a few come again.
    missing = [claim_next("bulk") for _ in range(taken.count(None))]
    found = [held.job.id for held in (*taken, *missing) if held is not None]
    assert sorted(found) == sorted(jobs)
    assert claim_next("bulk") is None
    assert {row.attempts for row in Job.across_organizations.all()} == {1}


def test_a_job_is_done_once_by_the_message_and_by_its_turn(job: Job, handler: Recorder) -> None:
    """A message that comes twice, and one that comes for another job."""
    at_once(
        lambda: execution.run(job.id),
        lambda: execution.run_next("bulk", job.id),
        lambda: execution.run_next("bulk", job.id),
    )
    assert len(handler.claims) == 1
    assert row(job).state == State.COMPLETED


def test_whoever_comes_back_as_another_has_it_disturbs_nothing(job: Job) -> None:
    """Sleeps past its lease; another has it; both are in the middle of writing."""
    sleeper = claim(job.id)
    assert sleeper is not None
    Job.across_organizations.filter(id=job.id).update(lease_expires_at=Now() - timedelta(1))
    relay.release_expired()
    other = claim(job.id)
    assert other is not None
    with transaction.atomic():
        other.guard()
        # Its number is not the row's any more, so it does not even wait.
        (told,) = at_once(lambda: sleeper.progress(99))
    assert isinstance(told, LeaseLostError)
    assert row(job).progress == 0
    assert not sleeper.heartbeat()
    assert other.heartbeat()
    other.complete()
    for late in (sleeper.complete, lambda: sleeper.fail({"code": "x"}, retry_after=None)):
        with pytest.raises(LeaseLostError):
            late()
    assert (row(job).state, row(job).error) == (State.COMPLETED, None)


# ── Relays beside relays ─────────────────────────────────────────────────────


def all_sent(queue: str) -> list[str]:
    """The ids in the broker's queue, as a worker would receive them."""
    with current_app.connection_for_read() as broker:
        simple = broker.SimpleQueue(queue, no_ack=True)
        found = [
            simple.get(block=True, timeout=60).payload[0][0]
            for _ in range(messages.waiting_messages(queue) or 0)
        ]
        simple.close()
    return found


def enqueue(organization: Organization, count: int, **fields: Any) -> list[Job]:
    return [
        services.enqueue(organization=organization, job_type="test.work", payload={}, **fields)
        for _ in range(count)
    ]


def test_two_relays_send_each_message_once(
    organization: Organization, handler: Recorder, empty_queue: None
) -> None:
    jobs = enqueue(organization, 12)
    with current_app.connection_for_write() as broker:
        broker.default_channel.queue_purge("bulk")
    Job.across_organizations.update(message_sent_at=None)
    sent = at_once(*[lambda: relay.send_unsent("bulk") for _ in range(3)])
    assert sum(sent) == 12
    assert sorted(all_sent("bulk")) == sorted(str(job.id) for job in jobs)


def test_two_relays_release_a_lost_job_once(job: Job) -> None:
    held = claim(job.id)
    assert held is not None
    Job.across_organizations.filter(id=job.id).update(lease_expires_at=Now() - timedelta(1))
    released = at_once(*[relay.release_expired for _ in range(4)])
    assert sum(released) == 1
    assert (row(job).losses, row(job).fence) == (1, held.fence + 1)


def test_two_relays_fail_a_poisonous_job_once(
    organization: Organization, empty_queue: None
) -> None:
    told: list[Any] = []
    registry.register(
        "test.poison", lambda _: None, queue="bulk", on_failure=lambda job: told.append(job.id)
    )
    try:
        job = services.enqueue(organization=organization, job_type="test.poison", payload={})
        claim(job.id)
        Job.across_organizations.update(lease_expires_at=Now() - timedelta(1), losses=2)
        assert sum(at_once(*[relay.fail_poisoned for _ in range(4)])) == 1
    finally:
        registry.unregister("test.poison")
    assert told == [job.id]
    assert (row(job).state, row(job).losses) == (State.FAILED, 3)


def test_poison_that_a_person_retries_has_all_its_lives_again(
    job: Job, handler: Recorder, empty_queue: None
) -> None:
    """a → b → a: lost three times, failed, retried; then lost twice more, then done."""
    for _ in range(3):
        lose(job)
    assert row(job).state == State.FAILED
    services.retry(row(job))
    for _ in range(2):
        lose(job)
        assert row(job).state == State.WAITING
    assert execution.run(job.id)
    found = row(job)
    assert (found.state, found.losses, found.error) == (State.COMPLETED, 2, None)


def lose(job: Job) -> None:
    held = claim(job.id)
    assert held is not None
    Job.across_organizations.filter(id=job.id).update(lease_expires_at=Now() - timedelta(1))
    relay.fail_poisoned()
    relay.release_expired()


def test_three_attempts_fail_in_three_ways_and_the_last_is_told(
    job: Job, handler: Recorder
) -> None:
    for number in range(1, 5):
        handler.errors = [ServerFault(f"failure {number}")]
        Job.across_organizations.update(run_at=Now())
        assert execution.run(job.id)
        found = row(job)
        assert found.attempts == number
        assert found.error["detail"] == f"failure {number}"
        assert found.state == (State.FAILED if number == 4 else State.DELAYED)
        if number < 4:
            waits = found.run_at - Job.across_organizations.values_list(
                "heartbeat_at", flat=True
            ).get(id=job.id)
            assert timedelta(seconds=2 * number) <= waits < timedelta(seconds=2 * number + 30)
    services.retry(found)
    assert execution.run(job.id)
    assert (row(job).state, row(job).attempts, row(job).error) == (State.COMPLETED, 1, None)


@pytest.mark.parametrize("awaited", [Awaited.STORE, Awaited.TURN])
def test_an_outage_between_two_failures_is_not_counted(
    job: Job, handler: Recorder, awaited: Awaited
) -> None:
    away = ServiceUnavailable("away") if awaited == Awaited.STORE else InProgress("busy")
    for error, attempts in (
        (ServerFault("first"), 1),
        (away, 1),
        (away, 1),
        (ServerFault("second"), 2),
        (away, 2),
    ):
        handler.errors = [error]
        Job.across_organizations.update(run_at=Now())
        assert execution.run(job.id)
        assert (row(job).attempts, row(job).state) == (attempts, State.DELAYED), error
        assert row(job).waiting_for == (awaited if error is away else "")


# ── After an outage of the broker ────────────────────────────────────────────


def test_urgent_jobs_are_sent_first_and_of_those_the_oldest(
    organization: Organization, handler: Recorder, empty_queue: None, tmp_path: Any
) -> None:
    """The broker was away; when it is back the relay sends by priority, then by age."""
    before = current_app.conf.broker_url
    use_broker(f"redis+socket://{tmp_path}/nobody.sock")
    try:
        order = (
            Priority.LOW,
            Priority.CRITICAL,
            Priority.NORMAL,
            Priority.HIGH,
            Priority.LOW,
            Priority.CRITICAL,
            Priority.HIGH,
        )
        jobs = [enqueue(organization, 1, priority=each)[0] for each in order]
    finally:
        use_broker(before)
    assert {each.message_sent_at for each in Job.across_organizations.all()} == {None}
    for minutes, job in enumerate(reversed(jobs)):
        # The last one made may run first: age is by when it may run.
        Job.across_organizations.filter(id=job.id).update(
            run_at=Now() - timedelta(hours=1) + timedelta(minutes=minutes)
        )
    expected = [str(job.id) for job in Job.across_organizations.order_by("-priority", "run_at")]
    assert expected != [str(job.id) for job in jobs]
    sent: list[str] = []
    send = messages.send

    def noted(job: Job) -> bool:
        sent.append(str(job.id))
        return send(job)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(messages, "send", noted)
        assert relay.send_unsent("bulk") == len(jobs)
    assert sent == expected
    assert all_sent("bulk") == expected, "the broker gives them out in that order, too"


def test_a_broker_that_goes_away_in_the_middle_leaves_the_rest_for_later(
    organization: Organization, handler: Recorder, empty_queue: None
) -> None:
    enqueue(organization, 5)
    Job.across_organizations.update(message_sent_at=None)
    sent: list[Job] = []

    def fails_at_the_third(job: Job) -> bool:
        if len(sent) == 2:
            Job.across_organizations.filter(id=job.id).update(message_sent_at=None)
            return False
        sent.append(job)
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(messages, "send", fails_at_the_third)
        assert relay.send_unsent("bulk") == 2
    assert Job.across_organizations.filter(message_sent_at=None).count() == 3
    assert relay.send_unsent("bulk") == 3


def test_the_relay_sends_of_each_queue_its_own(
    organization: Organization, handler: Recorder, empty_queue: None
) -> None:
    job, other = enqueue(organization, 2)
    Job.across_organizations.filter(id=other.id).update(queue="default")
    Job.across_organizations.update(message_sent_at=None)
    assert relay.send_unsent("interactive") == 0
    assert relay.send_unsent("bulk") == 1
    assert row(other).message_sent_at is None
    assert row(job).message_sent_at is not None


def test_a_message_that_fails_after_the_job_was_taken_changes_nothing(
    job: Job, dead_broker: None
) -> None:
    held = claim(job.id)
    assert held is not None
    sent_at = row(job).message_sent_at
    assert not messages.send(row(job))
    assert row(job).message_sent_at == sent_at
    held.complete()


# ── Enqueueing ───────────────────────────────────────────────────────────────


def test_of_many_who_enqueue_the_same_one_makes_it(
    organization: Organization, handler: Recorder
) -> None:
    made = at_once(
        *[
            lambda: (
                services.enqueue(
                    organization=organization,
                    job_type="test.work",
                    payload={},
                    deduplication_key="same",
                ).id
            )
            for _ in range(6)
        ]
    )
    assert len(set(made)) == 1
    assert Job.across_organizations.count() == 1


@pytest.mark.parametrize("state", FINISHED)
def test_a_finished_one_is_not_given_back(
    organization: Organization, handler: Recorder, state: State
) -> None:
    arguments: dict[str, Any] = {
        "organization": organization,
        "job_type": "test.work",
        "payload": {},
        "deduplication_key": "same",
    }
    first = services.enqueue(**arguments)
    Job.across_organizations.update(state=state)
    second = services.enqueue(**arguments)
    assert second.id != first.id
    if state != State.COMPLETED:
        with pytest.raises(Duplicate):
            services.retry(row(first))
        assert row(first).state == state


def test_keys_of_another_type_or_of_no_organization_are_others(
    organization: Organization, handler: Recorder
) -> None:
    made = {
        services.enqueue(
            organization=owner, job_type=job_type, payload={}, deduplication_key="same"
        ).id
        for owner in (organization, None)
        for job_type in ("test.work", "test.other")
    }
    assert len(made) == 4
