"""The jobs page: what it shows, what may be done, and nothing for strangers."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import Role
from accounts.services import add_member, create_user
from jobs import services
from jobs.claims import claim
from jobs.models import Job, State
from tests.cast import PASSWORD, Person
from tests.insight.documents import document, finding, send
from tests.pages.test_insight_pages import shown, text_of

pytestmark = pytest.mark.django_db(transaction=True)
JOBS = "/en/acme/sync/jobs/"


def enqueue(person: Person, count: int = 1) -> list[Job]:
    found = {"a.py": [finding(f"n{n}", line=n, message="m" * 300) for n in range(3_000)]}
    for _ in range(count):
        assert send(person.api, document(found)).status_code == 202
    return list(Job.across_organizations.order_by("created_at"))


def press(client: Client, job: Job, action: str, **headers: str) -> str:
    answer = client.post(
        f"{JOBS}{job.pk}/",
        {"action": action, "next": f"{JOBS}?state="},
        follow=True,
        headers=headers,
    )
    assert answer.status_code == 200
    return text_of(answer.content.decode())


def test_a_page_without_jobs_says_so(alice: Person) -> None:
    text = text_of(shown(alice.page(), JOBS))
    assert "Nothing to do" in text
    assert "All jobs 0" in text


def test_a_job_is_shown_with_its_progress_and_its_run(alice: Person) -> None:
    (job,) = enqueue(alice)
    held = claim(job.id)
    assert held is not None
    held.progress(40)
    page = shown(alice.page(), JOBS)
    text = text_of(page)
    assert "Taking in a run" in text
    assert "Website Active" in text
    assert '<progress max="100" value="40"' in page
    assert f'href="/en/acme/runs/{job.payload["runId"]}/"' in page
    assert 'hx-trigger="every 2s"' in page
    held.complete()
    assert 'hx-trigger="every 15s"' in shown(alice.page(), JOBS)


def test_htmx_gets_the_list_alone(alice: Person) -> None:
    enqueue(alice)
    page = shown(alice.page(), JOBS, **{"HX-Request": "true"})
    assert page.lstrip().startswith('<div id="jobs"')
    assert "<html" not in page


def test_buttons_do_what_the_state_allows(alice: Person) -> None:
    (job,) = enqueue(alice)
    client = alice.page()
    for action, told, following in (
        ("pause", "The job is paused.", ["resume", "cancel"]),
        ("resume", "The job goes on.", ["pause", "cancel"]),
        ("cancel", "The job is cancelled.", ["retry"]),
        ("retry", "The job runs again.", ["pause", "cancel"]),
    ):
        assert told in press(client, job, action)
        buttons = re.findall(r'name="action" value="(\w+)"', shown(client, JOBS))
        assert buttons == following
    assert "not possible any more" in press(client, job, "resume")
    assert "The job is paused." in press(client, job, "pause", **{"HX-Request": "true"})


def test_states_and_kinds_are_filtered(alice: Person) -> None:
    first, _ = enqueue(alice, 2)
    services.cancel(first)
    client = alice.page()
    assert shown(client, f"{JOBS}?state=cancelled").count('class="job-progress"') == 1
    assert shown(client, f"{JOBS}?type=insight.ingest").count('class="job-progress"') == 2
    assert "No job matches" in shown(client, f"{JOBS}?state=failed")
    assert shown(client, f"{JOBS}?state=odd&type=odd").count('class="job-progress"') == 2


def test_who_may_only_look_has_no_buttons(alice: Person) -> None:
    (job,) = enqueue(alice)
    viewer = create_user(email="vera@example.com", password=PASSWORD, name="Vera")
    add_member(user=viewer, role=Role.VIEWER, by=alice.membership)
    client = Client()
    client.force_login(viewer)
    assert 'name="action"' not in shown(client, JOBS)
    assert client.post(f"{JOBS}{job.pk}/", {"action": "cancel"}).status_code == 404
    job.refresh_from_db()
    assert job.state == State.WAITING


def test_a_stranger_sees_nothing(alice: Person, charlie: Person) -> None:
    (job,) = enqueue(alice)
    client = charlie.page()
    assert client.get(JOBS).status_code == 404
    assert client.post(f"/en/globex/sync/jobs/{job.pk}/", {"action": "cancel"}).status_code == 404
    assert Client().get(JOBS).status_code == 302
    assert alice.page().post(f"{JOBS}{job.pk}/", {"action": "explode"}).status_code == 404


def test_the_number_of_jobs_costs_no_queries(
    alice: Person, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    enqueue(alice, 4)
    client = alice.page()
    client.get(JOBS)
    with django_assert_max_num_queries(8):
        client.get(JOBS)


def test_it_speaks_arabic(alice: Person) -> None:
    enqueue(alice)
    page = shown(alice.page(), "/ar/acme/sync/jobs/")
    assert "المهام" in page
    assert "إدخال نتائج تشغيل" in page
