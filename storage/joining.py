"""Objects that consist of others: the chunks of a transfer, read as one gzip stream.

Many readers of gzip stop at the end of its first member, so the gzip forms of the parts cannot be
put behind each other as they are. A joinable form can be opened: a header of ten bytes, deflate
blocks that end on a byte with an empty one (RFC 1951, section 3.2.4), an empty last block of two
bytes, a trailer of eight (RFC 1952). The blocks of all parts between one header and one trailer are
again one member, whose CRC was taken when the parts were checked against the whole.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from accounts.models import Organization
from odavl.wire.limits import KIBIBYTE
from storage.models import ObjectPart, StoredObject

_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK = b"\x03\x00"
_TRAILER_SIZE = 8
_FRAME_SIZE = len(_HEADER) + len(_LAST_BLOCK) + _TRAILER_SIZE
_PROBE_SIZE = 64 * KIBIBYTE
_WORTH_IT = 0.9
_PARTS_AT_ONCE = 16
_RAW = -zlib.MAX_WBITS


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self, mode: int, /) -> bytes: ...


class JoinableGzip:
    """Makes the joinable gzip form of what is added, and measures it.

    What does not become smaller (archives, pictures) is framed as it is: compressing it would cost
    ten times as much as everything else that is done with it.
    """

    def __init__(self) -> None:
        self._compressor: _Compressor | None = None
        self._crc32 = 0
        self._digest = hashlib.sha256()
        self._pieces = [_HEADER]
        self.size = 0
        """Of what was added, in bytes."""

    def add(self, data: bytes) -> None:
        if self._compressor is None:
            probe = data[:_PROBE_SIZE]
            smaller = len(zlib.compress(probe, 1)) < _WORTH_IT * len(probe)
            self._compressor = zlib.compressobj(1 if smaller else 0, zlib.DEFLATED, _RAW)
        self._crc32 = zlib.crc32(data, self._crc32)
        self._digest.update(data)
        self.size += len(data)
        self._pieces.append(self._compressor.compress(data))

    @property
    def sha256(self) -> str:
        """Of what was added, in hex."""
        return self._digest.hexdigest()

    def finish(self) -> list[bytes]:
        """The gzip form, in pieces; nothing is added any more."""
        if self._compressor is not None:
            self._pieces.append(self._compressor.flush(zlib.Z_SYNC_FLUSH))
        return [*self._pieces, _LAST_BLOCK + _trailer(self._crc32, self.size)]


def join(
    *, organization: Organization, parts: Sequence[StoredObject], sha256: str, size: int, crc32: int
) -> StoredObject:
    """The record of the content that ``parts`` have one after the other; a known one is kept.

    ``size``, ``sha256`` and ``crc32`` are those of the uncompressed whole, which the caller has
    checked. The caller holds the parts, so that nobody discards them before the commit.
    """
    if not all(part.joinable for part in parts):
        raise ValueError("Only joinable objects can be joined.")
    known = StoredObject.objects.for_organization(organization).filter(sha256=sha256)
    if (found := known.defer("inline").first()) is not None:
        kept: StoredObject = found
        return kept
    stored_size = _FRAME_SIZE + sum(part.stored_size - _FRAME_SIZE for part in parts)
    whole = StoredObject(
        organization=organization, sha256=sha256, size=size, stored_size=stored_size, crc32=crc32
    )
    StoredObject.across_organizations.bulk_create([whole], ignore_conflicts=True)
    winner: StoredObject = known.defer("inline").get()
    if winner.pk == whole.pk:
        ObjectPart.across_organizations.bulk_create(
            ObjectPart(whole=whole, position=position, part=part)
            for position, part in enumerate(parts)
        )
    return winner


def joined_pieces(
    whole: StoredObject, pieces_of: Callable[[StoredObject], Iterable[bytes]]
) -> Iterator[bytes]:
    """The gzip form of an object that consists of parts; ``pieces_of`` gives that of a part."""
    yield _HEADER
    for part in _parts(whole):
        yield from _opened(pieces_of(part), part.stored_size)
    yield _LAST_BLOCK + _trailer(whole.crc32 or 0, whole.size)


def _parts(whole: StoredObject) -> Iterator[StoredObject]:
    """In order; a few at a time, as small ones come with their bytes."""
    rows = ObjectPart.objects.belonging_to(whole=whole).select_related("part").order_by("position")
    at = 0
    while page := list(rows.filter(position__gte=at)[:_PARTS_AT_ONCE]):
        yield from (row.part for row in page)
        at = page[-1].position + 1


def _opened(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The blocks of a joinable form of ``size`` bytes, without its frame."""
    first, last = len(_HEADER), size - len(_LAST_BLOCK) - _TRAILER_SIZE
    at = 0
    for piece in pieces:
        inner = piece[max(0, first - at) : max(0, last - at)]
        at += len(piece)
        if inner:
            yield inner


def _trailer(crc32: int, size: int) -> bytes:
    return (crc32 & 0xFFFFFFFF).to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")
