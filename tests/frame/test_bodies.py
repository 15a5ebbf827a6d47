"""JSON bodies at their limits, sent to a real view: exactly as much as may be, and one more."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from accounts.models import Project
from frame.bodies import MAX_DOCUMENT_SIZE
from tests.cast import Person
from tests.problems import problem


def post(person: Person, body: bytes, **headers: str) -> Any:
    media_type = headers.pop("content_type", "application/json")
    return person.api.post("/api/v1/projects", body, content_type=media_type, headers=headers)


def padded(size: int) -> bytes:
    body = b'{"name": "Shop"}'
    return body + b" " * (size - len(body))


def test_a_body_may_be_exactly_as_large_as_the_limit(alice: Person) -> None:
    assert post(alice, padded(MAX_DOCUMENT_SIZE)).status_code == 201
    problem(post(alice, padded(MAX_DOCUMENT_SIZE + 1)), 413, "payload_too_large")
    assert Project.across_organizations.count() == 1


REFUSED: list[tuple[bytes, int, str]] = [
    (b"", 400, "malformed_json"),
    (b"{", 400, "malformed_json"),
    (b'{"name": "Shop"} x', 400, "malformed_json"),
    (b'{"name": NaN}', 400, "malformed_json"),
    (b'{"name": Infinity}', 400, "malformed_json"),
    (b"{'name': 'Shop'}", 400, "malformed_json"),
    (b'{"name": "Shop",}', 400, "malformed_json"),
    (b'\xef\xbb\xbf{"name": "Shop"}', 400, "malformed_json"),
    ('{"name": "Shop"}'.encode("utf-16"), 400, "malformed_json"),
    (b'{"name": "\xff"}', 400, "malformed_json"),
    (b'{"name": "\n"}', 400, "malformed_json"),
    (b"[" * 100_000 + b"]" * 100_000, 422, "invalid_payload"),
    (b'{"name": ' + b"9" * 5_000 + b"}", 422, "invalid_payload"),
    (b"null", 422, "invalid_payload"),
    (b"[]", 422, "invalid_payload"),
    (b'"Shop"', 422, "invalid_payload"),
    (b"{}", 422, "invalid_payload"),
    (b'{"name": null}', 422, "invalid_payload"),
    (b'{"name": 7}', 422, "invalid_payload"),
    (b'{"name": "   "}', 422, "invalid_payload"),
    (b'{"name": ["Shop"]}', 422, "invalid_payload"),
]


@pytest.mark.parametrize(("body", "status", "code"), REFUSED, ids=lambda v: repr(v)[:30])
def test_what_is_no_body_is_told_and_makes_nothing(
    alice: Person, body: bytes, status: int, code: str
) -> None:
    answer = post(alice, body)
    assert answer.status_code in (400, 422), answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) in {(status, code), (400, "malformed_json")}
    assert Project.across_organizations.count() == 0


@pytest.mark.parametrize(
    ("media_type", "status"),
    [
        ("application/json", 201),
        ("application/json; charset=utf-8", 201),
        ("APPLICATION/JSON", 201),
        ("application/json ;x=y", 201),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/jsonx", 415),
        ("application/problem+json", 415),
        ("multipart/form-data; boundary=x", 415),
    ],
)
def test_a_body_says_that_it_is_json(alice: Person, media_type: str, status: int) -> None:
    answer = post(alice, b'{"name": "Shop"}', content_type=media_type)
    assert answer.status_code == status, answer.content


def test_names_keep_what_they_are_written_with(alice: Person) -> None:
    for name in ("Überraschung", "متجر", "a\u2028b", 'quote"d', "emoji 🎉", "<script>"):
        answer = post(alice, json.dumps({"name": name}).encode())
        assert (answer.status_code, answer.json()["name"]) == (201, name)


def test_a_compressed_body_is_no_json_where_nothing_says_so(alice: Person) -> None:
    assert post(alice, gzip.compress(b'{"name": "Shop"}')).status_code == 400
    assert Project.across_organizations.count() == 0


@pytest.mark.parametrize("length", ["x", "1e3", "0x10", "1,2"])
def test_a_length_that_is_no_number_is_told(alice: Person, length: str) -> None:
    answer = alice.api.generic(
        "POST", "/api/v1/projects", b'{"name": "Shop"}', "application/json", CONTENT_LENGTH=length
    )
    assert answer.status_code == 400, answer.content


def test_one_idempotency_key_means_one_request(alice: Person) -> None:
    """The same key with another body, method, project or organization."""
    key = {"Idempotency-Key": "k"}
    first = post(alice, b'{"name": "Shop"}', **key)
    again = post(alice, b'{"name": "Shop"}', **key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert (first.get("Idempotent-Replayed"), again["Idempotent-Replayed"]) == (None, "true")
    problem(post(alice, b'{"name": "Blog"}', **key), 422, "idempotency_mismatch")
    problem(post(alice, b'{"name": "Shop"} ', **key), 422, "idempotency_mismatch")
    elsewhere = alice.api.send("POST", "/exports", {}, **key)
    problem(elsewhere, 422, "idempotency_mismatch")
    within = alice.api.send("POST", "/exports", {"projectId": "shop"}, **key)
    assert within.status_code == 202
    assert [row.slug for row in Project.across_organizations.all()] == ["shop"]


def test_one_idempotency_key_of_two_organizations_is_two(alice: Person, charlie: Person) -> None:
    answers = [
        post(each, b'{"name": "Shop"}', **{"Idempotency-Key": "k"}) for each in (alice, charlie)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["id"] != answers[1].json()["id"]
    assert not any("Idempotent-Replayed" in answer for answer in answers)


@pytest.mark.parametrize(("length", "status"), [(1, 201), (255, 201), (0, 400), (256, 400)])
def test_an_idempotency_key_has_a_length(alice: Person, length: int, status: int) -> None:
    answer = post(alice, b'{"name": "Shop"}', **{"Idempotency-Key": "k" * length})
    assert answer.status_code == status, answer.content


def test_a_refused_request_leaves_its_key_free(alice: Person) -> None:
    key = {"Idempotency-Key": "k"}
    assert post(alice, b'{"name": ""}', **key).status_code == 422
    assert post(alice, b'{"name": "Shop"}', **key).status_code == 201
