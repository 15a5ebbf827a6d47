"""``.odavl/`` on disk: what is read, what stays, and that no link leads out of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from odavl.hub.workspace.scanning import original_of, scan
from odavl.hub.workspace.settings import why_it_stays
from odavl.hub.workspace.state import FILE_NAME, SyncState, read_state, write_state
from odavl.hub.workspace.tree import Tree
from odavl.wire import limits
from odavl.wire.encoding import sha256_hex
from odavl.wire.errors import LocalStorageFailed, UsageError
from odavl.wire.workspace import RevisionSummary


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    folder = tmp_path / ".odavl"
    folder.mkdir()
    return Tree(folder)


def put(tree: Tree, path: str, content: bytes = b"x") -> Path:
    found = tree.folder / path
    found.parent.mkdir(parents=True, exist_ok=True)
    found.write_bytes(content)
    return found


def test_files_are_found_by_content(tree: Tree) -> None:
    put(tree, "ledger/run-1.json", b"{}")
    put(tree, "empty.json", b"")
    big = os.urandom(2 * limits.CHUNK_SIZE + 7)
    put(tree, "guardian/screenshots/t/a.png", big)
    found = scan(tree).manifest()
    assert set(found) == {"ledger/run-1.json", "empty.json", "guardian/screenshots/t/a.png"}
    assert found["ledger/run-1.json"].sha256 == sha256_hex(b"{}")
    assert found["empty.json"].pieces() == ()
    picture = found["guardian/screenshots/t/a.png"]
    assert (picture.sha256, picture.size) == (sha256_hex(big), len(big))
    assert sum(chunk.size for chunk in picture.chunks) == len(big)
    assert len(picture.chunks) == 3


def test_what_stays_is_named_with_its_reason(tree: Tree) -> None:
    put(tree, "config.toml", b'api_key = "odavl_live_secret"\n')
    put(tree, "tab\there.json")
    put(tree, "history.json")
    put(tree, "History.json")
    (tree.folder / "link.json").symlink_to("/etc/passwd")
    (tree.folder / "folder").symlink_to("/etc")
    os.mkfifo(tree.folder / "pipe")
    with put(tree, "large.bin").open("wb") as file:
        file.truncate(limits.MAX_WORKSPACE_FILE_SIZE + 1)
    put(tree, os.fsdecode(b"bytes-\xff"))
    found = scan(tree)
    reasons = {path: reason.split("(")[0].strip() for path, reason in found.skipped.items()}
    assert reasons == {
        "config.toml": "sets what belongs to one machine",
        "tab\there.json": "has a character that cannot be seen",
        "history.json": "clashes with another name on some file system",
        "History.json": "clashes with another name on some file system",
        "link.json": "is a link",
        "folder": "is a link",
        "pipe": "is no regular file",
        "large.bin": f"is larger than {limits.MAX_WORKSPACE_FILE_SIZE:,} bytes",
        os.fsdecode(b"bytes-\xff"): "has a character that cannot be seen",
    }
    assert found.files == {}
    assert found.blocks("folder/passwd")


def test_what_is_a_machines_own_is_not_even_looked_at(tree: Tree) -> None:
    for name in ("project.json", "Project.JSON", FILE_NAME, "credentials.json", ".hidden", ".d/x"):
        put(tree, name)
    put(tree, ".sync-new-0123", b"left by a kill")
    copy = "guardian/test.conflict-desk-r3.json"
    put(tree, copy)
    found = scan(tree)
    assert (found.files, found.skipped) == ({}, {})
    assert (found.copies, original_of(copy)) == ([copy], "guardian/test.json")
    assert found.leftovers == [".sync-new-0123"]


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".odavl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="a link is not followed"):
        scan(Tree(tmp_path / ".odavl"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_cannot_be_read_is_not_taken_for_deleted(tree: Tree) -> None:
    put(tree, "closed/a.json").parent.chmod(0)
    try:
        assert scan(tree).blocks("closed/a.json")
    finally:
        (tree.folder / "closed").chmod(0o700)


def test_a_file_is_replaced_only_while_it_is_the_one_that_was_seen(tree: Tree) -> None:
    path = put(tree, "a.json", b"old")
    seen = tree.signature("a.json")
    new = tree.write_beside("a.json", [b"n", b"ew"])
    path.write_bytes(b"changed meanwhile")
    assert not tree.place(new, "a.json", seen)
    assert path.read_bytes() == b"changed meanwhile"
    assert not tree.place(new, "a.json", None)
    assert tree.place(new, "a.json", tree.signature("a.json"))
    assert path.read_bytes() == b"new"
    assert list(tree.folder.iterdir()) == [path]


def test_a_new_file_takes_nobodys_place(tree: Tree) -> None:
    new = tree.write_beside("deep/er/a.json", [b"theirs"])
    put(tree, "deep/er/a.json", b"mine")
    assert not tree.place(new, "deep/er/a.json", None)
    assert (tree.folder / "deep/er/a.json").read_bytes() == b"mine"
    tree.discard(new)
    tree.discard(new)
    assert tree.place(tree.write_beside("deep/b", [b"b"]), "deep/b", None)


def test_where_hard_links_lack_a_file_still_arrives(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError("this file system knows no links")

    monkeypatch.setattr(os, "link", refuse)
    assert tree.place(tree.write_beside("a", [b"a"]), "a", None)
    assert (tree.folder / "a").read_bytes() == b"a"


def test_a_file_is_removed_only_while_it_is_the_one_that_was_seen(tree: Tree) -> None:
    path = put(tree, "deep/er/a.json", b"old")
    seen = tree.signature("deep/er/a.json")
    path.write_bytes(b"changed")
    assert not tree.remove("deep/er/a.json", seen)
    put(tree, "deep/other")
    assert tree.remove("deep/er/a.json", tree.signature("deep/er/a.json"))
    assert not (tree.folder / "deep/er").exists()
    assert (tree.folder / "deep/other").exists()


@pytest.mark.parametrize("path", ["link/a.json", "link/deeper/a.json"])
def test_nothing_is_written_through_a_link(tree: Tree, tmp_path: Path, path: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tree.folder / "link").symlink_to(outside)
    with pytest.raises(LocalStorageFailed):
        tree.write_beside(path, [b"x"])
    assert list(outside.iterdir()) == []


def test_a_link_in_a_files_place_is_neither_read_nor_followed(tree: Tree, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (tree.folder / "a").symlink_to(secret)
    with pytest.raises(OSError, match="Too many levels"):
        tree.read("a")
    new = tree.write_beside("a", [b"new"])
    assert not tree.place(new, "a", None)
    tree.replace("a", b"own")
    assert (secret.read_text(), (tree.folder / "a").read_bytes()) == ("secret", b"own")


@pytest.mark.parametrize(
    ("content", "stays"),
    [
        (b'project = "shop"\nfail_on = "high"\nexclude = ["a"]\ndetectors = ["ruff"]\n', False),
        (b"", False),
        (b'cloud_api = "https://evil.example"\n', True),
        (b"auto_upload = true\n", True),
        (b'[some_newer_setting]\ncommand = "x"\n', True),
        (b"no toml", True),
        (b"\xff", True),
    ],
)
def test_settings_that_act_belong_to_one_machine(content: bytes, stays: bool) -> None:
    assert (why_it_stays(content) is not None) == stays


def state(tree: Tree) -> SyncState:
    files = list(scan(tree).manifest().values())
    return SyncState(hub="http://hub", project_id="p", revision=3, revision_id="r3", files=files)


def test_the_state_is_read_as_it_was_written(tree: Tree) -> None:
    assert read_state(tree) is None
    put(tree, "a.json")
    write_state(tree, state(tree))
    assert read_state(tree) == state(tree)
    assert oct((tree.folder / FILE_NAME).stat().st_mode & 0o777) == "0o600"


BEGUN = b'{"hub":"h","projectId":"p","revision":1,"revisionId":"",'
OUTSIDE = b'[{"path":"../x","sha256":"' + b"0" * 64 + b'","size":1}]'


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", BEGUN + b'"version":2,"files":[]}', BEGUN + b'"files":' + OUTSIDE + b"}"],
)
def test_a_state_that_cannot_be_used_is_none(tree: Tree, content: bytes) -> None:
    put(tree, FILE_NAME, content)
    assert read_state(tree) is None


@pytest.mark.parametrize(
    ("hub", "project", "head", "fits"),
    [
        ("http://hub", "p", (3, "r3"), True),
        ("http://hub", "p", (4, "r4"), True),
        ("http://hub", "p", (3, "other"), False),
        ("http://hub", "p", (2, "r2"), False),
        ("http://other", "p", (3, "r3"), False),
        ("http://hub", "q", (3, "r3"), False),
    ],
)
def test_a_state_of_something_else_does_not_fit(
    tree: Tree, hub: str, project: str, head: tuple[int, str], fits: bool
) -> None:
    revision, revision_id = head
    seen = RevisionSummary(project_id=project, revision=revision, id=revision_id)
    assert state(tree).fits(hub, seen) == fits


def test_a_file_in_the_way_of_a_folder_is_found_at_any_depth(tree: Tree) -> None:
    put(tree, "a/b", b"file")
    for path, has_room in {
        "a/c": True, "a/b": True, "a/b/c": False, "a/b/c/d": False, "new/deep/er": True, "x": True,
    }.items():  # fmt: skip
        assert tree.has_room(path) == has_room


def test_an_empty_folder_gives_way_and_one_that_holds_something_does_not(tree: Tree) -> None:
    put(tree, "full/kept", b"1")
    (tree.folder / "empty").mkdir()
    for path, is_placed in {"empty": True, "full": False}.items():
        assert tree.place(tree.write_beside(path, [b"new"]), path, None) == is_placed
    assert (tree.folder / "empty").read_bytes() == b"new"
    assert (tree.folder / "full" / "kept").read_bytes() == b"1"


def test_what_went_with_its_folder_is_removed(tree: Tree) -> None:
    put(tree, "gone/file", b"1")
    signature = tree.signature("gone/file")
    (tree.folder / "gone" / "file").unlink()
    (tree.folder / "gone").rmdir()
    assert tree.remove("gone/file", signature)
    put(tree, "gone", b"a file now")
    assert tree.remove("gone/file", signature)
    assert (tree.folder / "gone").read_bytes() == b"a file now"
