"""``POST /api/v1/upload/insight``: what is taken, and how what is wrong is answered."""

from __future__ import annotations

import gzip
import json
import resource
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import pytest

from accounts.models import Project
from insight.models import Issue, Run
from odavl.wire.encoding import gzip_compress, sha256_hex
from tests.cast import Api, Person
from tests.insight.documents import document, envelope, finding, send
from tests.problems import problem
from uploads.models import Upload

DOCUMENT = document({"a.py": [finding("one")]})
BODY = json.dumps(DOCUMENT).encode()


@pytest.fixture
def api(alice: Person) -> Api:
    return alice.api


def post(api: Api, body: Any, **headers: str) -> Any:
    return api.send("POST", "/upload/insight", body, **headers)


def post_bytes(
    api: Api, body: bytes, content_type: str = "application/json", **headers: str
) -> Any:
    return api.post("/api/v1/upload/insight", body, content_type=content_type, headers=headers)


def raw(api: Api, body: bytes, **headers: str) -> Any:
    metadata = urlsafe_b64encode(json.dumps({"projectName": "Website"}).encode()).decode()
    headers = {
        "X-Odavl-Type": "analysis-results",
        "X-Odavl-Metadata": metadata.rstrip("="),
        **headers,
    }
    return post_bytes(api, body, "application/octet-stream", **headers)


def test_an_envelope_makes_a_run(api: Api) -> None:
    answer = post(api, envelope(DOCUMENT, sha256=sha256_hex(BODY)))
    assert answer.status_code == 201, answer.content
    told = answer.json()
    assert set(told) == {"uploadId", "runId", "url"}
    assert told["url"].endswith(f"/runs/{told['runId']}/")
    assert Run.across_organizations.get().stream.project.slug == "default"


def test_an_envelope_may_be_uncompressed(api: Api) -> None:
    answer = post(api, {"type": "analysis-results", "data": b64encode(BODY).decode()})
    assert answer.status_code == 201, answer.content


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_the_payload_may_come_raw(api: Api, encoding: str) -> None:
    body = gzip_compress(BODY) if encoding == "gzip" else BODY
    answer = raw(api, body, **{"Content-Encoding": encoding, "X-Odavl-Sha256": sha256_hex(BODY)})
    assert answer.status_code == 201, answer.content
    assert Run.across_organizations.get().stream.project.name == "Website"


def test_the_options_tell_what_to_obey(api: Api) -> None:
    options = api.send("GET", "/upload/options").json()
    assert options["hashAlgorithm"] == "sha256"
    assert "gzip" in options["encodings"]
    assert options["chunkSize"] == 5 * 1024 * 1024


def test_the_upload_tells_its_state(api: Api) -> None:
    told = post(api, envelope(DOCUMENT)).json()
    status = api.send("GET", f"/upload/insight/{told['uploadId']}").json()
    assert status == {
        "uploadId": told["uploadId"],
        "state": "completed",
        "progress": 100,
        "runId": told["runId"],
        "url": told["url"],
    }


@pytest.mark.parametrize("upload_type", ["ml-training", "error-signatures"])
def test_what_makes_no_run_is_kept_as_sent(api: Api, upload_type: str) -> None:
    answer = send(api, {"signatures": [1, 2]}, upload_type)
    assert answer.status_code == 201, answer.content
    assert set(answer.json()) == {"uploadId", "url"}
    assert Upload.across_organizations.get().state == "completed"
    assert not Run.across_organizations.exists()
    problem(send(api, b"[1]", upload_type), 422, "invalid_payload")


def test_sarif_makes_a_run(api: Api) -> None:
    result = {
        "ruleId": "R1",
        "level": "error",
        "message": {"text": "wrong"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "src/a.c"},
                    "region": {"startLine": 4},
                }
            }
        ],
    }
    log = {
        "version": "2.1.0",
        "runs": [{"tool": {"driver": {"name": "lint"}}, "results": [result]}],
    }
    answer = send(api, log, "sarif")
    assert answer.status_code == 201, answer.content
    issue = Issue.across_organizations.get()
    assert (issue.detector, issue.rule, issue.path, issue.line) == ("lint", "R1", "src/a.c", 4)


# ── Idempotency ──────────────────────────────────────────────────────────────


def test_the_same_key_is_the_same_run(api: Api) -> None:
    first = post(api, envelope(DOCUMENT), **{"Idempotency-Key": "k1"})
    second = post(api, envelope(DOCUMENT), **{"Idempotency-Key": "k1"})
    assert second.json() == first.json()
    assert second.status_code == first.status_code == 201
    assert second["Idempotent-Replayed"] == "true"
    assert Run.across_organizations.count() == 1


