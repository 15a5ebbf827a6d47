"""``run_once``: one piece of work for each key, whatever happens around it."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.idempotency import Answer, delete_old_records, run_once
from accounts.models import AuditEvent, IdempotencyRecord
from accounts.services import record
from odavl.wire.errors import IdempotencyMismatch, InProgress
from tests.cast import Person
from tests.problems import problem

KEY, DIGEST = "a key", "d" * 64


class Work:
    """Leaves one audit event each time it is really done."""

    def __init__(self, person: Person, status: int = 201) -> None:
        self.person, self.status = person, status

    def __call__(self) -> tuple[int, bytes]:
        record(organization=self.person.organization, action="work.done")
        return self.status, b'{"done":true}'

    @property
    def times(self) -> int:
        rows = AuditEvent.objects.for_organization(self.person.organization)
        return rows.filter(action="work.done").count()


def test_a_second_request_gets_the_first_answer(alice: Person):
    work = Work(alice)
    first = run_once(alice.principal, KEY, DIGEST, work, project=None)
    again = run_once(alice.principal, KEY, DIGEST, work, project=None)
    assert first == Answer(201, b'{"done":true}', replayed=False)
    assert again == Answer(201, b'{"done":true}', replayed=True)
    assert work.times == 1


def test_another_request_under_the_same_key_is_refused(alice: Person):
    work = Work(alice)
    run_once(alice.principal, KEY, DIGEST, work, project=None)
    with pytest.raises(IdempotencyMismatch):
        run_once(alice.principal, KEY, "e" * 64, work, project=None)
    assert work.times == 1


def test_without_a_key_every_request_is_done(alice: Person):
    work = Work(alice)
    run_once(alice.principal, None, "", work, project=None)
    run_once(alice.principal, None, "", work, project=None)
    assert work.times == 2
    assert not IdempotencyRecord.objects.for_organization(alice.organization).exists()


def test_organizations_do_not_share_keys(alice: Person, charlie: Person):
    run_once(alice.principal, KEY, DIGEST, Work(alice), project=None)
    assert not run_once(charlie.principal, KEY, "e" * 64, Work(charlie), project=None).replayed


def test_an_answer_that_failed_is_not_kept(alice: Person):
    run_once(alice.principal, KEY, DIGEST, Work(alice, status=409), project=None)
    assert not run_once(alice.principal, KEY, "e" * 64, Work(alice), project=None).replayed


def test_work_that_raised_leaves_nothing_behind(alice: Person):
    work = Work(alice)

    def dies() -> tuple[int, bytes]:
        work()
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        run_once(alice.principal, KEY, DIGEST, dies, project=None)
    assert work.times == 0
    assert not run_once(alice.principal, KEY, DIGEST, work, project=None).replayed
    assert work.times == 1


@pytest.mark.django_db(transaction=True)
def test_a_request_while_the_first_is_under_way_is_told_to_wait(alice: Person):
    work = Work(alice)
    begun, may_end = threading.Event(), threading.Event()

    def slow() -> tuple[int, bytes]:
        begun.set()
        assert may_end.wait(300)
        return work()

    answers: list[Answer] = []

    def first() -> None:
        try:
            answers.append(run_once(alice.principal, KEY, DIGEST, slow, project=None))
        finally:
            connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(300)
    with pytest.raises(InProgress) as refused:
        run_once(alice.principal, KEY, DIGEST, work, project=None)
    assert refused.value.retry_after == 1
    may_end.set()
    thread.join(300)
    assert run_once(alice.principal, KEY, DIGEST, work, project=None) == answers[0]._replace(
        replayed=True
    )
    assert work.times == 1


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_dies_in_the_middle_frees_the_key(alice: Person):
    work = Work(alice)
    begun, may_die = threading.Event(), threading.Event()

    def dies() -> tuple[int, bytes]:
        work()
        begun.set()
        assert may_die.wait(300)
        # As when the process is killed: the server sees the connection end, no ROLLBACK.
        connection.connection.close()
        return 201, b"{}"

    def first() -> None:
        try:
            run_once(alice.principal, KEY, DIGEST, dies, project=None)
        except Exception:  # noqa: BLE001 - whichever error the driver has for it
            died.set()
        finally:
            connection.close()

    died = threading.Event()
    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(300)
    may_die.set()
    thread.join(300)
    assert died.is_set()
    assert not run_once(alice.principal, KEY, DIGEST, work, project=None).replayed
    assert work.times == 1


def test_old_records_are_forgotten(alice: Person):
    run_once(alice.principal, KEY, DIGEST, Work(alice), project=None)
    assert delete_old_records(older_than=timezone.now() - timedelta(hours=1)) == 0
    assert delete_old_records(older_than=timezone.now()) == 1
    assert not run_once(alice.principal, KEY, "e" * 64, Work(alice), project=None).replayed


def test_a_project_is_made_once_over_http(alice: Person):
    headers = {"Idempotency-Key": "p1"}
    first = alice.api.send("POST", "/projects", {"name": "once"}, **headers)
    again = alice.api.send("POST", "/projects", {"name": "once"}, **headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert "Idempotent-Replayed" not in first
    assert again["Idempotent-Replayed"] == "true"
    other = alice.api.send("POST", "/projects", {"name": "twice"}, **headers)
    problem(other, 422, "idempotency_mismatch")


@pytest.mark.parametrize("key", ["", "x" * 256, "a\x7fb", "a\nb"])
def test_a_key_that_cannot_be_is_refused(alice: Person, key):
    answer = alice.api.send("POST", "/projects", {"name": "once"}, **{"Idempotency-Key": key})
    problem(answer, 400, "malformed_request", pointer="/headers/Idempotency-Key")
