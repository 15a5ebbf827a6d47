"""Rows 31 to 37 of what must go wrong without harm, for what a job takes in and a command sends."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from odavl.wire.encoding import sha256_hex
from tests.client.fixtures import Odavl, Result
from tests.faults.hub_at_work import HubAtWork
from tests.transfers.manifests import cut, manifest

pytestmark = [pytest.mark.end_to_end]
MEBIBYTE = 1024 * 1024
DEEP = 100_000


@pytest.fixture(scope="module")
def hub() -> Iterator[HubAtWork]:
    found = HubAtWork()
    yield found
    found.close()


def document(finding: bytes, *, size: int, **members: bytes) -> bytes:
    """An analysis with this one finding, and as much that nobody asks about as makes ``size``."""
    padding = b'"' + b"x" * (MEBIBYTE // 2) + b'"'
    more = {f"padding{n}": padding for n in range(size // len(padding) + 1)}
    all_members = {"version": b"1", **more, **members, "diagnostics": b'{"a.c":[' + finding + b"]}"}
    return b"{%s}" % b",".join(b'"%s":%s' % (k.encode(), v) for k, v in all_members.items())


FINDING = b'{"severity":"low","message":"m","line":1}'
BEYOND_A_REQUEST = MEBIBYTE
"""What is larger is taken in by a job."""


def in_one_piece(hub: HubAtWork, body: bytes) -> dict[str, Any]:
    answer = hub.upload(gzip.compress(body, 1), branch="jobs")
    return ended(hub, answer.status_code, answer.json())


def in_chunks(hub: HubAtWork, body: bytes) -> dict[str, Any]:
    chunks = cut(body, MEBIBYTE)
    metadata = {"projectName": "shop", "branch": "jobs"}
    begun = hub.http.post("/upload/insight/init", json=manifest(body, chunks, metadata=metadata))
    upload_id = begun.json()["uploadId"]
    by_name = {sha256_hex(chunk): chunk for chunk in chunks}
    for name in begun.json()["missing"]:
        put = hub.http.put(
            f"/upload/insight/{upload_id}/chunks/{name}",
            content=gzip.compress(by_name[name], 1),
            headers={"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"},
        )
        assert put.status_code in (200, 201), put.text
    answer = hub.http.post("/upload/insight/finalize", json={"uploadId": upload_id})
    return ended(hub, answer.status_code, answer.json())


def ended(hub: HubAtWork, status: int, told: dict[str, Any]) -> dict[str, Any]:
    """What became of an upload that a job takes in."""
    assert status == 202, told
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        # One job puts chunks together, and another takes in what they are.
        found: dict[str, Any] = hub.http.get(f"/upload/insight/{told['uploadId']}").json()
        if found["state"] in {"completed", "failed"}:
            return found
    raise AssertionError(found)


def is_refused(found: dict[str, Any], *codes: str) -> None:
    assert found["state"] == "failed", found
    assert found["problem"]["code"] in codes, found
    assert found["problem"]["retryable"] is False


SENDERS = pytest.mark.parametrize("send", [in_one_piece, in_chunks])


@SENDERS
def test_row_33_a_job_refuses_what_no_document_has(hub: HubAtWork, send: Any) -> None:
    deep = b"[" * DEEP + b"]" * DEEP
    is_refused(send(hub, document(FINDING, size=BEYOND_A_REQUEST, extra=deep)), "malformed_json")
    for wrong in (b"NaN", b"-Infinity", b"9" * 5_000, b"1e999"):
        body = document(FINDING.replace(b":1", b":" + wrong), size=BEYOND_A_REQUEST)
        is_refused(send(hub, body), "malformed_json", "invalid_payload")
    is_refused(send(hub, document(FINDING, size=BEYOND_A_REQUEST)[:-2]), "malformed_json")


@SENDERS
def test_row_34_a_job_keeps_with_a_mark_what_no_database_holds(hub: HubAtWork, send: Any) -> None:
    for text, kept in ((b"a\\u0000b", "a␀b"), (b"a\\ud800b", "a�b")):
        found = send(
            hub, document(FINDING.replace(b'"m"', b'"' + text + b'"'), size=BEYOND_A_REQUEST)
        )
        assert found["state"] == "completed", found
        issues = hub.http.get(f"/insight/issues?runId={found['runId']}&project=shop")
        assert kept in issues.text, issues.text


@SENDERS
def test_row_35_a_job_points_at_numbers_beyond_a_column(hub: HubAtWork, send: Any) -> None:
    found = send(hub, document(FINDING.replace(b":1", b":%d" % 2**31), size=BEYOND_A_REQUEST))
    is_refused(found, "invalid_payload")
    assert found["problem"]["errors"][0]["pointer"].endswith("line"), found
    long = FINDING.replace(b'"m"', b'"' + b"y" * 100_000 + b'"')
    kept = send(hub, document(long, size=BEYOND_A_REQUEST))
    run = hub.http.get(f"/insight/runs/{kept['runId']}").json()
    assert run["counts"]["trimmed"] == 1, (kept, run)


def test_row_37_a_job_points_at_wrong_types(hub: HubAtWork) -> None:
    for wrong in (b"null", b"[]", b'"text"', b"1", b'{"severity":1,"message":"m"}'):
        found = in_one_piece(hub, document(wrong, size=BEYOND_A_REQUEST))
        is_refused(found, "invalid_payload")
        assert "pointer" in found["problem"]["errors"][0], found
    for member in ("version", "scope", "git", "tool"):
        found = in_one_piece(hub, document(FINDING, size=BEYOND_A_REQUEST, **{member: b"[[]]"}))
        is_refused(found, "invalid_payload")


@pytest.mark.parametrize("damage", ["truncated", "junk", "bomb"])
def test_row_31_a_chunk_whose_gzip_is_wrong_is_refused(hub: HubAtWork, damage: str) -> None:
    body = document(FINDING, size=MEBIBYTE)
    chunks = cut(body, MEBIBYTE)
    begun = hub.http.post("/upload/insight/init", json=manifest(body, chunks))
    packed = gzip.compress(chunks[0])
    sent = {
        "truncated": packed[:-9],
        "junk": packed + b"x",
        "bomb": gzip.compress(b" " * 64 * MEBIBYTE),
    }[damage]
    put = hub.http.put(
        f"/upload/insight/{begun.json()['uploadId']}/chunks/{sha256_hex(chunks[0])}",
        content=sent,
        headers={"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"},
    )
    assert put.status_code in ((413, 422) if damage == "bomb" else (400,)), put.text
    assert put.headers["content-type"] == "application/problem+json"


# ── through the command line ─────────────────────────────────────────────────


def sarif(**result: Any) -> bytes:
    region = {"startLine": 1, **result.pop("region", {})}
    place = {"physicalLocation": {"artifactLocation": {"uri": "a.c"}, "region": region}}
    one = {"message": {"text": "m"}, "locations": [place], **result}
    runs = [{"tool": {"driver": {"name": "lint"}}, "results": [one]}]
    return json.dumps({"version": "2.1.0", "runs": runs}).encode()


@pytest.fixture
def sent(hub: HubAtWork, odavl: Odavl, project: Path) -> Any:
    """The command that imports these bytes and uploads them."""

    def run(body: bytes) -> Result:
        (project / "in.sarif").write_bytes(body)
        return odavl("insight", "import", "in.sarif", "--upload", "--project", "cli", "--json",
                     ODAVL_CLOUD_API=hub.process.url, ODAVL_API_KEY=hub.key)  # fmt: skip

    return run


REFUSED = {
    "deep": b'{"version":"2.1.0","extra":' + b"[" * DEEP + b"]" * DEEP + b',"runs":[]}',
    "nan": sarif().replace(b'"startLine": 1', b'"startLine": NaN'),
    "infinity": sarif().replace(b'"startLine": 1', b'"startLine": Infinity'),
    "long": sarif().replace(b'"startLine": 1', b'"startLine": ' + b"9" * 5_000),
    "beyond": sarif(region={"startLine": 2**31}),
    "negative": sarif(region={"startColumn": -1}),
    "empty": b"",
    "null": b"null",
    "list": b"[]",
    "text": b'""',
    "object": b"{}",
    "truncated": sarif()[:-3],
    "runs": b'{"version":"2.1.0","runs":{}}',
    "results": b'{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"a"}},"results":[1]}]}',
    "message": sarif(message=[]),
    "binary": bytes(range(256)) * 100,
}


@pytest.mark.parametrize("name", REFUSED)
def test_row_37_a_command_refuses_in_one_line(sent: Any, name: str) -> None:
    refused = sent(REFUSED[name])
    assert refused.returncode == 5, (refused.stdout, refused.stderr)
    assert "Traceback" not in refused.stderr
    assert json.loads(refused.stdout)["retryable"] is False


@pytest.mark.parametrize(
    ("text", "kept"), [("a\\u0000b", "a␀b"), ("a\\ud800b", "a�b"), ("a\\udc00b", "a�b")]
)
def test_row_34_a_command_keeps_with_a_mark_what_no_database_holds(
    hub: HubAtWork, sent: Any, text: str, kept: str
) -> None:
    taken = sent(sarif().replace(b'"m"', f'"{text}"'.encode()))
    assert taken.returncode == 0, taken.stderr
    run_id = json.loads(taken.stdout)["upload"]["runId"]
    assert kept in hub.http.get(f"/insight/issues?runId={run_id}&project=cli").text
