"""Exports: asked for, made by a job, kept as a file that goes after a week."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from typing import IO
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts import navigation
from accounts.models import ApiKey, Project, User
from accounts.principal import Principal
from accounts.services import record
from frame.database.clock import database_now
from frame.finding import found
from jobs.claims import Claim
from jobs.models import Job, Queue, State
from jobs.services import enqueue
from odavl.wire.errors import StorageFull, WrongScope
from storage.generated import Made, placed_file
from storage.models import StoredFile
from storage.objects.interface import PIECE_SIZE
from teams.exports.archive import write_archive

EXPORT_JOB = "teams.export"
FILE_TYPE = "data-export"
KEPT = timedelta(days=7)
TIMEOUT = timedelta(minutes=30)
QUEUE = Queue.BULK
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_READING = 0.9
"""The share of the work that is over once all rows are in the archive."""
_ALL = 100


@transaction.atomic
def start(*, by: Principal, project: Project | None) -> Job:
    """Have everything exported, or one project; the export of the same that is under way, if any.

    Raises :class:`MissingScope`, and :class:`WrongScope` where a key that is bound to a project
    asks for more than that.
    """
    by.require("projects:admin")
    if by.project is not None and (project is None or project.pk != by.project.pk):
        raise WrongScope("The key is bound to a project: it may export that one only.")
    file_id = str(uuid4())
    job = enqueue(
        organization=by.organization,
        project=project,
        job_type=EXPORT_JOB,
        payload={
            "fileId": file_id,
            "userId": by.user_id,
            "keyId": str(by.key.pk) if by.key else None,
            "url": _page(by),
        },
        deduplication_key=str(project.pk) if project else "all",
    )
    if job.payload["fileId"] == file_id:
        record(
            organization=by.organization,
            action="export.started",
            target=project.slug if project else by.organization.slug,
            by=by,
            details={"jobId": str(job.pk)},
        )
    return job


def run_export(claim: Claim) -> None:
    """Make the archive and keep it; it is there, and the job done, in one commit.

    Paused and resumed it begins anew: an archive shows one moment.
    """
    job = claim.job
    project: Project | None = (
        Project.objects.for_organization(job.owner).filter(pk=job.project_id).first()
    )
    with tempfile.TemporaryFile() as file:
        try:
            _write(file, claim, project)
        except OSError as error:
            if error.errno in _FULL:
                raise StorageFull("The hub's disk is full.") from error
            raise
        size = file.tell()
        file.seek(0)
        with (
            placed_file(_made(job, project), _pieces(file, size, claim)) as archive,
            transaction.atomic(),
        ):
            archive.save(force_insert=True)
            claim.complete()


def exports_of(principal: Principal) -> QuerySet[Job]:
    """The organization's exports, or those of the project that ``principal`` is held to."""
    rows: QuerySet[Job] = Job.objects.for_organization(principal.organization)
    if principal.project is not None:
        rows = rows.filter(project=principal.project)
    return rows.filter(type=EXPORT_JOB)


def export_of(principal: Principal, export_id: UUID) -> Job:
    """One of them; :class:`NotFound` for a stranger's."""
    return found(exports_of(principal).filter(pk=export_id), "export")


def file_of(job: Job) -> StoredFile | None:
    """The archive, while it is there."""
    rows: QuerySet[StoredFile] = StoredFile.objects.for_organization(job.owner)
    return rows.filter(pk=job.payload["fileId"], expires_at__gt=Now()).first()


def page_of_export(job: Job) -> str:
    """The path where a person finds the archive, once there is one."""
    if job.state != State.COMPLETED:
        return ""
    return f"{navigation.path_of('storage', job.owner)}?type={FILE_TYPE}"


def _write(file: IO[bytes], claim: Claim, project: Project | None) -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            # All tables as they were at one moment, however long the reading takes.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        write_archive(
            file,
            organization=claim.job.owner,
            project=project,
            note=lambda percent: claim.note(int(percent * _READING)),
        )


def _made(job: Job, project: Project | None) -> Made:
    about = project.slug if project else job.owner.slug
    now = database_now()
    keys: QuerySet[ApiKey] = ApiKey.objects.for_organization(job.owner)
    return Made(
        id=UUID(job.payload["fileId"]),
        organization=job.owner,
        project=project,
        name=f"{about}-export-{now:%Y-%m-%d}.zip",
        content_type="application/zip",
        type=FILE_TYPE,
        user=User.objects.filter(pk=job.payload["userId"]).first(),
        key=keys.filter(pk=job.payload["keyId"]).first(),
        expires_at=now + KEPT,
    )


def _pieces(file: IO[bytes], size: int, claim: Claim) -> Iterator[bytes]:
    sent = 0
    while piece := file.read(PIECE_SIZE):
        yield piece
        sent += len(piece)
        claim.note(int(_ALL * (_READING + (1 - _READING) * sent / size)))


def _page(by: Principal) -> str:
    """Where a person finds the archive."""
    return f"{navigation.address_of('storage', by.organization)}?type={FILE_TYPE}"
