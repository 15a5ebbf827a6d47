"""Where a payload is cut into chunks: at the borders of its records, chosen by their content.

Cut at fixed places, one finding more would move every byte behind it, and every chunk from there on
would be a new one. Here a record (a finding, or a file's last finding) decides by its own bytes
whether a chunk ends behind it, whatever stands before or after. An insertion therefore changes the
chunk it falls into, or divides it, and no other. What has no such borders (archives, pictures) is
cut at fixed places.

A record ends a chunk with a chance in proportion to its length, so that chunks have about
``largest / 4`` bytes however long the findings are. Where a chunk would still be larger than
``largest``, it is divided behind the record whose digest is smallest, and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from zlib import crc32

_BORDER = re.compile(rb'\}(?=,\{"|\],")')
"""Behind a finding: the next one of its file, or the next file, in JSON without white space."""

_LOOK_AHEAD = 3
_LONGEST_LOOKED_AT = 512
"""Bytes of a record that decide: its end, where line, place and fingerprint stand."""

_SPAN = 2**32
_SHARE = 4
_WEAKER = 32
"""How many more records may divide a chunk that is too large than may end one."""


class _Candidate(NamedTuple):
    digest: int
    place: int
    ends_chunk: bool


def cut(pieces: Iterable[bytes], *, largest: int) -> Iterator[int]:
    """The sizes of the chunks that ``pieces`` have together, in order; none above ``largest``."""
    start = end = 0

    def counted() -> Iterator[bytes]:
        nonlocal end
        for piece in pieces:
            end += len(piece)
            yield piece

    weak: list[_Candidate] = []
    for candidate in _candidates(counted(), average=largest // _SHARE):
        if candidate.ends_chunk:
            yield from _divided(start, candidate.place, weak, largest)
            start = candidate.place
            weak.clear()
        else:
            weak.append(candidate)
    yield from _divided(start, end, weak, largest)


def _candidates(pieces: Iterable[bytes], *, average: int) -> Iterator[_Candidate]:
    """The records that end a chunk or may divide one: a hundredth of all.

    The inner loop runs once for each finding, and is what cutting costs.
    """
    buffer = b""
    at = before = end = 0
    previous = -1
    for piece in pieces:
        end += len(piece)
        buffer = (
            buffer[max(0, before - at, len(buffer) - _LONGEST_LOOKED_AT - _LOOK_AHEAD) :] + piece
        )
        at = end - len(buffer)
        for match in _BORDER.finditer(buffer, max(0, before - at)):
            last = match.end()
            first = max(before - at, last - _LONGEST_LOOKED_AT, 0)
            digest = crc32(buffer[first:last])
            chance = _SPAN * (at + last - before) // average
            before = at + last
            # Equal records would all be chosen, one behind the other.
            if digest < chance * _WEAKER and digest != previous:
                yield _Candidate(digest, before, digest < chance)
            previous = digest


def _divided(start: int, end: int, weak: list[_Candidate], largest: int) -> Iterator[int]:
    """Sizes of parts between ``start`` and ``end``, none above ``largest``."""
    while end - start > largest:
        inside = [each for each in weak if start < each.place < end]
        if not inside:
            yield largest
            start += largest
            continue
        chosen = min(inside)
        yield from _divided(start, chosen.place, inside, largest)
        start, weak = chosen.place, inside
    if end > start:
        yield end - start
