"""Uploads that a job takes in: told again, too late, by two workers, after a poison: done once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import F

from accounts.models import Project
from autopilot.models import Cycle
from insight.models import Run
from jobs import services as jobs
from jobs.claims import Claim, LeaseLostError, claim
from jobs.execution import run as run_job
from jobs.models import Job, State
from jobs.registry import job_type_named
from odavl.wire import limits
from odavl.wire.errors import OdavlError, RefusedError
from odavl.wire.problem import problem_of
from tests.autopilot.ledgers import edit, ledger
from tests.autopilot.ledgers import send as send_ledger
from tests.cast import Person
from tests.insight.documents import document, finding
from tests.transfers.manifests import begun, cut, finalize, put
from uploads import assembly, deferred
from uploads.models import Transfer, TransferChunk, TransferState, Upload, UploadState

PAYLOAD = json.dumps(document({"a.py": [finding(str(n)) for n in range(40)]})).encode()
CHUNKS = cut(PAYLOAD, 1_000)
FIRST, SECOND = ({"code": name, "detail": name} for name in ("first", "second"))


@pytest.fixture(autouse=True)
def nothing_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every payload is taken in by a job."""
    monkeypatch.setattr(limits, "MAX_INLINE_INFLATED_SIZE", 500)


@pytest.fixture
def assembly_job(alice: Person, website: Project) -> Job:
    """The job of a transfer that has been finalized."""
    return assembled(alice)


def assembled(alice: Person, **fields: Any) -> Job:
    told = begun(alice.api, PAYLOAD, CHUNKS, **fields)
    for chunk in CHUNKS:
        put(alice.api, told["uploadId"], chunk)
    answer = finalize(alice.api, told["uploadId"])
    assert answer.status_code == 202, answer.content
    return Job.across_organizations.get(pk=answer.json()["jobId"])


@pytest.fixture
def ledger_job(alice: Person, website: Project) -> Job:
    """The job of an upload that came in one request."""
    edits = [edit(f"{number}.py", diff="+" * 1_000) for number in range(1_500)]
    answer = send_ledger(alice.api, ledger(edits=edits))
    assert answer.status_code == 202, answer.content
    return Job.across_organizations.get(pk=answer.json()["jobId"])


def told(job: Job, problem: dict[str, str]) -> Job:
    """The job with the problem that it ended with."""
    job.error = problem
    return job


# ── What its end and a second try may change ─────────────────────────────────


@pytest.mark.parametrize("state", UploadState)
def test_only_what_waits_fails_and_only_what_failed_waits_again(
    ledger_job: Job, state: UploadState
) -> None:
    rows = Upload.across_organizations
    rows.update(state=state, problem=FIRST if state == UploadState.FAILED else None)
    before = rows.values().get()
    deferred.give_up(told(ledger_job, SECOND))
    after = rows.values().get()
    if state == UploadState.PENDING:
        assert (after["state"], after["problem"]) == (UploadState.FAILED, SECOND)
        assert after["finished_at"] is not None
    else:
        assert after == before
    rows.update(state=state, problem=before["problem"], finished_at=before["finished_at"])
    deferred.retry(ledger_job)
    after = rows.values().get()
    if state == UploadState.FAILED:
        assert (after["state"], after["problem"]) == (UploadState.PENDING, None)
        assert after["finished_at"] is None
    else:
        assert after == before


@pytest.mark.parametrize("state", TransferState)
def test_only_a_transfer_at_work_fails_and_only_a_failed_one_is_at_work_again(
    assembly_job: Job, state: TransferState
) -> None:
    rows = Transfer.across_organizations
    rows.update(state=state, problem=FIRST if state == TransferState.FAILED else None)
    before = rows.values().get()
    assembly.give_up(told(assembly_job, SECOND))
    after = rows.values().get()
    if state == TransferState.ASSEMBLING:
        assert (after["state"], after["problem"]) == (TransferState.FAILED, SECOND)
    else:
        assert after == before
    rows.update(state=state, problem=before["problem"], expires_at=before["expires_at"])
    assembly.retry(assembly_job)
    after = rows.values().get()
    if state == TransferState.FAILED:
        assert (after["state"], after["problem"]) == (TransferState.ASSEMBLING, None)
    else:
        assert after == before


