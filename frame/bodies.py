"""Request bodies to structs or pieces, bounded and strict."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from rest_framework.request import Request

from odavl.wire import limits
from odavl.wire.encoding import decode_json
from odavl.wire.errors import (
    FieldError,
    InvalidPayload,
    MalformedJson,
    MalformedRequest,
    PayloadTooLarge,
    UnsupportedMedia,
)

T = TypeVar("T")
RAW_MEDIA_TYPE = "application/octet-stream"
_PIECE_SIZE = 256 * limits.KIBIBYTE
_GZIP_OVERHEAD = 64 * limits.KIBIBYTE
"""What gzip may add to bytes that cannot be made smaller."""
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


def is_compressed(request: Request) -> bool:
    """Whether the body comes gzipped. Raises :class:`UnsupportedMedia` for other encodings."""
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("gzip", "identity"):
        raise UnsupportedMedia("Content-Encoding must be gzip or identity.")
    return encoding == "gzip"


def body_pieces(request: Request, *, limit: int) -> Iterator[bytes]:
    """The body in pieces, none of which is kept; no more than its announced length is read."""
    if announced_length(request) > limit:
        raise PayloadTooLarge(f"A body may have {limit} bytes here.")
    # DRF's own request object reads through to Django's, which holds nothing of it this way.
    while piece := request._request.read(_PIECE_SIZE):  # noqa: SLF001 - DRF's documented handle
        yield piece


def chunk_body(request: Request, *, largest: int) -> tuple[Iterator[bytes], bool]:
    """The raw body of a chunk in pieces, as it crossed the wire, and whether it is gzip.

    ``largest`` bounds the uncompressed bytes. Raises :class:`MalformedRequest` without a length,
    :class:`UnsupportedMedia` and :class:`PayloadTooLarge`.
    """
    compressed = is_compressed(request)
    if "HTTP_TRANSFER_ENCODING" in request.META and not request.META.get("CONTENT_LENGTH"):
        raise MalformedRequest("Send a Content-Length.")
    limit = largest + (_GZIP_OVERHEAD if compressed else 0)
    return body_pieces(request, limit=limit), compressed


def moment_of(text: str | None, *, field: str = "expiresAt") -> datetime | None:
    """ISO 8601 with its zone as a moment in UTC; None stays None.

    Raises :class:`InvalidPayload` that points at ``field``, for years beyond 1 to 9999 too: what
    the database would take there, nobody could read back.
    """
    if text is None:
        return None
    try:
        moment = parse_datetime(text)
        if moment is not None and timezone.is_aware(moment):
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    detail = "must be a date and time with its zone, such as 2027-01-31T00:00:00Z"
    raise InvalidPayload(f"{field} {detail}.", errors=(FieldError(f"/{field}", "invalid", detail),))
