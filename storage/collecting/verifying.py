"""Finding rows whose bytes are not where they should be: what a damaged or swapped store leaves.

The walk goes through the rows, a few hundred a round, and asks the store for each; not while the
store is away as a whole (:mod:`storage.presence`). A row whose
bytes are not found is marked (``missing_since``), shown and told; sent again, they mend it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from odavl.wire.errors import OdavlError
from storage.collecting.scan_cursor import ROUND_SECONDS, Round
from storage.configuration import object_store, require_present
from storage.models import FileState, StoredFile, StoredObject
from storage.objects.interface import ObjectMissing

_log = logging.getLogger(__name__)
NAME = "gaps"
EVERY = timedelta(minutes=5)
_AT_ONCE = 50
_FIRST = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Gaps:
    """How many rows were looked at, and how many of them have no bytes."""

    looked_at: int = 0
    missing: int = 0


def contents() -> QuerySet[StoredObject]:
    """Records whose bytes lie in the object store under a key of their own."""
    rows: QuerySet[StoredObject] = StoredObject.across_organizations.filter(
        inline=None, crc32=None, expired_at=None
    )
    return rows.defer("inline")


def stored_files() -> QuerySet[StoredFile]:
    rows: QuerySet[StoredFile] = StoredFile.across_organizations.filter(state=FileState.STORED)
    return rows


def count_missing() -> int:
    """How many rows are marked; cheap, as only those stand in the indexes."""
    marked = [StoredObject.across_organizations, StoredFile.across_organizations]
    return sum(rows.filter(missing_since__isnull=False).count() for rows in marked)


def verify(*, seconds: float = ROUND_SECONDS) -> Gaps:
    """One round. Where the store does not answer, the next one goes on at the same place."""
    current = Round(NAME, seconds=seconds)
    found = Gaps()
    if not current.is_due:
        return found
    try:
        require_present()
        for rows, cursor in _pages(current.cursor):
            checked = check(rows)
            found = Gaps(found.looked_at + checked.looked_at, found.missing + checked.missing)
            current.go_on_at(cursor)
            if current.is_over():
                return found
    except OdavlError as error:
        _log.warning("Rows are not compared with the object store now: %s", error.detail)
        return found
    current.finish()
    return found


def check(rows: Sequence[StoredObject | StoredFile]) -> Gaps:
    """Ask the store for the bytes of each row and note what is found."""
    missing = 0
    for row in rows:
        there = _is_there(row)
        missing += not there
        if there == (row.missing_since is not None):
            _mark(row, there=there)
    return Gaps(len(rows), missing)


def _is_there(row: StoredObject | StoredFile) -> bool:
    if isinstance(row, StoredObject):
        # Its gzip form may have been written by either of two at once: only the content is one.
        return object_store().exists(row.key)
    try:
        return object_store().size(row.key) == row.size
    except ObjectMissing:
        return False


def _mark(row: StoredObject | StoredFile, *, there: bool) -> None:
    rows = type(row).across_organizations.filter(pk=row.pk)
    if isinstance(row, StoredFile):
        rows = rows.filter(key=row.key)  # not one that was mended meanwhile
    changed = rows.update(missing_since=None if there else Now())
    if changed and not there:
        _log.error("The bytes of %s are missing from the object store: %s", row.pk, row.key)


def _pages(cursor: str) -> Iterator[tuple[Sequence[StoredObject | StoredFile], str]]:
    """Rows, and the cursor behind them: ``objects/<id>``, then ``files/<id>``."""
    table, _, text = cursor.partition("/")
    behind = UUID(text) if text else _FIRST
    tables: dict[str, QuerySet[Any]] = {"objects": contents(), "files": stored_files()}
    for name, rows in tables.items():
        if table == "files" and name == "objects":
            continue
        after = behind if name == table else _FIRST
        while page := list(rows.filter(pk__gt=after).order_by("pk")[:_AT_ONCE]):
            after = page[-1].pk
            yield page, f"{name}/{after}"
