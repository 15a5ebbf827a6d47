"""``/api/v1/upload``: the one door for payloads, whole or in chunks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar
from uuid import UUID

import msgspec
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import REPLAYED_HEADER, key_of
from accounts.principal import Principal, principal_of
from frame.bodies import RAW_MEDIA_TYPE, chunk_body, read_body
from frame.documentation import ANY_KEY, IDEMPOTENCY_KEY, documented
from frame.finding import no_such
from odavl.wire import limits
from odavl.wire.encoding import decode_base64
from odavl.wire.envelope import (
    Envelope,
    UploadAccepted,
    UploadOptions,
    UploadStatus,
    UploadStored,
)
from odavl.wire.transfer import (
    ChunkStored,
    ChunkUpload,
    TransferEnd,
    TransferRequest,
    TransferStarted,
)
from uploads import registry, services, transfers
from uploads.assembly import finalize
from uploads.contents import read_upload
from uploads.queries import Place, place_of, status_of_any, transfer_of


def principal_for(request: Request, product: str, kind: str) -> Principal:
    """Who asks; the product decides which scope is needed.

    Raises :class:`~odavl.wire.errors.NotFound` for no product. That is why the views here declare
    that any key will do.
    """
    area = registry.area_of(product)
    principal = principal_of(request)
    principal.require(f"{area}:{kind}")
    return principal


class OptionsView(APIView):
    """What a client must obey."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": ANY_KEY}

    @documented("Tell what a client must obey", responses={200: UploadOptions})
    def get(self, _request: Request) -> Response:
        return Response(UploadOptions())


class UploadView(APIView):
    """One payload in one request."""

    # See `principal_for`.
    required_scopes: ClassVar[dict[str, str]] = {"POST": ANY_KEY}

    @documented(
        "Upload one payload",
        description="As a JSON envelope, or the payload itself with its type in `X-Odavl-Type`.",
        request=Envelope,
        other_requests={RAW_MEDIA_TYPE: {"type": "string", "format": "binary"}},
        responses={201: UploadStored, 202: UploadAccepted},
        parameters=(IDEMPOTENCY_KEY,),
    )
    def post(self, request: Request, product: str) -> Response:
        principal = principal_for(request, product, "write")
        received = read_upload(request)
        registry.payload_type(product, received.upload_type)

        # No transaction waits for the store, whatever becomes of the payload.
        with (
            received.content,
            services.place(principal.organization, received.content) as placed,
        ):
            answer = services.receive(
                principal=principal,
                product=product,
                upload_type=received.upload_type,
                metadata=received.metadata,
                content=received.content,
                placed=placed,
                idempotency_key=key_of(request),
            )
        headers = {REPLAYED_HEADER: "true"} if answer.replayed else {}
        return Response(answer.body, status=answer.status, headers=headers)


class UploadStatusView(APIView):
    """What became of an upload, or what a transfer in chunks still lacks."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": ANY_KEY, "DELETE": ANY_KEY}

    @documented("Tell what became of an upload", responses={200: UploadStatus})
    def get(self, request: Request, product: str, upload_id: UUID) -> Response:
        principal = principal_for(request, product, "read")
        return Response(status_of_any(principal, product, upload_id))

    @documented("Drop a transfer in chunks", responses={204: None})
    def delete(self, request: Request, product: str, upload_id: UUID) -> Response:
        principal = principal_for(request, product, "write")
        transfers.drop(transfer_of(principal, product, upload_id))
        return Response(status=204)


class InitView(APIView):
    """The announcement of an upload in chunks."""

    required_scopes: ClassVar[dict[str, str]] = {"POST": ANY_KEY}

    @documented(
        "Begin or resume a transfer in chunks",
        description="The same again is the same transfer; `missing` tells what to send.",
        request=TransferRequest,
        responses={201: TransferStarted},
        parameters=(IDEMPOTENCY_KEY,),
    )
    def post(self, request: Request, product: str) -> Response:
        principal = principal_for(request, product, "write")
        begun = transfers.begin(
            principal=principal,
            product=product,
            request=read_body(request, _REQUEST),
            idempotency_key=key_of(request),
        )
        started = TransferStarted(
            upload_id=str(begun.transfer.pk),
            missing=begun.missing,
            expires_at=begun.transfer.expires_at.isoformat(),
        )
        return Response(started, status=201)


class ChunkView(APIView):
    """One chunk, by its name."""

    required_scopes: ClassVar[dict[str, str]] = {"PUT": ANY_KEY}

    @documented(
        "Send a chunk",
        description="The raw bytes; gzip is allowed as `Content-Encoding`.",
        other_requests={RAW_MEDIA_TYPE: {"type": "string", "format": "binary"}},
        responses={200: ChunkStored, 201: ChunkStored},
    )
    def put(self, request: Request, product: str, upload_id: UUID, sha256: str) -> Response:
        principal = principal_for(request, product, "write")
        place = place_of(principal, product, upload_id, sha256=sha256)
        body, compressed = chunk_body(request, largest=limits.CHUNK_SIZE)
        return _stored(principal, place, body, compressed=compressed)


class PlainChunkView(APIView):
    """One chunk, by its place, for clients that speak JSON alone."""

    required_scopes: ClassVar[dict[str, str]] = {"POST": ANY_KEY}

    @documented(
        "Send a chunk as base64",
        request=ChunkUpload,
        responses={200: ChunkStored, 201: ChunkStored},
    )
    def post(self, request: Request, product: str) -> Response:
        principal = principal_for(request, product, "write")
        sent = read_body(request, _CHUNK, limit=limits.MAX_ENVELOPE_SIZE)
        place = place_of(principal, product, _id_of(sent.upload_id), position=sent.index)
        return _stored(principal, place, (decode_base64(sent.data),), compressed=sent.compressed)


class FinalizeView(APIView):
    """The end of an upload in chunks."""

    required_scopes: ClassVar[dict[str, str]] = {"POST": ANY_KEY}

    @documented(
        "Have a transfer taken in",
        description="Answers the same however often it is asked; 409 with `missing` while chunks "
        "lack.",
        request=TransferEnd,
        responses={201: UploadStored, 202: UploadAccepted},
    )
    def post(self, request: Request, product: str) -> Response:
        principal = principal_for(request, product, "write")
        upload_id = _id_of(read_body(request, _END).upload_id)
        answer = finalize(principal=principal, transfer=transfer_of(principal, product, upload_id))
        headers = {REPLAYED_HEADER: "true"} if answer.replayed else {}
        return Response(answer.body, status=answer.status, headers=headers)


def _stored(
    principal: Principal, place: Place, body: Iterable[bytes], *, compressed: bool
) -> Response:
    is_new = transfers.store_chunk(
        organization=principal.organization, place=place, body=body, compressed=compressed
    )
    told = ChunkStored(sha256=place.sha256, size=place.size)
    return Response(told, status=201 if is_new else 200)


def _id_of(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise no_such("upload") from error


_REQUEST = msgspec.json.Decoder(TransferRequest)
_CHUNK = msgspec.json.Decoder(ChunkUpload)
_END = msgspec.json.Decoder(TransferEnd)
