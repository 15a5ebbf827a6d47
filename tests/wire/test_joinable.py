"""Gzip members that can be opened and put behind each other."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odavl.wire.errors import MalformedGzip, PayloadTooLarge
from odavl.wire.joinable import (
    FRAME_SIZE,
    HEADER,
    LAST_BLOCK,
    TRAILER_SIZE,
    joinable_pieces,
    looks_joinable,
    opened_joinable,
    trailer,
)

LIMIT = 10 * 1024 * 1024
WORDS = b'{"severity":"high","line":1},' * 9_000
NOISE = random.Random(7).randbytes(200_000)

contents = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda text, times: text * times, st.binary(max_size=40), st.integers(0, 9_000)),
    st.integers(0, 200_000).map(lambda size: NOISE[:size]),
)


def made(data: bytes, step: int = 65_536) -> bytes:
    return b"".join(joinable_pieces(data[at : at + step] for at in range(0, len(data), step)))


def opened(body: bytes) -> bytes:
    assert looks_joinable(body)
    return b"".join(opened_joinable(body, limit=LIMIT))


def blocks(body: bytes) -> bytes:
    return body[len(HEADER) : -len(LAST_BLOCK) - TRAILER_SIZE]


@given(contents, st.integers(1, 100_000))
def test_what_is_made_is_gzip_and_can_be_opened(data, step):
    body = made(data, max(step, len(data) // 50 + 1))
    assert gzip.decompress(body) == data
    assert opened(body) == data


@given(st.lists(contents, min_size=1, max_size=4))
def test_the_blocks_of_several_are_one_member(parts):
    whole = b"".join(parts)
    body = HEADER + b"".join(blocks(made(part)) for part in parts) + LAST_BLOCK
    body += trailer(zlib.crc32(whole), len(whole))
    assert gzip.decompress(body) == whole
    assert opened(body) == whole


def test_what_does_not_become_smaller_is_framed():
    assert len(made(NOISE)) < len(NOISE) + FRAME_SIZE + 100


def test_other_gzip_does_not_look_joinable():
    for level in (0, 1, 9):
        assert not looks_joinable(gzip.compress(WORDS, level))
    assert not looks_joinable(b"")
    assert not looks_joinable(HEADER + LAST_BLOCK)


@given(st.data())
def test_a_damaged_one_is_refused_or_reads_the_same(data):
    """Some bits in front of a stored block mean nothing."""
    body = bytearray(made(WORDS))
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] ^= data.draw(st.integers(1, 255))
    if not looks_joinable(bytes(body)):
        return
    try:
        found = opened(bytes(body))
    except MalformedGzip:
        return
    assert found == WORDS


def unframed(raw: bytes, data: bytes) -> bytes:
    return HEADER + raw + LAST_BLOCK + trailer(zlib.crc32(data), len(data))


def test_blocks_behind_which_others_would_be_misread_are_refused():
    """A stored block whose last bytes look like an empty one: what follows would be its content."""
    inside = b"\x00\x00\xff\xff"
    announced = (len(inside) + len(LAST_BLOCK)).to_bytes(2, "little")
    stored = b"\x00" + announced + bytes(each ^ 0xFF for each in announced) + inside
    crafted = unframed(stored, inside)
    assert looks_joinable(crafted)
    with pytest.raises(MalformedGzip):
        opened(crafted)


def test_a_stream_that_has_ended_before_is_refused():
    raw = zlib.compressobj(1, zlib.DEFLATED, -15)
    ended = raw.compress(WORDS) + raw.flush(zlib.Z_FINISH) + b"\x00\x00\xff\xff"
    with pytest.raises(MalformedGzip):
        opened(unframed(ended, WORDS))


def test_references_to_what_stands_before_are_refused():
    """Such a part reads well behind its neighbour only, and is damaged behind any other."""
    raw = zlib.compressobj(9, zlib.DEFLATED, -15)
    raw.compress(WORDS)
    raw.flush(zlib.Z_SYNC_FLUSH)
    second = raw.compress(WORDS) + raw.flush(zlib.Z_SYNC_FLUSH)
    with pytest.raises(MalformedGzip):
        opened(unframed(second, WORDS))


def test_a_bomb_is_stopped():
    body = made(bytes(20 * 1024 * 1024), 1024 * 1024)
    with pytest.raises(PayloadTooLarge):
        opened(body)
