"""Rows of this room as the documents of :mod:`odavl.wire.workspace`."""

from __future__ import annotations

from accounts.models import Project
from accounts.rendering import iso
from odavl.wire import workspace as wire
from workspaces.models import Revision
from workspaces.queries import files_of


def summary(project: Project, revision: Revision | None) -> wire.RevisionSummary:
    """Revision 0 where there is none yet."""
    if revision is None:
        return wire.RevisionSummary(project_id=str(project.pk), revision=0)
    return wire.RevisionSummary(
        project_id=str(project.pk),
        revision=revision.number,
        id=str(revision.pk),
        machine=revision.machine,
        pushed_by=_who(revision),
        pushed_at=iso(revision.created_at),
        file_count=revision.file_count,
        size=revision.size,
    )


def whole(project: Project, revision: Revision | None) -> wire.WorkspaceRevision:
    """With its files."""
    told = summary(project, revision)
    fields = {name: getattr(told, name) for name in told.__struct_fields__}
    return wire.WorkspaceRevision(**fields, files=files_of(revision) if revision else [])


def _who(revision: Revision) -> str:
    if revision.author is not None:
        return revision.author.email
    return revision.api_key.name if revision.api_key else ""
