"""Whatever two machines do, in whatever order they synchronise: nothing is lost, they agree."""

from __future__ import annotations

import re
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
from odavl.hub.workspace.scanning import original_of
from odavl.wire.encoding import sha256_hex
from tests.cast import Person

pytestmark = [pytest.mark.django_db(transaction=True)]

PATHS = st.sampled_from(["a.json", "A.json", "b", "b/c.json", "b/d/e.json", "b/d", "B/f.json"])
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

    def clear(self, path: str) -> None:
        """Remove a folder that has only empty ones in it."""
        folder = self.folder.path / path
        for each in sorted(folder.rglob("*"), reverse=True):
            each.rmdir()
        folder.rmdir()

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


LAPTOP, DESK = 0, 1
FILES_AGAINST_FOLDERS: list[tuple[str, list[tuple[Any, ...]]]] = [
    ("a file here, a folder there", [
        ("write", LAPTOP, "b/c.json", b"1"), ("write", LAPTOP, "b/d/e.json", b"2"),
        ("push", LAPTOP), ("write", DESK, "b", b"3"), ("pull", DESK),
    ]),
    ("a folder here, a file there", [
        ("write", LAPTOP, "b", b"1"), ("push", LAPTOP),
        ("write", DESK, "b/c.json", b"2"), ("pull", DESK),
    ]),
    ("the same, deeper", [
        ("write", LAPTOP, "b/d/e.json", b"1"), ("push", LAPTOP),
        ("write", DESK, "b/d", b"2"), ("pull", DESK),
    ]),
    ("spelt in other letters", [
        ("write", LAPTOP, "B/f.json", b"1"), ("push", LAPTOP),
        ("write", DESK, "b", b"2"), ("pull", DESK),
    ]),
    ("a file became a folder there, and nothing happened here", [
        ("write", LAPTOP, "b", b"1"), ("push", LAPTOP), ("pull", DESK),
        ("delete", LAPTOP, "b"), ("write", LAPTOP, "b/c.json", b"2"), ("push", LAPTOP),
        ("pull", DESK),
    ]),
    ("a folder became a file there, and nothing happened here", [
        ("write", LAPTOP, "b/d/e.json", b"1"), ("push", LAPTOP), ("pull", DESK),
        ("delete", LAPTOP, "b/d/e.json"), ("clear", LAPTOP, "b"), ("write", LAPTOP, "b", b"2"),
        ("push", LAPTOP), ("pull", DESK),
    ]),
    ("a file became a folder there, and changed here", [
        ("write", LAPTOP, "b", b"1"), ("push", LAPTOP), ("pull", DESK),
        ("delete", LAPTOP, "b"), ("write", LAPTOP, "b/c.json", b"2"), ("push", LAPTOP),
        ("write", DESK, "b", b"3"), ("pull", DESK),
    ]),
    ("a file became a folder here, and changed there", [
        ("write", LAPTOP, "b", b"1"), ("push", LAPTOP), ("pull", DESK),
        ("write", LAPTOP, "b", b"2"), ("push", LAPTOP),
        ("delete", DESK, "b"), ("write", DESK, "b/c.json", b"3"), ("pull", DESK),
    ]),
    ("a folder became a file here, and changed there", [
        ("write", LAPTOP, "b/c.json", b"1"), ("push", LAPTOP), ("pull", DESK),
        ("write", LAPTOP, "b/c.json", b"2"), ("push", LAPTOP),
        ("delete", DESK, "b/c.json"), ("clear", DESK, "b"), ("write", DESK, "b", b"3"),
        ("pull", DESK),
    ]),
    ("a folder became a file there, and grew here", [
        ("write", LAPTOP, "b/c.json", b"1"), ("push", LAPTOP), ("pull", DESK),
        ("delete", LAPTOP, "b/c.json"), ("clear", LAPTOP, "b"), ("write", LAPTOP, "b", b"2"),
        ("push", LAPTOP), ("write", DESK, "b/d/e.json", b"3"), ("pull", DESK),
    ]),
    ("an empty folder here", [
        ("write", LAPTOP, "b", b"1"), ("push", LAPTOP),
        ("write", DESK, "b/c.json", b"2"), ("delete", DESK, "b/c.json"), ("pull", DESK),
    ]),
    ("twice, without settling", [
        ("write", LAPTOP, "b/c.json", b"1"), ("push", LAPTOP), ("write", DESK, "b", b"2"),
        ("pull", DESK), ("write", LAPTOP, "b/c.json", b"3"), ("push", LAPTOP), ("pull", DESK),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(
    "steps", [steps for _, steps in FILES_AGAINST_FOLDERS],
    ids=[name for name, _ in FILES_AGAINST_FOLDERS],
)  # fmt: skip
def test_a_file_against_a_folder_keeps_both(
    live_server: Any, alice: Person, steps: list[tuple[Any, ...]]
) -> None:
    nothing_is_lost_and_both_agree(live_server.url, alice, steps)


def test_the_copy_of_a_folder_is_named_and_settled_as_any_other(
    live_server: Any, alice: Person
) -> None:
    with machines(live_server.url, alice) as (both, _client, _project):
        laptop, desk = both
        laptop.write("b/c.json", b"1")
        laptop.push()
        desk.write("b", b"2")
        (copy,) = pull(desk.folder, dry_run=False, tell=quiet).copies
        assert (copy.path, copy.why) == ("b/c.json", "names-clash")
        assert re.fullmatch(r"b\.conflict-[A-Za-z0-9-]+-r1/c\.json", copy.beside)
        assert original_of(copy.beside) == "b/c.json"
        assert desk.files() == {"b": b"2", copy.beside: b"1"}
        # Pulled again, it is known; until it is settled, nothing is pushed.
        assert pull(desk.folder, dry_run=False, tell=quiet).copies == []
        pushed = push(desk.folder, dry_run=False, tell=quiet)
        assert (pushed.refused, pushed.sides.scan.copies) == (True, [copy.beside])
        desk.settle()
        desk.push()
        laptop.pull()
        assert laptop.files() == {"b": b"2"}


@given(STEPS)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_nothing_is_lost_and_both_agree_in_the_end(
    live_server: Any, alice: Person, steps: list[tuple[Any, ...]]
) -> None:
    nothing_is_lost_and_both_agree(live_server.url, alice, steps)


def nothing_is_lost_and_both_agree(
    address: str, alice: Person, steps: list[tuple[Any, ...]]
) -> None:
    with machines(address, alice) as (both, _client, project):
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
