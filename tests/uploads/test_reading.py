"""What a request carries: each header of a raw body, and what is told of times and clocks."""

from __future__ import annotations

import gzip
import json
import os
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from odavl.wire import limits
from odavl.wire.encoding import gzip_compress, sha256_hex
from odavl.wire.errors import PayloadTooLarge, RefusedError
from storage.configuration import object_store
from storage.models import StoredObject
from storage.objects.local import LocalStore
from tests.cast import Api, Person
from tests.insight.documents import document, finding
from tests.problems import problem
from tests.storage.collecting.test_sweeping import kept
from uploads import documents
from uploads.contents import content_of, fetched
from uploads.documents import check_object, read_whole
from uploads.models import Upload
from uploads.queries import clock_ahead, sent_at, told_time

BODY = json.dumps(document({"a.py": [finding("one")]})).encode()


def encoded(metadata: Any) -> str:
    return urlsafe_b64encode(json.dumps(metadata).encode()).decode()


def sent(
    api: Api, body: bytes = BODY, *, media: str = "application/octet-stream", **headers: str
) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.post(
        "/api/v1/upload/insight",
        body,
        content_type=media,
        headers={"X-Odavl-Type": "analysis-results"} | named,
    )


@pytest.mark.parametrize(
    "media",
    [
        "application/octet-stream",
        "Application/Octet-Stream",
        "application/octet-stream; charset=utf-8",
    ],
)
def test_a_raw_body_is_known_by_its_type_however_it_is_written(alice: Person, media: str) -> None:
    assert sent(alice.api, media=media).status_code == 201


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"X_Odavl_Metadata": encoded({"branch": "x"})}, 201, ""),
        ({"X_Odavl_Metadata": encoded({"branch": "x"}).rstrip("=")}, 201, ""),
        ({"X_Odavl_Metadata": ""}, 201, ""),
        ({"X_Odavl_Metadata": encoded([])}, 422, "invalid_payload"),
        ({"X_Odavl_Metadata": encoded({"branch": 7})}, 422, "invalid_payload"),
        ({"X_Odavl_Metadata": "A"}, 400, "malformed_base64"),
        ({"X_Odavl_Metadata": "A" * (limits.MAX_METADATA_SIZE + 1)}, 413, "payload_too_large"),
        ({"X_Odavl_Sha256": sha256_hex(BODY)}, 201, ""),
        ({"X_Odavl_Sha256": sha256_hex(BODY).upper()}, 422, "invalid_payload"),
        ({"X_Odavl_Sha256": "0" * 64}, 422, "digest_mismatch"),
        ({"X_Odavl_Type": ""}, 422, "invalid_payload"),
        ({"X_Odavl_Type": "nothing"}, 422, "unknown_type"),
        ({"Content_Encoding": "gzip"}, 400, "malformed_gzip"),
        ({"Content_Encoding": "identity"}, 201, ""),
    ],
    ids=str,
)
def test_each_header_of_a_raw_body(
    alice: Person, headers: dict[str, str], status: int, code: str
) -> None:
    answer = sent(alice.api, **headers)
    if code:
        problem(answer, status, code)
        assert not Upload.across_organizations.exists()
    assert answer.status_code == status, answer.content


@pytest.mark.parametrize("junk", [b"x", b"\0", gzip_compress(b"{}")])
@pytest.mark.parametrize("short", [0, 1, 2, 1_000])
def test_what_follows_a_compressed_body_is_refused_in_whatever_piece(
    alice: Person, junk: bytes, short: int
) -> None:
    """A body is read in pieces of 256 KiB; the stream ends so many bytes before the first does."""
    wanted = 256 * 1024 - short
    spaces = wanted - len(gzip.compress(BODY, 0))
    while len(stream := gzip.compress(BODY + b" " * spaces, 0)) > wanted:
        spaces -= len(stream) - wanted
    assert len(stream) == wanted
    problem(sent(alice.api, stream + junk, Content_Encoding="gzip"), 400, "malformed_gzip")
    assert not Upload.across_organizations.exists()
    assert sent(alice.api, stream, Content_Encoding="gzip").status_code == 201


