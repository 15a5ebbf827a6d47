"""However bytes are divided on their way: the same is read, and the same is refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odavl.hub.transfer.chunking import cut, in_chunks, joinable, parts
from odavl.hub.transfer.encoding import GZIP, IDENTITY, Body
from odavl.hub.transport import HubClient
from odavl.wire.encoding import gunzip_pieces, gzip_compress
from odavl.wire.errors import LocalStorageFailed, MalformedGzip, NotTheHub, PayloadTooLarge
from tests.client.small_hub import TOKEN, Handler, SmallHub

TEXT = json.dumps({"number": -12.5e10, "words": ["é", "\\u00e9", ""], "n": 1234567890}).encode()
WHOLE = gzip_compress(TEXT)
JUNK = [b"\0", b"junk", WHOLE[:5], WHOLE, b"\0" * 512]


def divided(data: bytes, places: Sequence[int]) -> list[bytes]:
    bounds = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


PLACES = st.lists(st.integers(0, len(WHOLE)), max_size=6)


def test_a_stream_divided_anywhere_is_the_same_stream() -> None:
    for place in range(len(WHOLE) + 1):
        assert b"".join(gunzip_pieces(divided(WHOLE, [place]))) == TEXT


@given(PLACES)
def test_so_is_one_in_many_pieces_some_of_them_empty(places: list[int]) -> None:
    assert b"".join(gunzip_pieces(divided(WHOLE, places))) == TEXT


@given(st.sampled_from(JUNK), st.data())
def test_bytes_behind_the_end_are_refused_in_whichever_piece_they_come(
    junk: bytes, data: st.DataObject
) -> None:
    together = WHOLE + junk
    places = data.draw(st.lists(st.integers(0, len(together)), max_size=6))
    with pytest.raises(MalformedGzip, match="after the end"):
        list(gunzip_pieces(divided(together, places)))


@given(st.integers(0, len(WHOLE) - 1), st.data())
def test_a_stream_that_ends_too_early_is_refused(end: int, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, end), max_size=4))
    with pytest.raises(MalformedGzip):
        list(gunzip_pieces(divided(WHOLE[:end], places)))


@given(st.integers(0, len(WHOLE) - 9), st.integers(1, 255), PLACES)
def test_no_damaged_byte_comes_through_as_other_text(
    at: int, change: int, places: list[int]
) -> None:
    damaged = bytearray(WHOLE)
    damaged[at] ^= change
    try:
        found = b"".join(gunzip_pieces(divided(bytes(damaged), places)))
    except MalformedGzip:
        return
    assert found == TEXT, "only what the frame says of time and system may differ"


@given(st.integers(1, len(TEXT) - 1), PLACES)
def test_a_limit_counts_what_comes_out_however_it_comes_in(limit: int, places: list[int]) -> None:
    with pytest.raises(PayloadTooLarge):
        list(gunzip_pieces(divided(WHOLE, places), limit=limit))
    assert list(gunzip_pieces(divided(WHOLE, places), limit=len(TEXT)))


def served(hub: SmallHub, pieces: Sequence[bytes]) -> None:
    """The next answer comes in these pieces, each as a chunk of HTTP/1.1."""

    def in_pieces(handler: Handler) -> bool:
        handler.send_response(200)
        for name, value in (
            ("Content-Type", "application/json"),
            ("Content-Encoding", "gzip"),
            ("Transfer-Encoding", "chunked"),
        ):
            handler.send_header(name, value)
        handler.end_headers()
        for piece in pieces:
            if piece:
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                handler.wfile.flush()
        handler.wfile.write(b"0\r\n\r\n")
        return True

    hub.faults_anywhere.append(in_pieces)


@pytest.fixture
def client(small_hub: SmallHub) -> Iterator[HubClient]:
    with HubClient(small_hub.address, token=TOKEN, sleep=lambda _seconds: None) as made:
        yield made


def test_an_answer_divided_anywhere_is_the_same_answer(
    small_hub: SmallHub, client: HubClient
) -> None:
    for place in range(1, len(WHOLE)):
        served(small_hub, divided(WHOLE, [place]))
        assert client.get("/x").body == TEXT


@pytest.mark.parametrize("junk", [b"\0", b"junk", WHOLE[:12]])
def test_an_answer_with_bytes_behind_its_end_is_none(
    small_hub: SmallHub, client: HubClient, junk: bytes
) -> None:
    for pieces in ([WHOLE + junk], [WHOLE, junk], [WHOLE[:-1], WHOLE[-1:] + junk]):
        for _ in range(3):
            served(small_hub, pieces)
        with pytest.raises(NotTheHub):
            client.get("/x")
        small_hub.faults_anywhere.clear()


@pytest.mark.parametrize("end", [1, 9, 10, 11, len(WHOLE) // 2, len(WHOLE) - 8, len(WHOLE) - 1])
def test_an_answer_that_ends_too_early_is_none(
    small_hub: SmallHub, client: HubClient, end: int
) -> None:
    for _ in range(3):
        served(small_hub, divided(WHOLE[:end], [end // 2]))
    with pytest.raises(NotTheHub):
        client.get("/x")


RECORDS = b'{"diagnostics":{"a.py":[' + b",".join(
    b'{"line":%d,"message":"%d"}' % (line, line**7) for line in range(300)
) + b'],"b.py":[{"line":12345678901234567890}]}}'  # fmt: skip


@pytest.mark.parametrize("largest", [512, 2_048, 9_000])
def test_cuts_are_the_same_wherever_the_reading_stopped(largest: int) -> None:
    """Also in the midst of a border, or of a number."""
    sizes = list(cut([RECORDS], largest=largest))
    for place in range(1, len(RECORDS), 7):
        assert list(cut(divided(RECORDS, [place, place + 1]), largest=largest)) == sizes


@given(st.lists(st.integers(0, len(RECORDS)), max_size=8), st.sampled_from([512, 2_048]))
def test_chunks_and_their_names_are_the_same_too(places: list[int], largest: int) -> None:
    found = in_chunks(divided(RECORDS, places), largest=largest, pack=joinable)
    sizes = [chunk.size for chunk in found.chunks]
    assert found.sha256 == hashlib.sha256(RECORDS).hexdigest()
    for chunk, part in zip(found.chunks, parts(divided(RECORDS, places), sizes), strict=True):
        content = b"".join(part)
        assert chunk.sha256 == hashlib.sha256(content).hexdigest()
        packed = found.packed(chunk.sha256)
        assert packed is None or gzip.decompress(packed) == content


def body_of(content: bytes, encoding: str) -> Body:
    return Body(body=io.BytesIO(content), body_size=len(content), encoding=encoding, size=len(TEXT))


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64])
def test_a_snapshot_is_read_the_same_in_steps_of_any_size(
    monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr("odavl.hub.transfer.encoding.PIECE", step)
    for body in (body_of(WHOLE, GZIP), body_of(TEXT, IDENTITY)):
        assert b"".join(body.pieces()) == TEXT
        assert b"".join(body.pieces()) == TEXT, "as often as asked"
        assert body.name() == hashlib.sha256(TEXT).hexdigest()


@pytest.mark.parametrize("at", [0, 1, 12, 20])
def test_a_damaged_snapshot_is_told_as_one(at: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[at] ^= 0xFF
    body = body_of(bytes(damaged), GZIP)
    try:
        found = b"".join(body.pieces())
    except LocalStorageFailed:
        return
    assert found != TEXT
    assert body.name() != hashlib.sha256(TEXT).hexdigest()


def test_what_a_server_of_another_make_compresses_is_read(
    small_hub: SmallHub, client: HubClient
) -> None:
    for level in range(10):
        packer = zlib.compressobj(level, zlib.DEFLATED, 31)
        served(small_hub, [packer.compress(TEXT), packer.flush()])
        assert client.get("/x").body == TEXT
