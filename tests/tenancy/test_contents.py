"""A digest opens nothing: bytes of another project are asked for, and stored once all the same."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.services import create_api_key
from odavl.wire.encoding import sha256_hex
from storage.models import StoredObject
from tests.cast import Api, Person
from tests.insight.documents import document, envelope, finding
from tests.problems import problem
from tests.tenancy.keys import Bound, bound_key
from tests.transfers.manifests import cut, finalize, manifest, put
from uploads.models import Transfer, TransferChunk

PAYLOAD = json.dumps(document({"a.py": [finding(str(n)) for n in range(40)]})).encode()
CHUNKS = cut(PAYLOAD, 1_000)
NAMES = [sha256_hex(chunk) for chunk in CHUNKS]
SMALL = b'{"diagnostics": {}}'


def init(api: Api, product: str = "insight", **fields: Any) -> dict[str, Any]:
    body = manifest(PAYLOAD, CHUNKS, metadata={}) | fields
    answer = api.send("POST", f"/upload/{product}/init", body)
    assert answer.status_code == 201, answer.content
    told: dict[str, Any] = answer.json()
    return told


def send_all(api: Api, upload_id: str) -> list[int]:
    return [put(api, upload_id, chunk).status_code for chunk in CHUNKS]


def uploaded(api: Api) -> dict[str, Any]:
    told = init(api)
    send_all(api, told["uploadId"])
    answer = finalize(api, told["uploadId"])
    assert answer.status_code == 201, answer.content
    run: dict[str, Any] = answer.json()
    return run


def test_a_digest_gives_nothing_of_another_project(shop: Bound, blog: Bound) -> None:
    uploaded(shop.api)
    objects = StoredObject.across_organizations.count()
    told = init(blog.api)
    path = f"/upload/insight/{told['uploadId']}"
    assert told["missing"] == NAMES
    assert blog.api.send("GET", path).json()["missing"] == NAMES
    refused = problem(finalize(blog.api, told["uploadId"]), 409, "chunks_missing")
    assert refused["missing"] == NAMES
    # With the bytes it is an upload like any other, and they lie there once.
    assert set(send_all(blog.api, told["uploadId"])) == {201}
    assert finalize(blog.api, told["uploadId"]).status_code == 201
    assert StoredObject.across_organizations.count() == objects


def test_what_is_new_and_what_others_have_is_answered_alike(shop: Bound, blog: Bound) -> None:
    other = [b"x" * 500, b"y" * 500]
    uploaded(shop.api)
    mixed = [*CHUNKS[:2], *other]
    payload = b"".join(mixed)
    body = manifest(payload, mixed, metadata={})
    told = blog.api.send("POST", "/upload/insight/init", body).json()
    assert told["missing"] == [sha256_hex(chunk) for chunk in mixed]
    answers = [put(blog.api, told["uploadId"], chunk) for chunk in mixed]
    assert {answer.status_code for answer in answers} == {201}
    assert {tuple(answer.json()) for answer in answers} == {("sha256", "size")}


def test_what_others_send_meanwhile_is_not_taken_at_the_end(shop: Bound, blog: Bound) -> None:
    told = init(blog.api)
    uploaded(shop.api)
    refused = problem(finalize(blog.api, told["uploadId"]), 409, "chunks_missing")
    assert refused["missing"] == NAMES


def test_what_others_have_on_its_way_is_not_known(shop: Bound, blog: Bound) -> None:
    send_all(shop.api, init(shop.api)["uploadId"])
    assert init(blog.api)["missing"] == NAMES


def test_an_envelope_of_another_project_is_not_known(shop: Bound, blog: Bound) -> None:
    assert shop.api.send("POST", "/upload/insight", envelope(PAYLOAD)).status_code == 201
    whole = {"chunks": [{"sha256": sha256_hex(PAYLOAD), "size": len(PAYLOAD)}]}
    assert init(blog.api, **whole)["missing"] == [sha256_hex(PAYLOAD)]
    assert init(shop.api, **whole)["missing"] == []


def test_within_its_project_a_key_spares_what_others_sent(
    alice: Person, shop: Bound, blog: Bound
) -> None:
    uploaded(shop.api)
    longer = PAYLOAD + b" "
    fields = {
        "size": len(longer),
        "sha256": sha256_hex(longer),
        "chunks": [{"sha256": sha256_hex(chunk), "size": len(chunk)} for chunk in (*CHUNKS, b" ")],
    }
    within = [
        bound_key(alice, shop.project).api,
        Api(alice.token, **{"X-Project-Id": "shop"}),
        # A key of the organization reads every project, so it need not send what one has.
        Api(alice.token),
    ]
    for api in within:
        assert init(api, metadata={"projectName": "Shop"}, **fields)["missing"] == [
            sha256_hex(b" ")
        ]
    narrowed = Api(alice.token, **{"X-Project-Id": "blog"})
    assert init(narrowed, **fields)["missing"] == [*NAMES, sha256_hex(b" ")]
    assert init(alice.api, metadata={"projectName": "Blog"}, **fields)["missing"] == [
        sha256_hex(b" ")
    ]


@pytest.mark.parametrize("product", ["autopilot", "guardian"])
def test_a_key_of_one_product_knows_no_contents_of_another(
    alice: Person, shop: Bound, product: str
) -> None:
    uploaded(shop.api)
    kind = {"autopilot": "ledger", "guardian": "test-results"}[product]
    alone = bound_key(alice, shop.project, f"{product}:write").api
    assert init(alone, product, type=kind)["missing"] == NAMES
    both = bound_key(alice, shop.project, f"{product}:write", "insight:read").api
    assert init(both, product, type=kind, fileName="other.json")["missing"] == []


def test_a_stranger_knows_nothing(shop: Bound, charlie: Person) -> None:
    uploaded(shop.api)
    assert init(charlie.api)["missing"] == NAMES


# ── A transfer of another project ────────────────────────────────────────────


def state(upload_id: str) -> Any:
    rows = TransferChunk.across_organizations.filter(transfer=upload_id).order_by("position")
    transfer = Transfer.across_organizations.values().get(pk=upload_id)
    return transfer, list(rows.values_list("sha256", "stored"))


@pytest.mark.parametrize("who", ["elsewhere", "narrowed", "stranger", "product"])
def test_a_transfer_is_there_for_its_project_alone(
    alice: Person, charlie: Person, shop: Bound, blog: Bound, who: str
) -> None:
    """Nobody else writes to it, reads its state, ends or drops it, or learns that it is there."""
    api = {
        "elsewhere": blog.api,
        "narrowed": Api(alice.token, **{"X-Project-Id": "blog"}),
        "stranger": charlie.api,
        "product": bound_key(alice, blog.project, "insight:write").api,
    }[who]
    upload_id, nobody = init(shop.api)["uploadId"], str(uuid4())
    put(shop.api, upload_id, CHUNKS[0])
    before = state(upload_id)
    answers = []
    for name in (upload_id, nobody):
        path = f"/upload/insight/{name}"
        chunk = {"uploadId": name, "index": 1, "data": ""}
        answers.append(
            [
                put(api, name, CHUNKS[1]),
                put(api, name, CHUNKS[0]),
                api.send("POST", "/upload/insight/chunk", chunk),
                api.send("GET", path),
                finalize(api, name),
                api.send("DELETE", path),
            ]
        )
    for theirs, none in zip(*answers, strict=True):
        one, other = problem(theirs, 404, "not_found"), problem(none, 404, "not_found")
        assert one | {"requestId": ""} == other | {"requestId": ""}
    assert state(upload_id) == before


# ── Workspaces ───────────────────────────────────────────────────────────────


def test_a_workspace_knows_what_was_pushed_to_it(shop: Bound, blog: Bound) -> None:
    content = b"a recipe" * 100
    name = sha256_hex(content)
    offered = {"chunks": [{"sha256": name, "size": len(content)}]}
    revision = {
        "baseRevision": 0,
        "machine": "laptop",
        "files": [{"path": "recipes-trust.json", "sha256": name, "size": len(content)}],
    }

    def push(bound: Bound) -> Any:
        path = f"/sync/workspace/{bound.project.slug}"
        told = bound.api.send("POST", f"{path}/missing", offered).json()
        assert told["missing"] == [name]
        refused = problem(
            bound.api.send("POST", f"{path}/revisions", revision), 409, "chunks_missing"
        )
        assert refused["missing"] == [name]
        problem(bound.api.send("GET", f"{path}/chunks/{name}"), 404, "not_found")
        sent = bound.api.put(
            f"/api/v1{path}/chunks/{name}", content, content_type="application/octet-stream"
        )
        assert sent.status_code == 201
        return bound.api.send("POST", f"{path}/revisions", revision).status_code

    assert push(shop) == push(blog) == 201
    assert StoredObject.across_organizations.filter(sha256=name).count() == 1


# ── Bytes that the object store has lost ─────────────────────────────────────


def lost() -> None:
    """The clean-up has found that the store has nothing any more."""
    StoredObject.across_organizations.update(missing_since=timezone.now())


def test_lost_bytes_are_asked_for_again_in_a_transfer(shop: Bound) -> None:
    uploaded(shop.api)
    lost()
    told = init(shop.api)
    assert told["missing"] == NAMES
    send_all(shop.api, told["uploadId"])
    lost()
    assert init(shop.api)["missing"] == NAMES
    problem(finalize(shop.api, told["uploadId"]), 409, "chunks_missing")
    assert set(send_all(shop.api, told["uploadId"])) == {201}
    assert finalize(shop.api, told["uploadId"]).status_code == 201
    assert not StoredObject.across_organizations.filter(
        sha256__in=NAMES, missing_since__isnull=False
    ).exists()


def test_lost_bytes_are_asked_for_again_in_a_workspace(shop: Bound) -> None:
    name, path = sha256_hex(SMALL), "/sync/workspace/shop"
    offered = {"chunks": [{"sha256": name, "size": len(SMALL)}]}

    def send() -> int:
        address = f"/api/v1{path}/chunks/{name}"
        answer = shop.api.put(address, SMALL, content_type="application/octet-stream")
        return int(answer.status_code)

    assert send() == 201
    assert shop.api.send("POST", f"{path}/missing", offered).json()["missing"] == []
    lost()
    assert shop.api.send("POST", f"{path}/missing", offered).json()["missing"] == [name]
    send()
    assert shop.api.send("POST", f"{path}/missing", offered).json()["missing"] == []
    assert b"".join(shop.api.get(f"/api/v1{path}/chunks/{name}").streaming_content)


def test_a_key_without_a_product_has_no_transfers(alice: Person, shop: Bound) -> None:
    _, token = create_api_key(by=alice.principal, name="k", scopes=("guardian:write",))
    told = init(shop.api)
    problem(put(Api(token), told["uploadId"], CHUNKS[0]), 403, "missing_scope")
