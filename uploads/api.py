"""``/api/v1/upload``: the one door for payloads."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import REPLAYED_HEADER, key_of
from accounts.principal import Principal, principal_of
from frame.bodies import RAW_MEDIA_TYPE
from frame.documentation import ANY_KEY, IDEMPOTENCY_KEY, documented
from odavl.wire.envelope import (
    Envelope,
    UploadAccepted,
    UploadOptions,
    UploadStatus,
    UploadStored,
)
from uploads import registry, services, transfers
from uploads.queries import status_of_any, transfer_of
from uploads.reading import read_upload


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
