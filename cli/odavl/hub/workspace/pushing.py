"""Push: what changed here goes to the hub, on top of what it has.

The hub changes in one step, the commit. Before it a push that was killed has left nothing but
chunks that the next one need not send; after it, everything is there.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from odavl.hub.parallel import in_parallel
from odavl.hub.retry import full_jitter
from odavl.hub.transfer.upload import upload_options
from odavl.hub.workspace.folder import Folder, Sides, machine_name
from odavl.hub.workspace.merging import alike, merged
from odavl.hub.workspace.scanning import offsets
from odavl.wire import limits
from odavl.wire.errors import ChunksMissing, Conflict, TransientError
from odavl.wire.transfer import Chunk
from odavl.wire.workspace import RevisionSummary, WorkspaceFile, check_manifest

ATTEMPTS = 8
"""How often others may push in between, or a file change while it is sent."""

_PAUSE = 0.3
Tell = Callable[[str, float], None]


@dataclass
class Pushed:
    """``revision`` is None where nothing was committed: nothing to push, refused, or a dry run."""

    sides: Sides
    revision: RevisionSummary | None = None
    chunks_sent: int = 0
    bytes_sent: int = 0
    refused: bool = False
    """Conflicts first, by a pull; or copies of them that still lie here."""


class _Changed(Exception):
    """A file is not what it was when it was scanned."""


def push(folder: Folder, *, dry_run: bool, tell: Tell) -> Pushed:
    """Send what lacks, and commit.

    Raises what the hub tells, :class:`PayloadTooLarge` for more than a workspace may have, and
    :class:`TransientError` where others are always quicker.
    """
    if dry_run:
        return _looked(folder)
    with folder.locked():
        for _ in range(ATTEMPTS):
            pushed = _looked(folder)
            if pushed.refused:
                return pushed
            try:
                return _Push(folder, pushed, tell).run()
            except (Conflict, ChunksMissing, _Changed):
                # Machines that push at once must not come back at once.
                folder.remote.client.pause(full_jitter(_PAUSE))
    raise TransientError("The workspace keeps changing: nothing was pushed. Try again.")


def _looked(folder: Folder) -> Pushed:
    sides = folder.sides()
    return Pushed(sides, refused=bool(sides.comparison.conflicts or sides.scan.copies))


@dataclass
class _Push:
    folder: Folder
    pushed: Pushed
    tell: Tell
    sent: set[str] = field(default_factory=set)

    def run(self) -> Pushed:
        sides = self.pushed.sides
        if not sides.comparison.here:
            self.folder.remember(alike(sides.base, sides.here, sides.there), sides.head)
            return self.pushed
        files = merged(sides.comparison, sides.here, sides.there)
        check_manifest(list(files.values()))
        self._send([sides.here[path] for path, how in sides.comparison.here if how != "deleted"])
        self.pushed.revision = self.folder.remote.commit(
            sides.head, list(files.values()), machine=machine_name(), key=uuid.uuid4().hex
        )
        # What others changed meanwhile is still to be pulled: its base stays what it was.
        self.folder.remember(alike(sides.base, sides.here, files), self.pushed.revision)
        return self.pushed

    def _send(self, files: list[WorkspaceFile]) -> None:
        offered = [chunk for file in files for chunk in file.pieces()]
        if not offered:
            return
        missing = set(self.folder.remote.missing(offered))
        total = sum(chunk.size for chunk in set(offered) if chunk.sha256 in missing)
        done = 0
        client = self.folder.remote.client
        count = max(1, min(limits.MAX_CONCURRENCY, upload_options(client).max_concurrency))
        places = self._places(files, missing)
        for (_, chunk, _), sent in in_parallel(self._put, places, count):
            done += chunk.size
            self.pushed.chunks_sent += 1
            self.pushed.bytes_sent += sent
            self.tell("pushing", done / max(total, 1))

    @staticmethod
    def _places(files: list[WorkspaceFile], missing: set[str]) -> Iterator[tuple[str, Chunk, int]]:
        """Where each missing chunk lies, once."""
        left = set(missing)
        for file in files:
            for chunk, at in offsets(file):
                if chunk.sha256 in left:
                    left.remove(chunk.sha256)
                    yield file.path, chunk, at

    def _put(self, place: tuple[str, Chunk, int]) -> int:
        path, chunk, at = place
        try:
            with self.folder.tree.read(path) as reading:
                reading.seek(at)
                data = reading.read(chunk.size)
        except OSError as error:
            raise _Changed from error
        if hashlib.sha256(data).hexdigest() != chunk.sha256:
            raise _Changed
        return self.folder.remote.put(chunk, data)
