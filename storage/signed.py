"""The hub's own signed addresses: what S3 and Azure do by themselves, for the local disk.

No key is asked for: the ticket in the address says what may be done, and until when.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Literal

from django.http import StreamingHttpResponse, UnreadablePostError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from frame.bodies import announced_length, body_pieces
from frame.documentation import Parameter, documented
from odavl.wire.errors import (
    DigestMismatch,
    FieldError,
    InvalidPayload,
    NotFound,
    OdavlError,
    PayloadTooLarge,
    RangeNotSatisfiable,
    RequestTimeout,
    SignedUrlRefused,
    UnsupportedMedia,
)
from storage.configuration import local_store, require_present
from storage.files import lost_file
from storage.objects.disposition import attachment
from storage.objects.interface import ObjectMissing
from storage.objects.local import LocalStore
from storage.objects.tickets import Ticket
from storage.queries import is_expected, is_kept

_log = logging.getLogger(__name__)
_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{0,18})")
_TICKET = Parameter("ticket", "What the hub put into the address.", location="path")
_BYTES = {"type": "string", "format": "binary"}


class SignedView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @documented(
        "Send the bytes of a file or part",
        description="At an address of `upload-url` or `multipart/part`, with the headers given.",
        other_requests={"application/octet-stream": _BYTES},
        responses={201: None},
        parameters=(_TICKET,),
        public=True,
    )
    def put(self, request: Request, ticket: str) -> Response:
        store, wanted = _read_ticket(ticket, {"put", "part"})
        _check_terms(request, wanted)
        if not is_expected(wanted.key):
            raise SignedUrlRefused("The file is complete, or was dropped.")
        require_present()
        body = _checked(request, wanted)
        if wanted.action == "put":
            store.put(wanted.key, body)
        else:
            _put_part(store, wanted, body)
        return Response(status=201)

    @documented(
        "Fetch the bytes of a file",
        description="At an address of `download-url`. Takes a `Range` of bytes.",
        responses={200: None, 206: None},
        parameters=(_TICKET,),
        public=True,
    )
    def get(self, request: Request, ticket: str) -> StreamingHttpResponse:
        store, wanted = _read_ticket(ticket, {"get"})
        try:
            size = store.size(wanted.key)
        except ObjectMissing:
            require_present()
            raise _gone(wanted.key) from None
        start, end = _range(request, size)
        if start >= size:
            raise RangeNotSatisfiable(f"The file has {size} bytes.")
        is_part = end - start < size
        response = StreamingHttpResponse(
            store.pieces(wanted.key, start=start, length=end - start),
            status=HTTPStatus.PARTIAL_CONTENT if is_part else HTTPStatus.OK,
            content_type=wanted.content_type,
        )
        if is_part:
            response["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        return _dressed(response, end - start, wanted.file_name)


def _read_ticket(
    text: str, actions: set[Literal["put", "get", "part"]]
) -> tuple[LocalStore, Ticket]:
    store = local_store()
    if store is None:
        raise NotFound("This hub keeps its files elsewhere.")
    ticket = store.sealer.read(text, now=time.time())
    if ticket.action not in actions:
        raise SignedUrlRefused("The address is for another method.")
    return store, ticket


def _check_terms(request: Request, wanted: Ticket) -> None:
    length = announced_length(request)
    if length > wanted.size:
        raise PayloadTooLarge(f"The address takes exactly {wanted.size} bytes.")
    if length != wanted.size:
        detail = f"The address takes exactly {wanted.size} bytes."
        raise InvalidPayload(
            detail, errors=(FieldError("/headers/Content-Length", "invalid", detail),)
        )
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMedia("Send the bytes as they are, without a Content-Encoding.")
    sent = (request.META.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower()
    if wanted.content_type and sent != wanted.content_type:
        raise UnsupportedMedia(f"The address takes {wanted.content_type} only.")


def _checked(request: Request, wanted: Ticket) -> Iterator[bytes]:
    """The body; what is raised at its end keeps the store from making an object of it."""
    digest = hashlib.sha256()
    size = 0
    try:
        for piece in body_pieces(request, limit=wanted.size):
            digest.update(piece)
            size += len(piece)
            yield piece
    except UnreadablePostError as error:
        raise RequestTimeout("The body broke off.") from error
    if size != wanted.size:
        raise RequestTimeout("The body broke off.")
    if wanted.sha256 and digest.hexdigest() != wanted.sha256:
        raise DigestMismatch("The SHA-256 is not the one that was announced.")


def _gone(key: str) -> OdavlError:
    """Why there are no bytes under the key of a file."""
    if not is_kept(key):
        return NotFound("The file was deleted.")
    _log.error("The bytes of a file are missing from the object store: %s", key)
    return lost_file()


def _put_part(store: LocalStore, wanted: Ticket, body: Iterator[bytes]) -> None:
    try:
        store.put_part(wanted.upload_id, wanted.number, body)
    except ObjectMissing:
        raise SignedUrlRefused("The upload was completed or aborted.") from None


def _range(request: Request, size: int) -> tuple[int, int]:
    """First byte and end of what is wanted; the whole for any form but ``bytes=1-`` and ``1-2``."""
    found = _RANGE.fullmatch(request.headers.get("Range", ""))
    # Nobody is given a validator that If-Range could name, so what names one means another file.
    if found is None or "If-Range" in request.headers:
        return 0, size
    first, last = int(found[1]), found[2]
    end = min(int(last) + 1, size) if last else size
    return (0, size) if last and int(last) < first else (first, end)


def _dressed(response: StreamingHttpResponse, length: int, file_name: str) -> StreamingHttpResponse:
    response["Content-Length"] = length
    response["Content-Disposition"] = attachment(file_name)
    response["Accept-Ranges"] = "bytes"
    response["Cache-Control"] = "private, no-store"
    # What people upload is served from the hub's own origin: it may do nothing there.
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["X-Content-Type-Options"] = "nosniff"
    return response
