"""That what inflates here is zlib in all but its speed: what it takes, others can read."""

from __future__ import annotations

import importlib.util
import sys
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zlib_ng import zlib_ng

from odavl.wire.deflate import GZIP, RAW, DeflateError, compressor, crc32, inflater
from odavl.wire.encoding import gunzip, gzip_compress
from odavl.wire.errors import MalformedGzip

WORDS = b'{"severity":"high","line":1,"message":"unused"},' * 300

contents = st.one_of(
    st.binary(max_size=2_000),
    st.builds(lambda text, times: text * times, st.binary(max_size=40), st.integers(0, 500)),
)


def judged(inflating: object, error: type[Exception], body: bytes, step: int) -> tuple[object, ...]:
    """What comes out of ``body``, and how it ends; None where it is damaged."""
    found = b""
    pending = body
    try:
        while not inflating.eof:
            piece = inflating.decompress(pending, step)
            pending = inflating.unconsumed_tail
            if not piece and not pending:
                break
            found += piece
    except error:
        return (None,)
    return found, inflating.eof, inflating.unused_data


@settings(max_examples=300, deadline=None)
@given(
    contents,
    st.sampled_from(
        [(zlib.Z_DEFAULT_STRATEGY, 1), (zlib.Z_DEFAULT_STRATEGY, 9), (zlib.Z_FIXED, 6)]
    ),
    st.sampled_from([zlib.Z_FINISH, zlib.Z_SYNC_FLUSH]),
    st.data(),
)
def test_it_judges_every_stream_as_zlib_does(content, kind, end, data):
    strategy, level = kind
    packer = zlib.compressobj(level, zlib.DEFLATED, RAW, 9, strategy)
    body = bytearray(packer.compress(content) + packer.flush(end))
    for place in data.draw(st.lists(st.integers(0, 8 * len(body) - 1), max_size=3)):
        body[place // 8] ^= 1 << place % 8
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(body))))
    damaged = bytes(body[:cut]) + data.draw(st.sampled_from([b"", b"junk"]))
    step = data.draw(st.sampled_from([50, 1_000, 262_144]))
    mine = judged(inflater(RAW), DeflateError, damaged, step)
    assert mine == judged(zlib.decompressobj(RAW), zlib.error, damaged, step)


@given(contents, st.sampled_from([RAW, GZIP]))
def test_what_it_makes_zlib_reads(content, frame):
    packer = compressor(frame)
    body = packer.compress(content) + packer.flush()
    assert zlib.decompress(body, frame) == content
    assert crc32(content) == zlib.crc32(content)
    assert crc32(content[9:], crc32(content[:9])) == zlib.crc32(content)


def test_where_there_is_no_isa_l_zlib_ng_compresses(monkeypatch):
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)
    spec = importlib.util.find_spec("odavl.wire.deflate")
    alone = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(alone)
    assert alone.compressobj is zlib_ng.compressobj
    packer = alone.compressor(GZIP)
    assert zlib.decompress(packer.compress(WORDS) + packer.flush(), GZIP) == WORDS


def test_equal_contents_give_equal_bytes_and_few_of_them():
    assert gzip_compress(WORDS) == gzip_compress(WORDS)
    assert len(gzip_compress(WORDS)) <= len(zlib.compress(WORDS, 1)) + 20


@pytest.mark.parametrize(
    "body",
    [
        b"",
        gzip_compress(WORDS)[:-1],
        gzip_compress(WORDS)[:-9],
        gzip_compress(WORDS) + b"\0",
        gzip_compress(WORDS) + gzip_compress(WORDS),
        gzip_compress(WORDS)[:-8] + bytes(8),
        zlib.compress(WORDS),
        WORDS,
    ],
    ids=["nothing", "one-less", "no-trailer", "one-more", "members", "wrong-crc", "zlib", "plain"],
)
@pytest.mark.parametrize("step", [None, 7])
def test_one_whole_gzip_member_and_nothing_else(body: bytes, step: int | None) -> None:
    source = body if step is None else [body[at : at + step] for at in range(0, len(body), step)]
    with pytest.raises(MalformedGzip):
        gunzip(source)
