"""What a list of files can be narrowed to, by program and by page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from frame.paging import one_of
from odavl.wire.encoding import visible
from odavl.wire.envelope import PRODUCTS
from storage.models import Access, FileState, StoredFile

SORTS: dict[str, tuple[str, ...]] = {
    "-createdAt": ("-created_at", "-id"),
    "createdAt": ("created_at", "id"),
    "name": ("name", "id"),
    "-size": ("-size", "-id"),
    "-downloads": ("-downloads", "-id"),
}
STATES = (FileState.PENDING, FileState.STORED, FileState.REFUSED)
_MAX_TEXT = 255


@dataclass(frozen=True, slots=True)
class FileFilter:
    """Empty texts do not narrow; a ``content_type`` that ends in ``/`` means the whole family."""

    text: str = ""
    content_type: str = ""
    product: str = ""
    type: str = ""
    access: str = ""
    state: str = ""
    sort: str = "-createdAt"

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> FileFilter:
        """Raises :class:`MalformedRequest` that points at the parameter."""
        return cls(
            text=_text(query, "q"),
            content_type=_text(query, "contentType"),
            type=_text(query, "type"),
            product=one_of(query, "product", PRODUCTS),
            access=one_of(query, "access", Access.values),
            state=one_of(query, "state", [state.value for state in STATES]),
            sort=one_of(query, "sort", SORTS) or "-createdAt",
        )

    def apply(self, files: QuerySet[StoredFile]) -> QuerySet[StoredFile]:
        equal = {
            name: value
            for name in ("product", "type", "access", "state")
            if (value := getattr(self, name))
        }
        condition = Q(**equal)
        if self.text:
            condition &= Q(name__icontains=self.text)
        if self.content_type.endswith("/"):
            condition &= Q(content_type__startswith=self.content_type)
        elif self.content_type:
            condition &= Q(content_type=self.content_type)
        return files.filter(condition)

    @property
    def is_narrowed(self) -> bool:
        return self != FileFilter(sort=self.sort)


def _text(query: Mapping[str, str], name: str) -> str:
    """What is looked for; a NUL, which PostgreSQL takes in no question, is one that none has."""
    return visible(query.get(name, ""))[:_MAX_TEXT]
