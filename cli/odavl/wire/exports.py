"""Exports of an organization's or a project's data: ``/api/v1/exports``."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from odavl.wire import limits
from odavl.wire.account import Id, Time
from odavl.wire.jobs import JobState
from odavl.wire.problem import Problem


class NewExport(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """``projectId`` (or its slug) narrows it to one project; without it, everything."""

    project_id: Annotated[str, Meta(min_length=1, max_length=limits.MAX_NAME_LENGTH)] | None = None


class ExportSummary(msgspec.Struct, kw_only=True, rename="camel"):
    """An export under way or made; its id is that of its job.

    ``fileId`` is there once the archive is, and until it expires: ``download-url`` gives its
    address.
    """

    id: Id
    state: JobState
    progress: Annotated[int, Meta(ge=0, le=100)]
    project_id: Id | None
    created_at: Time
    finished_at: Time | None
    file_id: Id | None = None
    file_name: str | None = None
    size: int | None = None
    sha256: str | None = None
    expires_at: Time | None = None
    problem: Problem | None = None


class ExportPage(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    items: list[ExportSummary]
    total: int | None = None
    next: str | None = None


class ExportedFile(msgspec.Struct, kw_only=True, rename="camel"):
    """A file of the archive: JSON documents, one a line."""

    name: str
    rows: int
    bytes: int
    sha256: str


class ExportManifest(msgspec.Struct, kw_only=True, rename="camel"):
    """``manifest.json``, the last file of the archive."""

    version: int
    hub_version: str
    organization_id: Id
    organization: str
    project_id: Id | None
    project: str | None
    created_at: Time
    files: list[ExportedFile]