def test_the_same_key_covers_both_forms_of_one_upload(api: Api) -> None:
    metadata = {"projectName": "Website"}
    first = post(api, envelope(DOCUMENT, metadata=metadata), **{"Idempotency-Key": "k1"})
    second = raw(api, BODY, **{"Idempotency-Key": "k1"})
    assert second.json() == first.json()


def test_the_same_key_with_another_body_is_refused(api: Api) -> None:
    post(api, envelope(DOCUMENT), **{"Idempotency-Key": "k1"})
    other = document({"a.py": [finding("other")]})
    answer = post(api, envelope(other), **{"Idempotency-Key": "k1"})
    problem(answer, 422, "idempotency_mismatch")
    assert Run.across_organizations.count() == 1


def test_a_refused_upload_frees_its_key(api: Api) -> None:
    bad = envelope({"diagnostics": 1})
    problem(post(api, bad, **{"Idempotency-Key": "k1"}), 422, "invalid_payload")
    good = post(api, envelope(DOCUMENT), **{"Idempotency-Key": "k1"})
    assert good.status_code == 201


# ── What is wrong ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"not json", 400, "malformed_json"),
        (b"", 400, "malformed_json"),
        (b"\xff\xfe", 400, "malformed_json"),
        (b'{"type": NaN}', 400, "malformed_json"),
        (b"[" * 100_000 + b"]" * 100_000, 422, "invalid_payload"),
        (
            b'{"type":"x","data":"","z":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            400,
            "malformed_json",
        ),
        (b"[]", 422, "invalid_payload"),
        (b'"text"', 422, "invalid_payload"),
        (b"{}", 422, "invalid_payload"),
        (b'{"type": 1, "data": ""}', 422, "invalid_payload"),
    ],
)
def test_an_envelope_that_is_none(api: Api, body: bytes, status: int, code: str) -> None:
    problem(post_bytes(api, body), status, code)
    assert not Upload.across_organizations.exists()


def payload(body: bytes) -> dict[str, Any]:
    return {"type": "analysis-results", "data": b64encode(body).decode()}


def zipped(body: bytes) -> dict[str, Any]:
    return {**payload(body), "compressed": True}


DEEP = b'{"diagnostics": {}, "x": ' + b'{"x":' * 100_000 + b"1" + b"}" * 100_000 + b"}"
HUGE = b'{"diagnostics": {"a.py": [{"severity": "low", "message": "m", "line": %s}]}}'


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({**payload(b"{}"), "data": "!!!"}, 400, "malformed_base64"),
        ({**payload(b"{}"), "data": "e30"}, 400, "malformed_base64"),
        (zipped(b"{}"), 400, "malformed_gzip"),
        (zipped(gzip_compress(BODY)[:-9]), 400, "malformed_gzip"),
        (zipped(gzip_compress(BODY) + b"junk"), 400, "malformed_gzip"),
        (zipped(b""), 400, "malformed_gzip"),
        (payload(b"nope"), 400, "malformed_json"),
        (payload(DEEP), 400, "malformed_json"),
        (payload(b'{"diagnostics": {"a.py": [{"line": NaN}]}}'), 400, "malformed_json"),
        (payload(b'{"diagnostics": Infinity}'), 400, "malformed_json"),
        (payload(HUGE % (b"9" * 5_000)), 422, "invalid_payload"),
        (payload(HUGE % b"2147483648"), 422, "invalid_payload"),
        (payload(HUGE % b"-1"), 422, "invalid_payload"),
        ({**payload(BODY), "sha256": "0" * 64}, 422, "digest_mismatch"),
        ({**payload(BODY), "sha256": "xyz"}, 422, "invalid_payload"),
        ({**payload(BODY), "type": "nonsense"}, 422, "unknown_type"),
        ({**payload(BODY), "type": "detector-../x"}, 422, "unknown_type"),
        ({**payload(BODY), "metadata": {"projectId": "nobody's"}}, 404, "not_found"),
        ({**payload(BODY), "metadata": []}, 422, "invalid_payload"),
    ],
)
def test_an_upload_that_cannot_be(api: Api, sent: dict[str, Any], status: int, code: str) -> None:
    problem(post(api, sent), status, code)
    assert not Upload.across_organizations.exists()
    assert not Run.across_organizations.exists()


def test_an_error_in_the_findings_points_at_its_place(api: Api) -> None:
    wrong = {"diagnostics": {"src/a.py": [finding("one"), finding("two", severity="awful")]}}
    problem(send(api, wrong), 422, "invalid_payload", pointer="/diagnostics/src~1a.py/1/severity")
    assert not Issue.across_organizations.exists()


