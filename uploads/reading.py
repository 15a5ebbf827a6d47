"""An HTTP request as an upload: the JSON envelope, or the payload itself with headers."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass

import msgspec
from rest_framework.request import Request

from frame.bodies import RAW_MEDIA_TYPE, body_pieces, is_compressed, read_body
from odavl.wire import limits
from odavl.wire.encoding import decode_base64, decode_json
from odavl.wire.envelope import Envelope, UploadMetadata
from odavl.wire.errors import (
    FieldError,
    InvalidPayload,
    MalformedBase64,
    PayloadTooLarge,
)
from uploads.contents import SpooledContent, content_of

TYPE_HEADER = "X-Odavl-Type"
METADATA_HEADER = "X-Odavl-Metadata"
SHA256_HEADER = "X-Odavl-Sha256"


@dataclass(frozen=True, slots=True)
class Received:
    upload_type: str
    metadata: UploadMetadata
    content: SpooledContent


def read_upload(request: Request) -> Received:
    """What the request carries.

    Raises :class:`UnsupportedMedia` for another content type or encoding, the errors of the
    wire's encodings, and :class:`InvalidPayload` with a pointer.
    """
    media_type = (request.META.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower()
    if media_type == RAW_MEDIA_TYPE:
        return _raw(request)
    return _envelope(request)


def _envelope(request: Request) -> Received:
    envelope = read_body(request, _ENVELOPE, limit=limits.MAX_ENVELOPE_SIZE)
    content = content_of(
        decode_base64(envelope.data),
        compressed=envelope.compressed,
        claimed_sha256=envelope.sha256,
    )
    return Received(envelope.type, envelope.metadata, content)


def _raw(request: Request) -> Received:
    compressed = is_compressed(request)
    upload_type = request.headers.get(TYPE_HEADER)
    if not upload_type:
        raise InvalidPayload(
            f"The header {TYPE_HEADER} is missing.",
            errors=(FieldError(f"/headers/{TYPE_HEADER}", "missing", "Required."),),
        )
    metadata = _metadata(request)
    content = content_of(
        body_pieces(request, limit=limits.MAX_PAYLOAD_SIZE),
        compressed=compressed,
        claimed_sha256=request.headers.get(SHA256_HEADER),
    )
    return Received(upload_type, metadata, content)


def _metadata(request: Request) -> UploadMetadata:
    text = request.headers.get(METADATA_HEADER, "")
    if not text:
        return UploadMetadata()
    if len(text) > limits.MAX_METADATA_SIZE:
        raise PayloadTooLarge(f"{METADATA_HEADER} is longer than {limits.MAX_METADATA_SIZE}.")
    try:
        body = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (Base64Error, ValueError) as error:
        raise MalformedBase64(f"{METADATA_HEADER} must be base64url.") from error
    return decode_json(body, _METADATA)


_ENVELOPE = msgspec.json.Decoder(Envelope)
_METADATA = msgspec.json.Decoder(UploadMetadata)
