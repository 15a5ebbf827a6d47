"""``/api/v1/insight``: parse, one call, render."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Project
from accounts.principal import Principal, principal_of
from accounts.queries import project_of
from frame.documentation import PAGE, Parameter, documented
from frame.paging import bad_parameter, encode_cursor, paginate
from insight import queries
from insight import rendering as show
from insight.filters import SORTS, STATES, IssueFilter
from insight.models import Issue, Run, Stream
from odavl.wire import insight as wire
from odavl.wire import limits
from odavl.wire.analysis import SEVERITIES
from storage.responses import stored_json

_READ: dict[str, str] = {"GET": "insight:read"}
_BY_SEVERITY = SORTS["severity"]
_PROJECT = Parameter(
    "project", "Id or slug of the project; needed unless the key or `X-Project-Id` names one."
)
_BRANCH = Parameter("branch", "The branch; without it the project's default branch.")
_FILTERS: tuple[Parameter, ...] = (
    Parameter(
        "severity",
        "Only these severities; may be repeated.",
        {"type": "array", "items": {"type": "string", "enum": list(SEVERITIES)}},
    ),
    Parameter("detector", "Only these detectors.", {"type": "array", "items": {"type": "string"}}),
    Parameter("rule", "Only these rules.", {"type": "array", "items": {"type": "string"}}),
    Parameter("path", "A file, a folder ending in `/`, or a pattern with `*`."),
    Parameter(
        "state",
        "The state.",
        {"type": "string", "enum": list(STATES), "default": "open"},
    ),
    Parameter("new", "Only those that the latest run introduced.", {"type": "boolean"}),
    Parameter("text", "Only those with this text in message, rule or path."),
    Parameter(
        "sort",
        "The order.",
        {"type": "string", "enum": list(SORTS), "default": "severity"},
    ),
)


class RunsView(APIView):
    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented(
        "List runs, latest first",
        responses={200: wire.RunPage},
        parameters=(*PAGE, _PROJECT, _BRANCH),
    )
    def get(self, request: Request) -> Response:
        runs = _runs(principal_of(request))
        if (project := _project(request)) is not None:
            runs = runs.filter(stream__project=project)
        if branch := request.query_params.get("branch"):
            runs = runs.filter(stream__branch=branch)
        return paginate(request, runs, order=("-created_at", "-id"), show=show.run_summary)


class RunView(APIView):
    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented("Show one run", responses={200: wire.RunDetail})
    def get(self, request: Request, run_id: UUID) -> Response:
        return Response(show.run_detail(queries.run_of(principal_of(request), run_id)))


class RunPayloadView(APIView):
    """The document as it was sent, gzip-compressed."""

    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented("Download the document of a run", responses={200: dict})
    def get(self, request: Request, run_id: UUID) -> HttpResponseBase:
        run = queries.run_of(principal_of(request), run_id)
        return stored_json(request, run.upload.stored)


class RunIssuesView(APIView):
    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented(
        "List the issues that were there at a run",
        responses={200: wire.IssuePage},
        parameters=PAGE,
    )
    def get(self, request: Request, run_id: UUID) -> Response:
        run = queries.run_of(principal_of(request), run_id)
        issues = queries.issues_in(run)
        count = partial(queries.count_in, run)
        return _issue_page(request, run.stream, issues, _BY_SEVERITY, count=count)


class RunDiffView(APIView):
    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented(
        "Compare two runs of a project",
        responses={200: wire.RunDiff},
        parameters=(
            Parameter("against", "Id of the run to compare with; without it the one before."),
            PAGE[0],
            Parameter("part", "Go on in `new` or `fixed` only, with `cursor`."),
            PAGE[1],
        ),
    )
    def get(self, request: Request, run_id: UUID) -> Response:
        principal = principal_of(request)
        run = queries.run_of(principal, run_id)
        base = _base(principal, run, request.query_params.get("against"))
        found = queries.diff(run, base) if base else queries.diff_to_deleted(run)
        if found is None:
            diff_new, diff_fixed = queries.issues_in(run), queries.issues_in(run).none()
        else:
            diff_new, diff_fixed = found.new, found.fixed
        part = request.query_params.get("part")
        if part is not None:
            if part not in ("new", "fixed"):
                raise bad_parameter("part", "must be new or fixed")
            wanted, stream = (diff_new, run.stream)
            if part == "fixed":
                wanted, stream = (diff_fixed, base.stream if base else run.stream)
            return _issue_page(request, stream, wanted, _BY_SEVERITY)
        return Response(
            wire.RunDiff(
                run=str(run.pk),
                against=str(base.pk) if base else None,
                new=_diff_part(
                    run.stream, diff_new, found.new_count if found else queries.count_in(run)
                ),
                fixed=_diff_part(
                    base.stream if base else run.stream,
                    diff_fixed,
                    found.fixed_count if found else 0,
                ),
                unchanged=wire.DiffCount(count=found.unchanged_count if found else 0),
            )
        )


class IssuesView(APIView):
    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented(
        "List the issues of a branch",
        responses={200: wire.IssuePage},
        parameters=(*PAGE, _PROJECT, _BRANCH, *_FILTERS),
    )
    def get(self, request: Request) -> Response:
        wanted = IssueFilter.from_query(request.query_params)
        project = _project(request)
        if project is None:
            raise bad_parameter("project", "is needed: the id or slug of a project")
        stream = queries.stream_of(project, request.query_params.get("branch"))
        if stream is None:
            return Response(wire.IssuePage(items=[], total=0))
        stream.project = project
        issues = queries.issues_of(stream, wanted)
        return _issue_page(request, stream, issues, SORTS[wanted.sort], searched=bool(wanted.text))


class IssueView(APIView):
    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented("Show one issue and its life", responses={200: wire.IssueDetail})
    def get(self, request: Request, issue_id: int) -> Response:
        issue = queries.issue_of(principal_of(request), issue_id)
        return Response(show.issue_detail(issue, queries.intervals_of(issue)))


class IssueRunsView(APIView):
    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented(
        "List the runs an issue lived through, latest first",
        responses={200: wire.RunPage},
        parameters=PAGE,
    )
    def get(self, request: Request, issue_id: int) -> Response:
        runs = queries.runs_with(queries.issue_of(principal_of(request), issue_id))
        return paginate(
            request,
            runs.select_related("stream__project__organization"),
            order=("-sequence",),
            show=show.run_summary,
            count=True,
        )


def _project(request: Request) -> Project | None:
    """The project that the request is about, where it names one or may see only one."""
    principal = principal_of(request)
    if name := request.query_params.get("project"):
        return project_of(principal, name)
    return principal.project


def _runs(principal: Principal) -> QuerySet[Run]:
    runs = queries.runs_of(principal.organization)
    return runs.filter(stream__project=principal.project) if principal.project else runs


def _base(principal: Principal, run: Run, against: str | None) -> Run | None:
    if against is None:
        return queries.previous_run(run)
    try:
        return queries.run_of(principal, UUID(against))
    except ValueError as error:
        raise bad_parameter("against", "must be the id of a run") from error


def _issue_page(
    request: Request,
    stream: Stream,
    issues: QuerySet[Issue],
    order: tuple[str, ...],
    *,
    searched: bool = False,
    count: Callable[[], int] | None = None,
) -> Response:
    """One page of a stream's issues; its ``total`` where that costs less than the page itself.

    On the first page only, as a reader who goes on has seen it, and not for a text that many
    messages hold, which would be looked for in all the others as well.
    """
    rows = _listed(issues)
    response = paginate(request, rows, order=order, show=partial(_shown, stream))
    if {"cursor", "offset"} & request.query_params.keys():
        return response
    if "next" not in response.data:
        response.data["total"] = len(response.data["items"])
    elif not searched:
        total = count() if count else queries.bounded_count(issues)
        if total <= queries.COUNT_LIMIT:
            response.data["total"] = total
    return response


def _diff_part(stream: Stream, issues: QuerySet[Issue], count: int) -> wire.DiffPart:
    rows = _listed(issues).order_by(*_BY_SEVERITY)
    found = list(rows[: limits.DEFAULT_PAGE_SIZE + 1])
    shown = found[: limits.DEFAULT_PAGE_SIZE]
    following = None
    if len(found) > len(shown):
        following = encode_cursor([shown[-1].severity, shown[-1].pk])
    return wire.DiffPart(
        count=count,
        items=[_shown(stream, issue) for issue in shown],
        next=following,
    )


def _listed(issues: QuerySet[Issue]) -> QuerySet[Issue]:
    """Without what a list does not tell: sorting a hundred thousand rows, every byte counts."""
    return issues.defer("snippet", "fix", "url")


def _shown(stream: Stream, issue: Issue) -> wire.IssueSummary:
    # All of a list are of one stream, which is here already: no join for each row.
    issue.stream = stream
    return show.issue_summary(issue)
