"""Large payloads and concurrent uploads: taken in by jobs, in the order of their receipt."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, transaction

from insight import failed_runs
from insight.ingest import ingest_through
from insight.models import Issue, Run
from insight.receiving import run_ingest_job
from jobs import execution, services
from jobs.claims import LeaseLostError, claim
from jobs.models import Job, State
from odavl.wire.errors import Conflict
from tests.cast import Api, Person
from tests.insight.documents import counts, document, finding, send
from tests.sessions import until_somebody_waits

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def api(alice: Person) -> Api:
    return alice.api


def large(first: str, count: int = 3_000) -> dict[str, list[dict[str, object]]]:
    """A payload of more than a megabyte that begins with the finding ``first``."""
    rest = [finding(f"n{n}", line=n, message="m" * 300) for n in range(count)]
    return {"a.py": [finding(first), *rest]}


def run_jobs(api: Api, *upload_answers: object) -> None:
    for answer in upload_answers:
        assert answer.status_code == 202, answer.content
        assert execution.run(answer.json()["jobId"])


def run(api: Api, sequence: int) -> dict[str, object]:
    found = Run.across_organizations.get(sequence=sequence)
    return api.send("GET", f"/insight/runs/{found.pk}").json()


def test_a_large_payload_is_taken_in_by_a_job(api: Api) -> None:
    answer = send(api, document(large("one")))
    told = answer.json()
    assert set(told) == {"uploadId", "jobId", "statusUrl"}
    status_path = told["statusUrl"].split("/api/v1", 1)[1]
    assert api.send("GET", status_path).json()["state"] == "pending"
    run_jobs(api, answer)
    status = api.send("GET", status_path).json()
    assert (status["state"], status["progress"]) == ("completed", 100)
    assert api.send("GET", f"/insight/runs/{status['runId']}").json()["counts"]["new"] == 3_001


def test_a_job_that_runs_again_changes_nothing(api: Api) -> None:
    answer = send(api, document(large("one")))
    run_jobs(api, answer)
    before = list(Issue.across_organizations.order_by("pk").values_list("pk", "introduced"))
    Job.across_organizations.update(state=State.WAITING)
    assert execution.run(answer.json()["jobId"])
    assert list(Issue.across_organizations.order_by("pk").values_list("pk", "introduced")) == before


def test_a_small_upload_behind_a_large_one_waits_for_it(api: Api) -> None:
    first = send(api, document(large("one")))
    second = send(api, document({"a.py": [finding("two")]}))
    run_jobs(api, second)
    assert run(api, 1)["state"] == run(api, 2)["state"] == "completed"
    assert counts(run(api, 1)) == (3_001, 0, 0, 0)
    assert counts(run(api, 2)) == (1, 3_001, 0, 0)
    run_jobs(api, first)
    assert counts(run(api, 2)) == (1, 3_001, 0, 0)


def test_a_large_payload_that_does_not_fit_fails_with_its_reason_and_stops_nobody(api: Api) -> None:
    findings = large("one")
    findings["a.py"][-1]["severity"] = "awful"
    bad = send(api, document(findings))
    good = send(api, document(large("two")))
    run_jobs(api, good)
    status = api.send("GET", f"/upload/insight/{bad.json()['uploadId']}").json()
    assert status["state"] == "failed"
    assert status["problem"]["errors"][0]["pointer"] == "/diagnostics/a.py/3000/severity"
    assert run(api, 1)["state"] == "failed"
    assert counts(run(api, 2)) == (3_001, 0, 0, 0)


def test_a_run_whose_job_gave_up_fails_and_stops_nobody(api: Api) -> None:
    first = send(api, document(large("one")))
    second = send(api, document(large("two")))
    lost = Job.across_organizations.filter(pk=first.json()["jobId"])
    lost.update(state=State.FAILED, error={"code": "internal_error", "detail": "It died."})
    status = api.send("GET", f"/upload/insight/{first.json()['uploadId']}").json()
    assert (status["state"], status["problem"]["code"]) == ("failed", "internal_error")
    run_jobs(api, second)
    assert run(api, 1)["state"] == "failed"
    assert counts(run(api, 2)) == (3_001, 0, 0, 0)


def test_a_worker_that_lost_its_lease_writes_nothing(api: Api) -> None:
    answer = send(api, document(large("one")))
    held = claim(answer.json()["jobId"])
    assert held is not None
    Job.across_organizations.update(fence=held.fence + 1)
    with pytest.raises(LeaseLostError):
        run_ingest_job(held)
    assert not Issue.across_organizations.exists()
    assert run(api, 1)["state"] == "queued"


def sent_at_once(api: Api, number: int, **metadata: str) -> list[Any]:
    """The answers to as many uploads, each of a finding of its own beside the one called base."""
    answers: list[Any] = []

    def one(name: str) -> None:
        try:
            body = document({"a.py": [finding("base"), finding(name)]})
            answers.append(send(api, body, **metadata))
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(f"own{n}",)) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def taken_in(api: Api, answers: list[Any]) -> None:
    """Run the jobs of those uploads that met another one; the others are in already."""
    assert {answer.status_code for answer in answers} <= {201, 202}
    run_jobs(api, *(answer for answer in answers if answer.status_code == 202))


def test_concurrent_uploads_of_one_stream_are_one_after_the_other(api: Api) -> None:
    send(api, document({"a.py": [finding("base")]}))
    taken_in(api, sent_at_once(api, 8))
    runs = list(Run.across_organizations.order_by("sequence"))
    assert [found.sequence for found in runs] == list(range(1, 10))
    for found in runs[2:]:
        assert (found.new_count, found.fixed_count, found.unchanged_count) == (1, 1, 1)


def test_concurrent_first_uploads_of_a_branch_share_its_stream(api: Api) -> None:
    send(api, document({}))
    taken_in(api, sent_at_once(api, 6, branch="fresh"))
    runs = Run.across_organizations.filter(stream__branch="fresh")
    assert sorted(runs.values_list("sequence", flat=True)) == [1, 2, 3, 4, 5, 6]


def test_a_run_that_waited_for_its_place_sees_the_one_that_came_first(alice: Person) -> None:
    """What was committed while the stream's row was waited for counts, too."""
    send(alice.api, document({"a.py": [finding("base")]}))
    answers: list[object] = []

    def second() -> None:
        try:
            answers.append(send(alice.api, document({"a.py": [finding("base")]})))
        finally:
            connection.close()

    thread = threading.Thread(target=second)
    with transaction.atomic():
        first = send(alice.api, document(large("one")))
        thread.start()
        until_somebody_waits()
    thread.join()
    assert first.status_code == 202
    run_jobs(alice.api, *answers)
    assert counts(run(alice.api, 2)) == (3_001, 1, 0, 0)
    assert counts(run(alice.api, 3)) == (0, 3_001, 0, 1)


