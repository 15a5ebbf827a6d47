"""An ingest that lasts keeps nobody waiting: uploads of its branch become jobs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction

from insight import ingest, services, stream_locks
from insight.failed_runs import requeue
from insight.ingest import ingest_through
from insight.models import Issue, Run, Stream, Triage
from jobs import execution
from odavl.wire.errors import InProgress
from tests.cast import Api, Person
from tests.insight.documents import counts, document, finding, send
from tests.insight.test_ingest_jobs import large, run, run_jobs

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 60
"""For what is to happen at once: as much as the slowest machine may need."""


@pytest.fixture
def api(alice: Person) -> Api:
    return alice.api


@contextmanager
def held_open(found: Run) -> Iterator[None]:
    """While a worker is in the middle of taking ``found`` in."""
    is_at_work, may_end = threading.Event(), threading.Event()

    def watch(_percent: int) -> None:
        is_at_work.set()
        assert may_end.wait(SECONDS * 5)

    def work() -> None:
        try:
            ingest_through(found, guard=lambda: None, watch=watch)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        worker = pool.submit(work)
        try:
            assert is_at_work.wait(SECONDS)
            yield
            assert not worker.done()
        finally:
            may_end.set()
        worker.result(SECONDS)


def at_once(*calls: Any) -> list[Any]:
    """What each call gives, each in a thread of its own."""

    def one(call: Any) -> Any:
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        futures: list[Future[Any]] = [pool.submit(one, call) for call in calls]
        return [future.result(SECONDS) for future in futures]


def test_uploads_to_a_branch_that_is_being_taken_in_are_answered_at_once(
    alice: Person,
) -> None:
    api = alice.api
    send(api, document({"a.py": [finding("base")]}))
    send(api, document(large("large")))
    with held_open(Run.across_organizations.get(sequence=2)):
        answers = at_once(
            *(lambda n=n: send(api, document({"a.py": [finding(f"own{n}")]})) for n in range(8))
        )
        assert [answer.status_code for answer in answers] == [202] * 8
        elsewhere = at_once(
            lambda: send(api, document({"a.py": [finding("base")]}), branch="other"),
            lambda: send(api, document({"a.py": [finding("base")]}), projectName="Other"),
        )
        assert [answer.status_code for answer in elsewhere] == [201] * 2
        assert alice.page().get("/en/acme/projects/website/").status_code == 200
        assert api.send("GET", "/insight/issues?project=website").json()["total"] == 1
        assert len(api.send("GET", "/insight/runs?branch=main&limit=20").json()["items"]) == 11
    run_jobs(api, *answers)
    assert counts(run_of_main(api, 2)) == (3_001, 1, 0, 0)
    assert [counts(run_of_main(api, n))[:2] for n in range(4, 11)] == [(1, 1)] * 7
    assert set(Stream.across_organizations.values_list("last_sequence", flat=True)) == {10, 1}


def run_of_main(api: Api, sequence: int) -> dict[str, Any]:
    found = Run.across_organizations.get(
        sequence=sequence, stream__branch="main", stream__project__slug="website"
    )
    answer: dict[str, Any] = api.send("GET", f"/insight/runs/{found.pk}").json()
    return answer


def test_the_first_run_of_a_branch_keeps_nobody_waiting(api: Api) -> None:
    send(api, document({}))
    send(api, document(large("large")), branch="fresh")
    with held_open(Run.across_organizations.get(stream__branch="fresh")):
        (answer,) = at_once(lambda: send(api, document({}), branch="fresh"))
        assert answer.status_code == 202
    run_jobs(api, answer)


def test_a_run_that_is_overtaken_leaves_nothing_and_comes_later(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the turn and the place of a small run, a large one gets ahead of it."""
    send(api, document({"a.py": [finding("base")]}))
    place = stream_locks.take_place
    overtaking: list[Any] = []

    def overtaken(found: Run) -> None:
        if not overtaking:
            overtaking.extend(at_once(lambda: send(api, document(large("large")))))
        place(found)

    monkeypatch.setattr(ingest, "take_place", overtaken)
    answer = send(api, document({"a.py": [finding("own")]}))
    assert (overtaking[0].status_code, answer.status_code) == (202, 202)
    assert Issue.across_organizations.count() == 1
    run_jobs(api, answer)
    assert counts(run(api, 2)) == (3_001, 1, 0, 0)
    assert counts(run(api, 3)) == (1, 3_001, 0, 0)


