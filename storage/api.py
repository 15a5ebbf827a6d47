"""``/api/v1/storage``: parse, one call, render."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

import msgspec
from django.http import HttpResponseRedirect
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import respond_once
from accounts.principal import Principal, principal_of
from accounts.services import find_or_create_project
from frame.bodies import moment_of, read_body
from frame.documentation import IDEMPOTENCY_KEY, PAGE, Parameter, documented
from frame.paging import bad_parameter, paginate, whole_number
from odavl.wire import limits
from odavl.wire import storage as wire
from odavl.wire.envelope import PRODUCTS
from storage import files, queries
from storage import rendering as show
from storage.access import may_change
from storage.filters import SORTS, STATES, FileFilter
from storage.models import Access, FileState, StoredFile

_NEW_FILE = msgspec.json.Decoder(wire.NewFile)
_NEW_PART = msgspec.json.Decoder(wire.NewPart)
_REFERENCE = msgspec.json.Decoder(wire.FileReference)
_FILE_ID = Parameter(
    "fileId", "The id of the file.", {"type": "string", "format": "uuid"}, required=True
)
_EXPIRES_IN = Parameter(
    "expiresIn",
    "How many seconds the address is good for.",
    {
        "type": "integer",
        "minimum": limits.MIN_SIGNED_URL_SECONDS,
        "maximum": limits.MAX_SIGNED_URL_SECONDS,
        "default": limits.SIGNED_URL_SECONDS,
    },
)
_FILTERS = (
    Parameter("q", "Only files whose name has this text in it."),
    Parameter("contentType", "Only this type, or with a `/` at its end the family (`image/`)."),
    Parameter("product", "Only this product's.", {"type": "string", "enum": list(PRODUCTS)}),
    Parameter("type", "Only files with this label."),
    Parameter("access", "Only this access.", {"type": "string", "enum": Access.values}),
    Parameter(
        "state", "Only this state.", {"type": "string", "enum": [each.value for each in STATES]}
    ),
    Parameter(
        "sort", "The order.", {"type": "string", "enum": list(SORTS), "default": "-createdAt"}
    ),
)


class UploadUrlView(APIView):
    required_scopes: ClassVar[dict[str, str]] = {"GET": "storage:write", "POST": "storage:write"}

    @documented(
        "Announce a file and get the address to send it to",
        request=wire.NewFile,
        responses={201: wire.UploadUrl},
        parameters=(IDEMPOTENCY_KEY,),
    )
    def post(self, request: Request) -> Response:
        principal = principal_of(request)
        wanted = read_body(request, _NEW_FILE)
        file = _announced(principal, wanted)

        def make() -> tuple[int, wire.UploadUrl]:
            announced, signed = files.announce(by=principal, file=file, seconds=wanted.expires_in)
            return 201, show.upload_url(announced, signed)

        return respond_once(request, make, project=file.project)

    @documented(
        "Tell whether a file has arrived; while it has not, give a new address",
        description=(
            "Ask after sending the bytes: what arrived is checked then. A new address is for who "
            "announced the file, or administers the storage, within the project of their key."
        ),
        responses={200: wire.UploadUrl},
        parameters=(_FILE_ID, _EXPIRES_IN),
    )
    def get(self, request: Request) -> Response:
        seconds = _seconds(request)
        file = files.settle(_file(request))
        signed = None
        sent_whole = file.state == FileState.PENDING and not file.multipart_id
        if sent_whole and may_change(principal_of(request), file):
            signed = files.upload_address(file, seconds=seconds)
        return Response(show.upload_url(file, signed))


class DownloadUrlView(APIView):
    required_scopes: ClassVar[dict[str, str]] = {"GET": "storage:read"}

    @documented(
        "Get an address to download a file from; counts as a download",
        responses={200: wire.DownloadUrl},
        parameters=(_FILE_ID, _EXPIRES_IN),
    )
    def get(self, request: Request) -> Response:
        seconds = _seconds(request)
        file = files.settle(_file(request))
        return Response(
            show.download_url(file, files.download_address(file, seconds=seconds)),
            headers={"Cache-Control": "no-store"},
        )


class FilesView(APIView):
    required_scopes: ClassVar[dict[str, str]] = {"GET": "storage:read"}

    @documented("List files", responses={200: wire.FilePage}, parameters=(*PAGE, *_FILTERS))
    def get(self, request: Request) -> Response:
        wanted = FileFilter.from_query(request.query_params)
        rows = wanted.apply(queries.visible_files(principal_of(request)))
        return paginate(
            request,
            rows.select_related("uploaded_by"),
            order=SORTS[wanted.sort],
            show=show.file_summary,
            count=True,
        )


class FileView(APIView):
    required_scopes: ClassVar[dict[str, str]] = {"GET": "storage:read", "DELETE": "storage:write"}

    @documented("Describe a file", responses={200: wire.FileSummary})
    def get(self, request: Request, file_id: UUID) -> Response:
        return Response(show.file_summary(queries.file_of(principal_of(request), file_id)))

    @documented(
        "Delete a file",
        description=(
            "Other people's files need the scope `storage:admin`; a key that is bound to a project "
            "deletes nothing outside of it."
        ),
        responses={204: None},
    )
    def delete(self, request: Request, file_id: UUID) -> Response:
        principal = principal_of(request)
        files.delete_file(by=principal, file=queries.file_of(principal, file_id))
        return Response(status=204)


class PublicFileView(APIView):
    """A file that anybody may read, at an address that stays."""

    authentication_classes = ()
    permission_classes = ()

    @documented("Download a public file", responses={302: None}, public=True)
    def get(self, _request: Request, file_id: UUID) -> HttpResponseRedirect:
        file = queries.public_file(file_id)
        signed = files.download_address(file, seconds=limits.MIN_SIGNED_URL_SECONDS)
        return HttpResponseRedirect(signed.url, headers={"Cache-Control": "no-store"})


class StatsView(APIView):
    required_scopes: ClassVar[dict[str, str]] = {"GET": "storage:read"}

    @documented("Tell what is stored", responses={200: wire.StorageStats})
    def get(self, request: Request) -> Response:
        principal = principal_of(request)
        visible = queries.visible_files(principal)
        by_type = queries.tallies(visible, "content_type")
        return Response(
            wire.StorageStats(
                files=sum(each.files for each in by_type),
                bytes=sum(each.bytes for each in by_type),
                stored_bytes=queries.shared_bytes(visible),
                downloads=sum(each.downloads for each in by_type),
                by_content_type=[show.tally(each) for each in by_type],
                by_product=[show.tally(each) for each in queries.tallies(visible, "product")],
                payloads=show.payloads(queries.payloads_of(principal)),
            )
        )


class MultipartInitView(APIView):
    required_scopes: ClassVar[dict[str, str]] = {"POST": "storage:write"}

    @documented(
        "Announce a file that comes in parts",
        request=wire.NewFile,
        responses={201: wire.MultipartUpload},
        parameters=(IDEMPOTENCY_KEY,),
    )
    def post(self, request: Request) -> Response:
        principal = principal_of(request)
        wanted = read_body(request, _NEW_FILE)
        file = _announced(principal, wanted)

        with files.parts_begun(by=principal, content_type=wanted.content_type) as begun:

            def make() -> tuple[int, wire.MultipartUpload]:
                announced = files.announce_in_parts(
                    by=principal, file=file, seconds=wanted.expires_in, begun=begun
                )
                return 201, show.multipart(announced)

            return respond_once(request, make, project=file.project)


class MultipartPartView(APIView):
    required_scopes: ClassVar[dict[str, str]] = {"POST": "storage:write"}

    @documented(
        "Get the address to send one part to", request=wire.NewPart, responses={200: wire.PartUrl}
    )
    def post(self, request: Request) -> Response:
        wanted = read_body(request, _NEW_PART)
        principal = principal_of(request)
        file = queries.file_of(principal, wanted.file_id)
        address = files.part_address(
            by=principal, file=file, number=wanted.part_number, seconds=wanted.expires_in
        )
        return Response(show.part_url(file, wanted.part_number, address))


class MultipartCompleteView(APIView):
    required_scopes: ClassVar[dict[str, str]] = {"POST": "storage:write"}

    @documented(
        "Make one file of the parts; the same answer however often it is asked",
        request=wire.FileReference,
        responses={200: wire.FileSummary},
    )
    def post(self, request: Request) -> Response:
        wanted = read_body(request, _REFERENCE)
        principal = principal_of(request)
        file = queries.file_of(principal, wanted.file_id)
        return Response(show.file_summary(files.complete_parts(by=principal, file=file)))


class MultipartAbortView(APIView):
    required_scopes: ClassVar[dict[str, str]] = {"POST": "storage:write"}

    @documented("Drop an upload in parts", request=wire.FileReference, responses={204: None})
    def post(self, request: Request) -> Response:
        principal = principal_of(request)
        wanted = read_body(request, _REFERENCE)
        files.abort_parts(by=principal, file=queries.file_of(principal, wanted.file_id))
        return Response(status=204)


def _file(request: Request) -> StoredFile:
    file_id = request.query_params.get("fileId")
    if not file_id:
        raise bad_parameter("fileId", "is needed: the id of a file")
    return queries.file_of(principal_of(request), file_id)


def _seconds(request: Request) -> int:
    return whole_number(
        request.query_params,
        "expiresIn",
        limits.SIGNED_URL_SECONDS,
        least=limits.MIN_SIGNED_URL_SECONDS,
        most=limits.MAX_SIGNED_URL_SECONDS,
    )


def _announced(principal: Principal, wanted: wire.NewFile) -> files.Announced:
    project = principal.project
    if wanted.project_id is not None:
        project = find_or_create_project(principal, project_id=wanted.project_id)
    return files.Announced(
        name=wanted.file_name,
        content_type=wanted.content_type,
        size=wanted.size,
        sha256=wanted.sha256 or "",
        access=wanted.access,
        project=project,
        product=wanted.product or "",
        type=wanted.type,
        expires_at=moment_of(wanted.expires_at),
    )
