"""Guardian in the browser: the tests, and one test with its checks and screenshots."""

from __future__ import annotations

import uuid

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from accounts.page_access import OrganizationRequest, member_page
from accounts.queries import project_named, projects_of
from frame.listing import page_of
from guardian import queries
from guardian.filters import OUTCOMES, SORTS, PageTestFilter
from guardian.models import Environment, PageTest
from odavl.wire.guardian import PageCheck
from storage.responses import stored_json, stored_picture

PAGE_SIZE = 50
_SORTS = {
    "-timestamp": gettext_lazy("Newest first"),
    "timestamp": gettext_lazy("Oldest first"),
    "-failed": gettext_lazy("Most failures"),
    "url": gettext_lazy("Page"),
}
assert _SORTS.keys() == SORTS.keys()  # noqa: S101 - a sorting without a name must not start
_OUTCOMES = dict(zip(OUTCOMES, (gettext_lazy("Passed"), gettext_lazy("Failed")), strict=True))
_WORST_FIRST = ("failed", "warning", "passed", "skipped")


@require_safe
@member_page
def tests(request: OrganizationRequest) -> HttpResponse:
    request.principal.require("guardian:read")
    wanted = PageTestFilter.from_query(request.GET)
    project = project_named(request.principal, request.GET.get("project"))
    rows = wanted.apply(queries.page_tests_of(request.principal, project))
    context = {
        "organization": request.organization,
        "section": "guardian",
        "filter": wanted,
        "project_chosen": project,
        "is_narrowed": wanted.is_narrowed or project is not None,
        "statistics": queries.statistics(rows),
        "page": page_of(
            rows,
            order=SORTS[wanted.sort],
            cursor=request.GET.get("cursor", ""),
            size=PAGE_SIZE,
        ),
        "project_choices": list(projects_of(request.principal).order_by("name", "pk")),
        "environment_choices": Environment.choices,
        "outcome_choices": _OUTCOMES.items(),
        "sort_choices": _SORTS.items(),
    }
    return render(request, "guardian/tests.html", context)


@require_safe
@member_page
def test(request: OrganizationRequest, test_id: uuid.UUID) -> HttpResponse:
    request.principal.require("guardian:read")
    found = queries.page_test_of(request.principal, test_id)
    checks = queries.checks_of(found)
    screenshots = queries.screenshots_of_test(found)
    context = {
        "organization": request.organization,
        "section": "guardian",
        "test": found,
        "is_web": found.url.startswith(("https://", "http://")),
        "stored": found.upload.stored,
        "checks": sorted(checks, key=_rank),
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
    request.principal.require("guardian:read")
    found = queries.page_test_of(request.principal, test_id)
    response = stored_json(request, found.upload.stored)
    response["Content-Disposition"] = f'attachment; filename="test-{found.pk}.json"'
    return response


@require_safe
@member_page
def report(request: OrganizationRequest, test_id: uuid.UUID, report_type: str) -> HttpResponseBase:
    """Another tool's report as it was sent."""
    request.principal.require("guardian:read")
    found = queries.report_of(queries.page_test_of(request.principal, test_id), report_type)
    response = stored_json(request, found.upload.stored)
    response["Content-Disposition"] = f'attachment; filename="{found.type}-{test_id}.json"'
    return response


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
