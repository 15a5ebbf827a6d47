"""Base, here and there: what changed on which side since both were last alike.

The base is what this machine synchronised last, path by path. What only one side changed is for the
other to take; what both changed to different contents is a conflict, and nothing of it is decided
here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from odavl.wire.workspace import Names, WorkspaceFile

Manifest = Mapping[str, WorkspaceFile]
How = Literal["added", "changed", "deleted"]
Why = Literal["changed-on-both-sides", "deleted-here", "deleted-there", "names-clash"]


class Change(NamedTuple):
    path: str
    how: How


class Conflict(NamedTuple):
    path: str
    why: Why


@dataclass
class Comparison:
    """``held`` is what changed there while nobody knows what is here: it stays as it is."""

    here: list[Change] = field(default_factory=list)
    there: list[Change] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    held: list[str] = field(default_factory=list)


def compare(
    base: Manifest,
    here: Manifest,
    there: Manifest,
    *,
    is_blocked: Callable[[str], bool] = lambda _path: False,
) -> Comparison:
    """What changed where, each list in the order of paths."""
    found = Comparison()
    for path in sorted({*base, *here, *there}):
        before, mine, theirs = (_content(side, path) for side in (base, here, there))
        if mine == theirs:
            continue
        if is_blocked(path):
            if theirs != before:
                found.held.append(path)
        elif mine == before:
            found.there.append(Change(path, _how(before, theirs)))
        elif theirs == before:
            found.here.append(Change(path, _how(before, mine)))
        else:
            found.conflicts.append(Conflict(path, _why(mine, theirs)))
    _part_clashing(found, here)
    return found


def merged(comparison: Comparison, here: Manifest, there: Manifest) -> dict[str, WorkspaceFile]:
    """What is there, with what changed here."""
    files = dict(there)
    for path, how in comparison.here:
        if how == "deleted":
            del files[path]
        else:
            files[path] = here[path]
    return files


def alike(base: Manifest, here: Manifest, there: Manifest) -> dict[str, WorkspaceFile]:
    """The base as it is from now on: what is the same on both sides, else what it was."""
    paths = sorted({*base, *here, *there})
    sides = ((path, here if _same(here, there, path) else base) for path in paths)
    return {path: side[path] for path, side in sides if path in side}


def _part_clashing(found: Comparison, here: Manifest) -> None:
    """What came to be there beside a file here whose name some file system takes for the same."""
    names = Names()
    leaving = {path for path, how in found.there if how == "deleted"}
    for path in here:
        if path not in leaving:
            names.add(path)
    clashing = {path for path, how in found.there if how == "added" and not names.add(path)}
    found.there = [change for change in found.there if change.path not in clashing]
    found.conflicts += [Conflict(path, "names-clash") for path in clashing]
    found.conflicts.sort()


def _same(here: Manifest, there: Manifest, path: str) -> bool:
    return _content(here, path) == _content(there, path)


def _content(side: Manifest, path: str) -> str | None:
    return side[path].sha256 if path in side else None


def _how(before: str | None, after: str | None) -> How:
    if before is None:
        return "added"
    return "changed" if after is not None else "deleted"


def _why(mine: str | None, theirs: str | None) -> Why:
    if mine is None:
        return "deleted-here"
    return "deleted-there" if theirs is None else "changed-on-both-sides"
