"""``.odavl/sync-state.json``: what this machine synchronised last, and with which project.

It is no more than a memory: without it, or with one that does not fit, the two sides are compared
as if they had never met. Then nothing is taken for deleted, and what differs is a conflict.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from odavl.hub.workspace.tree import Tree
from odavl.wire.errors import InvalidPayload, PayloadTooLarge
from odavl.wire.workspace import RevisionSummary, WorkspaceFile, check_manifest

FILE_NAME = "sync-state.json"
_LARGEST = 64 * 1024 * 1024


class SyncState(msgspec.Struct, kw_only=True, rename="camel"):
    hub: str
    project_id: str
    revision: int
    """The newest one that this machine has seen."""
    revision_id: str
    files: list[WorkspaceFile]
    version: Literal[1] = 1

    def fits(self, hub: str, head: RevisionSummary) -> bool:
        """Whether ``head`` follows what was seen: same project, same line of revisions."""
        if (self.hub, self.project_id) != (hub, head.project_id):
            return False
        if head.revision == self.revision:
            return head.id == self.revision_id
        # A hub that was restored from a backup has fewer than were seen.
        return head.revision > self.revision


def read_state(tree: Tree) -> SyncState | None:
    """None where there is none, or nothing that can be used."""
    try:
        with tree.read(FILE_NAME) as file:
            state = _DECODER.decode(file.read(_LARGEST))
        check_manifest(state.files)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    except (InvalidPayload, PayloadTooLarge):
        return None
    return state


def write_state(tree: Tree, state: SyncState) -> None:
    """Raises :class:`~odavl.wire.errors.LocalStorageFailed`."""
    tree.replace(FILE_NAME, msgspec.json.encode(state) + b"\n")


_DECODER = msgspec.json.Decoder(SyncState)
