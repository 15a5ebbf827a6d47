"""A stored content as an answer: its very bytes, in the form that was asked for, or a problem."""

from __future__ import annotations

import gzip
import os
from typing import Any

import pytest
from django.http import StreamingHttpResponse
from django.test import RequestFactory

from odavl.wire.errors import BytesMissing
from storage.configuration import object_store
from storage.models import StoredObject
from storage.responses import stored_bytes, stored_json, stored_picture
from tests.cast import Person
from tests.storage.collecting.test_sweeping import kept

DATA = b'{"a": 1}' * 100
TAKES_GZIP = [
    "gzip",
    "GZIP",
    "gzip, deflate, br",
    "br;q=1.0, gzip;q=0.8, *;q=0.1",
    "gzip;q=1",
    "gzip;q=0.001",
    "identity;q=0.5,gzip",
    " gzip ",
    "gzip ; q=0.5",
]
TAKES_NONE = [
    "",
    "identity",
    "br",
    "deflate",
    "gzip;q=0",
    "gzip;q=0.0",
    "gzip; q=0.000, identity",
    "br, gzip;q=0",
    "not-gzip",
    "gzipped",
]


@pytest.fixture
def stored(alice: Person) -> StoredObject:
    return kept(alice.organization, DATA)


def asked(stored: StoredObject, accepted: str) -> StreamingHttpResponse:
    headers = {"Accept-Encoding": accepted} if accepted else {}
    return stored_json(RequestFactory().get("/", headers=headers), stored)


def body_of(answer: StreamingHttpResponse) -> bytes:
    found: list[Any] = list(answer)
    body = b"".join(found)
    assert answer["Content-Length"] == str(len(body))
    return body


@pytest.mark.parametrize("accepted", TAKES_GZIP)
def test_who_takes_gzip_gets_what_lies_there(stored: StoredObject, accepted: str) -> None:
    answer = asked(stored, accepted)
    assert answer["Content-Encoding"] == "gzip"
    assert gzip.decompress(body_of(answer)) == DATA
    assert answer["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("accepted", TAKES_NONE)
def test_who_does_not_gets_it_inflated(stored: StoredObject, accepted: str) -> None:
    answer = asked(stored, accepted)
    assert "Content-Encoding" not in answer
    assert body_of(answer) == DATA
    assert answer["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 300_000])
def test_bytes_of_every_size_come_whole(alice: Person, size: int) -> None:
    data = os.urandom(size)
    stored = kept(alice.organization, data)
    for accepted in ("gzip", "identity"):
        request = RequestFactory().get("/", headers={"Accept-Encoding": accepted})
        answer = stored_bytes(request, stored, "application/octet-stream")
        body = body_of(answer)
        assert (gzip.decompress(body) if accepted == "gzip" else body) == data
        assert answer["Content-Type"] == "application/octet-stream"


def test_lost_bytes_are_a_problem_before_anything_is_answered(alice: Person) -> None:
    stored = kept(alice.organization, os.urandom(100_000))
    object_store().delete(stored.key)
    with pytest.raises(BytesMissing):
        asked(stored, "gzip")
    with pytest.raises(BytesMissing):
        stored_picture(stored, content_type="image/png", file_name="a.png")


def test_a_picture_is_shown_and_may_do_nothing(stored: StoredObject) -> None:
    answer = stored_picture(stored, content_type="image/png", file_name='a"b.png')
    assert body_of(answer) == DATA
    assert answer["Content-Disposition"].startswith("inline; ")
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cache-Control"] == "private, max-age=86400, immutable"
