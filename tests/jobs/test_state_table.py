"""Every change of a job from every state: what is allowed, what it writes, and what stays.

Each change is one conditional UPDATE. A condition that is lost shows here as a state that moves
although it must not.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models.functions import Now

from accounts.models import Organization
from frame.database.clock import database_now
from jobs import claims, execution, relay, services
from jobs.claims import Claim, LeaseLostError, claim, claim_next
from jobs.models import FINISHED, UNFINISHED, Awaited, Job, State
from odavl.wire.errors import Conflict

pytestmark = pytest.mark.django_db

ALL = tuple(State)
BUSY = {
    "attempts": 2,
    "losses": 1,
    "progress": 40,
    "fence": 7,
    "error": {"code": "internal_error", "detail": "before"},
    "waiting_for": Awaited.STORE,
}
"""What a job has been through, none of it a default."""


def in_state(job: Job, state: State, **fields: Any) -> Job:
    """The row as it would stand in ``state``, whatever way led there."""
    times: dict[str, Any] = {"lease_expires_at": None, "finished_at": None, "waiting_since": Now()}
    if state == State.ACTIVE:
        times |= {"lease_expires_at": Now() + timedelta(seconds=20), "heartbeat_at": Now()}
    if state in FINISHED:
        times |= {"finished_at": Now() - timedelta(minutes=5)}
    moments = {"run_at": Now() - timedelta(minutes=1), "message_sent_at": Now()}
    rows = Job.across_organizations.filter(id=job.id)
    rows.update(state=state, **{**BUSY, **times, **moments, **fields})
    job.refresh_from_db()
    return job


def as_it_stands(job: Job) -> dict[str, Any]:
    found: dict[str, Any] = Job.across_organizations.values().get(id=job.id)
    return found


CHANGES: dict[str, tuple[Callable[[Job], None], tuple[State, ...], dict[str, Any]]] = {
    "cancel": (
        services.cancel,
        UNFINISHED,
        {"state": "cancelled", "attempts": 2, "losses": 1, "progress": 40, "waiting_for": ""},
    ),
    "pause": (
        services.pause,
        (State.WAITING, State.ACTIVE, State.DELAYED),
        {"state": "paused", "attempts": 2, "losses": 1, "progress": 40, "waiting_for": ""},
    ),
    "resume": (
        services.resume,
        (State.PAUSED,),
        {"state": "waiting", "attempts": 0, "losses": 0, "progress": 40, "waiting_for": ""},
    ),
    "retry": (
        services.retry,
        (State.FAILED, State.CANCELLED),
        {
            "state": "waiting",
            "attempts": 0,
            "losses": 0,
            "progress": 0,
            "error": None,
            "finished_at": None,
            "waiting_for": "",
            "waiting_since": None,
        },
    ),
}


@pytest.mark.parametrize("state", ALL)
@pytest.mark.parametrize("action", CHANGES)
def test_a_person_changes_what_the_table_allows(
    job: Job, handler: object, action: str, state: State
) -> None:
    change, allowed, expected = CHANGES[action]
    in_state(job, state)
    stale = Job.across_organizations.get(id=job.id)
    before = as_it_stands(job)
    if state not in allowed:
        with pytest.raises(Conflict):
            change(stale)
        assert as_it_stands(job) == before
        return
    change(stale)
    after = as_it_stands(job)
    assert {name: after[name] for name in expected} == expected
    assert after["fence"] == before["fence"] + 1, "whoever had it has lost it"
    assert after["lease_expires_at"] is None
    assert (after["finished_at"] is not None) == (action == "cancel")
    if expected["state"] == "waiting":
        assert after["run_at"] > before["run_at"]
        assert after["message_sent_at"] >= before["message_sent_at"]


@pytest.mark.parametrize("action", CHANGES)
def test_a_change_concerns_one_job_alone(
    organization: Organization, job: Job, handler: object, action: str
) -> None:
    change, allowed, _ = CHANGES[action]
    others = [
        services.enqueue(organization=organization, job_type="test.work", payload={})
        for _ in range(3)
    ]
    for each in (job, *others):
        in_state(each, allowed[0])
    before = [as_it_stands(each) for each in others]
    change(job)
    assert [as_it_stands(each) for each in others] == before


# ── Claims ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", ALL)
@pytest.mark.parametrize("way", ["by id", "by turn"])
def test_a_worker_takes_what_waits(job: Job, state: State, way: str) -> None:
    before = as_it_stands(in_state(job, state))
    held = claim(job.id) if way == "by id" else claim_next("bulk")
    takeable = (State.WAITING, State.DELAYED) if way == "by id" else (State.WAITING,)
    if state not in takeable:
        assert held is None
        assert as_it_stands(job) == before
        return
    assert held is not None
    after = as_it_stands(job)
    assert (after["state"], after["fence"], after["attempts"]) == ("active", 8, 3)
    assert held.fence == 8
    assert after["lease_expires_at"] - after["heartbeat_at"] == claims.LEASE


@pytest.mark.parametrize("way", ["by id", "by turn"])
@pytest.mark.parametrize(
    ("attempts", "losses", "taken"), [(3, 0, True), (4, 0, False), (5, 2, True), (6, 2, False)]
)
def test_attempts_are_bounded_and_losses_are_not_among_them(
    job: Job, way: str, attempts: int, losses: int, taken: bool
) -> None:
    """Three retries: a fourth attempt is the last."""
    in_state(job, State.WAITING, attempts=attempts, losses=losses)
    held = claim(job.id) if way == "by id" else claim_next("bulk")
    assert (held is not None) == taken


@pytest.mark.parametrize("way", ["by id", "by turn"])
@pytest.mark.parametrize(("seconds", "taken"), [(-1, True), (0, True), (30, False)])
def test_it_is_taken_from_its_time_on(job: Job, way: str, seconds: int, taken: bool) -> None:
    in_state(job, State.WAITING, run_at=Now() + timedelta(seconds=seconds))
    held = claim(job.id) if way == "by id" else claim_next("bulk")
    assert (held is not None) == taken


def test_a_first_start_stays_the_first(job: Job) -> None:
    held = claim(job.id)
    assert held is not None
    started = held.job.started_at
    services.pause(job)
    services.resume(job)
    again = claim(job.id)
    assert again is not None
    assert again.job.started_at == started
    assert again.fence > held.fence


WRITES: dict[str, Callable[[Claim], object]] = {
    "guard": lambda held: held.guard(),
    "progress": lambda held: held.progress(55),
    "complete": lambda held: held.complete(),
    "fail for good": lambda held: held.fail({"code": "x"}, retry_after=None),
    "fail for now": lambda held: held.fail({"code": "x"}, retry_after=timedelta(seconds=2)),
    "postpone": lambda held: held.postpone(Awaited.STORE, {"code": "x"}),
}
TAKEN_AWAY: dict[str, Callable[[Job], object]] = {
    "paused": services.pause,
    "cancelled": services.cancel,
    "paused and resumed": lambda job: (services.pause(job), services.resume(job)),
    "paused, resumed and taken": lambda job: (
        services.pause(job),
        services.resume(job),
        claim(job.id),
    ),
    "cancelled and retried": lambda job: (services.cancel(job), services.retry(job)),
    "cancelled, retried and taken": lambda job: (
        services.cancel(job),
        services.retry(job),
        claim(job.id),
    ),
    "expired": lambda job: (expire(job), relay.release_expired()),
    "expired and taken": lambda job: (expire(job), relay.release_expired(), claim(job.id)),
    "expired and failed": lambda job: (expire(job, losses=2), relay.fail_poisoned()),
}


def expire(job: Job, **fields: Any) -> None:
    rows = Job.across_organizations.filter(id=job.id)
    rows.update(lease_expires_at=Now() - timedelta(seconds=1), **fields)


@pytest.mark.parametrize("how", TAKEN_AWAY)
@pytest.mark.parametrize("write", WRITES)
def test_whoever_has_lost_it_writes_nothing(job: Job, write: str, how: str) -> None:
    held = claim(job.id)
    assert held is not None
    TAKEN_AWAY[how](Job.across_organizations.get(id=job.id))
    before = as_it_stands(job)
    with pytest.raises(LeaseLostError), transaction.atomic():
        WRITES[write](held)
    assert not held.heartbeat()
    assert not held.is_ours()
    assert not held.finished
    assert as_it_stands(job) == before


@pytest.mark.parametrize("write", WRITES)
def test_whoever_has_it_writes_to_it_alone(
    organization: Organization, job: Job, handler: object, write: str
) -> None:
    other = services.enqueue(organization=organization, job_type="test.work", payload={})
    held, beside = claim(job.id), claim(other.id)
    assert held is not None
    assert beside is not None
    before = as_it_stands(other)
    with transaction.atomic():
        WRITES[write](held)
    assert as_it_stands(other) == before


ENDINGS = {
    "complete": {"state": "completed", "progress": 100, "error": None, "attempts": 1},
    "fail for good": {"state": "failed", "error": {"code": "x"}, "attempts": 1},
    "fail for now": {
        "state": "delayed",
        "error": {"code": "x"},
        "attempts": 1,
        "message_sent_at": None,
    },
    "postpone": {
        "state": "delayed",
        "error": {"code": "x"},
        "attempts": 0,
        "message_sent_at": None,
        "waiting_for": "store",
    },
}


@pytest.mark.parametrize("write", ENDINGS)
def test_an_attempt_ends_as_the_table_says(job: Job, write: str) -> None:
    held = claim(job.id)
    assert held is not None
    WRITES[write](held)
    after = as_it_stands(job)
    assert {name: after[name] for name in ENDINGS[write]} == ENDINGS[write]
    assert after["lease_expires_at"] is None
    assert after["fence"] == held.fence
    assert (after["finished_at"] is not None) == (after["state"] in FINISHED)
    assert held.finished
    assert held.completed == (write == "complete")
    if write != "postpone":
        assert (after["waiting_for"], after["waiting_since"]) == ("", None)


def test_a_wait_grows_with_what_was_waited_and_is_bounded(job: Job) -> None:
    """2 s at first, then as long again, five minutes at most; a quarter of one for a turn."""
    for awaited, waited, expected in (
        (Awaited.STORE, None, 2),
        (Awaited.STORE, 1, 2),
        (Awaited.STORE, 3, 3),
        (Awaited.STORE, 100, 100),
        (Awaited.STORE, 301, 300),
        (Awaited.DATABASE, 10_000, 300),
        (Awaited.TURN, 14, 14),
        (Awaited.TURN, 16, 15),
    ):
        in_state(job, State.WAITING, attempts=0, losses=0, waiting_for="", waiting_since=None)
        held = claim(job.id)
        assert held is not None
        if waited is not None:
            since = Now() - timedelta(seconds=waited)
            Job.across_organizations.filter(id=job.id).update(waiting_since=since)
        held.postpone(awaited, {})
        now = database_now()
        after = as_it_stands(job)
        assert abs((after["run_at"] - now).total_seconds() - expected) < 0.9, (awaited, waited)
        if waited is not None:
            assert after["waiting_since"] < now - timedelta(seconds=waited - 0.9)


def test_progress_is_kept_within_its_bounds_by_every_way(job: Job) -> None:
    held = claim(job.id)
    assert held is not None
    for percent, shown in ((-1, 0), (0, 0), (1, 1), (99, 99), (100, 100), (101, 100)):
        held.note(percent)
        assert held.noted == shown
        assert held.heartbeat()
        assert as_it_stands(job)["progress"] == shown


def test_a_note_says_that_the_job_is_lost(job: Job) -> None:
    held = claim(job.id)
    assert held is not None
    held.lost = True
    with pytest.raises(LeaseLostError):
        held.note(10)
    assert held.noted is None


@pytest.mark.parametrize("write", ["guard", "progress", "heartbeat"])
def test_signs_of_life_extend_the_lease_by_the_databases_clock(job: Job, write: str) -> None:
    held = claim(job.id)
    assert held is not None
    Job.across_organizations.filter(id=job.id).update(
        lease_expires_at=Now() + timedelta(seconds=3), heartbeat_at=Now() - timedelta(seconds=27)
    )
    before = as_it_stands(job)
    with transaction.atomic():
        {**WRITES, "heartbeat": Claim.heartbeat}[write](held)
    after = as_it_stands(job)
    assert after["heartbeat_at"] - before["heartbeat_at"] > timedelta(seconds=26)
    assert after["lease_expires_at"] - after["heartbeat_at"] == claims.LEASE


# ── The relay ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", ALL)
@pytest.mark.parametrize("seconds", [-1, 5])
@pytest.mark.parametrize("losses", [0, 1, 2, 3])
def test_a_lost_worker_gives_its_job_back_or_fails_it(
    job: Job, state: State, seconds: int, losses: int
) -> None:
    """Only of an active job, only after its lease; the third loss is the last."""
    fields: dict[str, Any] = {"losses": losses}
    if state == State.ACTIVE:
        fields["lease_expires_at"] = Now() + timedelta(seconds=seconds)
    before = as_it_stands(in_state(job, state, **fields))
    failed, released = relay.fail_poisoned(), relay.release_expired()
    after = as_it_stands(job)
    if state != State.ACTIVE or seconds > 0:
        assert (failed, released) == (0, 0)
        assert after == before
        return
    assert (failed, released) == ((1, 0) if losses >= 2 else (0, 1))
    assert after["losses"] == losses + 1
    assert after["fence"] == before["fence"] + 1
    assert after["lease_expires_at"] is None
    if losses >= 2:
        assert (after["state"], after["error"]["code"]) == ("failed", "worker_lost")
        assert after["finished_at"] is not None
    else:
        assert (after["state"], after["message_sent_at"]) == ("waiting", None)
        assert after["attempts"] == before["attempts"], "an attempt stays counted beside its loss"


@pytest.mark.parametrize("state", ALL)
@pytest.mark.parametrize(("seconds", "due"), [(-1, True), (0, True), (60, False)])
def test_only_what_is_delayed_and_due_is_woken(
    job: Job, state: State, seconds: int, due: bool
) -> None:
    run_at = Now() + timedelta(seconds=seconds)
    before = as_it_stands(in_state(job, state, run_at=run_at))
    woken = relay.wake_delayed()
    after = as_it_stands(job)
    if state == State.DELAYED and due:
        assert woken == 1
        assert (after["state"], after["message_sent_at"]) == ("waiting", None)
    else:
        assert woken == 0
        assert after == before


@pytest.mark.parametrize("state", ALL)
@pytest.mark.parametrize("sent", ["never", "long ago", "just now", "tomorrow"])
def test_only_what_waits_and_has_no_message_gets_one(
    job: Job, empty_queue: None, state: State, sent: str
) -> None:
    moment = {
        "never": None,
        "long ago": Now() - relay.LOST_AFTER - timedelta(seconds=1),
        "just now": Now() - relay.LOST_AFTER + timedelta(seconds=5),
        "tomorrow": Now() + timedelta(days=1),
    }[sent]
    before = as_it_stands(in_state(job, state, message_sent_at=moment))
    count = relay.send_unsent("bulk")
    if state == State.WAITING and sent != "just now":
        assert count == 1
        sent_at = as_it_stands(job)["message_sent_at"]
        assert abs(sent_at - database_now()) < timedelta(seconds=5)
    else:
        assert count == 0
        assert as_it_stands(job) == before


@pytest.mark.parametrize("state", ALL)
def test_a_lease_from_the_future_is_bounded(job: Job, state: State) -> None:
    far = {"lease_expires_at": Now() + timedelta(hours=1)} if state == State.ACTIVE else {}
    in_state(job, state, **far)
    assert relay.cap_leases() == (1 if state == State.ACTIVE else 0)
    if state == State.ACTIVE:
        in_state(job, state, lease_expires_at=Now() + claims.LEASE)
        assert relay.cap_leases() == 0


@pytest.mark.parametrize("state", ALL)
@pytest.mark.parametrize("awaited", [Awaited.STORE, Awaited.ROOM])
@pytest.mark.parametrize("seconds", [-5, 60])
def test_what_comes_through_wakes_those_that_wait_for_the_same(
    job: Job, state: State, awaited: Awaited, seconds: int
) -> None:
    run_at = Now() + timedelta(seconds=seconds)
    before = as_it_stands(in_state(job, state, waiting_for=awaited, run_at=run_at))
    woken = execution.wake(Awaited.STORE)
    after = as_it_stands(job)
    if state == State.DELAYED and awaited == Awaited.STORE and seconds > 0:
        assert woken == 1
        assert after["run_at"] < before["run_at"]
    else:
        assert woken == 0
        assert after == before


def test_what_was_lost_in_an_outage_costs_no_attempt_even_the_first(job: Job) -> None:
    back = database_now() - claims.LEASE - timedelta(seconds=1)
    in_state(job, State.ACTIVE, attempts=0, lease_expires_at=back - timedelta(seconds=1))
    assert relay.refund_attempts(back) == 1
    after = as_it_stands(job)
    assert (after["state"], after["attempts"], after["losses"]) == ("waiting", 0, 1)
    assert (after["message_sent_at"], after["lease_expires_at"]) == (None, None)


def test_a_lease_that_ended_after_the_outage_is_a_loss(job: Job) -> None:
    back = database_now() - claims.LEASE - timedelta(seconds=5)
    in_state(job, State.ACTIVE, lease_expires_at=back + timedelta(seconds=1))
    assert relay.refund_attempts(back) == 0
    assert relay.release_expired(back) == 1


@pytest.mark.parametrize("state", ALL)
@pytest.mark.parametrize("age", [timedelta(minutes=59), timedelta(minutes=61)])
def test_only_fresh_failures_for_want_of_a_handler_are_tried_anew(
    job: Job, state: State, age: timedelta
) -> None:
    finished = {"finished_at": Now() - age} if state in FINISHED else {}
    before = as_it_stands(
        in_state(job, state, error={"code": "no_handler", "retryable": False}, **finished)
    )
    tried = services.retry_unknown()
    if state == State.FAILED and age < timedelta(hours=1):
        assert tried == 1
        assert as_it_stands(job)["state"] == "waiting"
    else:
        assert tried == 0
        assert as_it_stands(job) == before


@pytest.mark.parametrize(
    ("error", "tried"),
    [
        ({"code": "no_handler", "retryable": True}, 1),
        ({"code": "internal_error", "retryable": False}, 1),
        ({"code": "internal_error", "retryable": True}, 0),
        ({"code": "worker_lost", "retryable": False}, 0),
        (None, 0),
    ],
)
def test_other_failures_stay(job: Job, error: Any, tried: int) -> None:
    in_state(job, State.FAILED, error=error, finished_at=Now())
    assert services.retry_unknown() == tried


def test_a_job_that_nobody_can_do_is_left_to_who_can(job: Job, handler: object) -> None:
    in_state(job, State.FAILED, error={"code": "no_handler"}, finished_at=Now())
    Job.across_organizations.filter(id=job.id).update(type="test.of_a_newer_version")
    assert services.retry_unknown() == 0


def test_a_fence_never_goes_back(job: Job) -> None:
    """Whatever happens to a job, no number is ever given twice."""
    seen = []
    for step in (
        claim,
        lambda _: services.pause(job),
        lambda _: services.resume(job),
        claim,
        lambda _: (expire(job), relay.release_expired()),
        claim,
        lambda _: services.cancel(job),
        lambda _: services.retry(job),
        claim,
    ):
        step(job.id)
        seen.append(as_it_stands(job)["fence"])
    assert seen == sorted(set(seen))


def test_a_deleted_job_is_nobodys(job: Job) -> None:
    held = claim(job.id)
    assert held is not None
    Job.across_organizations.filter(id=job.id).delete()
    with pytest.raises(LeaseLostError):
        held.complete()
    assert not held.heartbeat()
    assert claim(job.id) is None
