"""Gzip members that can be opened and put behind each other: how chunks travel and are kept.

Many readers of gzip stop at the end of its first member, so the gzip forms of a payload's chunks
cannot be put behind each other as they are. A joinable form can be opened: a header of ten bytes,
deflate blocks that end on a byte with an empty one (RFC 1951, section 3.2.4), an empty last block
of two bytes, a trailer of eight (RFC 1952). The blocks of all parts between one header and one
trailer are again one member. The client sends chunks in this form, so that the hub can keep what it
got; what comes in another form, the hub compresses anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from odavl.wire.deflate import (
    RAW,
    SYNC_FLUSH,
    Compressor,
    DeflateError,
    Inflater,
    compressor,
    crc32,
    inflater,
)
from odavl.wire.errors import MalformedGzip, PayloadTooLarge
from odavl.wire.limits import KIBIBYTE

HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
LAST_BLOCK = b"\x03\x00"
TRAILER_SIZE = 8
FRAME_SIZE = len(HEADER) + len(LAST_BLOCK) + TRAILER_SIZE

_EMPTY_BLOCK = b"\x00\x00\x00\xff\xff"
_END = len(LAST_BLOCK) + TRAILER_SIZE
_LARGEST_STORED = 65_535
_PROBE_SIZE = 16 * KIBIBYTE
_STEP = 256 * KIBIBYTE
_WORTH_IT = 0.9


def is_worth_compressing(data: bytes | memoryview) -> bool:
    """Whether gzip makes the beginning of ``data`` smaller by a tenth."""
    probe = data[:_PROBE_SIZE]
    trial = compressor(RAW)
    return len(trial.compress(probe) + trial.flush()) < _WORTH_IT * len(probe)


def trailer(checksum: int, size: int) -> bytes:
    """What ends a member: CRC and size of the uncompressed bytes."""
    return (checksum & 0xFFFFFFFF).to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")


def joinable_pieces(pieces: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """The joinable form of ``pieces``.

    What does not become smaller (archives, pictures) is framed as it is: compressing it would cost
    ten times as much as everything else that is done with it.
    """
    packer: Compressor | None = None
    checksum = size = 0
    yield HEADER
    for piece in pieces:
        if packer is None:
            packer = compressor(RAW) if is_worth_compressing(piece) else _Stored()
        checksum = crc32(piece, checksum)
        size += len(piece)
        yield packer.compress(piece)
    yield packer.flush(SYNC_FLUSH) if packer else _EMPTY_BLOCK
    yield LAST_BLOCK + trailer(checksum, size)


class _Stored:
    """Deflate's stored blocks (RFC 1951, section 3.2.4), a fifth of what zlib's level 0 costs."""

    def compress(self, data: bytes | memoryview, /) -> bytes:
        parts: list[bytes | memoryview] = []
        for at in range(0, len(data), _LARGEST_STORED):
            block = data[at : at + _LARGEST_STORED]
            size = len(block).to_bytes(2, "little")
            parts += (b"\x00", size, (len(block) ^ 0xFFFF).to_bytes(2, "little"), block)
        return b"".join(parts)

    def flush(self, _mode: int = SYNC_FLUSH, /) -> bytes:
        return _EMPTY_BLOCK


def looks_joinable(body: bytes) -> bool:
    """Whether the frame of ``body`` is that of a joinable form; its blocks are not looked at."""
    return (
        len(body) > FRAME_SIZE
        and body.startswith(HEADER)
        and body[-_END - 4 : -TRAILER_SIZE] == _EMPTY_BLOCK[1:] + LAST_BLOCK
    )


def opened_joinable(body: bytes, *, limit: int) -> Iterator[bytes]:
    """The uncompressed bytes, in pieces, of a ``body`` that :func:`looks_joinable`.

    Raises :class:`MalformedGzip` where it cannot be put before others after all, at the latest
    behind the last piece; :class:`PayloadTooLarge` once more than ``limit`` bytes come out.
    """
    unpacker = inflater(RAW)
    checksum = total = 0
    pending: bytes | memoryview = memoryview(body)[len(HEADER) : -_END]
    try:
        while not unpacker.eof:
            piece = unpacker.decompress(pending, _STEP)
            pending = unpacker.unconsumed_tail
            if not piece and not pending:
                break
            total += len(piece)
            if total > limit:
                raise PayloadTooLarge(f"The data inflates to more than {limit} bytes.")
            checksum = crc32(piece, checksum)
            yield piece
        at_border = not unpacker.eof and all(
            _ends(unpacker, rest) for rest in (LAST_BLOCK, _EMPTY_BLOCK + LAST_BLOCK)
        )
    except DeflateError as error:
        raise MalformedGzip(f"The gzip stream is damaged: {error}.") from error
    if not at_border or body[-TRAILER_SIZE:] != trailer(checksum, total):
        raise MalformedGzip("The gzip stream is damaged: its end does not fit.")


def _ends(unpacker: Inflater, rest: bytes) -> bool:
    """Whether ``rest`` ends the stream here, without another byte coming out.

    Only between two blocks, and on a byte, both an empty last block does and one behind an empty
    block: in the middle of a block, the first bit of the two would have to mean the same.
    """
    at_end = unpacker.copy()
    return at_end.decompress(rest) == b"" and at_end.eof and not at_end.unused_data
