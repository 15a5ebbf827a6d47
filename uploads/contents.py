"""The bytes of one upload, from whatever form they came in."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from odavl.wire import limits
from odavl.wire.encoding import gunzip_pieces, gzip_compress
from odavl.wire.errors import DigestMismatch, FieldError, InvalidPayload, PayloadTooLarge

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Content:
    """A whole, checked payload. ``size`` and ``sha256`` are those of the uncompressed bytes."""

    compressed: bytes
    sha256: str
    size: int


def content_of(data: bytes, *, compressed: bool, claimed_sha256: str | None = None) -> Content:
    """``data`` as it is kept: gzip-compressed, measured and named.

    Inflates in steps and keeps none of them, so that a bomb costs no memory.
    Raises :class:`MalformedGzip`, :class:`PayloadTooLarge` or :class:`DigestMismatch`.
    """
    if len(data) > limits.MAX_PAYLOAD_SIZE:
        raise PayloadTooLarge(f"An upload may have {limits.MAX_PAYLOAD_SIZE} bytes.")
    digest = hashlib.sha256()
    size = 0
    for piece in gunzip_pieces(data) if compressed else (data,):
        digest.update(piece)
        size += len(piece)
    _check_digest(digest.hexdigest(), claimed_sha256)
    return Content(data if compressed else gzip_compress(data), digest.hexdigest(), size)


def _check_digest(found: str, claimed: str | None) -> None:
    if claimed is None:
        return
    if not _SHA256.fullmatch(claimed):
        raise InvalidPayload(
            "sha256 must be 64 lower-case hex digits.",
            errors=(FieldError("/sha256", "invalid", "Not a SHA-256 in hex."),),
        )
    if claimed != found:
        raise DigestMismatch("The payload's SHA-256 is not the one that was sent with it.")
