"""Manifests as they are kept, and whether the chunks that they name make the files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from accounts.models import Organization
from odavl.wire.encoding import sha256_hex
from odavl.wire.errors import ChunksMissing, DigestMismatch, FieldError
from odavl.wire.joinable import joinable_pieces
from odavl.wire.workspace import WorkspaceFile
from storage import services as storage
from storage.models import StoredObject
from workspaces.models import Workspace, WorkspaceContent


@contextmanager
def placed_manifest(
    organization: Organization, files: Sequence[WorkspaceFile]
) -> Iterator[storage.Placed]:
    """The list of ``files`` as a stored object: equal for equal files, in whatever order."""
    document = msgspec.json.encode(sorted(files, key=lambda file: file.path))
    body = b"".join(joinable_pieces((document,)))
    with (
        storage.stage((body,), size=len(body)) as staged,
        storage.placed(
            organization=organization,
            staged=staged,
            sha256=sha256_hex(document),
            size=len(document),
            joinable=True,
        ) as placed,
    ):
        yield placed


def check_wholes(workspace: Workspace, files: Sequence[WorkspaceFile]) -> None:
    """Read what has several chunks; :class:`DigestMismatch` where they do not make the file.

    A file that is one chunk was checked when the chunk arrived. Raises :class:`ChunksMissing`.
    """
    for file in files:
        if not file.chunks:
            continue
        digest = hashlib.sha256()
        for stored in _contents(workspace, file):
            for piece in storage.inflated(stored):
                digest.update(piece)
        if digest.hexdigest() != file.sha256:
            raise DigestMismatch(
                f"The chunks of {file.path} do not make the file that was announced.",
                errors=(FieldError("/files", "digest_mismatch", file.path),),
            )


def _contents(workspace: Workspace, file: WorkspaceFile) -> list[StoredObject]:
    """In order; the bytes of small ones come with their rows."""
    rows = WorkspaceContent.objects.belonging_to(workspace=workspace).select_related("stored")
    names = {chunk.sha256 for chunk in file.chunks}
    found = {row.stored.sha256: row.stored for row in rows.filter(stored__sha256__in=names)}
    missing = tuple(sorted(names - found.keys()))
    if missing:
        raise ChunksMissing(f"{len(missing)} chunks have not arrived.", missing=missing)
    return [found[chunk.sha256] for chunk in file.chunks]
