"""Lists of one kind of result, for the API and for pages, and the payload of one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.page_access import OrganizationRequest
from accounts.principal import principal_of
from accounts.queries import project_named, projects_of
from frame.documentation import PAGE, Parameter
from frame.listing import page_of
from frame.paging import paginate
from storage.models import StoredObject
from storage.responses import stored_json
from uploads.results.kinds import Kind
from uploads.results.models import Named

RowT = TypeVar("RowT", bound=Named)
StatisticsT = TypeVar("StatisticsT")

PAGE_SIZE = 50
PROJECT = Parameter("project", "Id or slug of the project; without it every one that is seen.")


def parameters(kind: Kind[Any, Any, Any, Any]) -> tuple[Parameter, ...]:
    """What :func:`answer_list` reads of a query."""
    return (*PAGE, PROJECT, *kind.filter.parameters())


def answer_list(
    request: Request,
    kind: Kind[RowT, Any, Any, StatisticsT],
    show: Callable[[RowT], object],
) -> tuple[Response, StatisticsT]:
    """A page of what the query wants, as ``show`` tells of each, and the statistics over all."""
    principal = principal_of(request)
    wanted = kind.filter.read(request.query_params)
    project = project_named(principal, request.query_params.get("project"))
    rows = wanted.apply(kind.seen_by(principal, project))
    statistics = kind.statistics(rows)
    page = paginate(request, rows, order=wanted.order, show=show)
    page.data["statistics"] = statistics
    return page, statistics


def answer_payload(
    request: Request, kind: Kind[Any, Any, Any, Any], row_id: UUID
) -> HttpResponseBase:
    """The document of one row as it was sent."""
    return stored_json(request, kind.one(principal_of(request), row_id).upload.stored)


def list_context(request: OrganizationRequest, kind: Kind[Any, Any, Any, Any]) -> dict[str, Any]:
    """What a page shows of the rows that its address wants, and of the form that narrows them."""
    request.principal.require(f"{kind.room}:read")
    wanted = kind.filter.read(request.GET)
    project = project_named(request.principal, request.GET.get("project"))
    rows = wanted.apply(kind.seen_by(request.principal, project))
    cursor = request.GET.get("cursor", "")
    return {
        "organization": request.organization,
        "section": kind.room,
        "filter": wanted.words,
        "project_chosen": project,
        "is_narrowed": wanted.is_narrowed or project is not None,
        "statistics": kind.statistics(rows),
        "page": page_of(rows, order=wanted.order, cursor=cursor, size=PAGE_SIZE),
        "project_choices": list(projects_of(request.principal).order_by("name", "pk")),
        "sort_choices": [(word, sort.label) for word, sort in kind.filter.sorts.items()],
    }


def row_context(
    request: OrganizationRequest, kind: Kind[RowT, Any, Any, Any], row_id: UUID
) -> tuple[RowT, dict[str, Any]]:
    """One row, and what every page about one shows around its own content."""
    request.principal.require(f"{kind.room}:read")
    row = kind.one(request.principal, row_id)
    return row, {
        "organization": request.organization,
        "section": kind.room,
        kind.page: row,
        "stored": row.upload.stored,
    }


def json_file(
    request: OrganizationRequest, stored: StoredObject, file_name: str
) -> HttpResponseBase:
    """A stored document for a browser to save."""
    response = stored_json(request, stored)
    response["Content-Disposition"] = f'attachment; filename="{file_name}.json"'
    return response
