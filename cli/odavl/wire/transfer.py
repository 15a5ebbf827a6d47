"""Uploads in chunks: what is announced, what is missing, what ends it. Sizes are bytes.

A chunk is named by the SHA-256 (lower-case hex) of its uncompressed bytes. One that the sender may
read already is not missing: resuming a transfer and sparing known chunks are the same thing.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from odavl.wire import limits
from odavl.wire.envelope import UploadMetadata

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_LARGEST_INTEGER = 2**63 - 1
Size = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST_INTEGER)]


class Chunk(msgspec.Struct, frozen=True):
    sha256: Sha256
    size: Annotated[int, msgspec.Meta(ge=1, le=_LARGEST_INTEGER)]


class TransferRequest(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """``POST /api/v1/upload/{product}/init``: the payload, and the chunks that make it, in order.

    The same payload again (same ``Idempotency-Key``, or while its transfer is under way without
    one) is the same transfer, however it is cut this time.
    """

    type: str
    size: Size
    sha256: Sha256
    chunks: list[Chunk]
    file_name: Annotated[str, msgspec.Meta(max_length=limits.MAX_PATH_LENGTH)] = ""
    metadata: UploadMetadata = msgspec.field(default_factory=UploadMetadata)


class TransferStarted(msgspec.Struct, kw_only=True, rename="camel"):
    """201. ``missing`` names each chunk that the hub lacks once, in order."""

    upload_id: str
    missing: list[str]
    expires_at: str
    """ISO 8601; every chunk that arrives puts it off."""


class ChunkStored(msgspec.Struct, kw_only=True):
    """201 for a chunk that the transfer lacked, 200 for one that it had."""

    sha256: str
    size: int


class ChunkUpload(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """``POST /api/v1/upload/{product}/chunk``: the chunk at ``index`` (from 0) as base64."""

    upload_id: str
    index: Annotated[int, msgspec.Meta(ge=0, le=limits.MAX_CHUNKS)]
    data: str
    compressed: bool = False


class TransferEnd(msgspec.Struct, kw_only=True, rename="camel"):
    """``POST /api/v1/upload/{product}/finalize``: all is sent, take it in."""

    upload_id: str
