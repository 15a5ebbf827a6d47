"""Whatever two machines do, in whatever order they synchronise: nothing is lost, they agree."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odavl.hub.transport import HubClient
from odavl.hub.workspace.folder import Folder
from odavl.hub.workspace.pulling import pull
from odavl.hub.workspace.pushing import push
from odavl.hub.workspace.remote import Remote
from odavl.wire.encoding import sha256_hex
from tests.cast import Person

pytestmark = [pytest.mark.django_db(transaction=True)]

PATHS = st.sampled_from(["a.json", "A.json", "b/c.json", "b"])
WHO = st.integers(0, 1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), WHO, PATHS, st.binary(max_size=2)),
        st.tuples(st.just("delete"), WHO, PATHS),
        st.tuples(st.sampled_from(["push", "pull", "settle"]), WHO),
    ),
    max_size=12,
)
ROUNDS = 2


def quiet(_what: str, _share: float) -> None:
    """Nobody looks."""


class Machine:
    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def files(self) -> dict[str, bytes]:
        root = self.folder.path
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file() and not path.name.startswith((".", "sync-state"))
        }

    def write(self, path: str, content: bytes) -> None:
        found = self.folder.path / path
        if any(above.is_file() for above in found.parents) or found.is_dir():
            return
        found.parent.mkdir(parents=True, exist_ok=True)
        found.write_bytes(content)

    def delete(self, path: str) -> None:
        found = self.folder.path / path
        if found.is_file():
            found.unlink()

    def push(self) -> None:
        push(self.folder, dry_run=False, tell=quiet)

    def pull(self) -> None:
        pull(self.folder, dry_run=False, tell=quiet)

    def settle(self) -> None:
        """Keep what is ours: the copies are looked at and deleted."""
        for path in self.files():
            if ".conflict-" in path:
                self.delete(path)


@contextmanager
def machines(address: str, person: Person) -> Iterator[tuple[list[Machine], HubClient, str]]:
    name = f"shop-{uuid.uuid4().hex}"
    assert person.api.send("POST", "/projects", {"name": name}).status_code == 201
    with TemporaryDirectory() as root, HubClient(address, token=person.token) as client:
        both = [
            Machine(Folder(Path(root) / who / ".odavl", Remote(client, name)))
            for who in ("laptop", "desk")
        ]
        for machine in both:
            machine.folder.path.mkdir(parents=True)
        yield both, client, name


def at_the_hub(person: Person, project: str) -> set[str]:
    """The names of all contents in all revisions."""
    base = f"/sync/workspace/{project}/revisions"
    numbers = [item["revision"] for item in person.api.send("GET", base).json()["items"]]
    revisions = [person.api.send("GET", f"{base}/{number}").json() for number in numbers]
    return {file["sha256"] for revision in revisions for file in revision["files"]}


def names_of(files: dict[str, bytes]) -> set[str]:
    return {sha256_hex(content) for content in files.values()}


@given(STEPS)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_nothing_is_lost_and_both_agree_in_the_end(
    live_server: Any, alice: Person, steps: list[tuple[Any, ...]]
) -> None:
    with machines(live_server.url, alice) as (both, _client, project):
        for what, who, *arguments in steps:
            machine = both[who]
            before = machine.files()
            getattr(machine, what)(*arguments)
            if what in ("push", "pull"):
                after = machine.files()
                gone = names_of(before) - names_of(after)
                assert gone <= at_the_hub(alice, project)
                if what == "push":
                    assert after == before
        for _ in range(ROUNDS):
            for machine in both:
                machine.pull()
                machine.settle()
                machine.push()
        for machine in both:
            sides = machine.folder.sides()
            found = sides.comparison
            assert (found.here, found.there, found.conflicts) == ([], [], [])
            # What one file system alone can hold stays where it is, and was named.
            there = {path for path in sides.there if not sides.scan.blocks(path)}
            assert set(sides.here) == there
            assert all(sides.here[path].sha256 == sides.there[path].sha256 for path in there)
