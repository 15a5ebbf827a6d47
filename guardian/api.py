"""``/api/v1/guardian``: parse, one call, render."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.principal import principal_of
from accounts.queries import project_named
from frame.documentation import PAGE, Parameter, documented
from frame.paging import paginate
from guardian import queries
from guardian import rendering as show
from guardian.models import ReportType, Screenshot
from guardian.page_tests import PAGE_TESTS
from odavl.wire import guardian as wire
from storage.responses import stored_json, stored_picture
from uploads.results.filters import text
from uploads.results.kinds import seen_by
from uploads.results.lists import PROJECT, answer_list, answer_payload, parameters

_READ: dict[str, str] = {"GET": "guardian:read"}
_OF_TEST = text("testRunId", "Only those of the test that the client named so.", "test_run_id")
_REPORT_TYPE = Parameter(
    "report_type",
    "The type it was uploaded as.",
    {"type": "string", "enum": list(ReportType.values)},
    location="path",
)


class TestsView(APIView):
    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented(
        "List tests, latest first, with statistics",
        responses={200: wire.PageTestPage},
        parameters=parameters(PAGE_TESTS),
    )
    def get(self, request: Request) -> Response:
        page, found = answer_list(request, PAGE_TESTS, show.page_test_summary)
        page.data["total"] = found.tests
        return page


class TestView(APIView):
    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented(
        "Show one test, its checks, screenshots and reports", responses={200: wire.PageTestDetail}
    )
    def get(self, request: Request, test_id: UUID) -> Response:
        test = PAGE_TESTS.one(principal_of(request), test_id)
        detail = show.page_test_detail(
            test,
            checks=PAGE_TESTS.items_of(test),
            screenshots=queries.screenshots_of_test(test),
            reports=queries.reports_of_test(test),
        )
        return Response(detail)


class TestPayloadView(APIView):
    """The results as they were sent, gzip-compressed."""

    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented("Download the results of a test", responses={200: dict})
    def get(self, request: Request, test_id: UUID) -> HttpResponseBase:
        return answer_payload(request, PAGE_TESTS, test_id)


class ReportView(APIView):
    """The report as it was sent, gzip-compressed."""

    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented("Download a report of a test", responses={200: dict}, parameters=(_REPORT_TYPE,))
    def get(self, request: Request, test_id: UUID, report_type: str) -> HttpResponseBase:
        test = PAGE_TESTS.one(principal_of(request), test_id)
        return stored_json(request, queries.report_of(test, report_type).upload.stored)


class ScreenshotsView(APIView):
    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented(
        "List screenshots, latest first",
        responses={200: wire.ScreenshotPage},
        parameters=(
            *PAGE,
            PROJECT,
            _OF_TEST.parameter(),
        ),
    )
    def get(self, request: Request) -> Response:
        principal = principal_of(request)
        project = project_named(principal, request.query_params.get("project"))
        rows = seen_by(Screenshot, principal, project)
        rows = rows.filter(_OF_TEST.condition(request.query_params))
        return paginate(
            request, rows, order=("-created_at", "-id"), show=show.screenshot_item, count=True
        )


class ScreenshotContentView(APIView):
    """The picture itself."""

    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented("Download a screenshot", responses={200: None})
    def get(self, request: Request, screenshot_id: UUID) -> HttpResponseBase:
        found = queries.screenshot_of(principal_of(request), screenshot_id)
        return stored_picture(
            found.upload.stored, content_type=found.content_type, file_name=found.name
        )
