"""A file's life in whatever order: announced, sent, settled, read, deleted, cleaned up, swept.

The model is what each file should be; the store must hold the bytes of exactly those that are
stored, and what is still on its way.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from frame.database.clock import database_now
from odavl.wire.encoding import sha256_hex
from storage.collecting import cleaning, sweeping, verifying
from storage.configuration import object_store
from storage.models import StoredFile, Walk
from tests.cast import Person
from tests.problems import problem
from tests.storage.test_files_api import announce, fetch, send

CONTENTS = [b"aaa", b"bbb", b"cccc"]
DATA = st.sampled_from(CONTENTS)


@dataclass
class File:
    told: dict[str, Any]
    size: int
    digest: str
    state: str = "pending"
    arrived: bytes | None = None
    """What lies there, checked or not."""

    @property
    def id(self) -> str:
        return str(self.told["fileId"])


class FileMachine(RuleBasedStateMachine):
    alice: Person
    bob: Person
    files = Bundle("files")

    @initialize()
    def begin(self) -> None:
        self.all: list[File] = []

    def teardown(self) -> None:
        for file in StoredFile.across_organizations.all():
            for key in {file.incoming, file.own_key, file.key or file.own_key}:
                object_store().delete(key)
        StoredFile.across_organizations.all().delete()

    @rule(target=files, data=DATA, names_digest=st.booleans())
    def announce_one(self, data: bytes, names_digest: bool) -> File:
        fields = {"sha256": sha256_hex(data)} if names_digest else {}
        answer = announce(self.alice.api, size=len(data), **fields)
        assert answer.status_code == 201, answer.content
        file = File(answer.json(), len(data), fields.get("sha256", ""))
        self.all.append(file)
        return file

    @rule(file=files, data=DATA)
    def send_bytes(self, file: File, data: bytes) -> None:
        answer = send(file.told, data)
        if len(data) != file.size:
            assert answer.status_code in (413, 422), answer.content
        elif file.state != "pending":
            problem(answer, 403, "signed_url_refused")
        elif file.digest and file.digest != sha256_hex(data):
            problem(answer, 422, "digest_mismatch")
        else:
            assert answer.status_code == 201, answer.content
            file.arrived = data

    @rule(file=files, who=st.sampled_from(["alice", "bob"]))
    def settle(self, file: File, who: str) -> None:
        person = self.alice if who == "alice" else self.bob
        answer = person.api.send("GET", f"/storage/upload-url?fileId={file.id}")
        if file.state == "gone":
            problem(answer, 404, "not_found")
            return
        self.settled(file)
        told = answer.json()
        assert told["state"] == file.state
        assert bool(told["uploadUrl"]) is (file.state == "pending" and who == "alice")

    def settled(self, file: File) -> None:
        if file.state == "pending" and file.arrived is not None:
            file.state = "stored"

    @rule(file=files)
    def ask_for_its_bytes(self, file: File) -> None:
        answer = self.bob.api.send("GET", f"/storage/download-url?fileId={file.id}")
        self.settled(file)
        expected = {"gone": 404, "pending": 409, "stored": 200}
        assert answer.status_code == expected[file.state], answer.content

    @rule(file=files)
    def somebody_else_may_not_delete(self, file: File) -> None:
        answer = self.bob.api.send("DELETE", f"/storage/files/{file.id}")
        expected = (404, "not_found") if file.state == "gone" else (403, "missing_scope")
        problem(answer, *expected)

    @rule(file=files)
    def delete(self, file: File) -> None:
        answer = self.alice.api.send("DELETE", f"/storage/files/{file.id}")
        assert answer.status_code == (404 if file.state == "gone" else 204), answer.content
        file.state, file.arrived = "gone", None

    @rule(file=files)
    def expire(self, file: File) -> None:
        if file.state == "stored":
            rows = StoredFile.across_organizations.filter(pk=file.id)
            rows.update(expires_at=database_now() - timedelta(seconds=1))
            file.state, file.arrived = "gone", None

    @rule()
    def clean_up(self) -> None:
        cleaning.clean_up()

    @rule()
    def clean_up_after_all_addresses_have_ended(self) -> None:
        over = database_now() - timedelta(hours=1)
        StoredFile.across_organizations.filter(upload_until__isnull=False).update(upload_until=over)
        cleaning.clean_up()
        for file in self.all:
            self.settled(file)
            if file.state == "pending":
                file.state = "gone"

    @rule()
    def sweep(self) -> None:
        Walk.objects.update(cursor="", finished_at=None)
        sweeping.sweep(seconds=60)

    @rule()
    def verify(self) -> None:
        Walk.objects.update(cursor="", finished_at=None)
        assert verifying.verify(seconds=60).missing == 0

    @invariant()
    def what_is_told_is_so(self) -> None:
        there = [file for file in self.all if file.state != "gone"]
        page = self.alice.api.send("GET", "/storage/files?limit=200").json()["items"]
        assert {item["id"]: item["state"] for item in page} == {
            file.id: file.state for file in there
        }
        for file in self.all:
            if file.state == "stored":
                answer = fetch(self.bob.api, file.id)
                assert b"".join(answer.streaming_content) == file.arrived
            elif file.state == "gone" or file.arrived is None:  # else to ask is to settle
                answer = self.bob.api.send("GET", f"/storage/download-url?fileId={file.id}")
                assert answer.status_code == (404 if file.state == "gone" else 409)

    @invariant()
    def nothing_is_lost_and_nothing_kept_twice(self) -> None:
        rows = StoredFile.across_organizations.exclude(key="")
        stored = [file for file in self.all if file.state == "stored"]
        keys = {row.key for row in rows.filter(pk__in=[file.id for file in stored])}
        assert len(keys) == len({file.arrived for file in stored})
        assert all(object_store().exists(key) for key in keys)


@pytest.mark.django_db
def test_whatever_is_done_with_files(
    alice: Person, bob: Person, settings: Any, tmp_path: Any
) -> None:
    settings.ODAVL_DATA = tmp_path
    settings.STORAGE_GRACE_HOURS = -1
    machine = type("Machine", (FileMachine,), {"alice": alice, "bob": bob})
    run_state_machine_as_test(
        machine,
        settings=hypothesis_settings(max_examples=12, stateful_step_count=16, deadline=None),
    )
    Walk.objects.update(cursor="", finished_at=None)
    sweeping.sweep(seconds=60)
    assert object_store().listing().objects == []
