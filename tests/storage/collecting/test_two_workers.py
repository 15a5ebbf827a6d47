"""Cleaning, sweeping, verifying and discarding beside others: nothing goes that anybody refers to.

Each with a second worker at the same work, and with whoever sends, mends or refers to the same
bytes in between, in a session of their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from odavl.wire.encoding import gunzip, sha256_hex
from odavl.wire.errors import ServiceUnavailable
from storage import claims
from storage.collecting import cleaning, discarding, sweeping, verifying
from storage.collecting.discarding import content_name, discard, hold
from storage.configuration import object_store
from storage.models import (
    FileState,
    ObjectClaim,
    ObjectPart,
    ReleasedContent,
    StoredFile,
    StoredObject,
    Walk,
)
from storage.objects.local import LocalStore
from storage.services import discard_chunks, discard_released, keep_placed, read, release
from tests.cast import Person
from tests.storage.collecting.test_sweeping import (
    again_and_again,
    another_session,
    kept,
    lying,
    placing,
    sweep_all,
    uploaded,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _a_folder_of_its_own(settings: Any, tmp_path: Any) -> None:
    settings.ODAVL_DATA = tmp_path
    settings.STORAGE_GRACE_HOURS = -1


@pytest.fixture(params=[True, False], ids=["near", "far"])
def _distance(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalStore, "is_near", request.param)


def large(seed: bytes = b"") -> bytes:
    return seed + os.urandom(100_000)


def everything(person: Person) -> dict[str, bytes]:
    """All that rows say is there, as it is read."""
    contents = {
        row.sha256: gunzip(read(row))
        for row in StoredObject.objects.for_organization(person.organization)
    }
    files = StoredFile.objects.for_organization(person.organization).filter(state=FileState.STORED)
    return contents | {str(row.pk): b"".join(object_store().pieces(row.key)) for row in files}


def discard_all() -> int:
    rows = StoredObject.across_organizations.all()
    return discard(rows, delete_bytes=object_store().delete, at_most=100)


WORK: dict[str, Callable[[], object]] = {
    "cleaning": cleaning.clean_up,
    "sweeping": sweep_all,
    "verifying": lambda: verifying.verify(seconds=60),
    "discarding": discard_all,
}


@pytest.mark.usefixtures("_distance")
@pytest.mark.parametrize("name", WORK)
def test_two_at_once_take_what_nobody_has_and_nothing_else(alice: Person, name: str) -> None:
    """Some files that stay, some that expired, contents nobody refers to, bytes without rows."""
    store, work = object_store(), WORK[name]
    stays = [uploaded(alice, f"stays {number}".encode()) for number in range(3)]
    goes = [uploaded(alice, f"goes {number}".encode()) for number in range(3)]
    expired = StoredFile.across_organizations.filter(pk__in=[file.pk for file in goes])
    expired.update(expires_at=timezone.now())
    unused = [kept(alice.organization, large()) for _ in range(3)]
    orphans = [f"{alice.organization.pk}/files/{uuid4()}" for _ in range(3)]
    for key in orphans:
        store.put(key, [b"left behind"])
    again_and_again(work, work, rounds=2)
    assert [b"".join(store.pieces(file.key)) for file in stays] == [
        f"stays {number}".encode() for number in range(3)
    ]
    assert [store.exists(file.key) for file in goes] == [name != "cleaning"] * 3
    assert [store.exists(each.key) for each in unused] == [name != "discarding"] * 3
    assert [store.exists(key) for key in orphans] == [name != "sweeping"] * 3
    assert verifying.count_missing() == 0
    assert not ObjectClaim.objects.exists(), "what was noted meanwhile is forgotten"
    if name == "cleaning":
        assert not expired.exists()


@pytest.mark.usefixtures("_distance")
def test_all_at_once_beside_those_who_send_lose_nothing(alice: Person) -> None:
    datas = [large(bytes([number])) for number in range(2)]
    words = [b"one", b"two"]

    def send() -> None:
        for data, word in zip(datas, words, strict=True):
            try:
                kept(alice.organization, data)
            except ServiceUnavailable:
                continue  # it is just being removed: come again
            uploaded(alice, word)

    again_and_again(send, *WORK.values(), rounds=6)
    found = everything(alice)
    assert all(sha256_hex(data) == name for name, data in found.items() if len(name) == 64)
    sweep_all()
    assert everything(alice) == found


# ── Between the look and the act ─────────────────────────────────────────────


@contextmanager
def meanwhile(
    monkeypatch: pytest.MonkeyPatch, place: Any, name: str, act: Callable[[], object]
) -> Iterator[None]:
    """``act`` happens, in a session of its own, just before the first call of that name."""
    called: list[bool] = []
    before = getattr(place, name)

    def after(*args: Any, **kwargs: Any) -> Any:
        if not called:
            called.append(True)
            again_and_again(act, rounds=1)
        return before(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(place, name, after)
        yield
    assert called, f"{name} was not called"


@pytest.mark.usefixtures("_distance")
def test_what_is_referred_to_between_the_look_and_the_lock_stays(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both times it looked unused; whoever refers to it has committed before it is locked."""
    stored = kept(alice.organization, large())

    def refer() -> None:
        whole = kept(alice.organization, b"whole")
        ObjectPart.across_organizations.create(whole=whole, position=0, part=stored)

    with meanwhile(monkeypatch, discarding, "removing", refer):
        discard(
            StoredObject.across_organizations.filter(pk=stored.pk),
            delete_bytes=object_store().delete,
            at_most=10,
        )
    assert read(StoredObject.across_organizations.get(pk=stored.pk))


