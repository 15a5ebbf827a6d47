"""What is done to one file, key or note is not done to those beside it."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

import pytest

from storage import claims
from storage.models import FileState, ObjectClaim, StoredFile
from tests.cast import Api, Person
from tests.storage.test_files_api import announce, fetch, stored

pytestmark = pytest.mark.django_db(transaction=True)

DATA = b"%PDF-1.7" + bytes(range(256)) * 20
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize("state", [FileState.PENDING, FileState.REFUSED, FileState.DELETED])
def test_a_file_shares_the_bytes_of_stored_ones_only(alice: Person, state: str) -> None:
    other = announce(alice.api, size=len(DATA), sha256=SHA256).json()["fileId"]
    StoredFile.across_organizations.filter(pk=other).update(state=state)

    mine = stored(alice.api, DATA)

    assert b"".join(fetch(alice.api, mine).streaming_content) == DATA
    row = StoredFile.across_organizations.get(pk=mine)
    assert row.key == row.own_key
    assert StoredFile.across_organizations.get(pk=other).key == ""


def test_the_bytes_of_a_stranger_are_not_shared(alice: Person, charlie: Person) -> None:
    first, second = stored(alice.api, DATA), stored(charlie.api, DATA)

    assert alice.api.send("DELETE", f"/storage/files/{first}").status_code == 204

    assert b"".join(fetch(charlie.api, second).streaming_content) == DATA


def test_the_address_of_a_deleted_file_says_so_while_others_stay(alice: Person) -> None:
    gone, stays = stored(alice.api, DATA), stored(alice.api, DATA[::-1])
    answer = alice.api.send("GET", f"/storage/download-url?fileId={gone}").json()
    address = urlsplit(answer["downloadUrl"]).path
    assert alice.api.send("DELETE", f"/storage/files/{gone}").status_code == 204

    late = Api(None).get(address)

    assert (late.status_code, late.json()["code"]) == (404, "not_found")
    assert b"".join(fetch(alice.api, stays).streaming_content) == DATA[::-1]


def test_who_is_done_with_a_key_leaves_the_notes_of_others(db: None) -> None:
    with claims.placing("content:1", "one"):
        with claims.placing("content:2", "two"):
            pass
        assert list(ObjectClaim.objects.values_list("key", flat=True)) == ["one"]
        with claims.removing("content:1", "one", lambda: True) as may_remove:
            assert not may_remove
        with claims.removing("content:2", "two", lambda: True) as may_remove:
            assert may_remove
    assert not ObjectClaim.objects.exists()


def test_a_second_who_places_the_same_bytes_is_waited_for(db: None) -> None:
    with claims.placing("content:1", "one"):
        with claims.placing("content:1", "one"):
            pass
        with claims.removing("content:1", "one", lambda: True) as may_remove:
            assert not may_remove
