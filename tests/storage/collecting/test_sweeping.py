"""Bytes without a row go, rows without bytes are told; on the local disk, in S3 and in Azure."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Organization
from odavl.wire.encoding import gunzip, sha256_hex
from odavl.wire.errors import BytesMissing, ServiceUnavailable
from storage import keys
from storage.collecting import sweeping, verifying
from storage.collecting.discarding import content_name, discard, hold
from storage.configuration import object_store
from storage.files import Announced, announce, settle
from storage.models import StoredFile, StoredObject, Walk
from storage.objects.interface import PAGE_SIZE
from storage.objects.local import LocalStore
from storage.services import Placed, keep_placed, pieces_of, placed_content, read
from tests.cast import Person
from tests.object_servers import BUCKET
from tests.sessions import until_somebody_waits
from uploads.contents import content_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["local", "s3", "azure"])
def provider(request: pytest.FixtureRequest, settings: Any, tmp_path: Any) -> str:
    """The hub's objects lie there; what is in it already belongs to other organizations."""
    settings.STORAGE_PROVIDER = request.param
    settings.ODAVL_DATA = tmp_path
    if request.param == "s3":
        for name, value in request.getfixturevalue("swift").environment().items():
            setattr(settings, name, value)
    if request.param == "azure":
        settings.AZURE_CONTAINER = BUCKET
        settings.AZURE_CONNECTION_STRING = request.getfixturevalue("azurite").connection_string
    return str(request.param)


@pytest.fixture
def everything_is_old(settings: Any) -> None:
    """Whatever lies there was written longer ago than an upload lasts."""
    settings.STORAGE_GRACE_HOURS = -1


def large(seed: bytes = b"") -> bytes:
    """Too much, compressed, for a row."""
    return seed + os.urandom(100_000)


@contextmanager
def placing(organization: Organization, data: bytes) -> Iterator[Placed]:
    with (
        content_of(data, compressed=False) as content,
        placed_content(
            organization=organization,
            pieces=content.pieces(),
            sha256=content.sha256,
            size=content.size,
            stored_size=content.stored_size,
        ) as placed,
    ):
        yield placed


def kept(organization: Organization, data: bytes) -> StoredObject:
    with placing(organization, data) as placed:
        return keep_placed(placed)


def rolled_back(organization: Organization, data: bytes) -> str:
    """The key of a content that was written and never committed."""
    with placing(organization, data) as placed, transaction.atomic():
        key = keep_placed(placed).key
        transaction.set_rollback(True)
    return key


def uploaded(person: Person, data: bytes) -> StoredFile:
    file, _ = announce(
        by=person.principal, file=Announced("a.txt", "text/plain", len(data)), seconds=60
    )
    object_store().put(file.incoming, [data], content_type="text/plain")
    return settle(file)


def sweep_all() -> int:
    """Whole walks until nothing goes."""
    Walk.objects.update(cursor="", finished_at=None)
    return sweeping.sweep(seconds=60)


def lying(organization: Organization) -> set[str]:
    store = object_store()
    page = store.listing()
    found = list(page.objects)
    while page.next:
        page = store.listing(cursor=page.next)
        found += page.objects
    return {each.key for each in found if str(organization.pk) in each.key}


def test_what_no_row_refers_to_goes_and_the_rest_stays(
    provider: str, alice: Person, everything_is_old: None
) -> None:
    organization, store = alice.organization, object_store()
    stored, file = kept(organization, large()), uploaded(alice, b"words")
    pending, _ = announce(by=alice.principal, file=Announced("b.txt", "text/plain", 5), seconds=60)
    store.put(pending.incoming, [b"words"])
    stays = {stored.key, file.key, pending.incoming}
    digest = sha256_hex(b"no row")
    orphans = [
        f"{organization.pk}/{digest[:2]}/{digest}.gz",
        f"{organization.pk}/files/{uuid4()}",
        f"incoming/{organization.pk}/{uuid4()}",
        file.incoming,  # its address was used once more
    ]
    for key in orphans:
        store.put(key, [b"left behind"])
    assert lying(organization) == {*stays, *orphans}
    assert sweep_all() == len(orphans)
    assert lying(organization) == stays
    assert sweep_all() == 0
    assert store.exists(file.key)
    assert b"".join(pieces_of(stored))


def test_what_is_young_or_not_ours_stays(provider: str, alice: Person) -> None:
    store = object_store()
    young = f"{alice.organization.pk}/files/{uuid4()}"
    store.put(young, [b"perhaps its row comes in a second"])
    sweep_all()
    assert store.exists(young)


def test_what_is_not_ours_stays_however_old(
    provider: str, alice: Person, everything_is_old: None
) -> None:
    store = object_store()
    foreign = [f"{uuid4()}/files/{uuid4()}", f"incoming/{uuid4()}/{uuid4()}", "backups/today.dump"]
    for key in foreign:
        store.put(key, [b"another hub's"])
    sweep_all()
    assert all(store.exists(key) for key in foreign)


