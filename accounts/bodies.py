"""Request bodies to structs, bounded and strict."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from django.http import HttpRequest
from rest_framework.request import Request

from odavl.wire import limits
from odavl.wire.encoding import decode_json
from odavl.wire.errors import MalformedJson, PayloadTooLarge, UnsupportedMedia

T = TypeVar("T")
MAX_DOCUMENT_SIZE = limits.MEBIBYTE
"""Bytes of a JSON body that is no upload."""


def read_body(
    request: Request | HttpRequest,
    decoder: msgspec.json.Decoder[T],
    *,
    limit: int = MAX_DOCUMENT_SIZE,
) -> T:
    """The body as the decoder's type; at most ``limit`` bytes are read.

    Raises :class:`UnsupportedMedia` for another content type than JSON, :class:`PayloadTooLarge`,
    :class:`MalformedJson`, and :class:`~odavl.wire.errors.InvalidPayload` with a pointer.
    """
    media_type = (request.META.get("CONTENT_TYPE") or "application/json").partition(";")[0]
    if media_type.strip().lower() != "application/json":
        raise UnsupportedMedia("Send the body as application/json.")
    return decode_json(read_bytes(request, limit=limit), decoder)


def read_bytes(request: Request | HttpRequest, *, limit: int) -> bytes:
    """The raw body, refused by its announced length before a byte of it is read."""
    if announced_length(request) > limit:
        raise PayloadTooLarge(f"The body is larger than {limit} bytes.")
    body: bytes = request.body
    return body


def announced_length(request: Request | HttpRequest) -> int:
    """``Content-Length`` in bytes, 0 where there is none; Django reads no more than that."""
    try:
        return max(0, int(request.META.get("CONTENT_LENGTH") or 0))
    except ValueError as error:
        raise MalformedJson("Content-Length is no number.") from error
