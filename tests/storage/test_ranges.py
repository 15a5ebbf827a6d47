"""``Range`` (RFC 9110, section 14) at the hub's own addresses: every form, for every size of file.

A range that is understood gives exactly its bytes; one that is not (another unit, several ranges, a
suffix) is as if it had not come, which the RFC allows; one that begins behind the end is refused.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cast import Person
from tests.problems import problem
from tests.storage.test_files_api import fetch, stored

SIZES = (1, 2, 3, 10, 1_000)
WHOLE = [
    "",
    "bytes",
    "bytes=",
    "bytes=-",
    "bytes=-1",
    "bytes=-0",
    "bytes=a-b",
    "bytes=0-0,0-0",
    "bytes=0-0, 1-1",
    "bytes=0--1",
    "bytes = 0-0",
    "bytes=0 - 0",
    "bytes=+0-0",
    "bytes=0x0-0x1",
    "bytes=1-0",
    "bytes=\u0660-\u0660",
    "items=0-0",
    "seconds=0-1",
    "0-0",
    "bytes=0-0;x",
    f"bytes={'9' * 19}-",
    f"bytes=0-{'9' * 19}",
]


def content(size: int) -> bytes:
    return bytes(number % 251 for number in range(size))


def expected(size: int, first: int, last: int | None) -> bytes | None:
    """The bytes of ``bytes=first-last``, as section 14.1.2 has it; None where there are none."""
    end = size - 1 if last is None else min(last, size - 1)
    return content(size)[first : end + 1] if first < size else None


def check(answer: Any, size: int, first: int, last: int | None) -> None:
    wanted = expected(size, first, last)
    if wanted is None:
        problem(answer, 416, "range_not_satisfiable")
        return
    assert b"".join(answer.streaming_content) == wanted
    assert answer["Content-Length"] == str(len(wanted))
    assert answer["Accept-Ranges"] == "bytes"
    if len(wanted) == size:
        assert (answer.status_code, answer.get("Content-Range")) == (200, None)
        return
    assert answer.status_code == 206
    assert answer["Content-Range"] == f"bytes {first}-{first + len(wanted) - 1}/{size}"


@pytest.mark.parametrize("size", SIZES)
def test_a_range_gives_its_bytes_and_no_others(alice: Person, size: int) -> None:
    file_id = stored(alice.api, content(size))
    edges = sorted({0, 1, size // 2, size - 1, size, size + 1, 10**9})
    for first, last in itertools.product(edges, [*edges, None]):
        if last is not None and last < first:
            continue
        sent = f"bytes={first}-{'' if last is None else last}"
        check(fetch(alice.api, file_id, Range=sent), size, first, last)


@pytest.mark.parametrize("size", [1, 10])
@pytest.mark.parametrize("form", WHOLE)
def test_what_is_no_range_is_the_whole_file(alice: Person, size: int, form: str) -> None:
    file_id = stored(alice.api, content(size))
    answer = fetch(alice.api, file_id, **({"Range": form} if form else {}))
    assert (answer.status_code, answer.get("Content-Range")) == (200, None)
    assert answer["Content-Length"] == str(size)
    assert b"".join(answer.streaming_content) == content(size)


@pytest.mark.parametrize("validator", ['"a tag"', 'W/"a tag"', "Mon, 30 Nov 2026 02:00:00 GMT"])
def test_a_range_of_a_file_that_may_have_changed_is_the_whole(
    alice: Person, validator: str
) -> None:
    """``If-Range`` (section 13.1.5): no validator is given out, so none that comes can match."""
    file_id = stored(alice.api, content(10))
    answer = fetch(alice.api, file_id, **{"Range": "bytes=0-0", "If-Range": validator})
    assert (answer.status_code, b"".join(answer.streaming_content)) == (200, content(10))


def test_every_part_of_a_file_makes_the_file(alice: Person) -> None:
    size = 700_001
    file_id = stored(alice.api, content(size))
    step = 262_144
    parts = []
    for first in range(0, size, step):
        answer = fetch(alice.api, file_id, Range=f"bytes={first}-{first + step - 1}")
        assert answer.status_code == 206
        parts.append(b"".join(answer.streaming_content))
    assert b"".join(parts) == content(size)


@given(st.integers(1, 40), st.integers(0, 50), st.none() | st.integers(0, 50))
def test_the_table_says_what_the_rfc_says(size: int, first: int, last: int | None) -> None:
    """That the expectation above is right, told a second way: byte by byte."""
    if last is not None and last < first:
        return
    wanted = [at for at in range(size) if first <= at and (last is None or at <= last)]
    assert (expected(size, first, last) or b"") == bytes(content(size)[at] for at in wanted)
