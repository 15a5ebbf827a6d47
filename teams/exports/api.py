"""``/api/v1/exports``: parse, one call, render."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

import msgspec
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import respond_once
from accounts.principal import principal_of
from accounts.queries import project_of
from frame.bodies import read_body
from frame.documentation import IDEMPOTENCY_KEY, PAGE, documented
from frame.paging import paginate
from odavl.wire import exports as wire
from teams.exports import services
from teams.exports.rendering import export_summary

_NEW = msgspec.json.Decoder(wire.NewExport)


class ExportsView(APIView):
    required_scopes: ClassVar[dict[str, str]] = {"GET": "projects:admin", "POST": "projects:admin"}

    @documented("List exports, latest first", responses={200: wire.ExportPage}, parameters=PAGE)
    def get(self, request: Request) -> Response:
        rows = services.exports_of(principal_of(request)).select_related("organization")
        return paginate(
            request, rows, order=("-created_at", "-id"), show=export_summary, count=True
        )

    @documented(
        "Export an organization's or a project's data",
        description=(
            "A ZIP of NDJSON files: projects, runs, issues with every triage decision, uploads, "
            "files and jobs; for an organization members and the audit log too. No secrets, no "
            "payloads. A job makes it, and it is kept for seven days. While one of the same is "
            "under way, that one is answered."
        ),
        request=wire.NewExport,
        responses={202: wire.ExportSummary},
        parameters=(IDEMPOTENCY_KEY,),
    )
    def post(self, request: Request) -> Response:
        principal = principal_of(request)
        wanted = read_body(request, _NEW)
        project = principal.project
        if wanted.project_id is not None:
            project = project_of(principal, wanted.project_id)

        def make() -> tuple[int, wire.ExportSummary]:
            return 202, export_summary(services.start(by=principal, project=project))

        return respond_once(request, make, project=project)


class ExportView(APIView):
    required_scopes: ClassVar[dict[str, str]] = {"GET": "projects:admin"}

    @documented("Tell how far an export is", responses={200: wire.ExportSummary})
    def get(self, request: Request, export_id: UUID) -> Response:
        return Response(export_summary(services.export_of(principal_of(request), export_id)))