def test_a_run_behind_a_failed_one_counts_for_itself(api: Api) -> None:
    send(api, document({"a.py": [finding("one")]}))
    findings = large("two")
    findings["a.py"][-1]["severity"] = "awful"
    send(api, document(findings))
    run_jobs(api, send(api, document({"a.py": [finding("one")]})))
    assert (run(api, 2)["state"], counts(run(api, 3))) == ("failed", (0, 0, 1, 0))
    assert run(api, 3)["openTotal"] == 1
    answer = send(api, document({"a.py": [finding("one")]}))
    assert (answer.status_code, run(api, 4)["openTotal"]) == (201, 1)
    # The run before the next one has failed and is not waited for.
    broken = send(api, document(findings))
    assert execution.run(broken.json()["jobId"])
    answer = send(api, document({"a.py": [finding("one")]}))
    assert (answer.status_code, run(api, 6)["openTotal"]) == (201, 1)


def status(api: Api, answer: object) -> dict[str, object]:
    upload_id = answer.json()["uploadId"]
    return api.send("GET", f"/upload/insight/{upload_id}").json()


def job_of(answer: object) -> Job:
    return Job.across_organizations.get(pk=answer.json()["jobId"])


def test_a_cancelled_job_fails_its_run_at_once_and_a_retry_takes_it_in(api: Api) -> None:
    answer = send(api, document(large("one")))
    services.cancel(job_of(answer))
    assert (run(api, 1)["state"], status(api, answer)["state"]) == ("failed", "failed")
    services.retry(job_of(answer))
    assert status(api, answer)["state"] == "pending"
    run_jobs(api, answer)
    assert counts(run(api, 1)) == (3_001, 0, 0, 0)


def test_a_run_is_not_taken_in_behind_a_later_one(api: Api) -> None:
    first = send(api, document(large("one")))
    services.cancel(job_of(first))
    run_jobs(api, send(api, document(large("two"))))
    with pytest.raises(Conflict, match="later run"):
        services.retry(job_of(first))
    assert job_of(first).state == State.CANCELLED
    assert run(api, 1)["state"] == "failed"


def test_a_job_fails_with_what_stands_against_its_payload(api: Api) -> None:
    findings = large("one")
    findings["a.py"][-1]["severity"] = "awful"
    answer = send(api, document(findings))
    run_jobs(api, answer)
    job = job_of(answer)
    assert (job.state, job.error["code"]) == (State.FAILED, "invalid_payload")


def test_a_run_that_nobody_was_told_of_is_given_up_all_the_same(api: Api) -> None:
    answer = send(api, document(large("one")))
    Job.across_organizations.update(state=State.CANCELLED)
    assert failed_runs.fail_runs_of_dead_jobs() == 1
    assert run(api, 1)["state"] == "failed"
    assert failed_runs.fail_runs_of_dead_jobs() == 0
    assert status(api, answer)["problem"]["code"] == "cancelled"


def test_an_ingest_tells_how_far_it_is(api: Api) -> None:
    for name in ("first", "second"):
        files = {f"f{n}.py": large(name, 100)["a.py"] for n in range(40)}
        send(api, document(files))
        seen: list[int] = []
        found = Run.across_organizations.get(state="queued")
        ingest_through(found, guard=lambda: None, watch=seen.append)
        assert seen == sorted(seen)
        assert len(set(seen)) > 20, name
        assert 90 <= seen[-1] <= 95


def test_an_ingest_stops_between_files_once_its_job_is_lost(api: Api) -> None:
    answer = send(api, document(large("one")))
    held = claim(answer.json()["jobId"])
    assert held is not None
    held.lost = True
    with pytest.raises(LeaseLostError):
        run_ingest_job(held)
    assert not Issue.across_organizations.exists()
