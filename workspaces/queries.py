"""Reading workspaces: revisions, their files, the bytes of a chunk."""

from __future__ import annotations

import msgspec
from django.db.models import QuerySet

from accounts.models import Project
from frame.finding import found
from odavl.wire.encoding import gunzip
from odavl.wire.workspace import WorkspaceFile
from storage import services as storage
from storage.models import StoredObject
from workspaces.models import Revision, WorkspaceContent

_FILES = msgspec.json.Decoder(list[WorkspaceFile])


def revisions_of(project: Project) -> QuerySet[Revision]:
    """Those that are kept, newest first; ``project`` was found within its organization."""
    rows: QuerySet[Revision] = Revision.objects.for_organization(project.organization)
    rows = rows.filter(workspace__project=project).order_by("-number")
    return rows.select_related("manifest", "api_key", "author")


def revision_of(project: Project, number: int) -> Revision:
    """Raises :class:`NotFound` for one that is not kept any more, or not there yet."""
    return found(revisions_of(project).filter(number=number), "revision")


def head_of(project: Project) -> Revision | None:
    """None before the first push."""
    return revisions_of(project).first()


def files_of(revision: Revision) -> list[WorkspaceFile]:
    return _FILES.decode(gunzip(storage.pieces_of(revision.manifest)))


def chunk_of(project: Project, sha256: str) -> StoredObject:
    """Raises :class:`NotFound` for what its workspace has not, though others may."""
    rows = WorkspaceContent.objects.for_organization(project.organization)
    own = rows.filter(workspace__project=project, stored__sha256=sha256)
    stored: StoredObject = found(own.select_related("stored"), "chunk").stored
    return stored
