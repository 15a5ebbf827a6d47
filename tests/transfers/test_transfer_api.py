"""``/api/v1/upload/{product}/init``, chunks, ``finalize``: what is taken and what is refused."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from typing import Any

import pytest

from accounts.models import Project
from accounts.services import create_api_key
from insight.models import Run
from jobs.execution import run as run_job
from jobs.models import Job
from odavl.wire.encoding import gzip_compress, sha256_hex
from odavl.wire.joinable import joinable_pieces
from storage.models import ObjectPart, StoredObject
from storage.services import read
from tests.cast import Api, Person
from tests.insight.documents import document, envelope, finding
from tests.problems import problem
from tests.transfers.manifests import (
    begun,
    cut,
    finalize,
    init,
    manifest,
    noise,
    put,
    transferred,
)
from uploads.models import Transfer, TransferChunk, Upload

SMALL = json.dumps(document({"a.py": [finding(str(n)) for n in range(40)]})).encode()
CHUNKS = cut(SMALL, 1_000)


def large_document(findings: int = 12_000) -> bytes:
    files = {f"f{n}.py": [finding(f"{n}-{k}", line=k + 1) for k in range(20)]
             for n in range(findings // 20)}  # fmt: skip
    return json.dumps(document(files)).encode()


@pytest.fixture
def api(alice: Person, website: Project) -> Api:
    return alice.api


def run_jobs() -> None:
    while (job := Job.across_organizations.filter(state="waiting").first()) is not None:
        run_job(job.pk)


def test_a_small_payload_in_chunks_is_a_run(api: Api) -> None:
    answer = transferred(api, SMALL, 1_000)
    assert answer.status_code == 201, answer.content
    told = answer.json()
    run = api.send("GET", f"/insight/runs/{told['runId']}").json()
    assert run["counts"]["total"] == 40
    assert run["payload"]["sha256"] == sha256_hex(SMALL)
    downloaded = api.get(run["payload"]["downloadUrl"])
    assert b"".join(downloaded.streaming_content) == SMALL
    status = api.send("GET", f"/upload/insight/{told['uploadId']}").json()
    assert (status["state"], status["runId"]) == ("completed", told["runId"])


def test_finalize_answers_the_same_however_often(api: Api) -> None:
    first = transferred(api, SMALL, 1_000)
    again = finalize(api, first.json()["uploadId"])
    assert again.json() == first.json()
    assert again.status_code == first.status_code == 201
    assert Run.across_organizations.count() == Upload.across_organizations.count() == 1


# The thread beside a handler looks once in a second whether the job's row is there: committed.
@pytest.mark.django_db(transaction=True)
def test_a_large_payload_is_taken_in_by_a_job(api: Api, settings: Any) -> None:
    payload = large_document()
    assert len(payload) > 1024 * 1024
    answer = transferred(api, payload, 300_000)
    assert answer.status_code == 202, answer.content
    told = answer.json()
    assert api.get(told["statusUrl"]).json()["state"] == "pending"
    run_jobs()
    status = api.get(told["statusUrl"]).json()
    assert status["state"] == "completed", status
    assert api.send("GET", f"/insight/runs/{status['runId']}").json()["counts"]["total"] == 12_000
    assert finalize(api, told["uploadId"]).json() == told
    assert not TransferChunk.across_organizations.exists()
    # It is made of its chunks, and still one plain gzip stream.
    stored = Upload.across_organizations.get().stored
    assert (
        ObjectPart.across_organizations.filter(whole=stored).count() == len(payload) // 300_000 + 1
    )
    assert len(read(stored)) == stored.stored_size
    assert gzip.decompress(read(stored)) == payload


def test_the_same_init_is_the_same_transfer(api: Api) -> None:
    first = begun(api, SMALL, CHUNKS)
    put(api, first["uploadId"], CHUNKS[0])
    second = begun(api, SMALL, CHUNKS)
    assert second["uploadId"] == first["uploadId"]
    assert second["missing"] == first["missing"][1:]


def test_after_its_end_the_same_findings_are_a_new_run(api: Api) -> None:
    first = transferred(api, SMALL, 1_000).json()
    told = begun(api, SMALL, CHUNKS)
    assert told["uploadId"] != first["uploadId"]
    assert told["missing"] == []
    assert finalize(api, told["uploadId"]).json()["runId"] != first["runId"]


def test_with_a_key_it_is_the_same_for_ever(api: Api) -> None:
    told = begun(api, SMALL, CHUNKS, key="k1")
    for chunk in CHUNKS:
        put(api, told["uploadId"], chunk)
    answer = finalize(api, told["uploadId"]).json()
    again = begun(api, SMALL, CHUNKS, key="k1")
    assert (again["uploadId"], again["missing"]) == (told["uploadId"], [])
    assert finalize(api, again["uploadId"]).json() == answer
    assert Run.across_organizations.count() == 1
    other = SMALL + b" "
    problem(init(api, other, cut(other, 1_000), key="k1"), 422, "idempotency_mismatch")


def test_a_key_covers_envelope_and_transfer(api: Api) -> None:
    metadata = {"projectName": "Website", "branch": "main"}
    sent = envelope(SMALL, metadata=metadata)
    first = api.send("POST", "/upload/insight", sent, **{"Idempotency-Key": "k1"}).json()
    told = begun(api, SMALL, CHUNKS, key="k1")
    for chunk in CHUNKS:
        put(api, told["uploadId"], chunk)
    assert finalize(api, told["uploadId"]).json() == first
    assert finalize(api, told["uploadId"]).json() == first
    status = api.send("GET", f"/upload/insight/{told['uploadId']}").json()
    assert (status["uploadId"], status["state"]) == (first["uploadId"], "completed")
    assert Run.across_organizations.count() == 1


def test_a_transfer_may_be_cut_anew(api: Api) -> None:
    told = begun(api, SMALL, CHUNKS)
    put(api, told["uploadId"], CHUNKS[0])
    finer = [CHUNKS[0], *cut(SMALL[1_000:], 100)]
    again = begun(api, SMALL, finer)
    assert again["uploadId"] == told["uploadId"]
    assert again["missing"] == [sha256_hex(chunk) for chunk in finer[1:]]


def test_the_status_lists_what_is_missing(api: Api) -> None:
    told = begun(api, SMALL, CHUNKS)
    put(api, told["uploadId"], CHUNKS[1])
    status = api.send("GET", f"/upload/insight/{told['uploadId']}").json()
    assert status["state"] == "receiving"
    assert status["missing"] == [n for n in told["missing"] if n != sha256_hex(CHUNKS[1])]
    assert status["progress"] == 100 * 1_000 // len(SMALL)
    assert status["expiresAt"] >= told["expiresAt"]


def test_a_chunk_that_stands_twice_is_sent_once(api: Api) -> None:
    payload = b'{"diagnostics": {}' + b" " * 3_000 + b"}"
    chunks = [payload[:18], *cut(payload[18:-1], 1_000), payload[-1:]]
    told = begun(api, payload, chunks)
    assert len(told["missing"]) == 3
    for chunk in dict.fromkeys(chunks):
        put(api, told["uploadId"], chunk)
    assert finalize(api, told["uploadId"]).status_code == 201


@pytest.mark.parametrize("compressed", [False, True])
def test_plain_clients_send_base64(api: Api, compressed: bool) -> None:
    told = begun(api, SMALL, CHUNKS)
    for index, chunk in enumerate(CHUNKS):
        data = b64encode(gzip_compress(chunk) if compressed else chunk).decode()
        sent = {"uploadId": told["uploadId"], "index": index, "data": data}
        if compressed:
            sent["compressed"] = True
        answer = api.send("POST", "/upload/insight/chunk", sent)
        assert answer.status_code == 201, answer.content
    beyond = {"uploadId": told["uploadId"], "index": len(CHUNKS), "data": ""}
    problem(api.send("POST", "/upload/insight/chunk", beyond), 404, "not_found")
    assert finalize(api, told["uploadId"]).status_code == 201


def test_chunks_may_come_gzipped_and_twice(api: Api) -> None:
    told = begun(api, SMALL, CHUNKS)
    zipped = gzip_compress(CHUNKS[0])
    name = sha256_hex(CHUNKS[0])
    first = put(api, told["uploadId"], zipped, name, **{"Content-Encoding": "gzip"})
    assert (first.status_code, first.json()) == (201, {"sha256": name, "size": 1_000})
    assert put(api, told["uploadId"], CHUNKS[0]).status_code == 200
    bomb = gzip.compress(b"\0" * 64 * 1024 * 1024, 9)
    problem(put(api, told["uploadId"], bomb, sha256_hex(CHUNKS[1]), **{"Content-Encoding": "gzip"}),
            422, "digest_mismatch")  # fmt: skip
    problem(put(api, told["uploadId"], zipped[:-3], name, **{"Content-Encoding": "gzip"}),
            400, "malformed_gzip")  # fmt: skip
    problem(put(api, told["uploadId"], CHUNKS[1], **{"Content-Encoding": "br"}),
            415, "unsupported_media_type")  # fmt: skip


def test_what_is_known_is_not_asked_for_again(api: Api, bob: Person, charlie: Person) -> None:
    transferred(api, SMALL, 1_000)
    longer = SMALL + b" " * 500
    told = begun(bob.api, longer, [*CHUNKS, b" " * 500])
    assert told["missing"] == [sha256_hex(b" " * 500)]
    # A stranger learns nothing of it.
    assert len(begun(charlie.api, SMALL, CHUNKS)["missing"]) == len(CHUNKS)


def test_a_chunk_known_as_something_else_makes_a_whole_too(api: Api) -> None:
    """The first chunk was a payload of its own, in the gzip form that its sender chose."""
    first = b'{"diagnostics": {}}'
    api.send("POST", "/upload/insight", envelope(first))
    payload = first + b" " * 10
    told = begun(api, payload, [first, b" " * 10])
    assert told["missing"] == [sha256_hex(b" " * 10)]
    put(api, told["uploadId"], b" " * 10)
    assert finalize(api, told["uploadId"]).status_code == 201
    stored = StoredObject.across_organizations.get(sha256=sha256_hex(payload))
    assert gzip.decompress(read(stored)) == payload


# ── What is wrong ────────────────────────────────────────────────────────────


def test_a_wrong_chunk_is_refused_and_not_stored(api: Api) -> None:
    told = begun(api, SMALL, CHUNKS)
    wrong = bytes(1_000)
    problem(put(api, told["uploadId"], wrong, sha256_hex(CHUNKS[0])), 422, "digest_mismatch")
    problem(put(api, told["uploadId"], CHUNKS[0] + b"x", sha256_hex(CHUNKS[0])),
            422, "digest_mismatch")  # fmt: skip
    problem(put(api, told["uploadId"], b"", sha256_hex(CHUNKS[0])), 422, "digest_mismatch")
    problem(put(api, told["uploadId"], b"not announced"), 404, "not_found")
    assert not StoredObject.across_organizations.exists()


def test_a_wrong_whole_is_refused(api: Api) -> None:
    told = begun(api, SMALL, CHUNKS, sha256="0" * 64)
    for chunk in CHUNKS:
        put(api, told["uploadId"], chunk)
    problem(finalize(api, told["uploadId"]), 422, "digest_mismatch")
    problem(finalize(api, told["uploadId"]), 422, "digest_mismatch")
    assert not Run.across_organizations.exists()
    assert not Upload.across_organizations.exists()


def test_a_large_wrong_whole_fails_its_job_with_the_reason(api: Api) -> None:
    payload = large_document()
    told = transferred(api, payload, 300_000, sha256="0" * 64)
    assert told.status_code == 202
    run_jobs()
    status = api.get(told.json()["statusUrl"]).json()
    assert (status["state"], status["problem"]["code"]) == ("failed", "digest_mismatch")
    assert finalize(api, told.json()["uploadId"]).json() == told.json()
    assert not Run.across_organizations.exists()
    assert not Upload.across_organizations.exists()


def test_finalize_without_all_chunks_tells_which(api: Api) -> None:
    told = begun(api, SMALL, CHUNKS)
    put(api, told["uploadId"], CHUNKS[0])
    refused = problem(finalize(api, told["uploadId"]), 409, "chunks_missing")
    assert refused["missing"] == told["missing"][1:]


def test_a_chunk_after_finalize_is_a_conflict(api: Api) -> None:
    upload_id = transferred(api, SMALL, 1_000).json()["uploadId"]
    problem(put(api, upload_id, CHUNKS[0]), 409, "conflict")
    late = {"uploadId": upload_id, "index": 0, "data": b64encode(CHUNKS[0]).decode()}
    problem(api.send("POST", "/upload/insight/chunk", late), 409, "conflict")
    problem(api.send("DELETE", f"/upload/insight/{upload_id}"), 409, "conflict")


def test_a_dropped_transfer_is_gone_and_can_be_begun_anew(api: Api) -> None:
    told = begun(api, SMALL, CHUNKS, key="k1")
    put(api, told["uploadId"], CHUNKS[0])
    path = f"/upload/insight/{told['uploadId']}"
    assert api.send("DELETE", path).status_code == 204
    assert api.send("DELETE", path).status_code == 204
    problem(api.send("GET", path), 410, "transfer_expired")
    problem(put(api, told["uploadId"], CHUNKS[1]), 410, "transfer_expired")
    problem(finalize(api, told["uploadId"]), 410, "transfer_expired")
    again = begun(api, SMALL, CHUNKS, key="k1")
    assert again["uploadId"] == told["uploadId"]
    assert again["missing"] == told["missing"]


def one(size: int, count: int = 1) -> list[dict[str, Any]]:
    return [{"sha256": "0" * 64, "size": size}] * count


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"chunks": one(1, 5_001), "size": 5_001}, 413, "payload_too_large"),
        ({"chunks": one(1, 20_000), "size": 20_000}, 413, "payload_too_large"),
        ({"chunks": one(6 * 1024 * 1024), "size": 6 * 1024 * 1024}, 413, "payload_too_large"),
        ({"chunks": one(5 * 1024 * 1024, 300), "size": 1500 * 1024 * 1024}, 413,
         "payload_too_large"),
        ({"chunks": one(7), "size": 8}, 422, "invalid_payload"),
        ({"chunks": one(0), "size": 0}, 422, "invalid_payload"),
        ({"chunks": one(-1), "size": -1}, 422, "invalid_payload"),
        ({"chunks": [*one(1), *one(2)], "size": 3}, 422, "invalid_payload"),
        ({"chunks": [{"sha256": "x", "size": 1}], "size": 1}, 422, "invalid_payload"),
        ({"chunks": [{"sha256": "0" * 64 + "\n", "size": 1}], "size": 1}, 422, "invalid_payload"),
        ({"sha256": "A" * 64}, 422, "invalid_payload"),
        ({"chunks": None}, 422, "invalid_payload"),
        ({"metadata": 7}, 422, "invalid_payload"),
        ({"type": "nonsense"}, 422, "unknown_type"),
        ({"metadata": {"projectId": "nobody's"}}, 404, "not_found"),
    ],
)  # fmt: skip
def test_an_announcement_that_cannot_be(
    api: Api, fields: dict[str, Any], status: int, code: str
) -> None:
    problem(init(api, SMALL, CHUNKS, **fields), status, code)
    assert not Transfer.across_organizations.exists()


def test_a_million_chunks_are_refused_unread(api: Api) -> None:
    entry = b'{"sha256":"' + b"0" * 64 + b'","size":1}'
    body = json.dumps(manifest(SMALL, [])).encode()[:-1] + b',"chunks":['
    body += b",".join([entry] * 1_000_000) + b"]}"
    answer = api.post("/api/v1/upload/insight/init", body, content_type="application/json")
    problem(answer, 413, "payload_too_large")


# ── Who may ──────────────────────────────────────────────────────────────────


def test_a_strangers_transfer_does_not_exist(api: Api, charlie: Person) -> None:
    told = begun(api, SMALL, CHUNKS)
    upload_id = told["uploadId"]
    path = f"/upload/insight/{upload_id}"
    chunk = {"uploadId": upload_id, "index": 0, "data": ""}
    nobody = "00000000-0000-4000-8000-000000000000"
    for mine, none in (
        (charlie.api.send("GET", path), charlie.api.send("GET", f"/upload/insight/{nobody}")),
        (charlie.api.send("DELETE", path), charlie.api.send("DELETE", f"/upload/insight/{nobody}")),
        (put(charlie.api, upload_id, CHUNKS[0]), put(charlie.api, nobody, CHUNKS[0])),
        (finalize(charlie.api, upload_id), finalize(charlie.api, nobody)),
        (charlie.api.send("POST", "/upload/insight/chunk", chunk), finalize(charlie.api, "x")),
    ):
        assert (
            problem(mine, 404, "not_found")["detail"] == problem(none, 404, "not_found")["detail"]
        )
    other = api.send("GET", f"/upload/autopilot/{upload_id}")
    problem(other, 404, "not_found")


def test_the_scope_is_that_of_the_product(api: Api, alice: Person) -> None:
    _, token = create_api_key(by=alice.principal, name="reader", scopes=("insight:read",))
    reader = Api(token)
    told = begun(api, SMALL, CHUNKS)
    assert reader.send("GET", f"/upload/insight/{told['uploadId']}").status_code == 200
    for answer in (
        init(reader, SMALL, CHUNKS),
        put(reader, told["uploadId"], CHUNKS[0]),
        finalize(reader, told["uploadId"]),
        reader.send("DELETE", f"/upload/insight/{told['uploadId']}"),
    ):
        problem(answer, 403, "missing_scope")
    problem(put(Api(None), told["uploadId"], CHUNKS[0]), 401, "not_authenticated")


def test_incompressible_bytes_make_a_whole_too(api: Api) -> None:
    payload = noise(200_000)
    told = begun(api, payload, cut(payload, 70_000), type="ml-training")
    for chunk in cut(payload, 70_000):
        put(api, told["uploadId"], chunk)
    # No JSON: the product refuses it, and nothing is left but the chunks.
    assert finalize(api, told["uploadId"]).status_code in (400, 422)
    assert not Upload.across_organizations.exists()
    assert StoredObject.across_organizations.filter(joinable=True).count() == 3


@pytest.mark.django_db(transaction=True)
def test_what_comes_in_the_form_that_is_kept_is_not_compressed_anew(api: Api) -> None:
    parts = cut(large_document(), 300_000)
    upload_id = begun(api, b"".join(parts), parts)["uploadId"]
    joinable = b"".join(joinable_pieces((parts[0],)))
    put(api, upload_id, joinable, sha256_hex(parts[0]), **{"Content-Encoding": "gzip"})
    # Level 9 is not ours: what is kept shows who compressed it.
    foreign = gzip.compress(parts[1], 9)
    put(api, upload_id, foreign, sha256_hex(parts[1]), **{"Content-Encoding": "gzip"})
    kept = [read(StoredObject.across_organizations.get(sha256=sha256_hex(p))) for p in parts[:2]]
    assert kept[0] == joinable
    assert kept[1] == b"".join(joinable_pieces((parts[1],)))
    for part in parts[2:]:
        put(api, upload_id, part)
    told = finalize(api, upload_id).json()
    run_jobs()
    assert api.get(told["statusUrl"]).json()["state"] == "completed"
    assert gzip.decompress(read(Upload.across_organizations.get().stored)) == b"".join(parts)


def test_another_chunk_in_the_form_that_is_kept_is_refused(api: Api) -> None:
    upload_id = begun(api, SMALL, CHUNKS)["uploadId"]
    other = b"".join(joinable_pieces((CHUNKS[0][:-1] + b" ",)))
    answer = put(api, upload_id, other, sha256_hex(CHUNKS[0]), **{"Content-Encoding": "gzip"})
    problem(answer, 422, "digest_mismatch")
    assert not StoredObject.across_organizations.filter(joinable=True).exists()
