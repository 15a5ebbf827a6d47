"""Rows 31 to 35 and 37 of what must go wrong without harm: what a hub is sent."""

from __future__ import annotations

import gzip
import json
import zlib
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.faults.hub_at_work import HubAtWork

pytestmark = [pytest.mark.end_to_end]
MEBIBYTE = 1024 * 1024
BODY = b'{"version":1,"diagnostics":{"a.c":[{"severity":"low","message":"m","line":1}]}}'


@pytest.fixture(scope="module")
def hub() -> Iterator[HubAtWork]:
    found = HubAtWork()
    yield found
    found.close()


def envelope(hub: HubAtWork, data: bytes, **more: Any) -> httpx.Response:
    document = {"type": "analysis-results", "data": b64encode(data).decode(),
                "metadata": {"projectName": "payloads", "branch": "main"}, **more}  # fmt: skip
    return hub.http.post("/upload/insight", json=document)


def finding(**fields: Any) -> bytes:
    one = {"severity": "low", "message": "m", "line": 1, **fields}
    return json.dumps({"version": 1, "diagnostics": {"a.c": [one]}}).encode()


def is_refused(answer: httpx.Response, *statuses: int) -> None:
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


# ── 31, 32 ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cut", [0, 1, 9, 10, 20, -9, -8, -1])
def test_row_31_gzip_that_ends_too_early(hub: HubAtWork, cut: int) -> None:
    packed = gzip.compress(BODY)[:cut]
    is_refused(envelope(hub, packed, compressed=True), 400, 422)
    is_refused(hub.upload(packed, branch="main"), 400, 422)


@pytest.mark.parametrize("junk", [b"x", b"\0" * 9, gzip.compress(b"{}", mtime=0)])
def test_row_31_gzip_with_junk_behind_it(hub: HubAtWork, junk: bytes) -> None:
    packed = gzip.compress(BODY) + junk
    is_refused(envelope(hub, packed, compressed=True), 400)
    is_refused(hub.upload(packed, branch="main"), 400)


@pytest.mark.parametrize("data", ["?", "abc", "ab=c", "YQ==\n", "YQ", "é", "-_-_"])
def test_row_31_wrong_base64(hub: HubAtWork, data: str) -> None:
    answer = hub.http.post("/upload/insight", json={"type": "analysis-results", "data": data})
    is_refused(answer, 400)


def test_row_32_a_gzip_bomb_is_refused_and_nothing_grows(hub: HubAtWork) -> None:
    packed = gzip.compress(b" " * MEBIBYTE, 9)
    bomb = _bomb()
    assert len(bomb) < 8 * MEBIBYTE
    assert hub.upload(packed, branch="main").status_code in (400, 422)  # and warms the hub up
    before = [each.memory_info().rss for each in hub.process.tree()]
    for _ in range(2):
        is_refused(hub.upload(bomb, branch="main"), 413)
    after = [each.memory_info().rss for each in hub.process.tree()]
    assert sum(after) - sum(before) < 32 * MEBIBYTE


def _bomb() -> bytes:
    """A member that inflates to 1,100 MiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = b" " * MEBIBYTE
    return b"".join(packer.compress(zeros) for _ in range(1_100)) + packer.flush()


# ── 33, 34, 35 ───────────────────────────────────────────────────────────────

DEEP = 100_000


@pytest.mark.parametrize(
    "body",
    [
        b"[" * DEEP,
        b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        b'{"version":1,"extra":' + b"[" * DEEP + b"]" * DEEP + b',"diagnostics":{}}',
        BODY.replace(b'"line":1', b'"line":NaN'),
        BODY.replace(b'"line":1', b'"line":Infinity'),
        BODY.replace(b'"line":1', b'"line":-Infinity'),
        BODY.replace(b'"line":1', b'"line":' + b"9" * 5_000),
        BODY.replace(b'"version":1', b'"version":' + b"9" * 5_000),
        BODY.replace(b'"line":1', b'"line":1e999'),
    ],
    ids=["list", "object", "extra", "nan", "infinity", "minus", "long", "version", "exponent"],
)
def test_row_33_depths_and_numbers_that_no_document_has(hub: HubAtWork, body: bytes) -> None:
    is_refused(envelope(hub, body), 400, 422)
    plain = hub.http.post("/projects", content=body, headers={"Content-Type": "application/json"})
    is_refused(plain, 400, 422)


@pytest.mark.parametrize(
    ("sent", "kept"), [(b"a\\u0000b", "a␀b"), (b"a\\ud800b", "a�b"), (b"a\\udc00b", "a�b")]
)
def test_row_34_what_no_database_holds_is_kept_with_a_mark(
    hub: HubAtWork, sent: bytes, kept: str
) -> None:
    answer = envelope(hub, BODY.replace(b'"m"', b'"' + sent + b'"'))
    assert answer.status_code == 201, answer.text
    issues = hub.http.get(f"/insight/issues?runId={answer.json()['runId']}&project=payloads")
    assert kept in issues.text, issues.text


@pytest.mark.parametrize("line", [2**31, 2**63, 2**64, -1])
@pytest.mark.parametrize("field", ["line", "column", "endLine", "endColumn"])
def test_row_35_numbers_beyond_a_column_are_refused_with_a_pointer(
    hub: HubAtWork, field: str, line: int
) -> None:
    answer = envelope(hub, finding(**{field: line}))
    is_refused(answer, 422)
    assert answer.json()["errors"][0]["pointer"].endswith(field)


def test_row_35_long_texts_are_trimmed_and_told(hub: HubAtWork) -> None:
    long = dict.fromkeys(("message", "source", "code", "snippet", "fix", "url"), "x" * 100000)
    answer = envelope(hub, finding(**long, fingerprint="f" * 100_000))
    assert answer.status_code == 201, answer.text
    run = hub.http.get(f"/insight/runs/{answer.json()['runId']}").json()
    assert run["counts"]["trimmed"] == 1


# ── 37 ───────────────────────────────────────────────────────────────────────

WRONG: list[Any] = [None, True, 1, -1.5, "", "text", [], [[]], {}, {"": None}]
PLACES = ["", "version", "tool", "scope", "git", "metrics", "diagnostics", "list", "one",
          "severity", "message", "line", "endLine", "fingerprint", "suppressed"]  # fmt: skip
TAKEN = 201
"""Where the value is one of those that the place may hold."""


def with_wrong(place: str, value: Any) -> Any:
    one: dict[str, Any] = {"severity": "low", "message": "m"}
    document: dict[str, Any] = {"version": 1, "diagnostics": {"a.c": [one]}}
    if place == "":
        return value
    if place == "list":
        document["diagnostics"]["a.c"] = value
    elif place == "one":
        document["diagnostics"]["a.c"] = [value]
    elif place in PLACES[PLACES.index("severity") :]:
        one[place] = value
    else:
        document[place] = value
    return document


@pytest.mark.parametrize("place", PLACES)
def test_row_37_a_wrong_type_anywhere_is_refused_with_a_pointer(hub: HubAtWork, place: str) -> None:
    refused = 0
    for value in WRONG:
        answer = envelope(hub, json.dumps(with_wrong(place, value)).encode())
        assert answer.status_code in (TAKEN, 422), (value, answer.text)
        if answer.status_code == 422:
            refused += 1
            assert "pointer" in answer.json()["errors"][0], answer.text
    assert refused >= 5


@pytest.mark.parametrize("body", [b"", b" ", b"null", b"[]", b'""', b"{}"])
def test_row_37_empty_documents(hub: HubAtWork, body: bytes) -> None:
    is_refused(envelope(hub, body), 400, 422)
