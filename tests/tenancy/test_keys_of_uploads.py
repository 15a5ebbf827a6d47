"""Who may do what to whose upload: every key, at every step, whatever state the upload is in.

An upload of the project Shop on one side, whoever asks on the other. What each may is written down
here a second time, not taken from the code; whoever may not has changed nothing and learnt nothing.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from accounts.services import create_api_key
from insight.models import Run
from jobs.models import Job
from odavl.wire import limits
from odavl.wire.encoding import sha256_hex
from odavl.wire.scopes import PRESETS
from storage.models import StoredObject
from tests.cast import Api, Person
from tests.insight.documents import document, envelope, finding
from tests.problems import problem
from tests.tenancy.keys import Bound, bound_key
from tests.transfers.manifests import cut, finalize, manifest, put
from uploads import assembly
from uploads.models import Transfer, TransferChunk, Upload

PAYLOAD = json.dumps(document({"a.py": [finding(str(n)) for n in range(20)]})).encode()
CHUNKS = cut(PAYLOAD, 1_000)
KEY = {"Idempotency-Key": "of the shop"}

MAY = "may"
NO_SUCH = (404, "not_found")
NO_SCOPE = (403, "missing_scope")
WRONG = (403, "wrong_scope")
WHO: dict[str, tuple[Any, Any]] = {
    # Who asks: what comes of reading, and of writing.
    "its key": (MAY, MAY),
    "another key of its project": (MAY, MAY),
    "the organization's": (MAY, MAY),
    "narrowed to it by name": (MAY, MAY),
    "narrowed to it by id": (MAY, MAY),
    "narrowed elsewhere": (NO_SUCH, NO_SUCH),
    "another project's": (NO_SUCH, NO_SUCH),
    "another project's that names it": (WRONG, WRONG),
    "reads only": (MAY, NO_SCOPE),
    "another project's that reads only": (NO_SUCH, NO_SCOPE),
    "another product's": (NO_SCOPE, NO_SCOPE),
    "a stranger's": (NO_SUCH, NO_SUCH),
    "a stranger's that names it": (WRONG, WRONG),
    "nobody's": ((401, "not_authenticated"),) * 2,
}


@pytest.fixture
def asking(alice: Person, charlie: Person, shop: Bound, blog: Bound) -> Callable[[str], Api]:
    def made(*scopes: str) -> str:
        return create_api_key(by=alice.principal, name="k", scopes=scopes)[1]

    def api(who: str) -> Api:
        here = str(shop.project.pk)
        return {
            "its key": lambda: shop.api,
            "another key of its project": lambda: bound_key(alice, shop.project).api,
            "the organization's": lambda: Api(made(*PRESETS["all"])),
            "narrowed to it by name": lambda: Api(alice.token, **{"X-Project-Id": "shop"}),
            "narrowed to it by id": lambda: Api(alice.token, **{"X-Project-Id": here}),
            "narrowed elsewhere": lambda: Api(alice.token, **{"X-Project-Id": "blog"}),
            "another project's": lambda: blog.api,
            "another project's that names it": lambda: Api(blog.token, **{"X-Project-Id": here}),
            "reads only": lambda: bound_key(alice, shop.project, "insight:read").api,
            "another project's that reads only": lambda: (
                bound_key(alice, blog.project, "insight:read").api
            ),
            "another product's": lambda: (
                bound_key(
                    alice, shop.project, "guardian:write", "autopilot:write", "storage:admin"
                ).api
            ),
            "a stranger's": lambda: charlie.api,
            "a stranger's that names it": lambda: Api(charlie.token, **{"X-Project-Id": here}),
            "nobody's": lambda: Api(None),
        }[who]()

    return api


# ── The upload, in each state ────────────────────────────────────────────────


def open_transfer(api: Api, chunks: int = 1) -> str:
    body = manifest(PAYLOAD, CHUNKS, metadata={})
    answer = api.send("POST", "/upload/insight/init", body, **KEY)
    assert answer.status_code == 201, answer.content
    for chunk in CHUNKS[:chunks]:
        assert put(api, answer.json()["uploadId"], chunk).status_code == 201
    return str(answer.json()["uploadId"])


def complete(api: Api) -> str:
    return open_transfer(api, len(CHUNKS))


def done(api: Api) -> str:
    upload_id = complete(api)
    assert finalize(api, upload_id).status_code == 201
    return upload_id


def assembling(api: Api) -> str:
    upload_id = complete(api)
    assert finalize(api, upload_id).status_code == 202
    return upload_id


def failed(api: Api) -> str:
    upload_id = assembling(api)
    assembly.give_up(Job.across_organizations.get(type=assembly.ASSEMBLY_JOB))
    return upload_id


def dropped(api: Api) -> str:
    upload_id = open_transfer(api)
    assert api.send("DELETE", f"/upload/insight/{upload_id}").status_code == 204
    return upload_id


def in_one_request(api: Api) -> str:
    answer = api.send("POST", "/upload/insight", envelope(PAYLOAD, metadata={}), **KEY)
    assert answer.status_code == 201, answer.content
    return str(answer.json()["uploadId"])


STATES = (open_transfer, complete, assembling, failed, done, dropped, in_one_request)


@pytest.fixture(params=STATES, ids=lambda made: made.__name__)
def upload_id(request: pytest.FixtureRequest, shop: Bound, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param in (assembling, failed):
        monkeypatch.setattr(limits, "MAX_INLINE_INFLATED_SIZE", 1_000)
    return str(request.param(shop.api))


# ── What can be done to it ───────────────────────────────────────────────────

READS: dict[str, Callable[[Api, str], Any]] = {
    "status": lambda api, name: api.send("GET", f"/upload/insight/{name}"),
}
WRITES: dict[str, Callable[[Api, str], Any]] = {
    "a chunk that it lacks": lambda api, name: put(api, name, CHUNKS[1]),
    "a chunk that it has": lambda api, name: put(api, name, CHUNKS[0]),
    "a chunk as base64": lambda api, name: api.send(
        "POST",
        "/upload/insight/chunk",
        {"uploadId": name, "index": 1, "data": b64encode(CHUNKS[1]).decode()},
    ),
    "other bytes": lambda api, name: put(api, name, b"other", sha256_hex(CHUNKS[1])),
    "its end": finalize,
    "dropping it": lambda api, name: api.send("DELETE", f"/upload/insight/{name}"),
}


def everything() -> list[Any]:
    """All that an upload has in the database, but for what a look may change."""
    return [
        list(model.across_organizations.order_by("pk").values())
        for model in (Transfer, TransferChunk, Upload, StoredObject, Run, Job)
    ]


@pytest.mark.parametrize("who", WHO)
def test_whoever_may_not_learns_nothing_and_changes_nothing(
    asking: Callable[[str], Api], upload_id: str, who: str
) -> None:
    api, nobody, (reading, writing) = asking(who), str(uuid4()), WHO[who]
    before = everything()
    for steps, expected in ((READS, reading), (WRITES, writing)):
        for step, ask in steps.items():
            if expected == MAY:
                continue
            theirs = problem(ask(api, upload_id), *expected)
            none = problem(ask(api, nobody), *expected)
            assert theirs | {"requestId": ""} == none | {"requestId": ""}, step
            assert everything() == before, step


@pytest.mark.parametrize("who", [who for who, may in WHO.items() if may[1] == MAY])
def test_whoever_may_goes_on_with_it(asking: Callable[[str], Api], shop: Bound, who: str) -> None:
    upload_id, api = open_transfer(shop.api), asking(who)
    assert READS["status"](api, upload_id).json()["state"] == "receiving"
    for chunk in CHUNKS[1:]:
        assert put(api, upload_id, chunk).status_code == 201
    answer = finalize(api, upload_id)
    assert answer.status_code == 201, answer.content
    assert READS["status"](api, upload_id).json()["runId"] == answer.json()["runId"]
    run = Run.across_organizations.get()
    assert run.stream.project == shop.project


@pytest.mark.parametrize("who", [who for who, may in WHO.items() if may[0] == MAY])
def test_whoever_may_read_is_told_its_state(
    asking: Callable[[str], Api], upload_id: str, who: str
) -> None:
    answer = READS["status"](asking(who), upload_id)
    assert answer.status_code in (200, 410), answer.content
    assert answer.json() == READS["status"](asking("its key"), upload_id).json() or (
        answer.json()["code"] == "transfer_expired"
    )


@pytest.mark.parametrize("product", ["autopilot", "guardian"])
def test_an_upload_is_there_for_its_product_alone(
    shop: Bound, upload_id: str, product: str
) -> None:
    """A key that may everything, below another product's address."""
    before = everything()
    name = sha256_hex(CHUNKS[1])
    data = b64encode(CHUNKS[1]).decode()
    address = f"/upload/{product}"
    for answer in (
        shop.api.send("GET", f"{address}/{upload_id}"),
        shop.api.send("DELETE", f"{address}/{upload_id}"),
        shop.api.put(
            f"/api/v1{address}/{upload_id}/chunks/{name}",
            CHUNKS[1],
            content_type="application/octet-stream",
        ),
        shop.api.send(
            "POST", f"{address}/chunk", {"uploadId": upload_id, "index": 1, "data": data}
        ),
        shop.api.send("POST", f"{address}/finalize", {"uploadId": upload_id}),
    ):
        problem(answer, 404, "not_found")
    assert everything() == before


