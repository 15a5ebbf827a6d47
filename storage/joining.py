"""Objects that consist of others: the chunks of a transfer, read as one gzip stream.

How gzip forms can be put behind each other is told in :mod:`odavl.wire.joinable`; the CRC of the
whole was taken when the parts were checked against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from accounts.models import Organization
from odavl.wire.joinable import FRAME_SIZE, HEADER, LAST_BLOCK, TRAILER_SIZE, trailer
from storage.models import ObjectPart, StoredObject

_PARTS_AT_ONCE = 16


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
    stored_size = FRAME_SIZE + sum(part.stored_size - FRAME_SIZE for part in parts)
    if (found := known.defer("inline").first()) is not None:
        kept: StoredObject = found
        if kept.expired_at is not None:
            kept.stored_size, kept.crc32, kept.expired_at = stored_size, crc32, None
            kept.save(update_fields=["stored_size", "crc32", "expired_at"])
            _put_together(kept, parts)
        return kept
    whole = StoredObject(
        organization=organization, sha256=sha256, size=size, stored_size=stored_size, crc32=crc32
    )
    StoredObject.across_organizations.bulk_create([whole], ignore_conflicts=True)
    winner: StoredObject = known.defer("inline").get()
    if winner.pk == whole.pk:
        _put_together(whole, parts)
    return winner


def _put_together(whole: StoredObject, parts: Iterable[StoredObject]) -> None:
    ObjectPart.across_organizations.bulk_create(
        ObjectPart(whole=whole, position=position, part=part) for position, part in enumerate(parts)
    )


def joined_pieces(
    whole: StoredObject, pieces_of: Callable[[StoredObject], Iterable[bytes]]
) -> Iterator[bytes]:
    """The gzip form of an object that consists of parts; ``pieces_of`` gives that of a part."""
    yield HEADER
    for part in _parts(whole):
        yield from _opened(pieces_of(part), part.stored_size)
    yield LAST_BLOCK + trailer(whole.crc32 or 0, whole.size)


def _parts(whole: StoredObject) -> Iterator[StoredObject]:
    """In order; a few at a time, as small ones come with their bytes."""
    rows = ObjectPart.objects.belonging_to(whole=whole).select_related("part").order_by("position")
    at = 0
    while page := list(rows.filter(position__gte=at)[:_PARTS_AT_ONCE]):
        yield from (row.part for row in page)
        at = page[-1].position + 1


def _opened(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The blocks of a joinable form of ``size`` bytes, without its frame."""
    first, last = len(HEADER), size - len(LAST_BLOCK) - TRAILER_SIZE
    at = 0
    for piece in pieces:
        inner = piece[max(0, first - at) : max(0, last - at)]
        at += len(piece)
        if inner:
            yield inner
