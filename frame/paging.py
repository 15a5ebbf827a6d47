"""Lists in pages: ``limit``, an opaque ``cursor`` or an ``offset``, and the way to the next page.

A cursor holds the sort values of the last row shown, so that a page costs the same however deep
it lies and rows that come meanwhile shift nothing.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from django.core.exceptions import ValidationError
from django.db.models import Field, Model, Q, QuerySet
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.response import Response

from odavl.wire import limits
from odavl.wire.errors import FieldError, InvalidPayload, MalformedRequest
from odavl.wire.moments import checked

RowT = TypeVar("RowT", bound=Model)
_MAX_OFFSET = 2**31 - 1
_MAX_CURSOR_LENGTH = 2_000
_CURSOR: msgspec.json.Decoder[list[str | int | float | bool | None]] = msgspec.json.Decoder(
    list[str | int | float | bool | None]
)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What was asked for. ``after`` holds the sort values of the last row of the page before."""

    limit: int = limits.DEFAULT_PAGE_SIZE
    offset: int = 0
    after: tuple[object, ...] | None = None


def read_page(query: Mapping[str, str]) -> PageRequest:
    """``limit``, ``offset`` and ``cursor`` of a query string.

    Raises :class:`MalformedRequest` that points at the one that cannot be.
    """
    cursor = query.get("cursor")
    return PageRequest(
        limit=whole_number(
            query, "limit", limits.DEFAULT_PAGE_SIZE, least=1, most=limits.MAX_PAGE_SIZE
        ),
        offset=whole_number(query, "offset", 0, least=0, most=_MAX_OFFSET),
        after=decode_cursor(cursor) if cursor else None,
    )


def whole_number(
    query: Mapping[str, str], name: str, default: int, *, least: int, most: int
) -> int:
    """A parameter's whole number within its bounds, both included."""
    text = query.get(name)
    if text is None or text == "":
        return default
    # No more digits than the largest bound has: a number of a million digits is never parsed.
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(most)):
        raise bad_parameter(name, f"must be a whole number from {least} to {most}")
    number = int(text)
    if not least <= number <= most:
        raise bad_parameter(name, f"must be a whole number from {least} to {most}")
    return number


def one_of(query: Mapping[str, str], name: str, values: Collection[str]) -> str:
    """A parameter's value, which is one of ``values`` or, where nothing is wanted, empty."""
    value = query.get(name, "")
    if value and value not in values:
        raise bad_parameter(name, f"must be one of {', '.join(values)}")
    return value


def moment_of(query: Mapping[str, str], name: str) -> datetime | None:
    """A parameter's time or day (its beginning in UTC), ISO 8601; None where it is not given."""
    text = query.get(name, "")
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=moment.tzinfo or UTC)
        return checked(moment, f"/query/{name}")
    except (ValueError, InvalidPayload) as error:
        raise bad_parameter(name, "must be a time such as 2026-01-31T12:00:00Z") from error


def bad_parameter(name: str, detail: str) -> MalformedRequest:
    """The 400 for a query parameter that cannot be."""
    return MalformedRequest(
        f"The parameter {name} {detail}.",
        errors=(FieldError(f"/query/{name}", "invalid", detail),),
    )


def encode_cursor(values: Sequence[object]) -> str:
    """Sort values (JSON scalars, datetimes, UUIDs) as one opaque word."""
    return urlsafe_b64encode(msgspec.json.encode(list(values))).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> tuple[object, ...]:
    """The values of :func:`encode_cursor`; datetimes and UUIDs come back as text."""
    if len(cursor) > _MAX_CURSOR_LENGTH:
        raise bad_parameter("cursor", "is none that this list gave out")
    try:
        data = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        values = _CURSOR.decode(data)
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise bad_parameter("cursor", "is none that this list gave out") from error
    if any(isinstance(value, str) and "\x00" in value for value in values):
        raise bad_parameter("cursor", "is none that this list gave out")
    return tuple(values)


def paginate(
    request: Request,
    rows: QuerySet[RowT],
    *,
    order: Sequence[str],
    show: Callable[[RowT], object],
    count: bool = False,
) -> Response:
    """One page of ``rows`` as the answer ``{items, total?, next?}`` with its ``Link``.

    ``order`` names fields that are never NULL, each with a ``-`` for descending; together they
    must tell every two rows apart. ``show`` makes an item of a row. ``count`` adds ``total``.
    """
    page = read_page(request.query_params)
    total = rows.count() if count else None
    wanted = rows.order_by(*order)
    if page.after is not None:
        wanted = wanted.filter(behind(order, _of_columns(rows.model, order, page.after)))
    found = list(wanted[page.offset : page.offset + page.limit + 1])
    shown = found[: page.limit]
    cursor = None
    if len(found) > page.limit:
        last = shown[-1]
        cursor = encode_cursor([getattr(last, _attribute(last, name)) for name in order])
    return page_response(request, [show(row) for row in shown], cursor=cursor, total=total)


def page_response(
    request: Request | HttpRequest,
    items: Sequence[object],
    *,
    cursor: str | None = None,
    total: int | None = None,
) -> Response:
    """A page whose rows were found by other means; ``cursor`` leads to the next one."""
    body: dict[str, object] = {"items": items}
    if total is not None:
        body["total"] = total
    if cursor is None:
        return Response(body)
    body["next"] = cursor
    query = request.GET.copy()
    query.pop("offset", None)
    query["cursor"] = cursor
    address = request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
    return Response(body, headers={"Link": f'<{address}>; rel="next"'})


def behind(order: Sequence[str], values: Sequence[Any]) -> Q:
    """Rows that sort after ``values``: ``a > 1 OR (a = 1 AND b > 2)``, and so on."""
    condition, equal = Q(), Q()
    for name, value in zip(order, values, strict=True):
        column = name.removeprefix("-")
        comparison = "lt" if name.startswith("-") else "gt"
        condition |= equal & Q(**{f"{column}__{comparison}": value})
        equal &= Q(**{column: value})
    # Redundant, but lets an index on the first column begin where the page does.
    first = order[0].removeprefix("-")
    bound = "lte" if order[0].startswith("-") else "gte"
    return Q(**{f"{first}__{bound}": values[0]}) & condition


def _of_columns(model: type[Model], order: Sequence[str], texts: tuple[Any, ...]) -> list[Any]:
    if len(texts) != len(order):
        raise bad_parameter("cursor", "belongs to another list")
    names = (name.removeprefix("-") for name in order)
    return [_typed(model, name, text) for name, text in zip(names, texts, strict=True)]


def _typed(model: type[Model], field: str, value: object) -> object:
    try:
        typed = _column(model, field).to_python(value)
    except (ValidationError, ValueError, OverflowError) as error:
        raise bad_parameter("cursor", "belongs to another list") from error
    if typed is None:
        raise bad_parameter("cursor", "belongs to another list")
    return typed


def _attribute(row: Model, name: str) -> str:
    field = name.removeprefix("-")
    return "pk" if field == "pk" else _column(type(row), field).attname


def _column(model: type[Model], name: str) -> Field[Any, Any]:
    field = model._meta.pk if name == "pk" else model._meta.get_field(name)
    if not isinstance(field, Field):
        raise TypeError(f"{model.__name__}.{name} is no column to sort by.")
    return field