# ── Times that clients tell ──────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"timestamp": "2026-01-02T03:04:05Z"}, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ({"timestamp": "2026-01-02T03:04:05+02:00"}, datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
        (
            {"timestamp": "2026-01-02T03:04:05Z", "clockAhead": 65},
            datetime(2026, 1, 2, 3, 3, 0, tzinfo=UTC),
        ),
        (
            {"timestamp": "2026-01-02T03:04:05Z", "clockAhead": -55},
            datetime(2026, 1, 2, 3, 5, 0, tzinfo=UTC),
        ),
        ({"timestamp": "2026-01-02T03:04:05"}, None),
        ({"timestamp": "2026-13-02T03:04:05Z"}, None),
        ({"timestamp": "9999-12-31T23:59:59-14:00"}, None),
        ({"timestamp": "yesterday"}, None),
        ({"timestamp": ""}, None),
        ({"timestamp": None}, None),
        ({}, None),
    ],
    ids=str,
)
def test_a_time_that_can_be_is_taken_from_the_clients_clock_to_ours(
    db: None, metadata: dict[str, Any], expected: datetime | None
) -> None:
    upload = Upload(metadata=metadata)
    assert told_time(upload) == expected
    assert clock_ahead(upload) == timedelta(seconds=metadata.get("clockAhead", 0))
    before = datetime.now(UTC) - timedelta(minutes=1)
    assert sent_at(upload) == expected if expected else sent_at(upload) > before


# ── Documents that are read whole, or only looked at ─────────────────────────


@pytest.mark.parametrize("body", [b"{}", b' {"a": 1}', b"\n{}\n"])
def test_an_object_is_one_whether_it_is_read_or_only_looked_at(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for most in (limits.MAX_ENVELOPE_SIZE, 1):
        monkeypatch.setattr(documents.limits, "MAX_ENVELOPE_SIZE", most)
        with content_of(body, compressed=False) as content:
            check_object(content)


@pytest.mark.parametrize("body", [b"[]", b'"{}"', b"1", b" [{}]", b"null"])
def test_what_is_no_object_is_refused_however_long_it_is(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for most in (limits.MAX_ENVELOPE_SIZE, 0):
        monkeypatch.setattr(documents.limits, "MAX_ENVELOPE_SIZE", most)
        with content_of(body, compressed=False) as content, pytest.raises(RefusedError):
            check_object(content)


def test_a_document_is_read_up_to_its_bound_and_no_further() -> None:
    decoder = msgspec.json.Decoder(dict[str, int])
    with content_of(b'{"a": 1}', compressed=False) as content:
        assert read_whole(content, decoder, most=8) == {"a": 1}
        with pytest.raises(PayloadTooLarge):
            read_whole(content, decoder, most=7)


# ── Contents that are kept ───────────────────────────────────────────────────


@pytest.mark.parametrize("is_near", [True, False])
@pytest.mark.parametrize("size", [10, 100_000])
def test_a_kept_content_is_read_from_where_no_transaction_waits(
    alice: Person, monkeypatch: pytest.MonkeyPatch, is_near: bool, size: int
) -> None:
    """Far away and not in the row, it is fetched before: afterwards the store is not asked."""
    data = os.urandom(size)
    stored = StoredObject.across_organizations.get(pk=kept(alice.organization, data).pk)
    monkeypatch.setattr(LocalStore, "is_near", is_near)
    with fetched(stored) as content:
        if not is_near and size > 64 * 1024:
            object_store().delete(stored.key)
        for _ in range(2):
            assert gzip.decompress(b"".join(content.pieces())) == data
        assert (content.sha256, content.size) == (sha256_hex(data), size)
        assert content.stored_size == stored.stored_size
