"""A payload read once: cut into chunks, named, and as far as memory allows ready to be sent.

A chunk ends at the border of a record, chosen by content. Cut at fixed places, one finding more
would move every byte behind it, and every chunk from there on would be a new one. Here a chunk ends
behind the record (a finding, or a file's last finding) whose digest is the smallest within reach, a
quarter of the largest chunk to either side (Bjørner, Blass and Gurevich, "Content-Dependent
Chunking for Differential Compression: The Local Maximum Approach"). What is out of reach does not
count, so that an insertion changes the chunk it falls into, or divides it; seldom the one beside
it, too. And two cuts are never within reach of each other: a chunk costs a request however small it
is. What would become larger than the largest is divided behind a record as well. What has no such
borders (archives, pictures) is cut at fixed places.

Names and gzip are made in threads beside the one that reads and cuts, chunk by chunk as they come;
both let go of the interpreter meanwhile. The last chunks are packed while the hub is asked what it
lacks.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate, chain, tee
from typing import NamedTuple

from odavl.hub.transfer.encoding import check_size
from odavl.wire import limits
from odavl.wire.deflate import crc32
from odavl.wire.errors import PayloadTooLarge
from odavl.wire.joinable import is_worth_compressing, joinable_pieces
from odavl.wire.transfer import Chunk

ROOM = 8 * limits.MEBIBYTE
"""For chunks that are packed before the hub has said whether it lacks them.

Of findings, fifty megabytes go into it. What has no room is read and packed when it is sent.
"""

_THREADS = 3
"""Two are busy in the mean; one more has something to do while they wait for the interpreter."""

_BORDER = re.compile(rb'\}(?=,\{"|\],")')
"""Behind a finding: the next one of its file, or the next file, in JSON without white space."""

_LOOK_AHEAD = 3
_REACHES = 4
"""In the largest chunk."""

_SPAN = 2**32
_CANDIDATES = 16
"""How many records in reach are looked at, of maybe thousands: those of the smallest digests.

