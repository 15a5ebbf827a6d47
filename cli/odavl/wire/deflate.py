"""Deflate (RFC 1951) as both sides of the wire have it: zlib's streams, only faster.

zlib-ng inflates, because it takes and refuses what zlib does; ISA-L compresses, where there is a
wheel of it. Why, and why at this level, is told in ``docs/decisions/0021-deflate.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, Self, cast

from zlib_ng import zlib_ng
from zlib_ng.zlib_ng import Z_SYNC_FLUSH as SYNC_FLUSH
from zlib_ng.zlib_ng import crc32

try:
    from isal.isal_zlib import compressobj
except ImportError:  # Windows on ARM
    from zlib_ng.zlib_ng import compressobj  # type: ignore[assignment]  # the same but for its name

__all__ = [
    "GZIP", "RAW", "SYNC_FLUSH", "Compressor", "DeflateError", "Inflater",
    "compressor", "crc32", "inflater",
]  # fmt: skip

RAW: Final = -zlib_ng.MAX_WBITS
"""Blocks without a frame."""

GZIP: Final = 16 + zlib_ng.MAX_WBITS
"""The frame of RFC 1952, without a time stamp."""

_LEVEL: Final = 2
"""Of either: smaller than level 1 of zlib makes it, in less time."""

if TYPE_CHECKING:

    class DeflateError(Exception):
        """A stream is damaged."""
else:
    DeflateError = zlib_ng.error


class Compressor(Protocol):
    def compress(self, data: bytes | memoryview, /) -> bytes: ...

    def flush(self, mode: int = ..., /) -> bytes: ...


class Inflater(Protocol):
    """As :func:`zlib.decompressobj` makes it."""

    eof: bool
    unconsumed_tail: bytes
    unused_data: bytes

    def copy(self) -> Self: ...

    def decompress(self, data: bytes | memoryview, max_length: int = ..., /) -> bytes: ...

    def flush(self) -> bytes: ...


def compressor(frame: int) -> Compressor:
    """``frame`` is :data:`RAW` or :data:`GZIP`."""
    return compressobj(_LEVEL, zlib_ng.DEFLATED, frame)


def inflater(frame: int) -> Inflater:
    """``frame`` is :data:`RAW` or :data:`GZIP`. What it inflates may raise ``DeflateError``."""
    return cast("Inflater", zlib_ng.decompressobj(frame))
