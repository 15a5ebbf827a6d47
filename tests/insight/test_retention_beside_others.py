"""Forgetting runs while others are at work: nobody waits, nothing is lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction

from insight.models import Issue, Run, Triage
from insight.services import triage_issues
from jobs import services
from jobs.models import State
from odavl.wire.errors import Conflict
from tests.cast import Api, Person
from tests.insight.documents import document, finding, send, upload
from tests.insight.test_ingest_jobs import job_of, large, run_jobs
from tests.insight.test_retention import age, forget, sequences
from tests.insight.test_stream_locks import held_open

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 120


@pytest.fixture
def api(alice: Person) -> Api:
    return alice.api


def test_a_stream_that_is_being_taken_in_is_left_to_the_next_round(api: Api) -> None:
    for _ in range(3):
        upload(api, {"a.py": [finding("one")]})
    age(3)
    send(api, document(large("large")))
    with held_open(Run.across_organizations.get(sequence=4)):
        assert forget() == 0
        assert sequences() == [1, 2, 3, 4]
    assert forget() == 3
    assert sequences() == [4]


def test_uploads_during_the_forgetting_are_all_taken_in(api: Api) -> None:
    for number in range(40):
        upload(api, {"a.py": [finding("lasting"), finding(f"{number}")]})
    age(40)

    def send_one(number: int) -> Any:
        try:
            return send(api, document({"a.py": [finding("lasting"), finding(f"new {number}")]}))
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        sent = [pool.submit(send_one, number) for number in range(20)]
        while not all(each.done() for each in sent):
            forget(at_most=3)
        answers = [each.result(SECONDS) for each in sent]
    run_jobs(api, *(answer for answer in answers if answer.status_code != 201))
    forget()
    runs = Run.across_organizations.filter(state="completed")
    assert runs.count() == 20
    assert {each.open_total for each in runs} == {2}
    assert Issue.across_organizations.filter(resolved=None).count() == 2


def test_an_issue_that_somebody_decides_about_meanwhile_stays(alice: Person) -> None:
    for found in ([finding("one"), finding("two")], [], []):
        upload(alice.api, {"a.py": found})
    age(2)
    issues = Issue.across_organizations.filter(message="about one")

    def forget_apart() -> None:
        try:
            forget()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        triage_issues(issues=issues, state=Triage.ACCEPTED, reason="", by=alice.principal)
        pool.submit(forget_apart).result(SECONDS)
    forget()
    assert [issue.message for issue in Issue.across_organizations.all()] == ["about one"]


def test_the_job_of_a_forgotten_run_cannot_run_again(api: Api) -> None:
    answer = send(api, document(large("one")))
    services.cancel(job_of(answer))
    for _ in range(2):
        upload(api, {})
    age(1)
    assert forget() == 1
    with pytest.raises(Conflict, match="not kept any more"):
        services.retry(job_of(answer))
    assert job_of(answer).state == State.CANCELLED
    told = api.send("GET", f"/upload/insight/{answer.json()['uploadId']}/status")
    assert told.status_code == 404
