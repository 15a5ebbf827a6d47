"""The bytes of one upload, from whatever form they came in: a JSON envelope, a raw body, chunks."""

from __future__ import annotations

import hashlib
import re
import tempfile
import zlib
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Protocol, Self

import msgspec
from rest_framework.request import Request

from frame.bodies import RAW_MEDIA_TYPE, body_pieces, is_compressed, read_body
from odavl.wire import limits
from odavl.wire.encoding import decode_base64, decode_json, gunzip_pieces
from odavl.wire.envelope import Envelope, UploadMetadata
from odavl.wire.errors import (
    DigestMismatch,
    FieldError,
    InvalidPayload,
    MalformedBase64,
    PayloadTooLarge,
)
from storage import services as storage
from storage.models import StoredObject

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SPOOL_SIZE = limits.MEBIBYTE
"""Compressed bytes that are held in memory before they go to a temporary file."""
_PIECE_SIZE = 256 * limits.KIBIBYTE
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


class Content(Protocol):
    """A whole, checked payload, wherever it lies.

    ``size`` and ``sha256`` are those of the uncompressed bytes, ``stored_size`` the compressed.
    """

    @property
    def sha256(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def stored_size(self) -> int: ...

    def pieces(self) -> Iterator[bytes]:
        """The gzip-compressed bytes, as often as asked."""


@dataclass(frozen=True, slots=True)
class StoredContent:
    """A payload that is kept already."""

    stored: StoredObject

    @property
    def sha256(self) -> str:
        return self.stored.sha256

    @property
    def size(self) -> int:
        return self.stored.size

    @property
    def stored_size(self) -> int:
        return self.stored.stored_size

    def pieces(self) -> Iterator[bytes]:
        """The gzip-compressed bytes, as often as asked."""
        return storage.pieces_of(self.stored)


@dataclass(frozen=True, slots=True)
class SpooledContent:
    """A payload that has just arrived, gzip-compressed in memory or, if large, in a file.

    To be closed by whoever asked for it; it is a context manager.
    """

    spool: IO[bytes]
    sha256: str
    size: int
    stored_size: int

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.spool.close()

    def pieces(self) -> Iterator[bytes]:
        """The compressed bytes, as often as asked."""
        self.spool.seek(0)
        while piece := self.spool.read(_PIECE_SIZE):
            yield piece


@contextmanager
def fetched(stored: StoredObject) -> Iterator[Content]:
    """A payload that is kept, for who reads it within a transaction.

    One that lies in a remote store is fetched here, so no transaction may be open yet.
    """
    if storage.is_at_hand(stored):
        yield StoredContent(stored)
        return
    with _spool() as spool:
        spool.writelines(storage.pieces_of(stored))
        yield SpooledContent(spool, stored.sha256, stored.size, stored.stored_size)


def content_of(
    data: bytes | Iterable[bytes], *, compressed: bool, claimed_sha256: str | None = None
) -> SpooledContent:
    """``data`` as it is kept: gzip-compressed, measured and named.

    Inflates in steps and keeps none of them, so that neither a bomb nor a large upload costs
    memory. Raises :class:`MalformedGzip`, :class:`PayloadTooLarge` or :class:`DigestMismatch`.
    """
    sources = _bounded((data,) if isinstance(data, bytes) else data)
    digest = hashlib.sha256()
    size = 0
    with ExitStack() as unless_whole:
        spool = unless_whole.enter_context(_spool())
        for piece in _inflated(sources, spool) if compressed else _deflated(sources, spool):
            digest.update(piece)
            size += len(piece)
        _check_digest(digest.hexdigest(), claimed_sha256)
        unless_whole.pop_all()
    return SpooledContent(spool, digest.hexdigest(), size, spool.tell())


def _spool() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(max_size=_SPOOL_SIZE)


def _bounded(pieces: Iterable[bytes]) -> Iterator[bytes]:
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > limits.MAX_PAYLOAD_SIZE:
            raise PayloadTooLarge(f"An upload may have {limits.MAX_PAYLOAD_SIZE} bytes.")
        yield piece


def _inflated(pieces: Iterable[bytes], spool: IO[bytes]) -> Iterator[bytes]:
    def spooled() -> Iterator[bytes]:
        for piece in pieces:
            spool.write(piece)
            yield piece

    return gunzip_pieces(spooled())


def _deflated(pieces: Iterable[bytes], spool: IO[bytes]) -> Iterator[bytes]:
    # Level 1: what is sent uncompressed is small, or sent by somebody who is in a hurry.
    compressor = zlib.compressobj(1, zlib.DEFLATED, _GZIP_WINDOW)
    for piece in pieces:
        spool.write(compressor.compress(piece))
        yield piece
    spool.write(compressor.flush())


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
