"""A folder and the hub's workspace side by side: the base, what is here, what is there."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from odavl.hub.locks import file_lock
from odavl.hub.workspace.merging import Comparison, Manifest, compare
from odavl.hub.workspace.remote import Remote
from odavl.hub.workspace.scanning import Scan, scan
from odavl.hub.workspace.state import SyncState, read_state, write_state
from odavl.hub.workspace.tree import Tree
from odavl.wire.errors import UsageError
from odavl.wire.workspace import RevisionSummary, WorkspaceFile, WorkspaceRevision

LOCK = ".sync-lock"
_LONGEST_MACHINE = 40


@dataclass(frozen=True)
class Sides:
    """``afresh`` tells that this machine remembers no meeting with this workspace."""

    head: WorkspaceRevision
    scan: Scan
    base: Manifest
    here: Manifest
    there: Manifest
    comparison: Comparison
    afresh: bool
    revision_before: int


@dataclass(frozen=True)
class Folder:
    """``.odavl/`` at ``path``, and the workspace that it is synchronised with."""

    path: Path
    remote: Remote

    @property
    def tree(self) -> Tree:
        return Tree(self.path)

    @property
    def hub(self) -> str:
        return self.remote.client.address

    def sides(self) -> Sides:
        """Read both sides; nothing is written. Raises as :func:`scan` and :meth:`Remote.head`."""
        head = self.remote.head()
        found = scan(self.tree)
        state = read_state(self.tree)
        fitting = state if state is not None and state.fits(self.hub, head) else None
        base = by_path(fitting.files) if fitting else {}
        here, there = found.manifest(), by_path(head.files)
        return Sides(
            head=head,
            scan=found,
            base=base,
            here=here,
            there=there,
            comparison=compare(base, here, there, is_blocked=found.blocks),
            afresh=fitting is None,
            revision_before=fitting.revision if fitting else 0,
        )

    def remember(self, base: Manifest, seen: RevisionSummary) -> None:
        """Write down what both sides are compared with from now on."""
        state = SyncState(
            hub=self.hub,
            project_id=seen.project_id,
            revision=seen.revision,
            revision_id=seen.id,
            files=list(base.values()),
        )
        if state != read_state(self.tree):
            write_state(self.tree, state)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One push or pull at a time. Raises :class:`UsageError` while another one runs."""
        self.tree.check()
        with self.tree.told("", "cannot be used"):
            self.path.mkdir(exist_ok=True)
        with file_lock(self.path / LOCK, wait=False) as mine:
            if not mine:
                raise UsageError(f"Another odavl sync runs in {self.path}.")
            yield


def by_path(files: list[WorkspaceFile]) -> dict[str, WorkspaceFile]:
    return {file.path: file for file in files}


def machine_name(name: str | None = None) -> str:
    """What this machine is called, or another calls itself, in letters that any file name takes."""
    text = platform.node() if name is None else name
    plain = re.sub(r"[^A-Za-z0-9]+", "-", text)[:_LONGEST_MACHINE].strip("-")
    return plain or "machine"
