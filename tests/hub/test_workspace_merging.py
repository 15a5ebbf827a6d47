"""Three sides compared: what is for whom, and that nothing is ever decided over two changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from odavl.hub.workspace.merging import Comparison, alike, compare, merged
from odavl.wire.encoding import sha256_hex
from odavl.wire.workspace import Names, WorkspaceFile

CONTENTS = ("one", "two", "three")
SIDES = st.dictionaries(st.sampled_from(["a", "b", "c/d", "c/e"]), st.sampled_from(CONTENTS))


def manifest(files: dict[str, str]) -> dict[str, WorkspaceFile]:
    return {
        path: WorkspaceFile(path=path, sha256=sha256_hex(text.encode()), size=len(text))
        for path, text in files.items()
    }


def compared(base: dict[str, str], here: dict[str, str], there: dict[str, str]) -> Comparison:
    return compare(manifest(base), manifest(here), manifest(there))


def test_each_way_a_file_can_differ() -> None:
    base = dict.fromkeys(("same", "here", "there", "both", "gone", "lost", "left"), "one")
    here = base | {"here": "two", "both": "two", "left": "two", "new": "one"}
    there = base | {"there": "two", "both": "three", "lost": "two", "newer": "one"}
    del here["gone"], here["lost"], there["left"]
    found = compared(base, here, there)
    assert found.here == [("gone", "deleted"), ("here", "changed"), ("new", "added")]
    assert found.there == [("newer", "added"), ("there", "changed")]
    assert found.conflicts == [
        ("both", "changed-on-both-sides"), ("left", "deleted-there"), ("lost", "deleted-here"),
    ]  # fmt: skip


def test_without_a_base_nothing_counts_as_deleted() -> None:
    found = compared({}, {"a": "one", "b": "one"}, {"b": "two", "c": "one"})
    assert (found.here, found.there) == ([("a", "added")], [("c", "added")])
    assert found.conflicts == [("b", "changed-on-both-sides")]


def test_a_name_that_some_file_system_takes_for_another_is_a_conflict() -> None:
    found = compared({}, {"Run.json": "one", "x/y": "one"}, {"run.json": "two", "x": "two"})
    assert found.there == []
    assert found.conflicts == [("run.json", "names-clash"), ("x", "names-clash")]
    renamed = compared({"Run.json": "one"}, {"Run.json": "one"}, {"run.json": "one"})
    assert renamed.there == [("Run.json", "deleted"), ("run.json", "added")]


def test_what_is_not_known_here_is_left_alone() -> None:
    there = manifest({"link/a": "one", "link/b": "two"})
    found = compare(
        manifest({"link/a": "one", "link/b": "one"}),
        {},
        there,
        is_blocked=lambda path: path.startswith("link"),
    )
    assert (found.here, found.there, found.conflicts) == ([], [], [])
    assert found.held == ["link/b"]
    assert merged(found, {}, there) == there


@given(SIDES, SIDES, SIDES)
def test_every_difference_is_told_once_and_on_the_right_side(
    base: dict[str, str], here: dict[str, str], there: dict[str, str]
) -> None:
    found = compared(base, here, there)
    told = [each[0] for each in (*found.here, *found.there, *found.conflicts)]
    differing = {path for path in {*here, *there} if here.get(path) != there.get(path)}
    assert sorted(told) == sorted(differing)
    for path, _ in found.here:
        assert there.get(path) == base.get(path)
    for path, _ in found.there:
        assert here.get(path) == base.get(path)


@given(SIDES, SIDES, SIDES)
def test_what_push_commits_has_every_content_that_was_not_replaced_on_purpose(
    base: dict[str, str], here: dict[str, str], there: dict[str, str]
) -> None:
    found = compared(base, here, there)
    files = merged(found, manifest(here), manifest(there))
    conflicts = {path for path, _ in found.conflicts}
    for path, file in manifest(there).items():
        changed_there = there[path] != base.get(path)
        if changed_there or path in conflicts:
            assert files[path] == file
    for path, file in manifest(here).items():
        if path not in conflicts and here[path] != base.get(path):
            assert files[path] == file


@given(SIDES, SIDES, SIDES)
def test_after_a_push_what_others_changed_is_still_to_be_pulled(
    base: dict[str, str], here: dict[str, str], there: dict[str, str]
) -> None:
    found = compared(base, here, there)
    files = merged(found, manifest(here), manifest(there))
    again = compare(alike(manifest(base), manifest(here), files), manifest(here), files)
    assert again.here == []
    assert (again.there, again.conflicts) == (found.there, found.conflicts)


@given(st.lists(st.text(alphabet="aA/é\u0301ß", min_size=1, max_size=6)))
def test_names_that_were_taken_never_clash(paths: list[str]) -> None:
    names = Names()
    taken = [path for path in paths if names.add(path)]
    folded = [path.casefold() for path in taken]
    assert len(set(folded)) == len(folded)
    assert not any(one.startswith(f"{other}/") for one in folded for other in folded)
