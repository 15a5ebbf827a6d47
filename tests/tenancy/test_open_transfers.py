"""How many uploads in chunks may be under way; the bounds are lowered, so that tests are short."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from accounts.services import create_api_key
from odavl.wire import limits
from odavl.wire.encoding import sha256_hex
from odavl.wire.scopes import PRESETS
from tests.cast import Api, Person
from tests.problems import problem
from tests.tenancy.keys import Bound, bound_key
from tests.transfers.manifests import finalize, manifest, put
from uploads.models import Transfer, TransferChunk
from uploads.transfers import clean_up

Bounds = Callable[..., None]


@pytest.fixture
def bounds(monkeypatch: pytest.MonkeyPatch) -> Bounds:
    def lower(**most: int) -> None:
        for name, value in most.items():
            monkeypatch.setattr(limits, name.upper(), value)

    return lower


def init(api: Api, number: int, chunks: int = 1, **headers: str) -> Any:
    """The announcement of a payload of its own, in so many chunks."""
    parts = [f"{number} {index}".encode() for index in range(chunks)]
    body = manifest(b"".join(parts), parts, metadata={}, fileName=f"{number}.json")
    return api.send("POST", "/upload/insight/init", body, **headers)


def test_a_key_may_have_so_many_under_way(alice: Person, shop: Bound, bounds: Bounds) -> None:
    bounds(max_open_transfers=3)
    begun = [init(shop.api, number).json()["uploadId"] for number in range(3)]
    refused = init(shop.api, 3)
    assert "3" in problem(refused, 429, "too_many_transfers")["detail"]
    assert refused.json()["retryable"] is True
    assert int(refused["Retry-After"]) >= 1
    # What is under way goes on, and another key has room of its own.
    assert init(shop.api, 1).json()["uploadId"] == begun[1]
    assert put(shop.api, begun[1], b"1 0").status_code == 201
    assert init(bound_key(alice, shop.project).api, 3).status_code == 201
    # Dropped or ended, there is room again.
    assert shop.api.send("DELETE", f"/upload/insight/{begun[0]}").status_code == 204
    assert init(shop.api, 4).status_code == 201
    problem(init(shop.api, 0), 429, "too_many_transfers")


def test_a_key_may_have_so_many_chunks_under_way(shop: Bound, bounds: Bounds) -> None:
    bounds(max_open_chunks=10)
    first = init(shop.api, 0, 6).json()["uploadId"]
    assert init(shop.api, 1, 4).status_code == 201
    problem(init(shop.api, 2, 1), 429, "too_many_transfers")
    assert TransferChunk.across_organizations.count() == 10
    # Cut finer, it would need more room; as it was, or with less, it goes on.
    assert init(shop.api, 0, 6).json()["uploadId"] == first
    shop.api.send("DELETE", f"/upload/insight/{first}")
    assert TransferChunk.across_organizations.count() == 4
    assert init(shop.api, 2, 6).status_code == 201


def test_cut_finer_it_needs_room(shop: Bound, bounds: Bounds) -> None:
    bounds(max_open_chunks=10)
    payload = b"0123456789ab"

    def cut(size: int) -> Any:
        parts = [payload[at : at + size] for at in range(0, len(payload), size)]
        body = manifest(payload, parts, metadata={})
        return shop.api.send("POST", "/upload/insight/init", body)

    assert cut(6).status_code == 201
    problem(cut(1), 429, "too_many_transfers")
    assert cut(2).status_code == 201
    assert TransferChunk.across_organizations.count() == 6
    assert Transfer.across_organizations.get().chunk_count == 6
    assert cut(6).status_code == 201
    assert Transfer.across_organizations.get().chunk_count == 2


@pytest.mark.parametrize(
    "most", [{"max_organization_transfers": 2}, {"max_organization_chunks": 2}], ids=str
)
def test_an_organization_may_have_so_many_with_all_its_keys(
    alice: Person, charlie: Person, shop: Bound, bounds: Bounds, most: dict[str, int]
) -> None:
    bounds(**most)
    narrowed = Api(alice.token, **{"X-Project-Id": "shop"})
    assert init(shop.api, 0).status_code == init(narrowed, 1).status_code == 201
    _, token = create_api_key(by=alice.principal, name="k", scopes=PRESETS["all"])
    told = problem(init(Api(token), 2), 429, "too_many_transfers")
    assert told["detail"].startswith("The organization")
    assert init(charlie.api, 0, 2).status_code == 201


def test_what_has_ended_takes_no_room(shop: Bound, bounds: Bounds) -> None:
    bounds(max_open_transfers=1, max_open_chunks=2)
    payload = b'{"diagnostics": {}}'
    parts = [payload[:10], payload[10:]]
    for number in range(3):
        body = manifest(payload, parts, metadata={}, fileName=f"{number}")
        told = shop.api.send("POST", "/upload/insight/init", body).json()
        for part in parts:
            if sha256_hex(part) in told["missing"]:
                put(shop.api, told["uploadId"], part)
        assert finalize(shop.api, told["uploadId"]).status_code == 201
    assert set(Transfer.across_organizations.values_list("chunk_count", flat=True)) == {0}


@pytest.mark.django_db(transaction=True)
def test_what_nobody_uses_gives_its_room_back(shop: Bound, bounds: Bounds) -> None:
    bounds(max_open_transfers=1)
    init(shop.api, 0, 5)
    transfer = Transfer.across_organizations.get()
    transfer.expires_at -= timedelta(hours=25)
    transfer.save()
    clean_up()
    assert not TransferChunk.across_organizations.exists()
    assert Transfer.across_organizations.get().chunk_count == 0
    assert init(shop.api, 1).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_many_at_once_are_counted_one_by_one(shop: Bound, blog: Bound, bounds: Bounds) -> None:
    bounds(max_organization_transfers=3)
    barrier, answers = threading.Barrier(8), []

    def announce(number: int) -> None:
        try:
            barrier.wait(60)
            answers.append(init((shop if number % 2 else blog).api, number).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=announce, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(answers) == [201] * 3 + [429] * 5
    assert Transfer.across_organizations.count() == 3