def test_one_whose_chunks_have_gone_stays_failed_and_says_why(assembly_job: Job) -> None:
    error = problem_of(RefusedError("What was wrong."))
    assembly.give_up(told(assembly_job, msgspec.to_builtins(error)))
    TransferChunk.across_organizations.all().delete()
    with pytest.raises(RefusedError, match="What was wrong"):
        assembly.retry(assembly_job)
    assert Transfer.across_organizations.get().state == TransferState.FAILED


@pytest.mark.django_db(transaction=True)
def test_fail_again_fail_again_and_at_last_it_is_taken_in_once(
    alice: Person, assembly_job: Job
) -> None:
    upload_id = assembly_job.payload["transferId"]
    for _ in range(2):
        jobs.cancel(Job.across_organizations.get())
        status = alice.api.send("GET", f"/upload/insight/{upload_id}").json()
        assert status["state"] == "failed"
        assert status["problem"]
        jobs.retry(Job.across_organizations.get())
        status = alice.api.send("GET", f"/upload/insight/{upload_id}").json()
        assert (status["state"], status.get("problem")) == ("pending", None)
    run_job(assembly_job.pk)
    run_job(assembly_job.pk)
    for late in (assembly.give_up, assembly.retry, assembly.give_up):
        with transaction.atomic():
            late(assembly_job)
    assert Transfer.across_organizations.get().state == TransferState.DONE
    assert Upload.across_organizations.count() == Run.across_organizations.count() == 1


def test_a_poison_is_refused_each_time_and_nothing_of_it_is_left(
    alice: Person, website: Project
) -> None:
    poison = assembled(alice, sha256="0" * 64)
    sound = assembled(alice, fileName="another.json")
    for _ in range(3):
        run_job(poison.pk)
        found = Job.across_organizations.get(pk=poison.pk)
        assert found.state == State.FAILED
        assert found.error["code"] == "digest_mismatch"
        transfer = Transfer.across_organizations.get(pk=poison.payload["transferId"])
        assert transfer.state == TransferState.FAILED
        assert transfer.problem["code"] == "digest_mismatch"
        assert not Upload.across_organizations.filter(pk=transfer.pk).exists()
        jobs.retry(found)
    run_job(sound.pk)
    assert Run.across_organizations.count() == 1
    assert str(Upload.across_organizations.get().pk) == sound.payload["transferId"]


# ── A worker that has lost its job ───────────────────────────────────────────


def taken(job: Job) -> Claim:
    held = claim(job.pk)
    assert held is not None
    return held


def given_to_another(job: Job) -> None:
    """The relay gave it back after a lease without a sign, and another worker has it."""
    Job.across_organizations.filter(pk=job.pk).update(fence=F("fence") + 1)


