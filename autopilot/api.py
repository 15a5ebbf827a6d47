"""``/api/v1/autopilot``: parse, one call, render."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Project
from accounts.principal import principal_of
from accounts.queries import project_named
from autopilot import queries
from autopilot import rendering as show
from autopilot.cycles import CYCLES
from autopilot.models import DocumentType
from frame.documentation import PAGE, Parameter, documented
from frame.paging import bad_parameter, one_of, paginate
from odavl.wire import autopilot as wire
from storage.responses import stored_json
from uploads.results.lists import PROJECT, answer_list, answer_payload, parameters

_READ: dict[str, str] = {"GET": "autopilot:read"}
_ONE_PROJECT = Parameter(
    "project", "Id or slug of the project; needed unless the key or `X-Project-Id` names one."
)
_TRUST_SORTS: dict[str, tuple[str, ...]] = {
    "-trust": ("-trust", "id"),
    "trust": ("trust", "id"),
    "recipe": ("recipe", "id"),
    "-runs": ("-runs", "id"),
}


class RunsView(APIView):
    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented(
        "List runs, latest first, with statistics",
        responses={200: wire.CyclePage},
        parameters=parameters(CYCLES),
    )
    def get(self, request: Request) -> Response:
        page, found = answer_list(request, CYCLES, show.cycle_summary)
        page.data["total"] = found.runs
        return page


class RunView(APIView):
    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented("Show one run and its edits", responses={200: wire.CycleDetail})
    def get(self, request: Request, cycle_id: UUID) -> Response:
        cycle = CYCLES.one(principal_of(request), cycle_id)
        return Response(show.cycle_detail(cycle, CYCLES.items_of(cycle)))


class RunPayloadView(APIView):
    """The ledger as it was sent, gzip-compressed."""

    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented("Download the ledger of a run", responses={200: dict})
    def get(self, request: Request, cycle_id: UUID) -> HttpResponseBase:
        return answer_payload(request, CYCLES, cycle_id)


class TrustView(APIView):
    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented(
        "List the trust in each recipe, most trusted first",
        responses={200: wire.TrustPage},
        parameters=(
            *PAGE,
            PROJECT,
            Parameter(
                "sort",
                "The order.",
                {"type": "string", "enum": list(_TRUST_SORTS), "default": "-trust"},
            ),
        ),
    )
    def get(self, request: Request) -> Response:
        principal = principal_of(request)
        project = project_named(principal, request.query_params.get("project"))
        sort = one_of(request.query_params, "sort", _TRUST_SORTS) or "-trust"
        return paginate(
            request,
            queries.trust_of(principal, project),
            order=_TRUST_SORTS[sort],
            show=show.trust_item,
            count=True,
        )


class DocumentsView(APIView):
    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented(
        "List the latest undo snapshot, recipe trust and run history of a project",
        responses={200: wire.KeptDocuments},
        parameters=(_ONE_PROJECT,),
    )
    def get(self, request: Request) -> Response:
        found = queries.latest_documents(_project(request))
        return Response(wire.KeptDocuments(items=[show.kept_document(each) for each in found]))


class DocumentView(APIView):
    """The document as it was sent, gzip-compressed."""

    required_scopes: ClassVar[dict[str, str]] = _READ

    @documented(
        "Download the latest document of a type",
        responses={200: dict},
        parameters=(
            Parameter(
                "document_type",
                "The type it was uploaded as.",
                {"type": "string", "enum": list(DocumentType.values)},
                location="path",
            ),
            _ONE_PROJECT,
        ),
    )
    def get(self, request: Request, document_type: str) -> HttpResponseBase:
        found = queries.latest_document(_project(request), document_type)
        return stored_json(request, found.upload.stored)


def _project(request: Request) -> Project:
    named = request.query_params.get("project")
    project = project_named(principal_of(request), named)
    if project is None:
        raise bad_parameter("project", "is needed: the id or slug of a project")
    return project
