"""Which issues of a stream are wanted: the same words in the pages' addresses and in the API."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.db.models import CharField, F, Lookup, Q, QuerySet, TextField
from django.db.models.functions import Collate
from django.http import QueryDict

from insight.models import Issue, Triage
from insight.rows import SEVERITY_OF_NAME
from odavl.wire import limits
from odavl.wire.errors import FieldError, MalformedRequest

STATES = ("open", "accepted", "false-positive", "suppressed", "fixed", "reopened", "all")
"""``open`` is what still asks for work; ``reopened`` those of them that had been fixed before."""

SORTS: dict[str, tuple[str, ...]] = {
    "severity": ("-severity", "id"),
    "path": ("path", "line", "id"),
    "newest": ("-introduced", "id"),
    "rule": ("rule", "path", "line", "id"),
}


@CharField.register_lookup
@TextField.register_lookup
class HoldsText(Lookup):  # type: ignore[type-arg]  # generic in the stubs alone
    """``LIKE`` whatever the case of ASCII letters.

    Django's ``icontains`` upper-cases every row by the rules of the database's language, which
    takes half as long again over a hundred thousand messages.
    """

    lookup_name = "holds"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        left, left_parameters = self.process_lhs(compiler, connection)
        pattern = str(self.rhs).replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
        return f"{left} ILIKE %s", [*left_parameters, f"%{pattern}%"]


@dataclass(frozen=True, slots=True)
class IssueFilter:
    """Empty means any. ``path`` is a file, a folder (ending in ``/``), or a pattern with ``*``."""

    severities: tuple[str, ...] = ()
    detectors: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    path: str = ""
    state: str = "open"
    only_new: bool = False
    """Introduced by the latest run."""
    text: str = ""
    """In message, rule or path."""
    sort: str = "severity"

    @classmethod
    def from_query(cls, query: QueryDict) -> IssueFilter:
        """The filter in a query string; values may be repeated or separated by commas.

        Raises :class:`MalformedRequest` that points at the parameter that cannot be.
        """
        severities = _words(query, "severity")
        for severity in severities:
            _one_of("severity", severity, tuple(SEVERITY_OF_NAME))
        return cls(
            severities=severities,
            detectors=_words(query, "detector"),
            rules=_words(query, "rule"),
            path=_text(query, "path", limits.MAX_PATH_LENGTH),
            state=_one_of("state", query.get("state") or "open", STATES),
            only_new=_flag(query, "new"),
            text=_text(query, "text", limits.MAX_NAME_LENGTH),
            sort=_one_of("sort", query.get("sort") or "severity", tuple(SORTS)),
        )

    def to_query(self) -> dict[str, list[str]]:
        """What :meth:`from_query` reads, defaults left out."""
        values = {
            "severity": list(self.severities),
            "detector": list(self.detectors),
            "rule": list(self.rules),
            "path": [self.path],
            "state": [self.state if self.state != "open" else ""],
            "new": ["true" if self.only_new else ""],
            "text": [self.text],
            "sort": [self.sort if self.sort != "severity" else ""],
        }
        return {name: kept for name, words in values.items() if (kept := list(filter(None, words)))}

    @property
    def is_narrowed(self) -> bool:
        """Whether it leaves out any open issue."""
        return replace(self, sort="severity") != IssueFilter()

    def apply(self, issues: QuerySet[Issue], *, latest_sequence: int) -> QuerySet[Issue]:
        """``issues`` of one stream, narrowed; unordered."""
        found = issues.filter(_in_state(self.state))
        if self.severities:
            found = found.filter(severity__in=[SEVERITY_OF_NAME[name] for name in self.severities])
        if self.detectors:
            found = found.filter(detector__in=self.detectors)
        if self.rules:
            found = found.filter(rule__in=self.rules)
        if self.path:
            found = found.filter(_at_path(self.path))
        if self.only_new:
            found = found.filter(introduced=latest_sequence)
        if self.text:
            found = found.alias(
                plain_message=Collate(F("message"), "C"),
                plain_rule=Collate(F("rule"), "C"),
                plain_path=Collate(F("path"), "C"),
            ).filter(
                Q(plain_message__holds=self.text)
                | Q(plain_rule__holds=self.text)
                | Q(plain_path__holds=self.text)
            )
        return found


_UNRESOLVED = Q(resolved__isnull=True)


def _in_state(state: str) -> Q:
    present = _UNRESOLVED & Q(suppressed=False)
    return {
        "open": present & Q(triage=Triage.OPEN),
        "reopened": present & Q(triage=Triage.OPEN, reopenings__gt=0),
        "accepted": present & Q(triage=Triage.ACCEPTED),
        "false-positive": present & Q(triage=Triage.FALSE_POSITIVE),
        "suppressed": _UNRESOLVED & Q(suppressed=True),
        "fixed": Q(resolved__isnull=False),
        "all": Q(),
    }[state]


def _at_path(path: str) -> Q:
    if "*" in path:
        before, *middle, after = path.split("*")
        found = Q(path__startswith=before) & Q(path__endswith=after)
        for part in filter(None, middle):
            found &= Q(path__contains=part)
        return found
    return Q(path__startswith=path) if path.endswith("/") else Q(path=path)


def _words(query: QueryDict, name: str) -> tuple[str, ...]:
    words = (word.strip() for value in query.getlist(name) for word in value.split(","))
    found = tuple(dict.fromkeys(filter(None, words)))
    if len(found) > limits.MAX_PAGE_SIZE:
        raise _bad(name, "has too many values")
    return found


def _text(query: QueryDict, name: str, limit: int) -> str:
    value = query.get(name, "").strip()
    if len(value) > limit or "\x00" in value:
        raise _bad(name, f"must be a text of at most {limit} characters")
    return value


def _flag(query: QueryDict, name: str) -> bool:
    return _one_of(name, query.get(name) or "false", ("true", "false", "1", "0")) in ("true", "1")


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise _bad(name, f"must be one of {', '.join(allowed)}")
    return value


def _bad(name: str, detail: str) -> MalformedRequest:
    return MalformedRequest(
        f"The parameter {name} {detail}.", errors=(FieldError(f"/query/{name}", "invalid", detail),)
    )
