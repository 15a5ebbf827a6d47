"""What an organization's data consists of, said by the rooms that keep it.

Owners register their tables in the ``ready`` of their ``apps.py``; ``teams.exports`` makes an
archive of them all. No table shows a secret, nor bytes that people uploaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from accounts.models import Organization, Project
from accounts.scoping import OrganizationScoped

Rows = Callable[[Organization, "Project | None"], QuerySet[Any]]


@dataclass(frozen=True, slots=True)
class Table:
    """``rows`` are those of the organization or of one project, with a unique order.

    ``show`` makes of each a struct or dict that JSON can hold. ``of_projects`` is False for what
    belongs to the organization as a whole: a project's export is without it.
    """

    name: str
    rows: Rows
    show: Callable[[object], object]
    of_projects: bool


_tables: dict[str, Table] = {}


def register(
    name: str, rows: Rows, show: Callable[[Any], object], *, of_projects: bool = True
) -> None:
    """Have the rows exported as ``<name>.ndjson``.

    Raises :class:`ValueError` for a second table of that name.
    """
    if name in _tables:
        raise ValueError(f"There is a table {name!r}.")
    _tables[name] = Table(name, rows, show, of_projects)


def unregister(name: str) -> None:
    del _tables[name]


def tables(*, of_project: bool) -> tuple[Table, ...]:
    """Those of an organization's export, or of a project's, by name."""
    found = (_tables[name] for name in sorted(_tables))
    return tuple(table for table in found if table.of_projects or not of_project)


def in_project(
    model: type[OrganizationScoped], lookup: str = "project"
) -> Callable[[Organization, Project | None], QuerySet[Any]]:
    """The rows of ``model``, by primary key, whose ``lookup`` leads to their project."""

    def rows(organization: Organization, project: Project | None) -> QuerySet[Any]:
        found: QuerySet[Any] = model.objects.for_organization(organization)
        if project is not None:
            found = found.filter(**{lookup: project.pk})
        return found.order_by("pk")

    return rows
