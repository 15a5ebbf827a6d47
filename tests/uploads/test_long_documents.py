"""A document with a long list, read item by item, says what the same document read whole says."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import uploads.documents
from guardian.images import picture_of
from odavl.wire.encoding import gzip_compress
from odavl.wire.errors import PayloadTooLarge, RefusedError
from tests.guardian.results import jpeg, png
from uploads.documents import LongDocument, Scanner


class Head(msgspec.Struct):
    name: str = ""


class Item(msgspec.Struct):
    text: str
    number: int = 0


KIND = LongDocument("items", msgspec.json.Decoder(Head), msgspec.json.Decoder(Item))
texts = st.text(max_size=20) | st.sampled_from(['"', "\\", '\\"', "{", "}]", '"}],'])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
items = st.fixed_dictionaries(
    {"text": texts}, optional={"number": st.integers(0, 9), "more": values}
)
documents = st.fixed_dictionaries(
    {}, optional={"name": texts, "items": st.lists(items, max_size=5), "more": values}
)


def read(body: bytes) -> tuple[Head, list[Item]]:
    found: list[Item] = []
    head = KIND.read([gzip_compress(body)], lambda _place, item: found.append(item))
    return head, found


@given(document=documents, indent=st.sampled_from([None, 1]), escaped=st.booleans())
def test_read_in_parts_or_whole(
    document: dict[str, Any], indent: int | None, escaped: bool
) -> None:
    body = json.dumps(document, indent=indent, ensure_ascii=escaped).encode()
    head, found = read(body)
    assert head == msgspec.convert(document, Head)
    assert found == msgspec.convert(document.get("items", []), list[Item])
    assert KIND.first([gzip_compress(body)], 2) == found[:2]


@given(st.binary(max_size=80))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    with contextlib.suppress(RefusedError):
        read(body)
    with contextlib.suppress(RefusedError):
        read(b'{"items": [{"text": "a"}, ' + body)


@given(st.binary(max_size=200), st.sampled_from([b"", png()[:16], jpeg()[:2], jpeg()[:22]]))
def test_no_bytes_make_a_picture_reader_stumble(body: bytes, start: bytes) -> None:
    with contextlib.suppress(RefusedError):
        picture_of([start + body])


def test_the_whole_is_told_in_percent_and_each_place_once() -> None:
    body = json.dumps({"items": [{"text": "t" * 1_000} for _ in range(3_000)]}).encode()
    told: list[int] = []
    places: list[int] = []
    KIND.read(
        [gzip_compress(body)],
        lambda place, _item: places.append(place),
        size=len(body),
        watch=told.append,
    )
    assert places == list(range(3_000))
    assert told == sorted(told)
    assert told[0] < 20
    assert told[-1] == 95


@pytest.mark.parametrize("document", [{"name": "n" * 200}, {"items": [{"text": "t" * 400}]}])
def test_what_takes_too_much_memory_is_refused(
    document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads.documents, "MAX_HEADER_SIZE", 100)
    monkeypatch.setattr(uploads.documents, "MAX_ITEM_SIZE", 300)
    with pytest.raises(PayloadTooLarge):
        read(json.dumps(document).encode())


def test_a_long_value_is_looked_at_a_few_times_and_not_once_a_piece() -> None:
    looks = 0

    class Counting(Scanner):
        def _token(self, length: int) -> re.Match[bytes] | None:
            nonlocal looks
            looks += 1
            return super()._token(length)

    value = b'"' + b"a\\n" * 1_000_000 + b'"'
    document = b"[" + value + b"]"
    pieces = (document[at : at + 1_000] for at in range(0, len(document), 1_000))
    assert list(Counting(pieces).elements()) == [value]
    assert looks < 20
