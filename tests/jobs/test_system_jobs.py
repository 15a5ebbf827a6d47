"""The hub's own jobs: no organization sees or changes them, operators see them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from accounts.exports import tables
from jobs import queries, registry, relay, services
from jobs.models import Job, Queue, State
from odavl.wire.errors import NotFound
from tests.cast import Person

pytestmark = pytest.mark.django_db


@pytest.fixture
def system_job() -> Iterator[Job]:
    registry.register_periodic(
        "test.tidy", lambda: None, every=timedelta(hours=1), label="Tidying up"
    )
    job = services.enqueue(organization=None, job_type="test.tidy", payload={})
    yield job
    registry.unregister("test.tidy")


def test_it_is_in_no_list_and_no_statistics(alice: Person, system_job: Job) -> None:
    found = alice.api.send("GET", "/sync/jobs").json()
    assert (found["items"], found["total"], found["statistics"]["byState"]) == ([], 0, {})
    page = alice.page().get(f"/en/{alice.organization.slug}/sync/jobs/")
    assert page.status_code == 200
    assert str(system_job.pk) not in page.content.decode()
    assert "Tidying up" not in page.content.decode()


def test_it_is_as_one_that_never_was(alice: Person, system_job: Job) -> None:
    for path in (f"/jobs/{system_job.pk}", f"/jobs/{system_job.pk}/events"):
        assert alice.api.send("GET", path).status_code == 404
    with pytest.raises(NotFound):
        queries.job(alice.organization, system_job.pk)


@pytest.mark.parametrize("action", ["cancel", "pause", "resume", "retry"])
def test_nobody_changes_it(alice: Person, system_job: Job, action: str) -> None:
    answer = alice.api.send("POST", "/sync/jobs", {"action": action, "jobId": str(system_job.pk)})
    assert answer.status_code == 404
    address = f"/en/{alice.organization.slug}/sync/jobs/{system_job.pk}/"
    assert alice.page().post(address, {"action": action}).status_code == 404
    system_job.refresh_from_db()
    assert system_job.state == State.WAITING


def test_nobody_clears_it(alice: Person, system_job: Job) -> None:
    Job.across_organizations.filter(pk=system_job.pk).update(
        state=State.COMPLETED, finished_at=Now() - timedelta(days=1)
    )
    assert alice.api.send("DELETE", "/sync/jobs?daysToKeep=0").json() == {"deleted": 0}


def test_it_is_in_no_export(alice: Person, system_job: Job) -> None:
    (table,) = (each for each in tables(of_project=False) if each.name == "jobs")
    assert list(table.rows(alice.organization, None)) == []


def test_operators_see_it_by_its_name_and_change_nothing(alice: Person, system_job: Job) -> None:
    own = services.enqueue(organization=alice.organization, job_type="test.tidy", payload={})
    relay.dispatch_if_due(registry.PeriodicTask("test.tidy", timedelta(hours=1)))
    assert alice.page().get("/en/operate/jobs/job/").status_code == 302
    alice.user.is_staff = alice.user.is_superuser = True
    alice.user.save()
    page = alice.page()
    listed = page.get("/en/operate/jobs/job/").content.decode()
    assert "Tidying up" in listed
    assert str(own.pk) not in listed
    shown = page.get(f"/en/operate/jobs/job/{system_job.pk}/change/")
    assert shown.status_code == 200
    assert b'name="_save"' not in shown.content
    assert "Tidying up" in page.get("/en/operate/jobs/periodicrun/").content.decode()


def test_it_has_a_queue_of_its_own(system_job: Job) -> None:
    """So a flood of bulk work does not delay it."""
    assert system_job.queue == Queue.SYSTEM
    with pytest.raises(LookupError):
        _ = system_job.owner
