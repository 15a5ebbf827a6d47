"""Guardian in the browser: the tests, and one test with its checks and screenshots."""

from __future__ import annotations

import uuid

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from accounts.page_access import OrganizationRequest, member_page
from guardian import queries
from guardian.models import Environment, PageTest
from guardian.page_tests import PAGE_TESTS
from odavl.wire.guardian import PageCheck
from storage.responses import stored_picture
from uploads.results.lists import json_file, list_context, row_context

_OUTCOMES = {"passed": gettext_lazy("Passed"), "failed": gettext_lazy("Failed")}
_WORST_FIRST = ("failed", "warning", "passed", "skipped")


@require_safe
@member_page
def tests(request: OrganizationRequest) -> HttpResponse:
    context = list_context(request, PAGE_TESTS) | {
        "environment_choices": Environment.choices,
        "outcome_choices": _OUTCOMES.items(),
    }
    return render(request, "guardian/tests.html", context)


@require_safe
@member_page
def test(request: OrganizationRequest, test_id: uuid.UUID) -> HttpResponse:
    found, context = row_context(request, PAGE_TESTS, test_id)
    screenshots = queries.screenshots_of_test(found)
    context |= {
        "is_web": found.url.startswith(("https://", "http://")),
        "checks": sorted(PAGE_TESTS.items_of(found), key=_rank),
        "measures": [each for each in _measures(found) if each[1] is not None],
        "screenshots": screenshots,
        "missing": queries.missing_screenshots(found, screenshots),
        "reports": queries.reports_of_test(found),
    }
    return render(request, "guardian/test.html", context)


@require_safe
@member_page
def payload(request: OrganizationRequest, test_id: uuid.UUID) -> HttpResponseBase:
    """The results as they were sent."""
    found, _context = row_context(request, PAGE_TESTS, test_id)
    return json_file(request, found.upload.stored, f"test-{found.pk}")


@require_safe
@member_page
def report(request: OrganizationRequest, test_id: uuid.UUID, report_type: str) -> HttpResponseBase:
    """Another tool's report as it was sent."""
    found, _context = row_context(request, PAGE_TESTS, test_id)
    sent = queries.report_of(found, report_type)
    return json_file(request, sent.upload.stored, f"{sent.type}-{test_id}")


@require_safe
@member_page
def screenshot(request: OrganizationRequest, screenshot_id: uuid.UUID) -> HttpResponseBase:
    """The picture itself, for whoever may see the test."""
    request.principal.require("guardian:read")
    found = queries.screenshot_of(request.principal, screenshot_id)
    return stored_picture(
        found.upload.stored, content_type=found.content_type, file_name=found.name
    )


def _rank(check: PageCheck) -> int:
    return _WORST_FIRST.index(check.status)


def _measures(found: PageTest) -> list[tuple[object, float | None]]:
    """What a browser measured in milliseconds, in the order in which it happens."""
    return [
        (gettext_lazy("First byte"), found.ttfb),
        (gettext_lazy("First content painted"), found.fcp),
        (gettext_lazy("Largest content painted"), found.lcp),
        (gettext_lazy("Time blocked"), found.tbt),
        (gettext_lazy("Loaded"), found.load_time),
    ]
