"""One kind of result: a payload whose main document becomes one row, its list read item by item.

What is listed, sorted and counted is the row; the items stay in the payload and are read from it
when one row is shown. A room says what is its own about its kind, once, as a :class:`Kind`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db.models import QuerySet

from accounts import exports
from accounts.models import Organization, Project
from accounts.principal import Principal
from accounts.scoping import OrganizationScoped
from frame.finding import found
from jobs.claims import Claim
from odavl.wire import limits
from odavl.wire.envelope import UploadAccepted, UploadStored
from storage import services as storage
from uploads.contents import Content
from uploads.deferred import defer
from uploads.documents import LongDocument, unwatched
from uploads.models import Upload
from uploads.results.addresses import page_address
from uploads.results.filters import Filter
from uploads.results.ingest import Taken, insert_once
from uploads.results.models import Named

RowT = TypeVar("RowT", bound=Named)
ModelT = TypeVar("ModelT", bound=OrganizationScoped)
ItemT = TypeVar("ItemT")
ShownT = TypeVar("ShownT")
StatisticsT = TypeVar("StatisticsT")


@dataclass(frozen=True, slots=True)
class Kind(Generic[RowT, ItemT, ShownT, StatisticsT]):
    """What is one room's own about its kind of result."""

    model: type[RowT]
    room: str
    """As scopes, addresses and the navigation call it."""
    noun: str
    """One row, in the words of the API."""
    page: str
    """One row, in the words of its page: the page's name and its template's variable."""
    name: str
    """The column with the client's name for it, unique in an organization."""
    taken: Taken
    job_type: str
    """Of the job that ingests a large one."""
    document: LongDocument[Any, ItemT]
    read: Callable[[Content, Callable[[int], None]], RowT]
    """The row of a document, without what says whose it is; the callable is told percent.

    Raises :class:`~odavl.wire.errors.RefusedError` with a pointer for what does not fit.
    """
    shown: Callable[[ItemT], ShownT]
    """An item as it is shown: its texts made visible and bounded."""
    filter: Filter
    statistics: Callable[[QuerySet[RowT]], StatisticsT]
    """Over all rows that are wanted, in one query."""

    # ── Arriving ─────────────────────────────────────────────────────────────

    def receive(self, upload: Upload, content: Content) -> UploadStored | UploadAccepted:
        """Ingest now what is small, have a job do what is not."""
        if content.size > limits.MAX_INLINE_INFLATED_SIZE:
            return defer(upload, job_type=self.job_type)
        return self.ingest(upload, content)

    def ingest_deferred(self, upload: Upload, content: Content, claim: Claim) -> UploadStored:
        """Ingest the large document that the job names."""
        return self.ingest(upload, content, watch=claim.note)

    def ingest(
        self, upload: Upload, content: Content, *, watch: Callable[[int], None] = unwatched
    ) -> UploadStored:
        """A row of the document; the same document once more is the same row.

        Raises :class:`Duplicate` for another one of its name.
        """
        row = self.read(content, watch)
        kept = insert_once(row, upload, name=(self.name,), taken=self.taken)
        made = {f"{self.noun}_id": str(kept.pk)}
        return UploadStored(upload_id=str(upload.pk), url=self.address(kept), **made)

    # ── Reading, always as somebody ──────────────────────────────────────────

    def seen_by(self, principal: Principal, project: Project | None = None) -> QuerySet[RowT]:
        """The rows that ``principal`` sees, of one project or of all; unordered."""
        rows = seen_by(self.model, principal, project)
        return rows.select_related("project", "organization")

    def one(self, principal: Principal, row_id: UUID) -> RowT:
        """Raises :class:`NotFound` for a stranger's as for one that never was."""
        return found(with_stored(self.seen_by(principal)).filter(pk=row_id), self.noun)

    def items_of(self, row: RowT) -> list[ShownT]:
        """The first items of the row, out of its payload; none where that is not kept any more."""
        if row.upload.stored.expired_at is not None:
            return []
        pieces = storage.pieces_of(row.upload.stored)
        return [self.shown(item) for item in self.document.first(pieces, limits.MAX_SHOWN)]

    def address(self, row: RowT) -> str:
        """Of its page. Needs its organization loaded."""
        return page_address(f"{self.room}:{self.page}", row.organization.slug, row.pk)

    def exported(self, organization: Organization, project: Project | None) -> QuerySet[RowT]:
        """The rows for an export."""
        rows: QuerySet[RowT] = exports.in_project(self.model)(organization, project)
        return rows.select_related("organization")


def seen_by(
    model: type[ModelT], principal: Principal, project: Project | None = None
) -> QuerySet[ModelT]:
    """The rows that ``principal`` sees, of one project or of all; unordered."""
    rows: QuerySet[ModelT] = model.objects.for_organization(principal.organization)
    if wanted := project or principal.project:
        rows = rows.filter(project=wanted)
    return rows


def with_stored(rows: QuerySet[ModelT]) -> QuerySet[ModelT]:
    """``rows`` with what says where their payloads lie, but not the bytes that lie there."""
    return rows.select_related("upload__stored").defer("upload__stored__inline")