@pytest.mark.parametrize("who", ["another project's", "narrowed elsewhere", "a stranger's"])
def test_the_same_announcement_is_another_upload_elsewhere(
    asking: Callable[[str], Api], shop: Bound, upload_id: str, who: str
) -> None:
    """The same payload, name and ``Idempotency-Key``: each project has its own upload of it."""
    api = asking(who)
    kept = Transfer.across_organizations.filter(pk=upload_id).values().first()
    told = api.send(
        "POST", "/upload/insight/init", manifest(PAYLOAD, CHUNKS, metadata={}), **KEY
    ).json()
    assert told["uploadId"] != upload_id
    assert set(told["missing"]) == {sha256_hex(chunk) for chunk in CHUNKS}
    assert Transfer.across_organizations.filter(pk=upload_id).values().first() == kept
    own = Transfer.across_organizations.get(pk=told["uploadId"])
    assert own.project != shop.project
    problem(READS["status"](shop.api, told["uploadId"]), 404, "not_found")


@pytest.mark.parametrize("way", ["envelope", "init"])
@pytest.mark.parametrize("metadata", [{"projectId": "shop"}, {"projectName": "Shop"}])
def test_a_key_puts_nothing_into_another_project(
    shop: Bound, blog: Bound, way: str, metadata: dict[str, str]
) -> None:
    if way == "envelope":
        body = envelope(PAYLOAD, metadata=metadata)
        answer = blog.api.send("POST", "/upload/insight", body)
    else:
        body = manifest(PAYLOAD, CHUNKS, metadata=metadata)
        answer = blog.api.send("POST", "/upload/insight/init", body)
    assert not Upload.across_organizations.filter(project=shop.project).exists()
    assert not Transfer.across_organizations.filter(project=shop.project).exists()
    assert answer.status_code in (201, 403, 404), answer.content


@pytest.mark.parametrize("scope", ["insight:read", "guardian:write", "storage:write"])
def test_a_key_without_the_scope_begins_nothing(alice: Person, shop: Bound, scope: str) -> None:
    api = bound_key(alice, shop.project, scope).api
    body = manifest(PAYLOAD, CHUNKS, metadata={})
    problem(api.send("POST", "/upload/insight/init", body), 403, "missing_scope")
    problem(api.send("POST", "/upload/insight", envelope(PAYLOAD)), 403, "missing_scope")
    assert everything() == [[]] * 6
