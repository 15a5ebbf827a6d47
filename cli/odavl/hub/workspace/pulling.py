"""Pull: what changed there comes here, and nothing that is only here is overwritten.

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

from odavl.hub.delivery import upload_options
from odavl.hub.workspace import settings
from odavl.hub.workspace.folder import Folder, Sides, machine_name
from odavl.hub.workspace.merging import Change, Conflict
from odavl.hub.workspace.parallel import in_parallel
from odavl.hub.workspace.pushing import Tell
from odavl.hub.workspace.scanning import original_of, pieces_of
from odavl.hub.workspace.tree import Signature
from odavl.wire import limits
from odavl.wire.errors import LocalStorageFailed, NotTheHub
from odavl.wire.workspace import WorkspaceFile

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
    bytes_received: int = 0


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
    with folder.alone():
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

    def run(self) -> Pulled:
        sides = self.pulled.sides
        tree = self.folder.tree
        for leftover in sides.scan.leftovers:
            tree.discard(leftover)
        self.pulled.held.update(_blocked(sides))
        self._delete()
        wanted = list(self._wanted())
        total = sum(each.file.size for each in wanted)
        client = self.folder.remote.client
        count = max(1, min(limits.MAX_CONCURRENCY, upload_options(client).max_concurrency))
        for each, temporary in in_parallel(self._fetched, wanted, count if wanted else 1):
            try:
                self._place(each, temporary)
            finally:
                tree.discard(temporary)
            self.pulled.bytes_received += each.file.size
            self.tell("pulling", self.pulled.bytes_received / max(total, 1))
        self.pulled.taken.sort()
        self.pulled.copies.sort()
        self._remember()
        return self.pulled

    def _delete(self) -> None:
        """First: on some file systems a new name may be another spelling of a deleted one."""
        sides = self.pulled.sides
        for change in sides.comparison.there:
            if change.how != "deleted":
                continue
            if self.folder.tree.remove(change.path, sides.scan.files[change.path].signature):
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

    def _fetched(self, wanted: _Wanted) -> str:
        """The file's bytes beside its place, checked."""
        return self.folder.tree.write_beside(wanted.target, self._pieces(wanted.file))

    def _pieces(self, file: WorkspaceFile) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for chunk in file.pieces():
            data = self.folder.remote.get(chunk)
            digest.update(data)
            yield data
        if digest.hexdigest() != file.sha256:
            raise NotTheHub(f"The chunks of {file.path} do not make the file. It was not taken.")

    def _place(self, wanted: _Wanted, temporary: str) -> None:
        tree = self.folder.tree
        if settings.is_config(wanted.target):
            with tree.told(temporary, "cannot be read"), tree.read(temporary) as file:
                reason = settings.why_it_stays(file.read())
            if reason is not None:
                self.pulled.held[wanted.target] = reason
                return
        if tree.place(temporary, wanted.target, wanted.expected):
            if wanted.change is not None:
                self.pulled.taken.append(wanted.change)
            elif wanted.conflict is not None:
                beside = wanted.target if wanted.target != wanted.conflict.path else ""
                self.pulled.copies.append(Copy(*wanted.conflict, beside=beside))
            return
        # Somebody wrote there since it was scanned.
        for _ in range(_MOST_COPIES):
            beside = self._free_name(wanted.file.path)
            if tree.place(temporary, beside, None):
                self.pulled.copies.append(
                    Copy(wanted.file.path, "changed-on-both-sides", beside=beside)
                )
                return
        raise LocalStorageFailed(f"There is no free name beside {wanted.file.path}.")

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
        """``history.conflict-desk-r7.json`` beside ``history.json``; nothing lies there."""
        head = self.pulled.sides.head
        parent, slash, name = path.rpartition("/")
        stem, dot, ending = name.rpartition(".")
        stem, ending = (stem, dot + ending) if dot else (name, "")
        for number in range(1, _MOST_COPIES):
            machine = machine_name(head.machine)[:30] + (f"-{number}" if number > 1 else "")
            found = f"{parent}{slash}{stem}.conflict-{machine}-r{head.revision}{ending}"
            if self.folder.tree.signature(found) is None:
                return found
        raise LocalStorageFailed(f"There is no free name beside {path}.")

    def _remember(self) -> None:
        """What was taken or laid beside is known from now on; what was held back is not."""
        sides = self.pulled.sides
        known = {path: file for path, file in sides.there.items() if path not in self.pulled.held}
        known |= {path: sides.base[path] for path in self.pulled.held if path in sides.base}
        self.folder.remember(known, sides.head)
