"""What lies in ``.odavl/``: files by content, and what does not travel, with the reason."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import IO

from odavl.hub.transfer.chunking import cut
from odavl.hub.workspace import settings
from odavl.hub.workspace.tree import TEMPORARY_PREFIX, Signature, Tree, signature_of
from odavl.wire import limits
from odavl.wire.errors import UsageError
from odavl.wire.transfer import Chunk
from odavl.wire.workspace import (
    CONFLICT_MARK,
    STAY_HERE,
    WorkspaceFile,
    clashes,
    path_problem,
    same_name,
)

_PIECE = 256 * limits.KIBIBYTE
_MOST_ENTRIES = 10 * limits.MAX_WORKSPACE_FILES


@dataclass(frozen=True)
class LocalFile:
    file: WorkspaceFile
    signature: Signature


@dataclass
class Scan:
    """``skipped`` tells why something stays here; what lies below such a folder is as unknown."""

    files: dict[str, LocalFile] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    copies: list[str] = field(default_factory=list)
    """Of conflicts that nobody has resolved yet."""
    leftovers: list[str] = field(default_factory=list)
    """Hidden files of a run that was killed."""

    def manifest(self) -> dict[str, WorkspaceFile]:
        return {path: local.file for path, local in self.files.items()}

    def blocks(self, path: str) -> bool:
        """Whether what is here at ``path`` is not known, so that nothing may be put there."""
        steps = path.split("/")
        return any("/".join(steps[:count]) in self.skipped for count in range(1, len(steps) + 1))


def scan(tree: Tree) -> Scan:
    """Raises :class:`UsageError` for more than a workspace may have, as for a folder that is none.

    What changes while it is read, cannot be read or may not travel is skipped.
    """
    tree.check()
    found = Scan()
    entries = list(islice(_entries(tree, "", found), _MOST_ENTRIES + 1))
    if len(entries) > _MOST_ENTRIES:
        raise UsageError(f"{tree.folder} has more than {_MOST_ENTRIES:,} entries.")
    clashing = clashes(path for path, _ in entries)
    for path, kind in entries:
        reason = _why_it_stays(path, kind)
        if reason is None and path in clashing:
            # Whichever were taken, the hub could hold the other one.
            reason = "clashes with another name on some file system"
        local = _measured(tree, path) if reason is None else reason
        if isinstance(local, str):
            found.skipped[path] = local
        else:
            found.files[path] = local
    if len(found.files) > limits.MAX_WORKSPACE_FILES:
        raise UsageError(
            f"{tree.folder} has {len(found.files):,} files; "
            f"{limits.MAX_WORKSPACE_FILES:,} may travel."
        )
    return found


def pieces_of(reading: IO[bytes], size: int | None = None) -> Iterator[bytes]:
    """The next ``size`` bytes of a file, or all that are left, in pieces."""
    while size is None or size:
        piece = reading.read(_PIECE if size is None else min(size, _PIECE))
        if not piece:
            return
        yield piece
        size = None if size is None else size - len(piece)


def original_of(copy: str) -> str:
    """The file beside which the copy of a conflict lies."""
    return "/".join(CONFLICT_MARK.sub("", step) for step in copy.split("/"))


def _is_marked(path: str) -> bool:
    """Whether ``path`` is a conflict's copy, or lies in a folder of such."""
    return any(CONFLICT_MARK.search(step) for step in path.split("/"))


def _entries(tree: Tree, folder: str, found: Scan) -> Iterator[tuple[str, os.stat_result]]:
    """Everything that could travel, folder by folder in the order of names."""
    try:
        with tree.opened(folder) as descriptor, os.scandir(descriptor) as listing:
            entries = sorted(
                ((entry.name, entry.stat(follow_symlinks=False)) for entry in listing),
                key=lambda entry: entry[0],
            )
    except FileNotFoundError:
        return
    except OSError as error:
        if not folder:
            raise UsageError(f"{tree.folder} cannot be read: {error.strerror}.") from error
        found.skipped[folder] = f"cannot be read: {error.strerror}"
        return
    for name, kind in entries:
        path = f"{folder}/{name}" if folder else name
        if name.startswith("."):
            if name.startswith(TEMPORARY_PREFIX):
                found.leftovers.append(path)
        elif same_name(path) in STAY_HERE:
            continue
        elif stat.S_ISREG(kind.st_mode) and _is_marked(path):
            found.copies.append(path)
        elif stat.S_ISDIR(kind.st_mode) and (_is_marked(path) or path_problem(path) is None):
            yield from _entries(tree, path, found)
        else:
            yield path, kind


def _why_it_stays(path: str, kind: os.stat_result) -> str | None:
    if stat.S_ISLNK(kind.st_mode):
        return "is a link"
    problem = path_problem(path)
    if problem is not None:
        return problem
    if not stat.S_ISREG(kind.st_mode):
        return "is no regular file"
    too_large = kind.st_size > limits.MAX_WORKSPACE_FILE_SIZE
    return f"is larger than {limits.MAX_WORKSPACE_FILE_SIZE:,} bytes" if too_large else None


def _measured(tree: Tree, path: str) -> LocalFile | str:
    """The file by its content, or why it stays."""
    try:
        with tree.read(path) as reading:
            before = signature_of(reading)
            file = _named(path, reading, before.size)
            if settings.is_config(path):
                reading.seek(0)
                reason = settings.why_it_stays(reading.read(settings.LARGEST))
                if reason is not None:
                    return reason
            changed = signature_of(reading) != before or file.size != before.size
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "is being written" if changed else LocalFile(file, before)


def _named(path: str, reading: IO[bytes], size: int) -> WorkspaceFile:
    sizes = [size]
    if size > limits.CHUNK_SIZE:
        sizes = list(cut(pieces_of(reading), largest=limits.CHUNK_SIZE))
        reading.seek(0)
    whole = hashlib.sha256()
    chunks = []
    total = 0
    for each in sizes:
        part = hashlib.sha256()
        for piece in pieces_of(reading, each):
            part.update(piece)
            whole.update(piece)
            total += len(piece)
        chunks.append(Chunk(part.hexdigest(), each))
    several = tuple(chunks) if len(chunks) > 1 else ()
    return WorkspaceFile(path=path, sha256=whole.hexdigest(), size=total, chunks=several)


def offsets(file: WorkspaceFile) -> Iterator[tuple[Chunk, int]]:
    """Each chunk with the place where it begins."""
    at = 0
    for chunk in file.pieces():
        yield chunk, at
        at += chunk.size
