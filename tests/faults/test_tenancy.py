"""Rows 54 and 60: projects of one organization, kept apart."""

from __future__ import annotations

from typing import Any

import pytest

from odavl.wire.encoding import sha256_hex
from storage.models import StoredFile
from tests.cast import Person
from tests.problems import problem
from tests.storage.test_files_api import announce, send, stored
from tests.tenancy.conftest import blog, shop
from tests.tenancy.keys import Bound
from tests.tenancy.sending import OTHER, PAYLOAD, WAYS, Sender, forgotten, in_chunks, runs_of
from tests.transfers.manifests import cut, finalize, manifest, put

__all__ = ["blog", "shop"]


@pytest.mark.parametrize("days", [1, 8, 400])
@pytest.mark.parametrize("again", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("send", WAYS.values(), ids=WAYS)
def test_row_54_a_queue_that_waited_sends_nothing_twice(
    shop: Bound, blog: Bound, send: Sender, again: Sender, days: int
) -> None:
    """The answer was lost, the laptop closed; the clean-up has run in between."""
    first = send(shop.api)
    forgotten(days)
    replayed = again(shop.api)
    assert replayed.json() == first.json()
    assert replayed.status_code == first.status_code == 201
    problem(again(shop.api, OTHER), 422, "idempotency_mismatch")
    assert runs_of(shop.project) == [first.json()["runId"]]
    assert again(blog.api).json()["runId"] in runs_of(blog.project)


def test_row_60_a_key_of_one_project_changes_nothing_of_another(shop: Bound, blog: Bound) -> None:
    """With all scopes, and a file that the whole organization may read."""
    file_id, announced = stored(shop.api), announce(shop.api).json()
    rows = StoredFile.across_organizations.order_by("pk")
    before = list(rows.values())
    assert blog.api.send("GET", f"/storage/files/{file_id}").status_code == 200
    for found in (file_id, announced["fileId"]):
        refused = blog.api.send("DELETE", f"/storage/files/{found}")
        problem(refused, 403, "wrong_scope")
        for step in ("part", "complete", "abort"):
            body: dict[str, Any] = {"fileId": found}
            if step == "part":
                body["partNumber"] = 1
            refused = blog.api.send("POST", f"/storage/multipart/{step}", body)
            problem(refused, 403, "wrong_scope")
        told = blog.api.send("GET", f"/storage/upload-url?fileId={found}").json()
        assert told["uploadUrl"] is None
    assert list(rows.values()) == before
    assert send(announced).status_code == 201


def test_row_60_a_digest_is_no_proof_of_its_bytes(
    shop: Bound, blog: Bound, charlie: Person
) -> None:
    assert in_chunks(shop.api).status_code == 201
    chunks = cut(PAYLOAD, 1_000)
    body = manifest(PAYLOAD, chunks, metadata={})
    for api in (blog.api, charlie.api):
        told = api.send("POST", "/upload/insight/init", body).json()
        assert told["missing"] == [sha256_hex(chunk) for chunk in chunks]
        problem(finalize(api, told["uploadId"]), 409, "chunks_missing")
        assert {put(api, told["uploadId"], chunk).status_code for chunk in chunks} == {201}
        assert finalize(api, told["uploadId"]).status_code == 201
