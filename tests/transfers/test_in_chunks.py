"""A payload read once: its chunks, their names, and what is ready to be sent."""

from __future__ import annotations

import gzip
import hashlib
import random
from collections.abc import Iterator
from itertools import pairwise
from threading import Lock

import pytest

from odavl.hub.transfer.chunking import Chunked, as_it_is, in_chunks, joinable, name, named
from odavl.wire import limits
from odavl.wire.errors import PayloadTooLarge
from odavl.wire.joinable import looks_joinable

LARGEST = 64 * 1024
NOISE = random.Random(4).randbytes(600_000)
FINDINGS = (b'{"diagnostics":{"a.py":['
    + b",".join(b'{"line":%d,"message":"%d"}' % (line, line**3) for line in range(40_000))
    + b"]}}")  # fmt: skip


def pieces_of(payload: bytes, size: int = 10_000) -> Iterator[bytes]:
    return (payload[at : at + size] for at in range(0, len(payload), size))


def all_packed(found: Chunked) -> list[bytes | None]:
    return [found.packed(chunk.sha256) for chunk in found.chunks]


def chunks_in(payload: bytes, sizes: list[int]) -> list[bytes]:
    places = [sum(sizes[:number]) for number in range(len(sizes) + 1)]
    return [payload[start:end] for start, end in pairwise(places)]


@pytest.mark.parametrize("payload", [FINDINGS, NOISE, b"x" * 300_000, b"{}"])
def test_names_are_those_of_the_bytes(payload: bytes) -> None:
    found = in_chunks(pieces_of(payload), largest=LARGEST, pack=joinable)
    assert found.sha256 == hashlib.sha256(payload).hexdigest()
    assert found.size == len(payload)
    contents = chunks_in(payload, [chunk.size for chunk in found.chunks])
    assert b"".join(contents) == payload
    names = [hashlib.sha256(content).hexdigest() for content in contents]
    assert [chunk.sha256 for chunk in found.chunks] == names
    for chunk, content in zip(found.chunks, contents, strict=True):
        if (packed := found.packed(chunk.sha256)) is not None:
            assert looks_joinable(packed)
            assert gzip.decompress(packed) == content


def test_what_gzip_makes_smaller_is_ready_to_be_sent() -> None:
    found = in_chunks(pieces_of(FINDINGS), largest=LARGEST, pack=joinable)
    assert len(found.chunks) > 10
    assert all(all_packed(found))
    assert not any(all_packed(in_chunks(pieces_of(FINDINGS), largest=LARGEST, pack=as_it_is)))
    assert not any(all_packed(in_chunks(pieces_of(NOISE), largest=LARGEST, pack=joinable)))


def test_what_is_packed_is_given_out_once() -> None:
    found = in_chunks(pieces_of(FINDINGS), largest=LARGEST, pack=joinable)
    assert all(all_packed(found))
    assert not any(all_packed(found))


def test_no_more_is_packed_than_there_is_room_for() -> None:
    found = in_chunks(pieces_of(FINDINGS), largest=LARGEST, pack=joinable, room=20_000)
    sizes = [len(packed) for packed in all_packed(found) if packed]
    # Those that are under way when the room is gone come on top.
    assert 20_000 <= sum(sizes) <= 20_000 + 5 * max(sizes)
    whole = in_chunks(pieces_of(FINDINGS), largest=LARGEST, pack=joinable)
    assert (found.chunks, found.sha256) == (whole.chunks, whole.sha256)


def test_the_first_piece_of_a_chunk_may_be_too_short_to_judge_by() -> None:
    packed = joinable([b"{", FINDINGS[:50_000], FINDINGS[50_000:]])
    assert packed is not None
    assert len(packed) < len(FINDINGS) // 2


def test_cut_again_at_given_places() -> None:
    assert named(pieces_of(NOISE), [1, 9_999, 590_000]) == [
        name([NOISE[:1]]),
        name([NOISE[1:10_000]]),
        name([NOISE[10_000:]]),
    ]


def test_too_many_bytes_or_chunks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CHUNKS", 9)
    assert len(in_chunks(pieces_of(NOISE), largest=70_000, pack=as_it_is).chunks) == 9
    with pytest.raises(PayloadTooLarge):
        in_chunks(pieces_of(NOISE), largest=60_000, pack=as_it_is)
    monkeypatch.setattr(limits, "MAX_INFLATED_SIZE", 599_999)
    with pytest.raises(PayloadTooLarge):
        in_chunks(pieces_of(NOISE), largest=LARGEST * 2, pack=as_it_is)


def test_what_fails_in_a_thread_comes_out() -> None:
    def broken(_pieces: list[bytes]) -> bytes:
        raise MemoryError

    with pytest.raises(MemoryError):
        in_chunks(pieces_of(NOISE), largest=LARGEST, pack=broken)


def test_a_payload_is_not_held_while_it_is_in_chunks() -> None:
    """Cutting must not run ahead of what follows it, be there borders or none."""
    ahead = most = 0

    def counted(payload: bytes) -> Iterator[bytes]:
        nonlocal ahead, most
        for piece in pieces_of(payload):
            with lock:
                ahead += len(piece)
                most = max(most, ahead)
            yield piece

    def taken(pieces: list[bytes]) -> None:
        nonlocal ahead
        with lock:
            ahead -= sum(map(len, pieces))

    lock = Lock()
    for payload in (NOISE * 4, FINDINGS * 3):
        ahead = most = 0
        in_chunks(counted(payload), largest=LARGEST, pack=taken)
        assert most < 8 * LARGEST
