"""Pushing to a workspace: offer, send what lacks, commit; and what clean-up takes.

A chunk that was sent or offered is held for :data:`LEASE`, so that nothing of a push under way is
cleaned up. Known is what this workspace has: what others of the organization have is neither told
of nor given, though it is kept once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from accounts.models import Project
from accounts.principal import Principal
from accounts.services.audit import record
from frame.database.clock import database_now
from odavl.wire import limits
from odavl.wire.errors import (
    ChunksMissing,
    Conflict,
    FieldError,
    InvalidPayload,
    OdavlError,
    PayloadTooLarge,
)
from odavl.wire.transfer import Chunk
from odavl.wire.workspace import NewRevision, WorkspaceFile, check_manifest
from storage import services as storage
from storage.chunk_verification import Arriving
from workspaces.manifests import check_wholes, placed_manifest
from workspaces.models import Revision, Workspace, WorkspaceContent
from workspaces.queries import files_of, head_of, revision_of

LEASE = timedelta(hours=24)
"""How long what was sent waits for its commit."""

KEPT_REVISIONS = 20
_MOST_OFFERED = 4 * limits.MAX_WORKSPACE_FILES


def workspace_for(project: Project) -> Workspace:
    """The workspace of ``project``, made where it is the first time."""
    workspace: Workspace
    workspace, _ = Workspace.across_organizations.get_or_create(
        project=project, defaults={"organization": project.organization}
    )
    return workspace


def hold_offered(*, project: Project, chunks: Sequence[Chunk]) -> tuple[list[str], datetime]:
    """The names of those of ``chunks`` that the workspace lacks; until when it holds the others."""
    if len(chunks) > _MOST_OFFERED:
        raise PayloadTooLarge(f"{_MOST_OFFERED} chunks may be offered at once.")
    workspace = workspace_for(project)
    names = list(dict.fromkeys(chunk.sha256 for chunk in chunks))
    until = database_now() + LEASE
    rows = WorkspaceContent.objects.belonging_to(workspace=workspace)
    with transaction.atomic():
        # What the object store has lost is asked for: sent again, it is mended.
        known = rows.filter(stored__sha256__in=names, stored__missing_since=None)
        known = known.select_for_update(of=("self",))
        held = dict(known.order_by("pk").values_list("stored__sha256", "pk"))
        rows.filter(pk__in=held.values(), in_head=False).update(held_until=until)
    return [name for name in names if name not in held], until


def store_chunk(
    *, project: Project, sha256: str, body: Iterable[bytes], compressed: bool
) -> tuple[bool, int]:
    """Keep one chunk and hold it; whether it is new to the workspace, and its size.

    ``body`` is what crossed the wire, in pieces: gzip where ``compressed``. Raises
    :class:`DigestMismatch` for other bytes than the name says (then nothing is stored),
    :class:`MalformedGzip`, and :class:`InvalidPayload` for none.
    """
    arriving = Arriving(sha256, limits.CHUNK_SIZE)
    whole = b"".join(arriving.joinable(body, compressed=compressed))
    if not arriving.size:
        raise InvalidPayload("A chunk has at least one byte.")
    workspace = workspace_for(project)
    with (
        storage.stage((whole,), size=len(whole)) as staged,
        storage.placed(
            organization=project.organization,
            staged=staged,
            sha256=sha256,
            size=arriving.size,
            joinable=True,
        ) as placed,
        transaction.atomic(),
    ):
        stored = storage.keep_placed(placed)
        _, is_new = WorkspaceContent.across_organizations.update_or_create(
            workspace=workspace,
            stored=stored,
            defaults={"held_until": database_now() + LEASE},
        )
    return is_new, arriving.size


@dataclass(frozen=True, slots=True)
class Prepared:
    """A revision whose bytes were read, and its manifest written, before any transaction."""

    wanted: NewRevision
    manifest: storage.Placed | OdavlError
    """Or what :func:`commit` raises: where it was done before, that answer comes first."""


@contextmanager
def prepared(*, project: Project, wanted: NewRevision) -> Iterator[Prepared]:
    """What :func:`commit` takes, while the block lasts."""
    try:
        check_manifest(wanted.files)
        head = head_of(project)
        known = set(files_of(head)) if head else set()
        workspace = workspace_for(project)
        check_base(workspace, wanted)
        check_wholes(workspace, [file for file in wanted.files if file not in known])
    except OdavlError as error:
        yield Prepared(wanted, error)
        return
    with placed_manifest(project.organization, wanted.files) as manifest:
        yield Prepared(wanted, manifest)


@transaction.atomic
def commit(*, principal: Principal, project: Project, revision: Prepared) -> Revision:
    """The new head, or the head that it is already where nothing differs.

    Raises :class:`Conflict` where the head is not the one that the revision is based on,
    :class:`ChunksMissing`, :class:`DigestMismatch` for a file that its chunks do not make, and
    what :func:`~odavl.wire.workspace.check_manifest` raises.
    """
    if isinstance(revision.manifest, OdavlError):
        raise revision.manifest
    wanted = revision.wanted
    workspace = workspace_for(project)
    head = head_of(project)
    # Not the key: chunks of other pushes, whose rows refer to this one, go on arriving.
    locked = Workspace.across_organizations.select_for_update(no_key=True).get(pk=workspace.pk)
    check_base(locked, wanted)
    manifest = storage.keep_placed(revision.manifest)
    if head is not None and head.manifest_id == manifest.pk:
        return head
    number = locked.head + 1
    _take_up(locked, number, wanted.files)
    Revision.across_organizations.create(
        workspace=locked,
        number=number,
        manifest=manifest,
        machine=wanted.machine,
        api_key=principal.key,
        author_id=principal.user_id,
        file_count=len(wanted.files),
        size=sum(file.size for file in wanted.files),
    )
    locked.head = number
    locked.save(update_fields=["head"])
    record(
        organization=project.organization,
        action="workspace.pushed",
        target=project.slug,
        by=principal,
        details={"revision": number, "machine": wanted.machine, "files": len(wanted.files)},
    )
    return revision_of(project, number)


def check_base(workspace: Workspace, wanted: NewRevision) -> None:
    """Raises :class:`Conflict` that names the head."""
    if workspace.head != wanted.base_revision:
        raise Conflict(
            f"The workspace is at revision {workspace.head}: somebody else pushed in between.",
            errors=(FieldError("/baseRevision", "conflict", f"{workspace.head}"),),
        )


def clean_up() -> int:
    """Forget old revisions and what nobody holds, then let go of the bytes; how many contents.

    For a scheduler; two at once do no harm.
    """
    now = database_now()
    for pk in Workspace.across_organizations.values_list("pk", flat=True).iterator():
        _forget_old(pk, now)
    return storage.discard_chunks(older_than=now - LEASE)


def _forget_old(pk: UUID, now: datetime) -> None:
    with transaction.atomic():
        # A push that commits in this moment holds the row: the next time, then.
        free = Workspace.across_organizations.select_for_update(skip_locked=True)
        workspace = free.filter(pk=pk).first()
        if workspace is None:
            return
        oldest = max(workspace.head - KEPT_REVISIONS + 1, 0)
        Revision.objects.belonging_to(workspace=workspace).filter(number__lt=oldest).delete()
        outside = WorkspaceContent.objects.belonging_to(workspace=workspace).filter(in_head=False)
        unheld = outside.filter(Q(held_until=None) | Q(held_until__lt=now))
        unheld.filter(Q(dropped_in=None) | Q(dropped_in__lte=oldest)).delete()


def _take_up(workspace: Workspace, number: int, files: Sequence[WorkspaceFile]) -> None:
    """Note which contents are in the head from revision ``number`` on."""
    chunks = {chunk.sha256: chunk.size for file in files for chunk in file.pieces()}
    rows = WorkspaceContent.objects.belonging_to(workspace=workspace)
    known = {
        sha256: (pk, size, in_head)
        for pk, sha256, size, in_head in rows.select_for_update(of=("self",))
        .order_by("pk")
        .values_list("pk", "stored__sha256", "stored__size", "in_head")
    }
    missing = tuple(name for name in chunks if name not in known)
    if missing:
        raise ChunksMissing(f"{len(missing)} chunks have not arrived.", missing=missing)
    if any(known[name][1] != size for name, size in chunks.items()):
        raise InvalidPayload("A chunk stands in the manifest with another size than it has.")
    entered = [pk for name, (pk, _, in_head) in known.items() if name in chunks and not in_head]
    left = [pk for name, (pk, _, in_head) in known.items() if name not in chunks and in_head]
    rows.filter(pk__in=entered).update(in_head=True, dropped_in=None, held_until=None)
    rows.filter(pk__in=left).update(in_head=False, dropped_in=number)
