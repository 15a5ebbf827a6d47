"""Rows that are written once: the same payload again finds its row, another one is refused."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from odavl.wire.errors import Duplicate, FieldError
from uploads.models import Upload
from uploads.results.models import Named

RowT = TypeVar("RowT", bound=Named)


class Taken(NamedTuple):
    """How it is told that a name is taken, and by which member of the payload it was given."""

    detail: str
    pointer: str


def insert_once(row: RowT, upload: Upload, *, name: tuple[str, ...], taken: Taken) -> RowT:
    """Insert ``row`` of ``upload``, or find the one that has its name: the columns ``name``.

    A unique constraint holds the name, which is empty for a row that has none. The organization of
    what is returned is loaded. Raises :class:`Duplicate` where the name is that of another payload,
    or of another project.
    """
    row.organization, row.project, row.upload = upload.organization, upload.project, upload
    # Two uploads of one name may race: the constraint decides, and both are given its row.
    type(row).across_organizations.bulk_create([row], ignore_conflicts=True)
    if not name:
        return row
    rows = type(row).objects.for_organization(upload.organization)
    named = {column: getattr(row, column) for column in name}
    kept: RowT = rows.select_related("organization").get(**named)
    if kept.sha256 != row.sha256 or kept.project_id != upload.project_id:
        raise Duplicate(taken.detail, errors=(FieldError(taken.pointer, "duplicate", "Taken."),))
    return kept
