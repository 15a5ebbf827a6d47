"""One entry makes a type of job: a worker does it, and people see its name, its page, its turn."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation

from jobs import execution, registry, services
from jobs.models import Job, Priority, Queue, State
from tests.cast import Person
from tests.jobs.test_workers import run_worker, wait_for
from tests.registries import weather
from tests.registries.test_payload_types import PROGRAM

pytestmark = pytest.mark.django_db(transaction=True)
JOBS = "/en/acme/sync/jobs/"


def enqueue(person: Person, **fields: object) -> Job:
    return services.enqueue(
        organization=person.organization, job_type=weather.FORECAST_JOB, payload=fields
    )


def test_a_job_has_queue_time_and_priority_of_its_type(alice: Person, room: None) -> None:
    job = enqueue(alice)
    assert (job.queue, job.priority, job.timeout.total_seconds()) == (
        Queue.BULK, Priority.HIGH, 120,
    )  # fmt: skip
    hurried = services.enqueue(
        organization=alice.organization,
        job_type=weather.FORECAST_JOB,
        payload={},
        priority=Priority.LOW,
    )
    assert hurried.priority == Priority.LOW
    told = alice.api.send("GET", f"/jobs/{job.pk}").json()
    assert told["priority"] == "high"


@pytest.mark.end_to_end
def test_a_worker_does_it(alice: Person, room: None, tmp_path: Path, empty_queue: None) -> None:
    job = enqueue(alice)
    for _ in run_worker(tmp_path, settings.CELERY_BROKER_URL, program=PROGRAM):
        wait_for(job, lambda job: job.state == State.COMPLETED)
    assert job.attempts == 1


def test_the_page_of_jobs_has_its_name_and_leads_to_its_outcome(alice: Person, room: None) -> None:
    job = enqueue(alice)
    assert execution.run(job.pk)
    assert weather.foretold == [job.pk]
    page = alice.page().get(JOBS).content.decode()
    assert f'href="/en/acme/weather/?job={job.pk}">Foretelling</a>' in page
    arabic = alice.page().get("/ar/acme/sync/jobs/").content.decode()
    assert f'href="/ar/acme/weather/?job={job.pk}"' in arabic


def test_a_job_whose_room_has_gone_is_shown_by_its_type(alice: Person) -> None:
    with weather.registered():
        enqueue(alice)
    page = alice.page().get(JOBS).content.decode()
    assert "<bdi>weather.forecast</bdi>" in page
    assert "Foretelling" not in page


def test_what_people_see_has_a_name_in_every_language() -> None:
    shown = [each for each in registry.job_types() if each.area is not None]
    assert {each.name for each in shown} >= {"insight.ingest", "teams.export", "uploads.assemble"}
    for each in (*shown, *registry.periodic_tasks()):
        for language, _ in settings.LANGUAGES:
            with translation.override(language):
                assert str(each.label) != each.name, f"{each.name} has no name"
    for each in shown:
        with translation.override("en"):
            english = str(each.label)
        with translation.override("ar"):
            assert str(each.label) != english, f"{each.name} is not translated"
