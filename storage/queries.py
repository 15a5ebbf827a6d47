"""Reading files: who sees which, and how much there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Max, QuerySet, Sum
from django.db.models.functions import Now

from accounts import exports
from accounts.models import Organization, Project
from accounts.principal import Principal
from frame.finding import found, no_such
from storage.access import readable
from storage.models import Access, FileState, StoredFile, StoredObject


@dataclass(frozen=True, slots=True)
class Tally:
    """``bytes`` as files count them, whether or not they share objects."""

    name: str
    files: int
    bytes: int
    downloads: int


@dataclass(frozen=True, slots=True)
class Payloads:
    objects: int
    bytes: int
    stored_bytes: int


def visible_files(principal: Principal) -> QuerySet[StoredFile]:
    """The files that ``principal`` may read, however far their upload is; expired ones are gone."""
    rows: QuerySet[StoredFile] = StoredFile.objects.for_organization(principal.organization)
    rows = rows.exclude(state=FileState.DELETED).exclude(expires_at__lte=Now())
    return rows.filter(readable(principal))


def file_of(principal: Principal, file_id: UUID | str) -> StoredFile:
    """One file; :class:`NotFound` for what is not there or not theirs to see."""
    try:
        number = file_id if isinstance(file_id, UUID) else UUID(file_id)
    except ValueError:
        raise no_such("file") from None
    rows = visible_files(principal).select_related("organization", "uploaded_by")
    return found(rows.filter(pk=number), "file")


def public_file(file_id: UUID) -> StoredFile:
    """A stored file that anybody may read; :class:`NotFound` for every other."""
    rows: QuerySet[StoredFile] = StoredFile.across_organizations.filter(
        access=Access.PUBLIC, state=FileState.STORED
    )
    rows = rows.exclude(expires_at__lte=Now()).select_related("organization")
    return found(rows.filter(pk=file_id), "file")


def files_for_export(organization: Organization, project: Project | None) -> QuerySet[StoredFile]:
    """All that are not deleted, whoever may see them: an export is for who administers."""
    rows = exports.in_project(StoredFile)(organization, project)
    return rows.exclude(state=FileState.DELETED).select_related("uploaded_by")


def is_expected(incoming: str) -> bool:
    """Whether bytes may still come under this key of a file."""
    *_, file_id = incoming.split("/")
    rows = StoredFile.across_organizations.filter(pk=file_id, state=FileState.PENDING)
    return bool(rows.exists())


def is_kept(key: str) -> bool:
    """Whether a stored file has its bytes under this key."""
    rows = StoredFile.across_organizations.filter(key=key, state=FileState.STORED)
    return bool(rows.exists())


def tallies(files: QuerySet[StoredFile], field: str) -> list[Tally]:
    """The stored ones of ``files`` by ``content_type`` or ``product``, largest first."""
    rows = (
        files.filter(state=FileState.STORED)
        .order_by()
        .values(field)
        .annotate(files=Count("pk"), bytes=Sum("size"), downloads_sum=Sum("downloads"))
        .order_by("-bytes", field)
    )
    return list(_tallies(rows, field))


def shared_bytes(files: QuerySet[StoredFile]) -> int:
    """What the objects of the stored ones take: files with the same bytes count once."""
    stored = files.filter(state=FileState.STORED).order_by()
    objects = stored.values("key").annotate(bytes=Max("size"))
    total: int | None = objects.aggregate(total=Sum("bytes"))["total"]
    return total or 0


def payloads_of(principal: Principal) -> Payloads | None:
    """The contents of uploads that have bytes of their own: what is made of parts has theirs.

    None for who is held to a project. Contents are kept once in an organization, so whether one
    more takes space tells what other projects have.
    """
    if principal.project is not None:
        return None
    rows = StoredObject.objects.for_organization(principal.organization).filter(
        crc32=None, expired_at=None
    )
    found = rows.aggregate(objects=Count("pk"), bytes=Sum("size"), stored=Sum("stored_size"))
    return Payloads(found["objects"], found["bytes"] or 0, found["stored"] or 0)


def _tallies(rows: Any, field: str) -> Iterator[Tally]:
    for row in rows:
        yield Tally(row[field], row["files"], row["bytes"], row["downloads_sum"])
