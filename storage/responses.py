"""Stored objects as HTTP answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from django.http import HttpRequest, StreamingHttpResponse
from django.utils.cache import patch_vary_headers
from rest_framework.request import Request

from odavl.wire.encoding import gunzip_pieces
from storage.models import StoredObject
from storage.objects.disposition import attachment
from storage.services import pieces_of


def stored_json(request: HttpRequest | Request, stored: StoredObject) -> StreamingHttpResponse:
    """A stored JSON document, as :func:`stored_bytes`."""
    return stored_bytes(request, stored, "application/json")


def stored_bytes(
    request: HttpRequest | Request, stored: StoredObject, content_type: str
) -> StreamingHttpResponse:
    """A stored object, in pieces: as it lies there for who takes gzip, else inflated."""
    is_taken = _takes_gzip(request.META.get("HTTP_ACCEPT_ENCODING", ""))
    # Before anything is answered: a content whose bytes are lost is a problem, not half a body.
    pieces = _begun(pieces_of(stored))
    response = StreamingHttpResponse(
        pieces if is_taken else gunzip_pieces(pieces), content_type=content_type
    )
    if is_taken:
        response["Content-Encoding"] = "gzip"
        response["Content-Length"] = stored.stored_size
    else:
        response["Content-Length"] = stored.size
    patch_vary_headers(response, ["Accept-Encoding"])
    return response


def stored_picture(
    stored: StoredObject, *, content_type: str, file_name: str
) -> StreamingHttpResponse:
    """A stored picture, in pieces, to be shown in a page.

    Its address names one content for ever, so the browser may keep it, for this person alone.
    """
    response = StreamingHttpResponse(
        gunzip_pieces(_begun(pieces_of(stored))), content_type=content_type
    )
    response["Content-Length"] = stored.size
    response["Content-Disposition"] = attachment(file_name).replace("attachment", "inline", 1)
    response["Cache-Control"] = "private, max-age=86400, immutable"
    # What people upload is served from the hub's own origin: it may do nothing there.
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    return chain([next(pieces, b"")], pieces)


def _takes_gzip(accepted: str) -> bool:
    """Whether an ``Accept-Encoding`` (RFC 9110, 12.5.3) names gzip, and not to be spared it."""
    for offer in accepted.lower().split(","):
        name, *weights = (part.strip() for part in offer.split(";"))
        if name == "gzip":
            return not any(map(_NONE.fullmatch, weights))
    return False


_NONE = re.compile(r"q\s*=\s*0(?:\.0{0,3})?")
