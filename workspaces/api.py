"""``/api/v1/sync/workspace/{project}``: parse, one call, render."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from django.http import StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import respond_once
from accounts.principal import principal_of
from accounts.queries import project_of
from accounts.rendering import iso
from frame.bodies import RAW_MEDIA_TYPE, chunk_body, read_body
from frame.documentation import IDEMPOTENCY_KEY, PAGE, Parameter, documented
from frame.finding import no_such
from frame.paging import paginate
from odavl.wire import limits
from odavl.wire import workspace as wire
from odavl.wire.transfer import ChunkStored
from storage.responses import stored_bytes
from workspaces import queries, rendering, services

_BYTES = {"type": "string", "format": "binary"}
_PROJECT = Parameter("project", "The id or slug of the project.", location="path")
_SHA256 = Parameter(
    "sha256",
    "The SHA-256 of the chunk's uncompressed bytes.",
    {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    location="path",
)
_NUMBER = Parameter(
    "number",
    "The number of the revision.",
    {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
    location="path",
)
_LARGEST_NUMBER = 2**31 - 1


class WorkspaceView(APIView):
    required_scopes: ClassVar[dict[str, str]] = {"GET": "projects:read"}

    @documented(
        "Read the newest revision of a project's workspace",
        description="Revision 0, without files, before the first push.",
        responses={200: wire.WorkspaceRevision},
        parameters=(_PROJECT,),
    )
    def get(self, request: Request, project: str) -> Response:
        found = project_of(principal_of(request), project)
        return Response(rendering.whole(found, queries.head_of(found)))


class RevisionsView(APIView):
    required_scopes: ClassVar[dict[str, str]] = {"GET": "projects:read", "POST": "projects:write"}

    @documented(
        "List the revisions that are kept",
        responses={200: wire.RevisionPage},
        parameters=(_PROJECT, *PAGE),
    )
    def get(self, request: Request, project: str) -> Response:
        found = project_of(principal_of(request), project)
        return paginate(
            request,
            queries.revisions_of(found),
            order=("-number",),
            show=lambda revision: rendering.summary(found, revision),
            count=True,
        )

    @documented(
        "Commit a revision",
        description="409 `conflict` where the newest revision is not `baseRevision`; 409 "
        "`chunks_missing` names the chunks that were not sent.",
        request=wire.NewRevision,
        responses={201: wire.RevisionSummary},
        parameters=(_PROJECT, IDEMPOTENCY_KEY),
    )
    def post(self, request: Request, project: str) -> Response:
        principal = principal_of(request)
        found = project_of(principal, project)
        wanted = read_body(request, _REVISION, limit=limits.MAX_MANIFEST_SIZE)

        with services.prepared(project=found, wanted=wanted) as revision:

            def make() -> tuple[int, wire.RevisionSummary]:
                made = services.commit(principal=principal, project=found, revision=revision)
                return 201, rendering.summary(found, made)

            return respond_once(request, make, project=found)


class RevisionView(APIView):
    required_scopes: ClassVar[dict[str, str]] = {"GET": "projects:read"}

    @documented(
        "Read a revision that is kept",
        responses={200: wire.WorkspaceRevision},
        parameters=(_PROJECT, _NUMBER),
    )
    def get(self, request: Request, project: str, number: int) -> Response:
        found = project_of(principal_of(request), project)
        if number > _LARGEST_NUMBER:
            raise no_such("revision")
        return Response(rendering.whole(found, queries.revision_of(found, number)))


class MissingView(APIView):
    required_scopes: ClassVar[dict[str, str]] = {"POST": "projects:write"}

    @documented(
        "Ask which chunks are missing",
        description="The others are held for a day, until they are committed.",
        request=wire.ChunksOffered,
        responses={200: wire.ChunksWanted},
        parameters=(_PROJECT,),
    )
    def post(self, request: Request, project: str) -> Response:
        found = project_of(principal_of(request), project)
        offered = read_body(request, _OFFERED, limit=limits.MAX_MANIFEST_SIZE)
        missing, until = services.hold_offered(project=found, chunks=offered.chunks)
        return Response(wire.ChunksWanted(missing=missing, held_until=iso(until) or ""))


class WorkspaceChunkView(APIView):
    required_scopes: ClassVar[dict[str, str]] = {"GET": "projects:read", "PUT": "projects:write"}

    @documented(
        "Read a chunk of a workspace",
        description="Its bytes, as `application/octet-stream`.",
        responses={200: None},
        parameters=(_PROJECT, _SHA256),
    )
    def get(self, request: Request, project: str, sha256: str) -> StreamingHttpResponse:
        found = project_of(principal_of(request), project)
        return stored_bytes(request, queries.chunk_of(found, sha256), RAW_MEDIA_TYPE)

    @documented(
        "Send a chunk of a workspace",
        description="The raw bytes; gzip is allowed as `Content-Encoding`. Held for a day.",
        other_requests={RAW_MEDIA_TYPE: _BYTES},
        responses={200: ChunkStored, 201: ChunkStored},
        parameters=(_PROJECT, _SHA256),
    )
    def put(self, request: Request, project: str, sha256: str) -> Response:
        found = project_of(principal_of(request), project)
        body, compressed = chunk_body(request, largest=limits.CHUNK_SIZE)
        is_new, size = services.store_chunk(
            project=found, sha256=sha256, body=body, compressed=compressed
        )
        return Response(ChunkStored(sha256=sha256, size=size), status=201 if is_new else 200)


_REVISION = msgspec.json.Decoder(wire.NewRevision)
_OFFERED = msgspec.json.Decoder(wire.ChunksOffered)
