"""Where a payload is cut into chunks: at the borders of its records, chosen by their content.

Cut at fixed places, one finding more would move every byte behind it, and every chunk from there on
would be a new one. Here a chunk ends behind the record (a finding, or a file's last finding) whose
digest is the smallest within reach, a quarter of the largest chunk to either side (Bjørner, Blass
and Gurevich, "Content-Dependent Chunking for Differential Compression: The Local Maximum
Approach"). What is out of reach does not count, so that an insertion changes the chunk it falls
into, or divides it; seldom the one beside it, too. And two cuts are never within reach of each
other: a chunk costs a request however small it is.

What would become larger than the largest is divided behind a record as well. What has no such
borders (archives, pictures) is cut at fixed places.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, chain, tee
from typing import NamedTuple

from odavl.wire.deflate import crc32

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
    coming = iter(pieces)
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
