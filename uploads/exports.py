"""What uploads give to an export: what arrived and what became of it, without the payloads."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from accounts import exports
from accounts.models import Organization, Project
from accounts.rendering import iso
from uploads.models import Upload


def register_all() -> None:
    exports.register("uploads", _uploads, _upload)


def _uploads(organization: Organization, project: Project | None) -> QuerySet[Upload]:
    rows = exports.in_project(Upload)(organization, project)
    return rows.select_related("stored").defer("stored__inline")


def _upload(upload: Upload) -> dict[str, Any]:
    return {
        "id": str(upload.pk),
        "projectId": str(upload.project_id),
        "product": upload.product,
        "type": upload.type,
        "metadata": upload.metadata,
        "sha256": upload.stored.sha256,
        "size": upload.stored.size,
        "state": upload.state,
        "runId": str(upload.run_id) if upload.run_id else None,
        "problem": upload.problem,
        "createdAt": iso(upload.created_at),
        "finishedAt": iso(upload.finished_at),
    }
