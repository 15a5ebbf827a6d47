"""Three machines of one project, in whatever order they push, pull and are cleaned up after.

The model is the list of revisions; what is in the head, or in a revision that is kept, can be read
byte for byte, whatever left it before and came back.
"""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
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
from odavl.wire.encoding import sha256_hex
from storage.models import StoredObject
from tests.cast import Api, Person
from tests.problems import problem
from tests.tenancy.keys import bound_key
from tests.workspaces.pushes import fetched, listed, put
from workspaces import services
from workspaces.models import WorkspaceContent

MACHINES = st.integers(0, 2)
CONTENTS = [b"aaaa", b"bb", b"cccccccc"]
FILES = st.dictionaries(st.sampled_from(["a.json", "b.json"]), st.sampled_from(CONTENTS))
KEPT = 2
_numbers = itertools.count()


class WorkspaceMachine(RuleBasedStateMachine):
    alice: Person

    @initialize()
    def begin(self) -> None:
        number = next(_numbers)
        project = create_project(by=self.alice.principal, name=f"Project {number}")
        other = create_project(by=self.alice.principal, name=f"Other {number}")
        self.base = f"/sync/workspace/{project.slug}"
        self.apis = [
            bound_key(self.alice, project).api,
            Api(self.alice.token),
            Api(self.alice.token, **{"X-Project-Id": project.slug}),
        ]
        self.strangers = bound_key(self.alice, other).api
        self.revisions: list[dict[str, bytes]] = [{}]
        self.seen = [0, 0, 0]
        self.forgotten = 0

    def head(self) -> int:
        return len(self.revisions) - 1

    @rule(machine=MACHINES, files=FILES, in_chunks=st.booleans())
    def push(self, machine: int, files: dict[str, bytes], in_chunks: bool) -> None:
        api, size = self.apis[machine], 3 if in_chunks else 0
        entries = [listed(path, content, size) for path, content in files.items()]
        pieces = {
            sha256_hex(piece): piece
            for content in files.values()
            for piece in ([content[at : at + 3] for at in range(0, len(content), 3)] if size
                          else [content])
        }  # fmt: skip
        offered = [{"sha256": name, "size": len(piece)} for name, piece in pieces.items()]
        told = api.send("POST", f"{self.base}/missing", {"chunks": offered})
        for name in told.json()["missing"]:
            assert put(api, pieces[name], base=self.base).status_code == 201
        document = {"baseRevision": self.seen[machine], "machine": f"m{machine}", "files": entries}
        answer = api.send("POST", f"{self.base}/revisions", document)
        if self.seen[machine] != self.head():
            told = problem(answer, 409, "conflict", pointer="/baseRevision")
            assert told["errors"][0]["detail"] == str(self.head())
            return
        assert answer.status_code == 201, answer.content
        number = answer.json()["revision"]
        if number == self.head():
            # Nothing differed: neither the files nor how they are divided.
            assert files == self.revisions[-1]
            return
        self.revisions.append(files)
        assert number == self.head()
        self.seen[machine] = number

    @rule(machine=MACHINES)
    def pull(self, machine: int) -> None:
        told = self.apis[machine].send("GET", self.base).json()
        assert told["revision"] == self.head()
        assert self.read(self.apis[machine], told["files"]) == self.revisions[-1]
        self.seen[machine] = self.head()

    def read(self, api: Api, files: list[dict[str, Any]]) -> dict[str, bytes]:
        found = {}
        for file in files:
            pieces = [
                fetched(api, chunk["sha256"], self.base) for chunk in file.get("chunks") or [file]
            ]
            assert all(status == 200 for status, _ in pieces), (file, pieces)
            found[file["path"]] = b"".join(piece for _, piece in pieces)
        return found

    @rule(machine=MACHINES, content=st.sampled_from(CONTENTS))
    def send_and_never_commit(self, machine: int, content: bytes) -> None:
        assert put(self.apis[machine], content, base=self.base).status_code in (200, 201)

    @rule(days=st.integers(0, 2))
    def clean_up(self, days: int) -> None:
        by = timedelta(days=days)
        WorkspaceContent.across_organizations.update(held_until=F("held_until") - by)
        StoredObject.across_organizations.update(created_at=F("created_at") - by)
        services.clean_up()
        self.forgotten = max(self.forgotten, self.head() - KEPT)

    @invariant()
    def what_is_kept_can_be_read(self) -> None:
        if not hasattr(self, "base"):
            return
        for number in range(1, self.head() + 1):
            answer = self.apis[0].send("GET", f"{self.base}/revisions/{number}")
            if number <= self.forgotten:
                problem(answer, 404, "not_found")
            else:
                files = answer.json()["files"]
                assert self.read(self.apis[0], files) == self.revisions[number]

    @invariant()
    def nobody_else_has_it(self) -> None:
        if not hasattr(self, "base"):
            return
        problem(self.strangers.send("GET", self.base), 404, "not_found")
        for content in CONTENTS:
            path = self.base, sha256_hex(content)
            assert fetched(self.strangers, path[1], path[0]) == (404, "not_found")


@pytest.mark.django_db
def test_whatever_three_machines_do(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "KEPT_REVISIONS", KEPT)
    machine = type("Machine", (WorkspaceMachine,), {"alice": alice})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=12, stateful_step_count=14, deadline=None)
    )
