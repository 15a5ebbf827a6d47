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
from guardian.filters import OUTCOMES, SORTS, PageTestFilter
from guardian.models import ReportType
from odavl.wire import guardian as wire
from odavl.wire import limits
from storage.responses import stored_json, stored_picture

_READ: dict[str, str] = {"GET": "guardian:read"}
_PROJECT = Parameter("project", "Id or slug of the project; without it every one that is seen.")
_TIME = {"type": "string", "format": "date-time"}
_FILTERS: tuple[Parameter, ...] = (
    Parameter(
        "environment",
        "Only tests of this environment.",
        {"type": "string", "enum": list(wire.ENVIRONMENTS)},
    ),
    Parameter(
        "outcome",
        "Only tests in which a check failed, or none did.",
        {"type": "string", "enum": list(OUTCOMES)},
    ),
    Parameter("url", "Only tests of pages whose address begins so."),
    Parameter("testRunId", "Only the test that the client named so."),
    Parameter("since", "Only tests of then or later.", _TIME),
    Parameter("until", "Only tests of before.", _TIME),
    Parameter(
        "sort", "The order.", {"type": "string", "enum": list(SORTS), "default": "-timestamp"}
    ),
)
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
        parameters=(*PAGE, _PROJECT, *_FILTERS),
    )
    def get(self, request: Request) -> Response:
        principal = principal_of(request)
        wanted = PageTestFilter.from_query(request.query_params)
        project = project_named(principal, request.query_params.get("project"))
        rows = wanted.apply(queries.page_tests_of(principal, project))
        found = queries.statistics(rows)
        page = paginate(request, rows, order=SORTS[wanted.sort], show=show.page_test_summary)
        page.data["total"] = found.tests
        page.data["statistics"] = show.statistics(found)
        return page


class TestView(APIView):
    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented(
        "Show one test, its checks, screenshots and reports", responses={200: wire.PageTestDetail}
    )
    def get(self, request: Request, test_id: UUID) -> Response:
        test = queries.page_test_of(principal_of(request), test_id)
        detail = show.page_test_detail(
            test,
            checks=queries.checks_of(test),
            screenshots=queries.screenshots_of_test(test),
            reports=queries.reports_of_test(test),
        )
        return Response(detail)


class TestPayloadView(APIView):
    """The results as they were sent, gzip-compressed."""

    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented("Download the results of a test", responses={200: dict})
    def get(self, request: Request, test_id: UUID) -> HttpResponseBase:
        test = queries.page_test_of(principal_of(request), test_id)
        return stored_json(request, test.upload.stored)


class ReportView(APIView):
    """The report as it was sent, gzip-compressed."""

    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented("Download a report of a test", responses={200: dict}, parameters=(_REPORT_TYPE,))
    def get(self, request: Request, test_id: UUID, report_type: str) -> HttpResponseBase:
        test = queries.page_test_of(principal_of(request), test_id)
        return stored_json(request, queries.report_of(test, report_type).upload.stored)


class ScreenshotsView(APIView):
    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented(
        "List screenshots, latest first",
        responses={200: wire.ScreenshotPage},
        parameters=(
            *PAGE,
            _PROJECT,
            Parameter("testRunId", "Only those of the test that the client named so."),
        ),
    )
    def get(self, request: Request) -> Response:
        principal = principal_of(request)
        project = project_named(principal, request.query_params.get("project"))
        rows = queries.screenshots_of(principal, project)
        if named := request.query_params.get("testRunId"):
            rows = rows.filter(test_run_id=named[: limits.MAX_RUN_ID_LENGTH])
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
