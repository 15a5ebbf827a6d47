"""Pages of issues for people: filters from the address, sorting, and cursors both ways."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from accounts.paging import decode_cursor, encode_cursor
from insight.models import Issue, Severity, Stream, Triage
from odavl.wire.errors import MalformedRequest
from odavl.wire.limits import MAX_PATH_LENGTH, MAX_RULE_LENGTH

RowT = TypeVar("RowT", bound=Model)
_MAX_TEXT_LENGTH = 200

STATES: Mapping[str, Any] = {
    "open": _("Open"),
    "accepted": _("Accepted"),
    "false-positive": _("False positive"),
    "suppressed": _("Suppressed in the code"),
    "fixed": _("Fixed"),
    "all": _("All"),
}
SORTS: Mapping[str, Any] = {
    "severity": _("Severity"),
    "newest": _("Newest first"),
    "oldest": _("Oldest first"),
    "path": _("Path"),
}
_ORDERS: Mapping[str, tuple[str, ...]] = {
    "severity": ("-severity", "id"),
    "newest": ("-introduced", "id"),
    "oldest": ("introduced", "id"),
    "path": ("path", "line", "id"),
}
_STATE_FILTERS: Mapping[str, Q] = {
    "open": Q(resolved=None, suppressed=False, triage=Triage.OPEN),
    "accepted": Q(resolved=None, triage=Triage.ACCEPTED),
    "false-positive": Q(resolved=None, triage=Triage.FALSE_POSITIVE),
    "suppressed": Q(resolved=None, suppressed=True),
    "fixed": Q(resolved__isnull=False),
    "all": Q(),
}


@dataclass(frozen=True, slots=True)
class IssueFilters:
    """What the address asks for; what it cannot mean is left out, as a person may have typed it."""

    q: str = ""
    severity: tuple[str, ...] = ()
    state: str = "open"
    detector: str = ""
    rule: str = ""
    path: str = ""
    new: bool = False
    sort: str = "severity"

    @classmethod
    def read(cls, query: QueryDict) -> IssueFilters:
        state, sort = query.get("state", ""), query.get("sort", "")
        known = [severity.name.lower() for severity in Severity]
        return cls(
            q=_text(query, "q", _MAX_TEXT_LENGTH),
            severity=tuple(name for name in known if name in query.getlist("severity")),
            state=state if state in STATES else "open",
            detector=_text(query, "detector", _MAX_TEXT_LENGTH),
            rule=_text(query, "rule", MAX_RULE_LENGTH),
            path=_text(query, "path", MAX_PATH_LENGTH),
            new=query.get("new") == "1",
            sort=sort if sort in SORTS else "severity",
        )

    @property
    def narrowed(self) -> bool:
        """Whether this is anything else than all open issues."""
        plain = IssueFilters(sort=self.sort)
        return self != plain

    @property
    def order(self) -> tuple[str, ...]:
        return _ORDERS[self.sort]


def filtered_issues(stream: Stream, filters: IssueFilters) -> QuerySet[Issue]:
    """The stream's issues that the filters let through, in no order."""
    issues: QuerySet[Issue] = Issue.objects.for_organization(stream.organization)
    return issues.filter(_condition(stream, filters), stream=stream)


def _condition(stream: Stream, filters: IssueFilters) -> Q:
    wanted = _STATE_FILTERS[filters.state]
    if filters.severity:
        wanted &= Q(severity__in=[Severity[name.upper()] for name in filters.severity])
    if filters.detector:
        wanted &= Q(detector=filters.detector)
    if filters.rule:
        wanted &= Q(rule=filters.rule)
    if filters.path:
        wanted &= Q(path__startswith=filters.path)
    if filters.new:
        wanted &= Q(introduced=stream.last_sequence)
    if filters.q:
        fields = ("message", "rule", "path")
        texts = (Q(**{f"{name}__icontains": filters.q}) for name in fields)
        wanted &= reduce(operator.or_, texts)
    return wanted


def _text(query: QueryDict, name: str, longest: int) -> str:
    return query.get(name, "").replace("\x00", "").strip()[:longest]


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
    directed = [_turned(name) for name in order] if backwards else list(order)
    wanted = rows.order_by(*directed)
    if values is not None:
        try:
            wanted = wanted.filter(_behind(directed, values))
        except (TypeError, ValueError):
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


def _read_cursor(cursor: str, width: int) -> tuple[bool, tuple[Any, ...] | None]:
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


def _turned(name: str) -> str:
    return name[1:] if name.startswith("-") else f"-{name}"


def _behind(order: Sequence[str], values: Sequence[Any]) -> Q:
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