def test_two_first_runs_of_a_branch_share_its_stream_whoever_is_first(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(api, document({}))
    place = stream_locks.take_place
    overtaking: list[Any] = []

    def overtaken(found: Run) -> None:
        if not overtaking:
            overtaking.extend(at_once(lambda: send(api, document(large("large")), branch="new")))
        place(found)

    monkeypatch.setattr(ingest, "take_place", overtaken)
    answer = send(api, document({"a.py": [finding("own")]}), branch="new")
    assert answer.status_code == 202
    run_jobs(api, answer)
    (stream,) = Stream.across_organizations.filter(branch="new")
    assert stream.last_sequence == 2
    assert not Issue.across_organizations.exclude(stream=stream).exists()


def test_a_worker_that_dies_gives_its_turn_back(api: Api) -> None:
    send(api, document({"a.py": [finding("base")]}))
    send(api, document(large("large")))
    found = Run.across_organizations.get(sequence=2)

    def dying(_percent: int) -> None:
        raise ConnectionError

    def work() -> None:
        with pytest.raises(ConnectionError):
            ingest_through(found, guard=lambda: None, watch=dying)

    at_once(work)
    answer = send(api, document({"a.py": [finding("own")]}))
    assert answer.status_code == 202  # the large one still waits
    run_jobs(api, answer)
    assert send(api, document({"a.py": [finding("own")]})).status_code == 201


def test_nobody_decides_or_has_a_run_again_while_its_rows_are_written(alice: Person) -> None:
    send(alice.api, document({"a.py": [finding("base")]}))
    send(alice.api, document(large("large")))
    found = Run.across_organizations.get(sequence=2)
    with held_open(found), pytest.raises(InProgress):
        requeue(found.pk)
    issues = Issue.across_organizations.all()
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        list(issues.select_for_update())

        def decide() -> int:
            try:
                return services.triage_issues(
                    issues=issues, state=Triage.ACCEPTED, reason="", by=alice.principal
                )
            finally:
                connection.close()

        with pytest.raises(InProgress):
            pool.submit(decide).result(SECONDS)


def test_who_decides_in_the_browser_is_told_to_try_again(alice: Person) -> None:
    send(alice.api, document({"a.py": [finding("base")]}))
    issue = Issue.across_organizations.get()
    browser = alice.page()
    address = "/en/acme/projects/website/issues/"

    def decide() -> Any:
        return browser.post(f"{address}triage/", {"issue": issue.pk, "state": "accepted"})

    with transaction.atomic():
        list(Issue.across_organizations.select_for_update())
        (answer,) = at_once(decide)
    assert (answer.status_code, answer["Location"]) == (302, address)
    assert b"try again in a moment" in browser.get(address).content
    assert Issue.across_organizations.get().triage == Triage.OPEN


def test_a_worker_that_waits_for_its_turn_can_be_stopped(api: Api) -> None:
    send(api, document({"a.py": [finding("base")]}))
    first = send(api, document(large("one")))
    second = send(api, document(large("two")))

    def stopped(_percent: int) -> None:
        raise InterruptedError

    def wait() -> None:
        with pytest.raises(InterruptedError):
            ingest_through(
                Run.across_organizations.get(sequence=3), guard=lambda: None, watch=stopped
            )

    with held_open(Run.across_organizations.get(sequence=2)):
        at_once(wait)
    assert execution.run(second.json()["jobId"])
    assert execution.run(first.json()["jobId"])