Longer ones have a greater chance to be among them. That there is none has one of ``exp(-16)``.
"""


Pack = Callable[[list[bytes]], bytes | None]
"""Of a chunk, in pieces, what travels; None where that is the chunk as it is."""


@dataclass(kw_only=True)
class Chunked:
    """``sha256`` is that of the whole."""

    chunks: list[Chunk] = field(default_factory=list)
    sha256: str = ""
    packing: dict[str, Future[bytes | None]] = field(default_factory=dict)
    """By name; some may still be under way."""

    @property
    def size(self) -> int:
        return sum(chunk.size for chunk in self.chunks)

    def packed(self, name: str) -> bytes | None:
        """What travels of that chunk, given out once; None where it must be read again."""
        packing = self.packing.pop(name, None)
        return packing.result() if packing else None


def in_chunks(pieces: Iterable[bytes], *, largest: int, pack: Pack, room: int = ROOM) -> Chunked:
    """``pieces``, which are the payload's bytes, in chunks of at most ``largest``.

    Raises :class:`PayloadTooLarge` for more bytes or chunks than a hub may take.
    """
    chunked = Chunked()
    whole = hashlib.sha256()
    working: deque[tuple[Future[Chunk], Future[bytes | None]]] = deque()

    def oldest_named() -> Future[bytes | None]:
        naming, packing = working.popleft()
        chunk = naming.result()
        chunked.chunks.append(chunk)
        return chunked.packing.setdefault(chunk.sha256, packing)

    pool = ThreadPoolExecutor(_THREADS)
    try:
        for chunk_pieces in chunks_of(_hashed(pieces, whole), largest=largest):
            if len(chunked.chunks) + len(working) == limits.MAX_CHUNKS:
                raise PayloadTooLarge(f"The payload makes more than {limits.MAX_CHUNKS} chunks.")
            naming = pool.submit(name, chunk_pieces)
            working.append((naming, pool.submit(pack if room > 0 else as_it_is, chunk_pieces)))
            if len(working) > _THREADS:
                room -= len(oldest_named().result() or b"")
        while working:
            oldest_named()
    finally:
        pool.shutdown(wait=False)
    chunked.sha256 = whole.hexdigest()
    return chunked


def joinable(pieces: list[bytes]) -> bytes | None:
    """The form that the hub keeps, so that it need not make it; None for what stays as large."""
    # The first piece is what the chunk before has left of one, maybe a few bytes.
    first = b"".join(pieces[:2])
    if not is_worth_compressing(first):
        return None
    return b"".join(joinable_pieces([first, *pieces[2:]]))


def as_it_is(_pieces: list[bytes]) -> None:
    """For what is compressed already, and for a hub that takes no gzip."""
    return


def _hashed(pieces: Iterable[bytes], whole: hashlib._Hash) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        check_size(size)
        # Here the other threads get their turn with the interpreter.
        whole.update(piece)
        yield piece


def named(pieces: Iterable[bytes], sizes: Iterable[int]) -> list[Chunk]:
    """The chunks of ``sizes`` that ``pieces`` have."""
    return [name(part) for part in parts(pieces, sizes)]


def name(pieces: Iterable[bytes]) -> Chunk:
    """The chunk that ``pieces`` are."""
    digest = hashlib.sha256()
    size = 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
    return Chunk(digest.hexdigest(), size)


class _Candidate(NamedTuple):
    digest: int
    place: int
    """Behind the record, in bytes from the beginning of the payload."""


def chunks_of(pieces: Iterable[bytes], *, largest: int) -> Iterator[list[bytes]]:
    """The chunks that ``pieces`` have together, in order, each in pieces."""
    looked_at, handed_out = tee(pieces)
    return parts(handed_out, cut(looked_at, largest=largest))


def parts(pieces: Iterable[bytes], sizes: Iterable[int]) -> Iterator[list[bytes]]:
    """``pieces`` in parts of ``sizes``; what comes where the bytes have ended is too short."""
    coming = filter(None, pieces)
    rest = b""

    def next_part(left: int) -> list[bytes]:
        nonlocal rest
        found = []
        while left and (piece := rest or next(coming, b"")):
            found.append(piece[:left])
            rest = piece[left:]
            left -= len(found[-1])
        return found

    # Nothing of a part is held here while it is out.
    for size in sizes:
        yield next_part(size)


def cut(pieces: Iterable[bytes], *, largest: int) -> Iterator[int]:
    """The sizes of the chunks that ``pieces`` have together, in order; none above ``largest``."""
    reach = max(1, largest // _REACHES)
    knife = _Knife(largest, reach)
    for candidates, known in _candidates(pieces, reach):
        yield from knife.look(candidates, known)
    yield from knife.end()


@dataclass(slots=True)
class _Knife:
    largest: int
    reach: int
    start: int = 0
    """Of the chunk that has not been cut off yet."""
    known: int = 0
    """All candidates up to here have been looked at."""
    leader: _Candidate | None = None
    """Smaller than all in reach before it and all so far behind it; there is one at most."""
    recent: deque[_Candidate] = field(default_factory=deque)
    """Those since ``start``, and those in reach of what comes next."""

    def look(self, candidates: Iterable[_Candidate], known: int) -> Iterator[int]:
        """The sizes of chunks that nothing behind ``known`` can change."""
        for candidate in candidates:
            yield from self._settled(candidate.place)
            if self._leads(candidate):
                self.leader = candidate
            self.recent.append(candidate)
        yield from self._settled(known)

    def end(self) -> Iterator[int]:
        yield from self._divided(self.known)
        if self.known > self.start:
            yield self._cut_off(self.known)

    def _settled(self, known: int) -> Iterator[int]:
        self.known = known
        if self.leader is not None:
            place = self.leader.place
            yield from self._divided(place)
            if known - place < self.reach:
                return
            yield self._cut_off(place)
            self.leader = None
        yield from self._divided(known)
        while self.recent and self.recent[0].place <= min(self.start, known - self.reach):
            self.recent.popleft()

    def _leads(self, candidate: _Candidate) -> bool:
        if self.leader is not None:
            return candidate.digest < self.leader.digest
        for other in reversed(self.recent):
            if other.place <= candidate.place - self.reach:
                break
            # Of equal records only the first leads, or each of them would.
            if other.digest <= candidate.digest:
                return False
        return True

    def _divided(self, end: int) -> Iterator[int]:
        """Sizes of chunks without a leader in them, until ``end`` is within the largest."""
        while end - self.start > self.largest:
            first, last = self.start + self.reach, self.start + self.largest - self.reach
            inside = [each for each in self.recent if first <= each.place <= last]
            if inside:
                chosen = min(inside, key=lambda each: (each.digest, -each.place))
                yield self._cut_off(chosen.place)
            else:
                yield self._cut_off(self.start + self.largest)

    def _cut_off(self, place: int) -> int:
        size = place - self.start
        self.start = place
        return size


def _candidates(pieces: Iterable[bytes], reach: int) -> Iterator[tuple[list[_Candidate], int]]:
    """With each piece: the candidates in it, and up to where there are no others.

    This is what cutting costs: each record passes through here.
    """
    share = _CANDIDATES * _SPAN // reach
    held = b""
    at = size_so_far = digest_so_far = 0
    for piece in pieces:
        *records, rest = _BORDER.split(held + piece)
        found: list[_Candidate] = []
        if records:
            sizes = [len(record) + 1 for record in records]
            places = [*accumulate(sizes, initial=at)][1:]
            at = places[-1]
            sizes[0] += size_so_far
            digests = chain((crc32(records[0], digest_so_far),), map(crc32, records[1:]))
            found = [
                _Candidate(digest, place)
                for digest, place, size in zip(digests, places, sizes, strict=True)
                if digest < size * share
            ]
            size_so_far = digest_so_far = 0
        # What may be the beginning of a border is looked at again.
        seen, held = rest[:-_LOOK_AHEAD], rest[-_LOOK_AHEAD:]
        at += len(seen)
        size_so_far += len(seen)
        digest_so_far = crc32(seen, digest_so_far)
        yield found, at
    yield [], at + len(held)
