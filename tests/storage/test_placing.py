"""A store is asked while no transaction is open and no name is locked, however slow it is."""

from __future__ import annotations

import os
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Project
from jobs import execution
from odavl.wire.encoding import gunzip, sha256_hex
from odavl.wire.errors import ServiceUnavailable
from storage import claims, configuration
from storage.collecting.cleaning import clean_up
from storage.collecting.discarding import content_name, discard
from storage.configuration import object_store
from storage.models import ObjectClaim, StoredFile, StoredObject
from storage.objects.local import LocalOptions, LocalStore
from storage.objects.staging import spooled
from storage.services import keep_placed, read
from storage.watched import WatchedStore
from tests.autopilot.ledgers import edit, ledger, send
from tests.cast import Api, Person
from tests.storage.collecting.test_sweeping import kept, large, placing, rolled_back, sweep_all
from tests.storage.test_files_api import stored as stored_file
from tests.teams.test_exports import asked
from tests.transfers.manifests import transferred
from tests.workspaces.pushes import pushed
from uploads.models import Upload, UploadState

pytestmark = pytest.mark.django_db(transaction=True)


class RemoteStore(LocalStore):
    """Objects on a disk, asked for as one that is far away; ``answer`` is called before each does.

    It refuses to be asked within a transaction or under an advisory lock.
    """

    is_near = False

    def __init__(self, options: LocalOptions) -> None:
        super().__init__(options)
        self.asked: list[str] = []
        self.answer: Callable[[str], None] = lambda _what: None

    def _ask(self, what: str) -> None:
        self._check(what)
        self.asked.append(what)
        self.answer(what)

    def _check(self, what: str) -> None:
        assert not connection.in_atomic_block, f"{what} within a transaction"
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
                " AND pid = pg_backend_pid()"
            )
            assert cursor.fetchone() == (0,), f"{what} under an advisory lock"

    def put(self, key: str, pieces: Iterable[bytes], *, content_type: str = "") -> int:
        self._ask("put")
        return super().put(key, pieces, content_type=content_type)

    def stage(self, pieces: Iterable[bytes]) -> Any:
        return spooled(self, pieces)

    def pieces(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self._ask("read")
        return super().pieces(key, start=start, length=length)

    def delete(self, key: str) -> None:
        self._ask("delete")
        super().delete(key)

    def start_multipart(self, key: str, *, content_type: str) -> str:
        self._ask("begin")
        return super().start_multipart(key, content_type=content_type)

    def abort_multipart(self, key: str, upload_id: str) -> None:
        self._ask("abort")
        super().abort_multipart(key, upload_id)

    def move(self, source: str, target: str) -> None:
        self._ask("move")
        super().move(source, target)

    def has_mark(self, name: str) -> bool:
        self._check("look for the mark")
        return super().has_mark(name)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Any) -> RemoteStore:
    settings.ODAVL_DATA = tmp_path
    settings.STORAGE_GRACE_HOURS = -1
    found = RemoteStore(configuration.local_options())
    watched = WatchedStore(found)
    monkeypatch.setattr(configuration, "_local", lambda _options: watched)
    return found


