"""The end of a job that took an upload in, told again or too late, changes nothing."""

from __future__ import annotations

from accounts.models import Project
from jobs.execution import run as run_job
from jobs.models import Job
from tests.autopilot.ledgers import edit, ledger, send
from tests.cast import Person
from uploads import deferred
from uploads.models import Upload, UploadState


def accepted(alice: Person) -> Job:
    """The job of an upload that is too large for its request."""
    edits = [edit(f"{number}.py", diff="+" * 1_000) for number in range(1_500)]
    answer = send(alice.api, ledger(edits=edits))
    assert answer.status_code == 202, answer.content
    return Job.across_organizations.get(pk=answer.json()["jobId"])


def test_an_upload_that_was_taken_in_is_not_failed_by_a_late_end(
    alice: Person, website: Project
) -> None:
    job = accepted(alice)
    run_job(job.pk)
    done = Upload.across_organizations.values().get()
    assert done["state"] == UploadState.COMPLETED
    deferred.give_up(job)
    deferred.retry(job)
    assert Upload.across_organizations.values().get() == done


def test_a_failed_one_may_be_taken_up_again(alice: Person, website: Project) -> None:
    job = accepted(alice)
    deferred.give_up(job)
    failed = Upload.across_organizations.get()
    assert (failed.state, bool(failed.problem)) == (UploadState.FAILED, True)
    deferred.retry(job)
    again = Upload.across_organizations.get()
    assert (again.state, again.problem) == (UploadState.PENDING, None)