def test_an_upload_under_way_keeps_its_bytes(
    provider: str, alice: Person, everything_is_old: None
) -> None:
    """Between the object and the commit of its row, and again between the row and its object."""
    data = large()
    with another_session(keep_placed, placing(alice.organization, data)) as written:
        key = keys.key_of(written.key)
        assert key is not None
        assert keys.unreferenced([key]) == [key], "nobody else sees the row yet"
        assert sweep_all() == 0
        assert object_store().exists(written.key)
    assert gunzip(read(StoredObject.across_organizations.get())) == data


def test_a_content_that_goes_while_it_is_waited_for_is_not_known(
    alice: Person, settings: Any, tmp_path: Any
) -> None:
    settings.ODAVL_DATA = tmp_path
    stored = kept(alice.organization, b"a few bytes")
    found: list[StoredObject | None] = []

    def take_up() -> None:
        with transaction.atomic():
            found.append(hold(alice.organization, stored.sha256))
        connection.close()

    thread = threading.Thread(target=take_up)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [content_name(alice.organization.pk, stored.sha256)],
        )
        thread.start()
        until_somebody_waits()
        stored.delete()
    thread.join()
    assert found == [None]


def test_an_upload_that_is_rolled_back_leaves_bytes_that_the_sweep_takes(
    provider: str, alice: Person, everything_is_old: None
) -> None:
    key = rolled_back(alice.organization, large())
    assert object_store().exists(key)
    assert sweep_all() == 1
    assert not object_store().exists(key)


