"""Pages of rows for people: cursors that lead forwards and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet

from frame.paging import behind, decode_cursor, encode_cursor
from odavl.wire.errors import MalformedRequest

RowT = TypeVar("RowT", bound=Model)


@dataclass(frozen=True, slots=True)
class Page(Generic[RowT]):
    """``previous`` and ``next`` are cursors, empty where nothing lies that way."""

    items: list[RowT] = field(default_factory=list)
    previous: str = ""
    next: str = ""


def page_of(rows: QuerySet[RowT], *, order: Sequence[str], cursor: str, size: int) -> Page[RowT]:
    """The page at ``cursor``; the first one for a cursor that is empty or none of ours.

    ``order`` names columns that are never NULL and together tell every two rows apart. A page
    costs the same however deep it lies.
    """
    backwards, values = _read_cursor(cursor, len(order))
    directed = [_reversed(name) for name in order] if backwards else list(order)
    wanted = rows.order_by(*directed)
    if values is not None:
        try:
            wanted = wanted.filter(behind(directed, values))
        except (TypeError, ValueError, ValidationError):
            # A cursor of another sorting: its values are of other types.
            return page_of(rows, order=order, cursor="", size=size)
    found = list(wanted[: size + 1])
    more, shown = len(found) > size, found[:size]
    if backwards:
        shown.reverse()
    before, after = (more, True) if backwards else (values is not None, more)
    return Page(
        shown,
        previous=_cursor("b", shown[0], order) if shown and before else "",
        next=_cursor("f", shown[-1], order) if shown and after else "",
    )


def _read_cursor(cursor: str, width: int) -> tuple[bool, tuple[object, ...] | None]:
    try:
        direction, *values = decode_cursor(cursor) if cursor else ("f",)
    except MalformedRequest:
        return False, None
    known = direction in ("f", "b") and len(values) == width
    if not known or any(value is None or "\x00" in str(value) for value in values):
        return False, None
    return direction == "b", tuple(values)


def _cursor(direction: str, row: Model, order: Sequence[str]) -> str:
    values = [getattr(row, name.removeprefix("-")) for name in order]
    return encode_cursor([direction, *values])


def _reversed(name: str) -> str:
    return name[1:] if name.startswith("-") else f"-{name}"