def test_a_worker_that_loses_its_job_at_the_end_takes_no_transfer_in(
    assembly_job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All chunks were read and checked while it still had the job."""
    held, locked = taken(assembly_job), assembly._locked

    def locked_at_last(pk: UUID) -> Transfer:
        given_to_another(assembly_job)
        return locked(pk)

    monkeypatch.setattr(assembly, "_locked", locked_at_last)
    with pytest.raises(LeaseLostError):
        assembly.run_assembly(held)
    assert Transfer.across_organizations.get().state == TransferState.ASSEMBLING
    assert TransferChunk.across_organizations.count() == len(CHUNKS)
    assert not Upload.across_organizations.exists()
    assert not Run.across_organizations.exists()


def test_a_worker_that_loses_its_job_at_the_end_fails_no_transfer(
    alice: Person, website: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = assembled(alice, sha256="0" * 64)
    held, fail = taken(job), assembly._fail

    def fail_at_last(pk: UUID, problem: dict[str, object]) -> None:
        given_to_another(job)
        fail(pk, problem)

    monkeypatch.setattr(assembly, "_fail", fail_at_last)
    with pytest.raises(LeaseLostError):
        assembly.run_assembly(held)
    transfer = Transfer.across_organizations.get()
    assert (transfer.state, transfer.problem) == (TransferState.ASSEMBLING, None)


def test_a_worker_that_has_lost_its_job_takes_no_upload_in(ledger_job: Job) -> None:
    held = taken(ledger_job)
    given_to_another(ledger_job)
    with pytest.raises(LeaseLostError):
        handler_of(ledger_job)(held)
    assert Upload.across_organizations.get().state == UploadState.PENDING
    assert not Cycle.across_organizations.exists()


def handler_of(job: Job) -> Callable[[Claim], None]:
    known = job_type_named(job.type)
    assert known is not None
    return known.handler


# ── Two at once ──────────────────────────────────────────────────────────────


def at_once(*work: Callable[[], object]) -> list[BaseException | None]:
    """All of ``work`` side by side; what each raised."""
    barrier = threading.Barrier(len(work))
    raised: list[BaseException | None] = [None] * len(work)

    def one(place: int) -> None:
        try:
            barrier.wait(120)
            work[place]()
        except (LeaseLostError, OdavlError, DatabaseError) as error:
            raised[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(place,)) for place in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    return raised


def noted(answers: dict[str, Any], name: str, ask: Callable[[], Any]) -> None:
    answers[name] = ask()


@pytest.mark.django_db(transaction=True)
def test_two_workers_take_one_transfer_in_once(assembly_job: Job) -> None:
    first = taken(assembly_job)
    given_to_another(assembly_job)
    job = Job.across_organizations.select_related("organization").get()
    second = Claim(job=job, fence=job.fence)
    raised = at_once(lambda: assembly.run_assembly(first), lambda: assembly.run_assembly(second))
    assert raised[1] is None
    assert raised[0] is None or isinstance(raised[0], LeaseLostError)
    assert Upload.across_organizations.count() == Run.across_organizations.count() == 1
    assert Transfer.across_organizations.get().state == TransferState.DONE


@pytest.mark.django_db(transaction=True)
def test_two_workers_take_one_upload_in_once(ledger_job: Job) -> None:
    first = taken(ledger_job)
    given_to_another(ledger_job)
    job = Job.across_organizations.select_related("organization").get()
    second = Claim(job=job, fence=job.fence)
    work = handler_of(job)
    raised = at_once(lambda: work(first), lambda: work(second))
    assert raised[1] is None
    assert Upload.across_organizations.get().state == UploadState.COMPLETED
    assert Cycle.across_organizations.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_clients_end_one_transfer_once(
    alice: Person, website: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_INLINE_INFLATED_SIZE", 1_000_000)
    upload = begun(alice.api, PAYLOAD, CHUNKS)["uploadId"]
    for chunk in CHUNKS:
        put(alice.api, upload, chunk)
    answers: list[Any] = []
    ends = [lambda: answers.append(finalize(alice.api, upload))] * 4
    assert at_once(*ends) == [None] * 4
    # One that came while another was at it may have to come again.
    assert {answer.status_code for answer in answers} <= {201, 503}
    answers.append(finalize(alice.api, upload))
    bodies = {answer.content for answer in answers if answer.status_code == 201}
    assert len(bodies) == 1
    assert Upload.across_organizations.count() == Run.across_organizations.count() == 1


@pytest.mark.django_db(transaction=True)
def test_dropped_and_ended_at_once_it_is_one_of_both(
    alice: Person, website: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_INLINE_INFLATED_SIZE", 1_000_000)
    for number in range(4):
        upload = begun(alice.api, PAYLOAD, CHUNKS, fileName=f"{number}.json")["uploadId"]
        for chunk in CHUNKS:
            put(alice.api, upload, chunk)
        answers: dict[str, Any] = {}
        path = f"/upload/insight/{upload}"
        raised = at_once(
            partial(noted, answers, "end", partial(finalize, alice.api, upload)),
            partial(noted, answers, "drop", partial(alice.api.send, "DELETE", path)),
        )
        assert raised == [None, None]
        ended, dropped = answers["end"].status_code, answers["drop"].status_code
        made = Upload.across_organizations.filter(pk=upload).count()
        state = Transfer.across_organizations.get(pk=upload).state
        if dropped == 204:
            assert (made, state) == (0, TransferState.EXPIRED)
            assert ended in (410, 409, 503)
        else:
            assert (ended, dropped, made, state) == (201, 409, 1, TransferState.DONE)
