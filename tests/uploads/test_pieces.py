"""Into whatever pieces a document falls on its way, the same is read from it."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odavl.wire.encoding import gzip_compress, sha256_hex
from odavl.wire.errors import (
    DigestMismatch,
    MalformedGzip,
    MalformedJson,
    PayloadTooLarge,
    RefusedError,
)
from uploads import contents
from uploads.contents import content_of
from uploads.documents import LongDocument, Scanner

KIND = LongDocument(
    "items", msgspec.json.Decoder(dict[str, Any]), msgspec.json.Decoder(dict[str, Any])
)
DOCUMENTS = [
    {"items": [{"n": 1234567890}, {"n": -0.5e-7}], "total": 98765, "whole": True},
    {"name": 'a "quoted" \\ text', "items": [{"text": '}],"\\'}, {}, {"deep": [[[{}]]]}]},
    {"first": None, "items": [], "last": 12},
    {"items": [{"ü€😀": "␀"}] * 3, "numbers": [1, 22, 333, [4444]]},
]
"""Numbers, words, escapes and letters of several bytes: each is divided somewhere below."""
texts = st.text(max_size=12) | st.sampled_from(['"', "\\", '\\"', "{", "}]", "123", "tru"])
numbers = st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
documents = st.fixed_dictionaries(
    {"items": st.lists(st.dictionaries(texts, values, max_size=3), max_size=4)},
    optional={"total": numbers, "name": texts, "more": values},
)


def divided(body: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    return [body[start:end] for start, end in itertools.pairwise(places)]


def scanned(pieces: Iterator[bytes]) -> dict[str, Any]:
    """The document whose borders a scanner has found, with its list read item by item."""
    scanner = Scanner(pieces)
    found: dict[str, Any] = {}
    for name in scanner.members():
        if scanner.is_array():
            found[json.loads(name)] = [json.loads(item) for item in scanner.elements()]
        else:
            found[json.loads(name)] = json.loads(scanner.value())
    scanner.end()
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=range(len(DOCUMENTS)))
@pytest.mark.parametrize("indent", [None, 1])
def test_a_document_may_be_divided_anywhere(document: dict[str, Any], indent: int | None) -> None:
    body = json.dumps(document, ensure_ascii=False, indent=indent).encode()
    for at in range(len(body) + 1):
        assert scanned(iter([body[:at], body[at:]])) == document, at
    for size in (1, 2, 3):
        pieces = (body[at : at + size] for at in range(0, len(body), size))
        assert scanned(pieces) == document, size


@given(document=documents, cuts=st.lists(st.integers(0, 2_000), max_size=8))
def test_however_it_is_divided_it_says_the_same(document: dict[str, Any], cuts: list[int]) -> None:
    body = json.dumps(document).encode()
    expected = json.loads(body)
    assert scanned(iter(divided(body, cuts))) == expected
    found: list[dict[str, Any]] = []
    head = KIND.read(divided(gzip_compress(body), cuts), lambda _place, item: found.append(item))
    assert head | {"items": found} == expected
    assert KIND.first(divided(gzip_compress(body), cuts), 1) == expected["items"][:1]


@given(cuts=st.lists(st.integers(0, 200), max_size=4), end=st.integers(0, 60))
def test_a_document_that_breaks_off_is_refused_wherever_it_does(cuts: list[int], end: int) -> None:
    body = b'{"items": [{"a": 1}, {"b": [22]}], "n": 12345, "t": true}'
    if end < len(body):
        with pytest.raises(MalformedJson):
            scanned(iter(divided(body[:end], cuts)))


@pytest.mark.parametrize("tail", [b"}", b" x", b"{}", b"]", b" 1", b",", b'"'])
def test_what_follows_a_document_is_refused_in_whatever_piece_it_comes(tail: bytes) -> None:
    body = b'{"items": [{"a": 1}]}'
    for pieces in (
        [body + tail],
        [body, tail],
        [body, b" \n", tail],
        [body[:-1], body[-1:] + tail],
    ):
        with pytest.raises(MalformedJson):
            scanned(iter(pieces))
        with pytest.raises(RefusedError):
            KIND.read([gzip_compress(b"".join(pieces))], lambda _place, _item: None)
    assert scanned(iter([body, b" ", b"\n\t"])) == {"items": [{"a": 1}]}


def test_an_object_may_be_as_deep_as_is_allowed_and_no_deeper() -> None:
    def nested(depth: int) -> bytes:
        return b'{"items": ' + b"[" * depth + b"]" * depth + b"}"

    def last(depth: int) -> bytes:
        scanner = Scanner(iter([nested(depth)]))
        next(scanner.members())
        return scanner.value()

    assert last(contents.limits.MAX_NESTING) == nested(contents.limits.MAX_NESTING)[10:-1]
    with pytest.raises(MalformedJson, match="too deeply"):
        last(contents.limits.MAX_NESTING + 1)


# ── The bytes themselves ─────────────────────────────────────────────────────


@given(data=st.binary(max_size=400), cuts=st.lists(st.integers(0, 600), max_size=6))
def test_contents_are_named_alike_however_they_come(data: bytes, cuts: list[int]) -> None:
    expected = (sha256_hex(data), len(data))
    sent = gzip.compress(data, 9, mtime=0)
    for source, compressed in (
        (data, False),
        (divided(data, cuts), False),
        (sent, True),
        (divided(sent, cuts), True),
    ):
        with content_of(source, compressed=compressed, claimed_sha256=expected[0]) as content:
            assert (content.sha256, content.size) == expected
            kept = [b"".join(content.pieces()) for _ in range(2)]
            assert kept[0] == kept[1], "as often as asked"
            assert len(kept[0]) == content.stored_size
            assert gzip.decompress(kept[0]) == data
            assert not compressed or kept[0] == sent, "kept as it was sent"


@given(cuts=st.lists(st.integers(0, 600), max_size=6), junk=st.binary(min_size=1, max_size=40))
def test_nothing_may_follow_the_end_of_a_stream_in_any_piece(cuts: list[int], junk: bytes) -> None:
    sent = gzip_compress(b"payload" * 20)
    for pieces in (divided(sent + junk, cuts), [sent, junk], [*divided(sent, cuts), junk]):
        with pytest.raises(MalformedGzip):
            content_of(pieces, compressed=True)


def test_a_second_member_is_no_part_of_the_payload() -> None:
    sent = gzip_compress(b"one")
    for pieces in ([sent + gzip_compress(b"two")], [sent, gzip_compress(b"two")]):
        with pytest.raises(MalformedGzip):
            content_of(pieces, compressed=True)


def test_a_stream_that_breaks_off_is_refused_wherever_it_does() -> None:
    sent = gzip_compress(b"payload" * 20)
    for end in range(len(sent)):
        for pieces in ([sent[:end]], [sent[at : at + 1] for at in range(end)]):
            with pytest.raises(MalformedGzip):
                content_of(pieces, compressed=True)
    for at in range(len(sent) - 8, len(sent)):  # its CRC and its length
        damaged = sent[:at] + bytes([sent[at] ^ 1]) + sent[at + 1 :]
        with pytest.raises(MalformedGzip):
            content_of([damaged[:at], damaged[at:]], compressed=True)


@pytest.mark.parametrize("compressed", [False, True])
def test_more_bytes_than_allowed_are_refused_in_whatever_piece(
    compressed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = gzip.compress(bytes(range(256)) * 4, 0) if compressed else bytes(1_000)
    monkeypatch.setattr(contents.limits, "MAX_PAYLOAD_SIZE", len(body))
    with content_of([body[:600], body[600:]], compressed=compressed) as content:
        assert content.size >= 1_000
    monkeypatch.setattr(contents.limits, "MAX_PAYLOAD_SIZE", len(body) - 1)
    for pieces in ([body], [body[:600], body[600:]], [body[:-1], body[-1:]]):
        with pytest.raises(PayloadTooLarge):
            content_of(pieces, compressed=compressed)


@pytest.mark.parametrize("claimed", ["", "0" * 63, "0" * 65, "A" * 64, "0" * 64 + "\n", "g" * 64])
def test_what_is_no_digest_is_told_from_a_wrong_one(claimed: str) -> None:
    with pytest.raises(RefusedError) as refused:
        content_of(b"payload", compressed=False, claimed_sha256=claimed)
    assert not isinstance(refused.value, DigestMismatch)
    with pytest.raises(DigestMismatch):
        content_of(b"payload", compressed=False, claimed_sha256="0" * 64)