@pytest.mark.parametrize("kind", [None, 7, "text", [], {}, True, 1.5])
@pytest.mark.parametrize(
    "place", ["version", "tool", "scope", "git", "diagnostics", "metrics", "findings", "finding"]
)
def test_a_wrong_type_anywhere_is_told(api: Api, place: str, kind: Any) -> None:
    body: dict[str, Any] = {"version": 1, "diagnostics": {"a.py": [finding("one")]}}
    if place == "findings":
        body["diagnostics"]["a.py"] = kind
    elif place == "finding":
        body["diagnostics"]["a.py"] = [kind]
    else:
        body[place] = kind
    answer = send(api, body)
    if answer.status_code != 201:
        document = problem(answer, 422, "invalid_payload")
        assert document["errors"][0]["pointer"].startswith("/")
    assert answer.status_code in (201, 422)


@pytest.mark.parametrize(
    "path", ["../etc/passwd", "/etc/passwd", "C:\\x", "c:/x", "a/../../b", "", ".", "x" * 2_000]
)
def test_a_path_that_leaves_the_project_is_refused(api: Api, path: str) -> None:
    answer = send(api, {"diagnostics": {path: [finding("one")]}})
    assert problem(answer, 422, "invalid_payload")["errors"][0]["code"] == "invalid_path"


def test_paths_are_cleaned(api: Api) -> None:
    send(api, {"diagnostics": {"./src\\a\x00.py": [finding("one")]}})
    assert Issue.across_organizations.get().path == "src/a␀.py"


def test_lone_surrogates_are_kept_with_a_mark(api: Api) -> None:
    body = b'{"diagnostics": {"a.py": [{"severity": "low", "message": "a\\ud800b", "line": 1}]}}'
    assert send(api, body).status_code == 201
    assert Issue.across_organizations.get().message == "a�b"


def test_a_bomb_is_refused_before_it_is_in_memory(api: Api) -> None:
    bomb = gzip.compress(b"\0" * (1024 * 1024 * 1024 + 1), 9)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    problem(raw(api, bomb, **{"Content-Encoding": "gzip"}), 413, "payload_too_large")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 32 * 1024, f"{grown} KiB"


def test_an_envelope_that_is_too_large(api: Api) -> None:
    problem(post_bytes(api, b" " * (16 * 1024 * 1024 + 1)), 413, "payload_too_large")


def test_other_media_types_and_encodings_are_refused(api: Api) -> None:
    problem(post_bytes(api, BODY, "text/plain"), 415, "unsupported_media_type")
    problem(raw(api, BODY, **{"Content-Encoding": "br"}), 415, "unsupported_media_type")


@pytest.mark.parametrize("metadata", ["%%%", "e", "bm9wZQ"])
def test_metadata_that_cannot_be_read(api: Api, metadata: str) -> None:
    answer = raw(api, BODY, **{"X-Odavl-Metadata": metadata})
    assert answer.status_code == 400
    assert answer.json()["code"] in ("malformed_base64", "malformed_json")


def test_a_raw_upload_needs_a_type(api: Api) -> None:
    answer = post_bytes(api, BODY, "application/octet-stream")
    problem(answer, 422, "invalid_payload", pointer="/headers/X-Odavl-Type")


# ── Who may ──────────────────────────────────────────────────────────────────


def test_nobody_uploads_without_a_key(anonymous: Api) -> None:
    problem(post(anonymous, envelope(DOCUMENT)), 401, "not_authenticated")


def test_a_strangers_project_and_upload_do_not_exist(
    api: Api, charlie: Person, website: Project
) -> None:
    metadata = {"projectId": str(website.pk)}
    problem(post(charlie.api, envelope(DOCUMENT, metadata=metadata)), 404, "not_found")
    told = post(api, envelope(DOCUMENT)).json()
    for path in (
        f"/upload/insight/{told['uploadId']}",
        f"/insight/runs/{told['runId']}",
        f"/insight/runs/{told['runId']}/diff",
        f"/insight/runs/{told['runId']}/payload",
        f"/insight/runs/{told['runId']}/issues",
        f"/insight/issues/{Issue.across_organizations.get().pk}",
        f"/insight/issues/{Issue.across_organizations.get().pk}/runs",
        "/insight/issues?project=default",
    ):
        expected = 404 if "?" not in path else None
        answer = charlie.api.send("GET", path)
        if expected:
            problem(answer, 404, "not_found")
        else:
            assert answer.status_code in (200, 404)
            assert "about one" not in answer.content.decode()


def test_products_without_a_door_are_told(api: Api) -> None:
    problem(api.send("POST", "/upload/nothing", envelope(DOCUMENT)), 404, "not_found")