@pytest.mark.usefixtures("_distance")
def test_what_gets_its_row_between_the_listing_and_the_lock_stays(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = large()
    with placing(alice.organization, data) as placed, transaction.atomic():
        key = keep_placed(placed).key
        transaction.set_rollback(True)
    assert object_store().exists(key)
    place = "removing_at_once" if object_store().is_near else "removing"
    with meanwhile(monkeypatch, sweeping, place, lambda: kept(alice.organization, data)):
        sweep_all()
    assert gunzip(read(StoredObject.across_organizations.get())) == data


@pytest.mark.usefixtures("_distance")
@pytest.mark.parametrize("name", ["sweeping", "discarding"])
def test_what_another_session_is_about_to_refer_to_stays(alice: Person, name: str) -> None:
    data = large()
    stored = kept(alice.organization, data)
    if name == "sweeping":
        StoredObject.across_organizations.all().delete()
    with another_session(keep_placed, placing(alice.organization, data)) as taken:
        WORK[name]()
        assert object_store().exists(stored.key)
    assert gunzip(read(StoredObject.across_organizations.get(pk=taken.pk))) == data


def test_a_mark_of_a_file_that_was_mended_meanwhile_is_not_set(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look found nothing under the old key; by now the file has its bytes under another."""
    file = uploaded(alice, b"words")
    object_store().delete(file.key)
    elsewhere = f"{alice.organization.pk}/files/{uuid4()}"

    def mend() -> None:
        object_store().put(elsewhere, [b"words"])
        StoredFile.across_organizations.filter(pk=file.pk).update(key=elsewhere)

    with meanwhile(monkeypatch, verifying, "_mark", mend):
        verifying.verify(seconds=60)
    found = StoredFile.across_organizations.get()
    assert (found.key, found.missing_since) == (elsewhere, None)


@pytest.mark.parametrize("lost", ["whole", "part", "more"])
def test_a_file_whose_object_is_not_whole_is_told(alice: Person, lost: str) -> None:
    file, content = uploaded(alice, b"words"), kept(alice.organization, large())
    if lost == "whole":
        object_store().delete(file.key)
        object_store().delete(content.key)
    else:
        object_store().put(file.key, [b"word" if lost == "part" else b"words!"])
    missing = 2 if lost == "whole" else 1
    assert verifying.verify(seconds=60).missing == missing
    since = StoredFile.across_organizations.get().missing_since
    assert since is not None
    Walk.objects.update(cursor="", finished_at=None)
    assert verifying.verify(seconds=60).missing == missing
    assert StoredFile.across_organizations.get().missing_since == since, "since it was first seen"


def test_lost_found_and_lost_again(alice: Person) -> None:
    """Three steps: each look says what is so then, and what was sent again is no ghost."""
    data = large()
    stored = kept(alice.organization, data)
    for _ in range(3):
        object_store().delete(stored.key)
        Walk.objects.update(cursor="", finished_at=None)
        assert verifying.verify(seconds=60).missing == 1
        assert StoredObject.across_organizations.get().missing_since is not None
        kept(alice.organization, data)
        assert StoredObject.across_organizations.get().missing_since is None
        Walk.objects.update(cursor="", finished_at=None)
        assert verifying.verify(seconds=60).missing == 0
        assert gunzip(read(StoredObject.across_organizations.get())) == data


def test_what_is_there_is_not_written_again(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Far away, a content that is known and not lost is not sent to the store a second time."""
    monkeypatch.setattr(LocalStore, "is_near", False)
    data = large()
    stored = kept(alice.organization, data)
    with (
        meanwhile(monkeypatch, LocalStore, "put", lambda: None),
        placing(alice.organization, data) as placed,
    ):
        assert placed.was_known
        object_store().put(f"{alice.organization.pk}/files/{uuid4()}", [b"the one call"])
        assert keep_placed(placed).pk == stored.pk


def test_what_was_known_and_has_gone_has_to_be_sent_again(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes were not written, as it was known; without its row there is nothing to refer to."""
    monkeypatch.setattr(LocalStore, "is_near", False)
    data = large()
    stored = kept(alice.organization, data)
    with placing(alice.organization, data) as placed:
        StoredObject.across_organizations.filter(pk=stored.pk).delete()
        with pytest.raises(ServiceUnavailable):
            keep_placed(placed)
    assert not StoredObject.across_organizations.exists()


# ── Notes of keys ────────────────────────────────────────────────────────────


def test_nothing_is_placed_where_something_is_just_removed(alice: Person) -> None:
    name, key = content_name(alice.organization.pk, "0" * 64), "a key"
    with claims.removing(name, key, lambda: True) as mine:
        assert mine
        with pytest.raises(ServiceUnavailable), claims.placing(name, key):
            pass
        with pytest.raises(ServiceUnavailable):
            claims.refuse_if_going(key)
    with claims.placing(name, key):
        claims.refuse_if_going(key)


@pytest.mark.parametrize("remove", [claims.removing, claims.removing_at_once])
def test_nothing_is_removed_where_something_is_just_placed(alice: Person, remove: Any) -> None:
    name, key = content_name(alice.organization.pk, "0" * 64), "a key"
    with claims.placing(name, key), claims.placing(name, key):
        with remove(name, key, lambda: True) as mine:
            assert not mine
        with remove(name, "another key", lambda: True) as mine:
            assert mine
    with remove(name, key, lambda: False) as mine:
        assert not mine
    with remove(name, key, lambda: True) as mine:
        assert mine


@pytest.mark.parametrize("remove", [claims.removing, claims.removing_at_once])
def test_nothing_is_removed_that_another_session_holds(alice: Person, remove: Any) -> None:
    name = content_name(alice.organization.pk, "0" * 64)

    @contextmanager
    def nothing() -> Iterator[None]:
        yield None

    def take(_: None) -> StoredObject | None:
        return hold(alice.organization, "0" * 64)

    with another_session(take, nothing()), remove(name, "a key", lambda: True) as mine:
        assert not mine
    with remove(name, "a key", lambda: True) as mine:
        assert mine


@pytest.mark.parametrize("removes", [False, True])
def test_a_note_that_a_crash_left_ends_by_itself(alice: Person, removes: bool) -> None:
    key, name = "a key", content_name(alice.organization.pk, "0" * 64)
    note = ObjectClaim.objects.create(
        key=key, removes=removes, until=timezone.now() + timedelta(minutes=1)
    )
    assert claims.forget_ended() == 0
    if removes:
        with pytest.raises(ServiceUnavailable):
            claims.refuse_if_going(key)
    else:
        with claims.removing(name, key, lambda: True) as mine:
            assert not mine
    ObjectClaim.objects.filter(pk=note.pk).update(until=timezone.now() - timedelta(seconds=1))
    claims.refuse_if_going(key)
    with claims.removing(name, key, lambda: True) as mine:
        assert mine
    assert claims.forget_ended() == 1


def test_what_fails_in_between_leaves_no_note(alice: Person) -> None:
    name = content_name(alice.organization.pk, "0" * 64)
    for claim in (claims.placing(name, "k"), claims.removing(name, "k", lambda: True)):
        with pytest.raises(ZeroDivisionError), claim:
            raise ZeroDivisionError
        assert not ObjectClaim.objects.exists()


# ── Contents whose references have gone ──────────────────────────────────────


def test_what_was_released_goes_unless_somebody_has_it_again(alice: Person) -> None:
    used, unused = (kept(alice.organization, large()) for _ in range(2))
    with transaction.atomic():
        release([used.pk, unused.pk, unused.pk, uuid4()])
    now = timezone.now()
    assert discard_released(older_than=now - timedelta(hours=1), at_most=100) == 0
    assert ReleasedContent.objects.count() == 4
    with another_session(
        lambda _: hold(alice.organization, used.sha256), placing(alice.organization, b"other")
    ):
        assert discard_released(older_than=timezone.now(), at_most=100) == 3
        # It is looked at again: who holds it may end without a reference.
        assert [row.stored_id for row in ReleasedContent.objects.all()] == [used.pk]
    assert object_store().exists(used.key)
    assert not object_store().exists(unused.key)
    assert discard_released(older_than=timezone.now(), at_most=100) == 1
    assert not ReleasedContent.objects.exists()
    assert lying(alice.organization) == set()


def test_no_more_than_asked_for_are_looked_at(alice: Person) -> None:
    many = [kept(alice.organization, f"content {number}".encode()) for number in range(7)]
    release(each.pk for each in many)
    assert discard_released(older_than=timezone.now(), at_most=3) == 3
    assert StoredObject.across_organizations.count() == ReleasedContent.objects.count() == 4


def test_chunks_that_are_young_stay(alice: Person) -> None:
    rows = StoredObject.across_organizations
    stored = kept(alice.organization, b"content")
    rows.filter(pk=stored.pk).update(joinable=True)
    assert discard_chunks(older_than=stored.created_at) == 0
    assert discard_chunks(older_than=stored.created_at + timedelta(seconds=1)) == 1
    other = kept(alice.organization, b"no chunk")
    assert discard_chunks(older_than=other.created_at + timedelta(days=1)) == 0
