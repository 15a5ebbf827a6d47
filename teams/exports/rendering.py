"""Exports as the documents of :mod:`odavl.wire.exports`."""

from __future__ import annotations

from accounts.rendering import iso
from jobs.models import Job
from jobs.rendering import job_summary
from odavl.wire import exports as wire
from teams.exports.services import file_of


def export_summary(job: Job) -> wire.ExportSummary:
    told, file = job_summary(job), file_of(job)
    return wire.ExportSummary(
        id=told.id,
        state=told.state,
        progress=told.progress,
        project_id=told.project_id,
        created_at=told.created_at,
        finished_at=told.finished_at,
        file_id=str(file.pk) if file else None,
        file_name=file.name if file else None,
        size=file.size if file else None,
        sha256=file.sha256 if file else None,
        expires_at=iso(file.expires_at) if file else None,
        problem=told.problem,
    )