@pytest.fixture(params=[True, False], ids=["near", "far"])
def _distance(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk as it is, or treated as a remote store is: nothing is locked while it works."""
    monkeypatch.setattr(LocalStore, "is_near", request.param)


@pytest.mark.usefixtures("_distance")
def test_uploads_deletions_and_sweeps_at_once_never_leave_a_row_without_bytes(
    alice: Person, everything_is_old: None, settings: Any, tmp_path: Any
) -> None:
    settings.ODAVL_DATA = tmp_path
    contents = [large(str(number).encode()) for number in range(3)]

    def upload() -> None:
        for data in contents:
            # It may be told to come again while the same is just being removed.
            with (
                suppress(ServiceUnavailable),
                placing(alice.organization, data) as placed,
                transaction.atomic(),
            ):
                stored = keep_placed(placed)
                # Read in the same breath: what was just kept can be read until the commit.
                assert gunzip(read(stored)) == data

    def delete() -> None:
        rows = StoredObject.across_organizations.all()
        discard(rows, delete_bytes=object_store().delete, at_most=10)

    def upload_and_crash() -> None:
        with suppress(ServiceUnavailable):
            rolled_back(alice.organization, contents[0])

    again_and_again(upload, upload, upload_and_crash, delete, sweep_all, sweep_all, rounds=40)
    for stored in StoredObject.across_organizations.all():
        assert object_store().exists(stored.key)
    sweep_all()
    assert lying(alice.organization) == {
        stored.key for stored in StoredObject.across_organizations.all()
    }


def test_a_walk_goes_on_where_the_round_before_stopped(
    alice: Person, everything_is_old: None, settings: Any, tmp_path: Any
) -> None:
    settings.ODAVL_DATA = tmp_path
    store = object_store()
    folder = tmp_path / "objects" / str(alice.organization.pk) / "files"
    folder.mkdir(parents=True)
    for _ in range(PAGE_SIZE + 10):
        (folder / str(uuid4())).touch()
    last = max(folder.iterdir()).name
    row = StoredFile.objects.for_organization(alice.organization)
    row.create(
        organization=alice.organization, name="a", content_type="text/plain", size=0,
        state="stored", key=f"{alice.organization.pk}/files/{last}",
    )  # fmt: skip
    rounds = removed = 0
    while not Walk.objects.filter(finished_at__isnull=False).exists():
        removed += sweeping.sweep(seconds=0.05)
        rounds += 1
    assert removed == PAGE_SIZE + 9
    assert rounds > 1, "a round is bounded"
    assert store.exists(f"{alice.organization.pk}/files/{last}")
    walk = Walk.objects.get(name=sweeping.NAME)
    assert walk.finished_at is not None
    store.put(f"{alice.organization.pk}/files/{uuid4()}", [b"new"])
    assert sweeping.sweep() == 0, "the next walk begins a day later"
    Walk.objects.update(finished_at=timezone.now() - timedelta(days=2))
    assert sweeping.sweep() == 1


def test_a_cursor_that_the_store_does_not_take_begins_anew(
    provider: str, alice: Person, everything_is_old: None
) -> None:
    object_store().put(f"{alice.organization.pk}/files/{uuid4()}", [b"orphan"])
    Walk.objects.create(name=sweeping.NAME, cursor="../not a key")
    sweeping.sweep(seconds=60)
    assert sweep_all() == 0
    assert lying(alice.organization) == set()


def test_parts_that_belong_to_no_file_go(provider: str, alice: Person, settings: Any) -> None:
    store = object_store()
    key = f"incoming/{alice.organization.pk}/{uuid4()}"
    upload_id = store.start_multipart(key, content_type="application/zip")
    lost = {each.upload_id for each in store.unfinished()} & {upload_id}
    sweep_all()
    assert {each.upload_id for each in store.unfinished()} & {upload_id} == lost
    settings.STORAGE_GRACE_HOURS = -1
    assert sweep_all() == len(lost)
    assert upload_id not in {each.upload_id for each in store.unfinished()}


def test_rows_without_bytes_are_marked_told_and_mended(
    provider: str, alice: Person, client: Any
) -> None:
    data, words = large(), b"words" * 20
    stored, file = kept(alice.organization, data), uploaded(alice, words)
    assert verifying.verify(seconds=60) == verifying.Gaps(looked_at=2, missing=0)
    for key in (stored.key, file.key):
        object_store().delete(key)
    Walk.objects.update(cursor="", finished_at=None)
    assert verifying.verify(seconds=60) == verifying.Gaps(looked_at=2, missing=2)
    health = client.get("/api/health").json()
    assert health["status"] == "degraded"
    assert health["storage"]["detail"].startswith("objects missing: 2 ")

    answer = alice.api.send("GET", f"/storage/download-url?fileId={file.pk}")
    assert (answer.status_code, answer.json()["code"]) == (410, "bytes_missing")
    described = alice.api.send("GET", f"/storage/files/{file.pk}").json()
    assert described["problem"]["code"] == "bytes_missing"
    with pytest.raises(BytesMissing):
        read(stored)

    # Sent again, both are there again, the file under its old name too.
    kept(alice.organization, data)
    assert uploaded(alice, words).pk != file.pk
    assert gunzip(read(StoredObject.across_organizations.get())) == data
    assert alice.api.send("GET", f"/storage/download-url?fileId={file.pk}").status_code == 200
    Walk.objects.update(cursor="", finished_at=None)
    assert verifying.verify(seconds=60) == verifying.Gaps(looked_at=3, missing=0)
    assert client.get("/api/health").json()["storage"]["status"] == "ok"


def test_a_mark_goes_when_the_store_is_restored(provider: str, alice: Person) -> None:
    file = uploaded(alice, b"words")
    object_store().delete(file.key)
    verifying.verify(seconds=60)
    object_store().put(file.key, [b"words"])
    Walk.objects.update(cursor="", finished_at=None)
    assert verifying.verify(seconds=60).missing == 0
    assert verifying.count_missing() == 0


def test_the_operator_is_told_both_ways(provider: str, alice: Person) -> None:
    file, stored = uploaded(alice, b"words"), kept(alice.organization, large())
    store, stranger = object_store(), uuid4()
    store.put(f"{alice.organization.pk}/files/{uuid4()}", [b"orphan"])
    strangers = f"{stranger}/files/{uuid4()}"
    store.put(strangers, [b"another hub's"])
    told = StringIO()
    call_command("storage_check", stdout=told)
    assert "2 rows with bytes in the store, 0 lost" in told.getvalue()
    assert "1 that no row refers to" in told.getvalue()
    store.delete(file.key)
    told = StringIO()
    with pytest.raises(CommandError, match="Rows without bytes: 1") as failed:
        call_command("storage_check", stdout=told)
    assert failed.value.returncode == 1
    assert f"lost: {file.key} 'a.txt' of acme" in told.getvalue()
    assert store.exists(strangers)
    assert store.exists(stored.key)
    if provider == "local":  # the servers are shared with other tests
        with pytest.raises(CommandError):
            call_command("storage_check", "--remove-unknown", stdout=told)
        assert not store.exists(strangers)
        assert store.exists(stored.key)


def again_and_again(*work: Callable[[], object], rounds: int) -> None:
    """All of ``work`` side by side, each so many times; what one raises is raised."""

    def repeated(each: Callable[[], object]) -> None:
        try:
            for _ in range(rounds):
                each()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(work)) as threads:
        for outcome in [threads.submit(repeated, each) for each in work]:
            outcome.result()


@contextmanager
def another_session(work: Callable[[Any], Any], before: AbstractContextManager[Any]) -> Any:
    """What ``work`` makes of ``before``, in an open transaction of another session."""
    done, may_end = threading.Event(), threading.Event()
    results: list[Any] = []

    def run() -> None:
        with before as begun, transaction.atomic():
            results.append(work(begun))
            done.set()
            may_end.wait(300)
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert done.wait(300)
    try:
        yield results[0]
    finally:
        may_end.set()
        thread.join()