def document(size: int) -> bytes:
    """A payload of about ``size`` bytes, of which compressing leaves half."""
    words = os.urandom(size // 2).hex()
    return b'{"version":1,"diagnostics":{},"more":"%s"}' % words.encode()


def uploaded(api: Api, body: bytes) -> Any:
    metadata = urlsafe_b64encode(b'{"projectName":"shop","branch":"main"}').decode()
    headers = {"X-Odavl-Type": "ml-training", "X-Odavl-Metadata": metadata}
    return api.post(
        "/api/v1/upload/insight", body, content_type="application/octet-stream", headers=headers
    )


def nothing_lost() -> None:
    """Each row has its bytes, and once all notes have ended, the sweep leaves nothing else."""
    ObjectClaim.objects.update(until=timezone.now() - timedelta(seconds=1))
    clean_up()
    assert not ObjectClaim.objects.exists()
    sweep_all()
    rows = StoredObject.across_organizations.filter(inline=None, crc32=None, missing_since=None)
    assert {each.key for each in object_store().listing().objects} >= {row.key for row in rows}
    for row in rows:
        assert read(row)


def quiet() -> tuple[int, int]:
    """Sessions of this database that wait in a transaction, and advisory locks that it has."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND state LIKE 'idle in transaction%'),"
            " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database()))"
        )
        found: tuple[int, int] = cursor.fetchone()
        return found


def test_an_upload_is_put_before_its_transaction(store: RemoteStore, alice: Person) -> None:
    body = document(300_000)
    for _ in range(2):
        assert uploaded(alice.api, body).status_code == 201
    assert store.asked.count("put") == 1, "what is there is not sent again"
    nothing_lost()


def test_chunks_and_the_end_of_a_transfer(
    store: RemoteStore, alice: Person, website: Project
) -> None:
    assert transferred(alice.api, document(900_000), 300_000).status_code == 201
    body = document(800_000)
    # A content that is there in another form cannot be joined: the whole is put.
    kept(alice.organization, body[:300_000])
    assert transferred(alice.api, body, 300_000).status_code == 201
    nothing_lost()


def test_a_large_transfer_is_assembled(store: RemoteStore, alice: Person, website: Project) -> None:
    body = document(2_000_000)
    kept(alice.organization, body[:900_000])
    answer = transferred(alice.api, body, 900_000)
    assert answer.status_code == 202
    execution.run(UUID(answer.json()["jobId"]))
    nothing_lost()


def test_a_payload_that_a_job_takes_in_is_fetched_before(
    store: RemoteStore, alice: Person, website: Project
) -> None:
    edits = [edit(f"{number}.py", diff=os.urandom(500).hex()) for number in range(1_500)]
    answer = send(alice.api, ledger(edits=edits))
    assert answer.status_code == 202
    store.asked.clear()
    execution.run(UUID(answer.json()["jobId"]))
    assert store.asked == ["read"]
    assert Upload.across_organizations.get().state == UploadState.COMPLETED


def test_a_push_to_a_workspace(store: RemoteStore, alice: Person, website: Project) -> None:
    assert pushed(alice.api, {"a.json": os.urandom(200_000)})["revision"] == 1
    nothing_lost()


def test_an_export(store: RemoteStore, alice: Person) -> None:
    export = asked(alice.api)
    execution.run(export["id"])
    assert "put" in store.asked
    nothing_lost()


def test_a_file_is_settled_and_removed(store: RemoteStore, alice: Person) -> None:
    first, second = stored_file(alice.api), stored_file(alice.api)
    for file_id in (first, second):
        assert alice.api.send("DELETE", f"/storage/files/{file_id}").status_code == 204
    assert not object_store().listing().objects
    assert not StoredFile.across_organizations.exists()


def test_an_upload_in_parts_is_begun_and_dropped(store: RemoteStore, alice: Person) -> None:
    body = {"fileName": "a.png", "contentType": "image/png", "size": 10_000_000}
    init = "/storage/multipart/init"
    first = alice.api.send("POST", init, body, **{"Idempotency-Key": "a"})
    again = alice.api.send("POST", init, body, **{"Idempotency-Key": "a"})
    assert (first.status_code, again.json()) == (201, first.json())
    assert len(list(store.unfinished())) == 1, "what was begun for the second time was dropped"
    alice.api.send("POST", "/storage/multipart/abort", {"fileId": first.json()["fileId"]})
    assert not list(store.unfinished())


def test_chunks_are_discarded_and_orphans_swept(store: RemoteStore, alice: Person) -> None:
    stored, orphan = kept(alice.organization, large()), rolled_back(alice.organization, large())
    assert discard(StoredObject.across_organizations.all(), delete_bytes=store.delete, at_most=9)
    assert sweep_all() == 1
    assert store.asked.count("delete") == 2
    assert not {each.key for each in store.listing().objects} & {stored.key, orphan}


def test_a_put_that_takes_long_keeps_nobody_waiting(store: RemoteStore, alice: Person) -> None:
    body, other = document(300_000), document(300_000)
    slow, may_end = threading.Event(), threading.Event()

    def wait(what: str) -> None:
        if what == "put" and not slow.is_set():
            slow.set()
            assert may_end.wait(120)

    def upload(what: bytes) -> int:
        try:
            return int(uploaded(alice.api, what).status_code)
        finally:
            connection.close()

    store.answer = wait
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(upload, body)
        try:
            assert slow.wait(120)
            assert quiet() == (0, 0)
            assert threads.submit(upload, body).result(120) == 201, "the same content"
            assert threads.submit(upload, other).result(120) == 201
            assert not first.done()
            assert sweep_all() == 0
        finally:
            may_end.set()
        assert first.result(120) == 201
    nothing_lost()


def test_what_is_just_being_removed_is_not_placed(store: RemoteStore, alice: Person) -> None:
    data = large()
    key = rolled_back(alice.organization, data)
    name = content_name(alice.organization.pk, sha256_hex(data))
    with claims.removing(name, key, lambda: True) as mine:
        assert mine
        with pytest.raises(ServiceUnavailable) as told:
            kept(alice.organization, data)
        assert told.value.retry_after
        store.delete(key)
    assert gunzip(read(kept(alice.organization, data))) == data


def test_what_is_just_being_placed_is_not_removed(store: RemoteStore, alice: Person) -> None:
    data = large()
    key = rolled_back(alice.organization, data)
    with placing(alice.organization, data) as placed:
        assert sweep_all() == 0
        with transaction.atomic():
            keep_placed(placed)
    assert store.exists(key)


class Killed(BaseException):
    """What ends a process: nothing runs behind it."""


def killed(work: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do ``work`` until it ends its process, which forgets nothing."""
    with monkeypatch.context() as dead:
        dead.setattr(claims, "_forget", lambda _claim: None)
        with pytest.raises(Killed):
            work()


@pytest.mark.parametrize("step", ["before-put", "behind-put", "behind-commit"])
def test_a_kill_between_two_steps_loses_nothing(
    store: RemoteStore, alice: Person, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = large()

    def die_at(reached: str) -> None:
        if reached == step:
            raise Killed

    def upload() -> None:
        with placing(alice.organization, data) as placed:
            die_at("behind-put")
            with transaction.atomic():
                keep_placed(placed)
            die_at("behind-commit")

    store.answer = lambda what: die_at("before-put") if what == "put" else None
    killed(upload, monkeypatch)
    assert ObjectClaim.objects.count() == 1, "a dead process tidies nothing up"
    store.answer = lambda _what: None
    assert sweep_all() == 0, "its note holds what it placed"
    assert gunzip(read(kept(alice.organization, data))) == data
    nothing_lost()
    assert gunzip(read(StoredObject.across_organizations.get())) == data


@pytest.mark.parametrize("step", ["before-delete", "behind-delete"])
def test_a_kill_while_bytes_go_loses_nothing(
    store: RemoteStore, alice: Person, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = large()
    kept(alice.organization, data)

    def delete(key: str) -> None:
        if step == "behind-delete":
            store.delete(key)
        raise Killed

    rows = StoredObject.across_organizations.all()
    killed(lambda: discard(rows, delete_bytes=delete, at_most=1), monkeypatch)
    assert not StoredObject.across_organizations.exists()
    with pytest.raises(ServiceUnavailable):
        kept(alice.organization, data)
    nothing_lost()
    assert not store.listing().objects
    assert gunzip(read(kept(alice.organization, data))) == data
