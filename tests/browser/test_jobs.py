"""The jobs page in a real browser: it moves by itself, works by keyboard, and has no fault."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from jobs import services
from jobs.claims import claim
from jobs.models import Job
from tests.browser.conftest import Site
from tests.browser.test_walk import DESKTOP, PHONE, faults_of
from tests.cast import Person
from tests.insight.documents import document, finding, send

pytestmark = pytest.mark.browser


@pytest.fixture
def jobs(site: Site, alice: Person) -> list[Job]:
    """Waiting, active, failed and cancelled."""
    found = {"a.py": [finding(f"n{n}", line=n, message="m" * 300) for n in range(3_000)]}
    for _ in range(4):
        assert send(alice.api, document(found)).status_code == 202
    made = list(Job.across_organizations.order_by("created_at"))
    active, failed = claim(made[1].id), claim(made[2].id)
    assert active is not None
    assert failed is not None
    active.progress(40)
    problem = {"detail": "It took longer than 0:30:00.", "title": "", "code": "request_timeout"}
    failed.fail(problem, retry_after=None)
    services.cancel(made[3])
    return made


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_page_has_no_fault(site: Site, jobs: list[Job], language, scheme):
    page = site.visit(color_scheme=scheme, reduced_motion="reduce")
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)
        for query in ("", "?state=completed"):
            page.goto(f"/{language}/acme/sync/jobs/{query}")
            page.evaluate("document.fonts.ready")
            if folder := os.environ.get("ODAVL_SCREENSHOTS"):
                name = f"jobs-{language}-{scheme}-{size['width']}{query[1:]}.png"
                page.screenshot(path=Path(folder) / name, full_page=True)
            assert faults_of(page) == []


def test_progress_and_numbers_move_by_themselves(site: Site, jobs: list[Job]):
    page = site.visit(viewport=DESKTOP)
    page.goto("/en/acme/sync/jobs/")
    progress = page.locator(f"tr:has(#job-{jobs[1].pk}) progress")
    expect(progress).to_have_js_property("value", 40)
    Job.across_organizations.filter(id=jobs[1].pk).update(progress=70)
    expect(progress).to_have_js_property("value", 70)
    Job.across_organizations.filter(id=jobs[1].pk).update(progress=100, state="completed")
    expect(page.locator(f"tr:has(#job-{jobs[1].pk})")).to_contain_text("Completed")


def test_a_job_is_paused_and_resumed_by_keyboard(site: Site, jobs: list[Job]):
    page = site.visit(viewport=DESKTOP)
    page.goto("/en/acme/sync/jobs/")
    page.locator(f"#job-{jobs[0].pk}-pause").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".toast-note")).to_contain_text("The job is paused.")
    row = page.locator(f"tr:has(#job-{jobs[0].pk})")
    expect(row).to_contain_text("Paused")
    # The list is swapped every two seconds; who stands on a button stays there.
    resume = page.locator(f"#job-{jobs[0].pk}-resume")
    resume.focus()
    with page.expect_response(lambda answer: "/sync/jobs/" in answer.url):
        pass
    expect(resume).to_be_focused()
    page.keyboard.press("Enter")
    expect(row).to_contain_text("Waiting")


def test_a_filter_changes_list_and_address(site: Site, jobs: list[Job]):
    page = site.visit(viewport=DESKTOP)
    page.goto("/en/acme/sync/jobs/")
    page.get_by_label("State").select_option("failed")
    expect(page.locator(".jobs-table tbody tr")).to_have_count(1)
    assert "state=failed" in page.url
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_text("No job matches")).to_be_visible()
