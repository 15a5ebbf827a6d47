"""Pull: what changed there comes here, and nothing that is only here is overwritten.

Contents that lie here under another name, or in the version before, are taken from there.

Every file arrives whole beside its place and is checked there. Right before it takes that place,
the place is looked at again: what changed since it was scanned stays, and the hub's version lies
beside it under a name that says where it came from. A run that was killed leaves each file old or
new, and the next one goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from odavl.hub.parallel import in_parallel
from odavl.hub.transfer.upload import upload_options
from odavl.hub.workspace import settings
from odavl.hub.workspace.folder import Folder, Sides, machine_name
from odavl.hub.workspace.merging import Change, Conflict
from odavl.hub.workspace.pushing import Tell
from odavl.hub.workspace.scanning import offsets, original_of, pieces_of
from odavl.hub.workspace.tree import Signature
from odavl.wire import limits
from odavl.wire.errors import LocalStorageFailed, NotTheHub
from odavl.wire.transfer import Chunk
from odavl.wire.workspace import Names, WorkspaceFile

_MOST_COPIES = 100


class Copy(NamedTuple):
    """What contradicts at ``path``; the hub's version lies at ``beside``.

    That is empty where it came back to its place, or was deleted there and is kept here.
    """

    path: str
    why: str
    beside: str = ""


@dataclass
class Pulled:
    """``taken`` lists what changed here; a dry run lists what would."""

    sides: Sides
    taken: list[Change] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)
    """What changed there and was not taken, with the reason."""
    bytes_fetched: int = 0
    """Of the contents that were not here, uncompressed."""


class _Laid(NamedTuple):
    """``wanted``, whose bytes lie at ``temporary``; ``fetched`` is how many were not here."""

    wanted: _Wanted
    temporary: str
    fetched: int


class _Wanted(NamedTuple):
    """``conflict`` is None for what simply changed there."""

    file: WorkspaceFile
    target: str
    expected: Signature | None
    change: Change | None
    conflict: Conflict | None


def pull(folder: Folder, *, dry_run: bool, tell: Tell) -> Pulled:
    """Take what changed there. Raises what the hub tells, and :class:`LocalStorageFailed`."""
    if dry_run:
        return _foreseen(folder.sides())
    with folder.locked():
        return _Pull(folder, Pulled(folder.sides()), tell).run()


def _foreseen(sides: Sides) -> Pulled:
    found = sides.comparison
    return Pulled(
        sides,
        taken=list(found.there),
        copies=[Copy(path, why) for path, why in found.conflicts],
        held=_blocked(sides),
    )


def _blocked(sides: Sides) -> dict[str, str]:
    return {
        path: sides.scan.skipped.get(path, "lies in a folder that is not synchronised")
        for path in sides.comparison.held
    }


@dataclass
class _Pull:
    folder: Folder
    pulled: Pulled
    tell: Tell
    local: dict[Chunk, tuple[str, int]] = field(init=False)
    """Where each chunk lies that is here already: a path and an offset."""

    def __post_init__(self) -> None:
        self.local = {
            chunk: (path, at)
            for path, file in self.pulled.sides.here.items()
            for chunk, at in offsets(file)
        }

    def run(self) -> Pulled:
        sides = self.pulled.sides
        for leftover in sides.scan.leftovers:
            self.folder.tree.discard(leftover)
        self.pulled.held.update(_blocked(sides))
        leaving = [change for change in sides.comparison.there if change.how == "deleted"]
        in_the_way = self._in_the_way(leaving)
        self._delete(in_the_way)
        self._take(list(self._wanted()))
        # Last: until now their contents could be wanted under another name.
        self._delete([change for change in leaving if change not in in_the_way])
        self.pulled.taken.sort()
        self.pulled.copies.sort()
        self._remember()
        return self.pulled

    def _take(self, wanted: list[_Wanted]) -> None:
        """Bring every file to its place, a few at once."""
        if not wanted:
            return
        total = sum(each.file.size for each in wanted)
        client = self.folder.remote.client
        count = max(1, min(limits.MAX_CONCURRENCY, upload_options(client).max_concurrency))
        done = 0
        for _, laid in in_parallel(self._laid_down, wanted, count):
            try:
                self._place(laid.wanted, laid.temporary)
            finally:
                self.folder.tree.discard(laid.temporary)
            self.pulled.bytes_fetched += laid.fetched
            done += laid.wanted.file.size
            self.tell("pulling", done / max(total, 1))

    def _in_the_way(self, leaving: list[Change]) -> list[Change]:
        """Those without whose going a new file has no place, on this file system or another."""
        names = Names()
        for path, how in self.pulled.sides.comparison.there:
            if how == "added":
                names.add(path)
        return [change for change in leaving if not names.add(change.path)]

    def _delete(self, leaving: list[Change]) -> None:
        files = self.pulled.sides.scan.files
        for change in leaving:
            if self.folder.tree.remove(change.path, files[change.path].signature):
                self.pulled.taken.append(change)
            else:
                self.pulled.copies.append(Copy(change.path, "deleted-there"))

    def _wanted(self) -> Iterator[_Wanted]:
        sides = self.pulled.sides
        for change in sides.comparison.there:
            if change.how == "deleted":
                continue
            local = sides.scan.files.get(change.path)
            file = sides.there[change.path]
            if settings.is_config(change.path) and file.size > settings.LARGEST:
                self.pulled.held[change.path] = "is larger than a configuration can be"
                continue
            expected = local.signature if local else None
            yield _Wanted(file, change.path, expected, change, None)
        for conflict in sides.comparison.conflicts:
            if conflict.why == "deleted-there":
                self.pulled.copies.append(Copy(*conflict))
                continue
            file = sides.there[conflict.path]
            if conflict.why == "deleted-here" and not settings.is_config(conflict.path):
                yield _Wanted(file, conflict.path, None, None, conflict)
            elif lying := self._copy_of(file):
                self.pulled.copies.append(Copy(*conflict, beside=lying))
            else:
                yield _Wanted(file, self._free_name(file.path), None, None, conflict)

    def _laid_down(self, wanted: _Wanted) -> _Laid:
        """Lay the file's bytes, checked, beside its place; a file of ours may be in the way."""
        if not self._has_room(wanted.target):
            beside = self._free_name(wanted.file.path)
            wanted = wanted._replace(target=beside, expected=None)
        fetched: list[int] = []
        pieces = self._pieces(wanted.file, fetched)
        return _Laid(wanted, self.folder.tree.write_beside(wanted.target, pieces), sum(fetched))

    def _has_room(self, path: str) -> bool:
        with self.folder.tree.told(path, "cannot be written"):
            return self.folder.tree.has_room(path)

    def _pieces(self, file: WorkspaceFile, fetched: list[int]) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for chunk in file.pieces():
            data = self._lying_here(chunk)
            if data is None:
                data = self.folder.remote.get(chunk)
                fetched.append(len(data))
            digest.update(data)
            yield data
        if digest.hexdigest() != file.sha256:
            raise NotTheHub(f"The chunks of {file.path} do not make the file. It was not taken.")

    def _lying_here(self, chunk: Chunk) -> bytes | None:
        """The bytes of a chunk out of a file of ours, under whatever name; None if it has none."""
        path, at = self.local.get(chunk, ("", 0))
        if not path:
            return None
        try:
            with self.folder.tree.read(path) as file:
                file.seek(at)
                data = file.read(chunk.size)
        except OSError:
            return None
        return data if hashlib.sha256(data).hexdigest() == chunk.sha256 else None

    def _place(self, wanted: _Wanted, temporary: str) -> None:
        tree = self.folder.tree
        if settings.is_config(wanted.target):
            with tree.told(temporary, "cannot be read"), tree.read(temporary) as file:
                reason = settings.why_it_stays(file.read())
            if reason is not None:
                self.pulled.held[wanted.target] = reason
                return
        path = wanted.file.path
        if tree.place(temporary, wanted.target, wanted.expected):
            beside = wanted.target if wanted.target != path else ""
            if wanted.conflict is not None:
                self.pulled.copies.append(Copy(*wanted.conflict, beside=beside))
            elif beside:
                self.pulled.copies.append(Copy(path, "changed-on-both-sides", beside=beside))
            elif wanted.change is not None:
                self.pulled.taken.append(wanted.change)
            return
        # Somebody wrote there since it was scanned.
        for _ in range(_MOST_COPIES):
            beside = self._free_name(path)
            if tree.place(temporary, beside, None):
                self.pulled.copies.append(Copy(path, "changed-on-both-sides", beside=beside))
                return
        raise LocalStorageFailed(f"There is no free name beside {path}.")

    def _copy_of(self, file: WorkspaceFile) -> str:
        """A copy with these bytes that lies there already, from a run before; else empty."""
        for copy in self.pulled.sides.scan.copies:
            if original_of(copy) == file.path and self._digest(copy) == file.sha256:
                return copy
        return ""

    def _digest(self, path: str) -> str:
        digest = hashlib.sha256()
        with self.folder.tree.told(path, "cannot be read"), self.folder.tree.read(path) as file:
            for piece in pieces_of(file):
                digest.update(piece)
        return digest.hexdigest()

    def _free_name(self, path: str) -> str:
        """``history.conflict-desk-r7.json`` beside ``history.json``; nothing lies there.

        Where a file of ours is in the place of a folder, the folder's name says it, and all that
        comes to lie in it is a copy: ``runs.conflict-desk-r7/a/b.json`` beside the file ``runs``.
        """
        steps = path.split("/")
        marked = next(
            at
            for at in range(len(steps))
            if at == len(steps) - 1 or self._is_taken(steps[: at + 1])
        )
        for number in range(1, _MOST_COPIES):
            name = self._with_mark(steps[marked], number)
            found = "/".join([*steps[:marked], name, *steps[marked + 1 :]])
            if self._has_room(found) and self.folder.tree.signature(found) is None:
                return found
        raise LocalStorageFailed(f"There is no free name beside {path}.")

    def _is_taken(self, steps: list[str]) -> bool:
        """Whether something else than a folder lies where that one should."""
        return not self._has_room("/".join([*steps, "any"]))

    def _with_mark(self, name: str, number: int) -> str:
        head = self.pulled.sides.head
        stem, dot, ending = name.rpartition(".")
        stem, ending = (stem, dot + ending) if dot else (name, "")
        machine = machine_name(head.machine)[:30] + (f"-{number}" if number > 1 else "")
        return f"{stem}.conflict-{machine}-r{head.revision}{ending}"

    def _remember(self) -> None:
        """What was taken or laid beside is known from now on; what was held back is not."""
        sides = self.pulled.sides
        known = {path: file for path, file in sides.there.items() if path not in self.pulled.held}
        known |= {path: sides.base[path] for path in self.pulled.held if path in sides.base}
        self.folder.remember(known, sides.head)
