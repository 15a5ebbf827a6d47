"""One ``Idempotency-Key`` in two projects, and for how long it is remembered."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from django.db import connection

from accounts.models import IdempotencyRecord
from accounts.services import revoke_api_key
from storage.models import StoredFile
from tests.cast import Api, Person
from tests.insight.documents import document, envelope, finding
from tests.problems import problem
from tests.tenancy.keys import Bound, bound_key
from tests.tenancy.sending import (
    KEY,
    OTHER,
    PAYLOAD,
    WAYS,
    Sender,
    as_envelope,
    forgotten,
    in_chunks,
    runs_of,
)
from tests.transfers.manifests import cut, finalize, manifest, put
from uploads.models import Upload


@pytest.fixture(params=WAYS)
def send(request: pytest.FixtureRequest) -> Sender:
    return WAYS[request.param]


@pytest.fixture(params=WAYS)
def again(request: pytest.FixtureRequest) -> Sender:
    return WAYS[request.param]


def test_each_project_has_its_run(shop: Bound, blog: Bound, send: Sender, again: Sender) -> None:
    first, second = send(shop.api), again(blog.api)
    assert (first.status_code, second.status_code) == (201, 201), second.content
    assert "Idempotent-Replayed" not in second
    assert runs_of(shop.project) == [first.json()["runId"]]
    assert runs_of(blog.project) == [second.json()["runId"]]


def test_a_header_narrows_as_a_key_does(
    alice: Person, shop: Bound, blog: Bound, send: Sender
) -> None:
    for bound in (shop, blog):
        answer = send(Api(alice.token, **{"X-Project-Id": bound.project.slug}))
        assert answer.status_code == 201, answer.content
        assert runs_of(bound.project) == [answer.json()["runId"]]


def test_the_project_counts_not_how_it_was_named(
    alice: Person, shop: Bound, send: Sender, again: Sender
) -> None:
    """A key rotates, another names its project by header: it is the same request."""
    first = send(shop.api)
    revoke_api_key(by=alice.principal, key=shop.key)
    for api in (
        bound_key(alice, shop.project).api,
        Api(alice.token, **{"X-Project-Id": str(shop.project.pk)}),
    ):
        answer = again(api)
        assert answer.json() == first.json()
        assert answer.status_code == 201
    assert runs_of(shop.project) == [first.json()["runId"]]


def test_another_body_is_refused_within_its_project_alone(
    shop: Bound, blog: Bound, send: Sender, again: Sender
) -> None:
    send(shop.api)
    problem(again(shop.api, OTHER), 422, "idempotency_mismatch")
    assert again(blog.api, OTHER).status_code == 201
    assert len(runs_of(shop.project)) == len(runs_of(blog.project)) == 1


def test_what_a_job_takes_in_is_remembered_too(shop: Bound, again: Sender) -> None:
    large = {f"f{n}.py": [finding(f"{n}-{k}", line=k + 1) for k in range(20)] for n in range(600)}
    payload = json.dumps(document(large)).encode()
    assert len(payload) > 1024 * 1024
    first = as_envelope(shop.api, payload)
    assert first.status_code == 202
    forgotten(3)
    if again is in_chunks:
        parts = cut(payload, 300_000)
        body = manifest(payload, parts, metadata={})
        told = shop.api.send("POST", "/upload/insight/init", body, **{"Idempotency-Key": KEY})
        for part in parts:
            put(shop.api, told.json()["uploadId"], part)
        replayed = finalize(shop.api, told.json()["uploadId"])
    else:
        replayed = again(shop.api, payload)
    assert (replayed.status_code, replayed.json()) == (202, first.json())
    assert Upload.across_organizations.count() == 1


def test_what_the_version_before_answered_is_remembered(
    shop: Bound, blog: Bound, again: Sender
) -> None:
    """It noted the key for the whole organization, beside the upload and not in it."""
    first = as_envelope(shop.api)
    Upload.across_organizations.update(
        idempotency_key=None, request_digest=None, answer_status=None, answer=None
    )
    assert IdempotencyRecord.across_organizations.update(project=None) == 1
    assert again(shop.api).json() == first.json()
    problem(again(shop.api, OTHER), 422, "idempotency_mismatch")
    assert again(blog.api).json()["runId"] in runs_of(blog.project)
    assert runs_of(shop.project) == [first.json()["runId"]]


def test_a_key_of_the_whole_organization_is_none_of_a_project(alice: Person, shop: Bound) -> None:
    headers = {"Idempotency-Key": KEY}
    made = alice.api.send("POST", "/projects", {"name": "Third"}, **headers)
    assert made.status_code == 201
    assert as_envelope(shop.api).status_code == 201
    assert alice.api.send("POST", "/projects", {"name": "Third"}, **headers).json() == made.json()


def test_without_a_key_the_same_is_a_new_run(shop: Bound) -> None:
    body = envelope(PAYLOAD, metadata={})
    made = [shop.api.send("POST", "/upload/insight", body).json()["runId"] for _ in range(2)]
    assert sorted(runs_of(shop.project)) == sorted(made)


def test_the_same_announcement_is_a_transfer_of_each_project(shop: Bound, blog: Bound) -> None:
    body = manifest(PAYLOAD, cut(PAYLOAD, 1_000), metadata={})
    told = [
        bound.api.send("POST", "/upload/insight/init", body).json()["uploadId"]
        for bound in (shop, shop, blog)
    ]
    assert told[0] == told[1] != told[2]


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_is_done_in_each_project(
    shop: Bound, blog: Bound, send: Sender
) -> None:
    """The others are told to wait, or get its answer."""
    answers: dict[str, list[Any]] = {"shop": [], "blog": []}
    barrier = threading.Barrier(8)

    def one(bound: Bound, kept: list[Any]) -> None:
        try:
            barrier.wait(60)
            kept.append(send(bound.api))
        finally:
            connection.close()

    threads = [
        threading.Thread(target=one, args=(bound, answers[name]))
        for name, bound in (("shop", shop), ("blog", blog))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for bound in (shop, blog):
        (run,) = runs_of(bound.project)
        for answer in answers[bound.project.slug]:
            if answer.status_code == 409:
                problem(answer, 409, "in_progress")
                assert int(answer["Retry-After"]) >= 1
            else:
                assert (answer.status_code, answer.json()["runId"]) == (201, run)
        assert send(bound.api).json()["runId"] == run


# ── Every other POST that makes something: for a day ─────────────────────────


def test_a_private_file_is_not_told_to_another_project(shop: Bound, blog: Bound) -> None:
    body = {"fileName": "a.png", "contentType": "image/png", "size": 7, "access": "PRIVATE"}
    for path in ("/storage/upload-url", "/storage/multipart/init"):
        headers = {"Idempotency-Key": f"k{path}"}
        told = [
            bound.api.send("POST", path, body, **headers).json() for bound in (shop, shop, blog)
        ]
        assert told[0] == told[1]
        assert told[2]["fileId"] != told[0]["fileId"]
    projects = StoredFile.across_organizations.values_list("project", flat=True)
    assert sorted(projects) == sorted([shop.project.pk, blog.project.pk] * 2)


POSTS: dict[str, tuple[str, dict[str, Any]]] = {
    "upload-url": (
        "/storage/upload-url",
        {"fileName": "a.png", "contentType": "image/png", "size": 7},
    ),
    "multipart": (
        "/storage/multipart/init",
        {"fileName": "a.png", "contentType": "image/png", "size": 7},
    ),
    "api-key": ("/api-keys", {"name": "ci", "preset": "ci"}),
    "export": ("/exports", {}),
}


@pytest.mark.parametrize("name", POSTS)
def test_a_post_is_done_once_in_each_project(shop: Bound, blog: Bound, name: str) -> None:
    path, body = POSTS[name]
    headers = {"Idempotency-Key": "k"}
    first, again, other = (
        bound.api.send("POST", path, body, **headers) for bound in (shop, shop, blog)
    )
    assert first.status_code in (201, 202), first.content
    assert (again["Idempotent-Replayed"], again.content) == ("true", first.content)
    assert "Idempotent-Replayed" not in other
    assert other.status_code == first.status_code
    assert other.content != first.content


@pytest.mark.parametrize("name", ["upload-url", "multipart"])
def test_the_project_that_a_body_names_counts(
    alice: Person, shop: Bound, blog: Bound, name: str
) -> None:
    """The same request by another key of the organization, and by the project's own, are one."""
    path, body = POSTS[name]
    body = body | {"projectId": shop.project.slug}
    headers = {"Idempotency-Key": "k"}
    first = alice.api.send("POST", path, body, **headers)
    again = shop.api.send("POST", path, body, **headers)
    assert (again["Idempotent-Replayed"], again.json()) == ("true", first.json())
    problem(blog.api.send("POST", path, body, **headers), 403, "wrong_scope")


def test_a_push_is_committed_once_in_each_project(alice: Person, shop: Bound, blog: Bound) -> None:
    body = {"baseRevision": 0, "machine": "laptop", "files": []}
    headers = {"Idempotency-Key": "k"}
    for bound in (shop, blog):
        path = f"/sync/workspace/{bound.project.slug}/revisions"
        first = bound.api.send("POST", path, body, **headers)
        again = alice.api.send("POST", path, body, **headers)
        assert first.status_code == 201, first.content
        assert (again["Idempotent-Replayed"], again.json()) == ("true", first.json())
        assert first.json()["projectId"] == str(bound.project.pk)
