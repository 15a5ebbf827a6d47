"""Whatever two clients do with one transfer, in whatever order: it is taken in once, and whole.

The model is which chunks have arrived and whether it is open, dropped or done.
"""

from __future__ import annotations

import itertools
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from accounts.services import create_project
from frame.database.clock import database_now
from insight.models import Run
from odavl.wire.encoding import gzip_compress, sha256_hex
from storage.models import StoredObject
from tests.cast import Api, Person
from tests.insight.documents import document, finding
from tests.problems import problem
from tests.tenancy.keys import bound_key
from tests.transfers.manifests import cut, finalize, init, put
from uploads.models import Transfer, TransferChunk, Upload
from uploads.transfers import clean_up

CLIENTS = st.sampled_from([0, 1])
PLACES = st.integers(0, 3)
_numbers = itertools.count()


class TransferMachine(RuleBasedStateMachine):
    alice: Person

    @initialize()
    def begin(self) -> None:
        number = next(_numbers)
        project = create_project(by=self.alice.principal, name=f"Project {number}")
        self.clients = [
            bound_key(self.alice, project).api,
            Api(self.alice.token, **{"X-Project-Id": project.slug}),
        ]
        text = json.dumps(document({"a.py": [finding(f"{number} {n}") for n in range(6)]})).encode()
        self.chunks = cut(text, len(text) // 4 + 1)
        self.payload, self.project = text, project
        self.names = [sha256_hex(chunk) for chunk in self.chunks]
        self.state = "open"
        self.arrived: set[int] = set()
        self.lost: set[int] = set()
        self.answer: Any = None
        self.upload_id = self.announced(0)

    def announced(self, client: int) -> str:
        answer = init(self.clients[client], self.payload, self.chunks, "key", metadata={})
        assert answer.status_code == 201, answer.content
        told = answer.json()
        self.arrived -= self.lost
        self.lost.clear()
        assert told["missing"] == (self.missing() if self.state == "open" else [])
        return str(told["uploadId"])

    def missing(self) -> list[str]:
        return [name for at, name in enumerate(self.names) if at not in self.arrived]

    @rule(client=CLIENTS)
    def announce(self, client: int) -> None:
        if self.state == "dropped":
            self.state, self.arrived = "open", set()
        assert self.announced(client) == self.upload_id

    @rule(client=CLIENTS, at=PLACES, zipped=st.booleans())
    def send(self, client: int, at: int, zipped: bool) -> None:
        chunk = self.chunks[at]
        headers = {"Content-Encoding": "gzip"} if zipped else {}
        body = gzip_compress(chunk) if zipped else chunk
        answer = put(self.clients[client], self.upload_id, body, self.names[at], **headers)
        if self.refused(answer):
            return
        assert answer.status_code == (200 if at in self.arrived else 201), answer.content
        self.arrived.add(at)

    @rule(client=CLIENTS, at=PLACES, wrong=st.sampled_from([b"", b"x", b"more"]))
    def send_other_bytes(self, client: int, at: int, wrong: bytes) -> None:
        body = self.chunks[at] + wrong if wrong else self.chunks[at][:-1]
        answer = put(self.clients[client], self.upload_id, body, self.names[at])
        if not self.refused(answer):
            problem(answer, 422, "digest_mismatch")

    @rule(client=CLIENTS)
    def end(self, client: int) -> None:
        answer = finalize(self.clients[client], self.upload_id)
        if self.state == "dropped":
            problem(answer, 410, "transfer_expired")
            return
        if self.state == "done":
            assert (answer.status_code, answer.content) == (201, self.answer)
            return
        self.arrived -= self.lost
        self.lost.clear()
        if self.missing():
            assert problem(answer, 409, "chunks_missing")["missing"] == self.missing()
            return
        assert answer.status_code == 201, answer.content
        self.state, self.answer = "done", answer.content

    @rule(client=CLIENTS)
    def drop(self, client: int) -> None:
        answer = self.clients[client].send("DELETE", f"/upload/insight/{self.upload_id}")
        if self.state == "done":
            problem(answer, 409, "conflict")
            return
        assert answer.status_code == 204
        self.gone()

    @rule()
    def a_day_without_anybody(self) -> None:
        rows = Transfer.across_organizations.filter(pk=self.upload_id)
        rows.update(expires_at=database_now() - timedelta(hours=1))
        old = database_now() - timedelta(hours=25)
        StoredObject.across_organizations.update(created_at=old)
        clean_up()
        if self.state == "open":
            self.gone()

    @rule()
    def clean_up_meanwhile(self) -> None:
        """What is used stays, however old the bytes are."""
        old = database_now() - timedelta(hours=25)
        StoredObject.across_organizations.update(created_at=old)
        clean_up()

    @rule(at=PLACES)
    def the_store_loses(self, at: int) -> None:
        rows = StoredObject.across_organizations.filter(sha256=self.names[at])
        if self.state == "open" and at in self.arrived:
            rows.update(missing_since=database_now())
            self.lost.add(at)

    def gone(self) -> None:
        self.state, self.arrived, self.lost = "dropped", set(), set()

    def refused(self, answer: Any) -> bool:
        if self.state == "done":
            problem(answer, 409, "conflict")
        elif self.state == "dropped":
            problem(answer, 410, "transfer_expired")
        return self.state != "open"

    @invariant()
    def what_is_told_is_so(self) -> None:
        answers = [api.send("GET", f"/upload/insight/{self.upload_id}") for api in self.clients]
        for answer in answers:
            if self.state == "dropped":
                problem(answer, 410, "transfer_expired")
                continue
            told = answer.json()
            if self.state == "open":
                assert (told["state"], told["missing"]) == ("receiving", self.missing())
                size = sum(len(self.chunks[at]) for at in self.arrived)
                assert told["progress"] == 100 * size // len(self.payload)
            else:
                assert told["state"] == "completed"
                assert told["runId"] == json.loads(self.answer)["runId"]
        ended = int(self.state == "done")
        assert Run.across_organizations.filter(stream__project=self.project).count() == ended
        assert Upload.across_organizations.filter(project=self.project).count() == ended
        rows = TransferChunk.across_organizations.filter(transfer=self.upload_id)
        assert rows.count() == (len(self.chunks) if self.state == "open" else 0)


@pytest.mark.django_db
def test_whatever_two_clients_do_with_a_transfer(alice: Person) -> None:
    machine = type("Machine", (TransferMachine,), {"alice": alice})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=12, stateful_step_count=14, deadline=None)
    )
