"""Which rows of a list are wanted: the same words in the pages' addresses, the API and its schema.

A room says its words once, as a :class:`Filter`; reading, documenting and applying them follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from django.db.models import Model, Q, QuerySet
from django.utils.functional import Promise

from frame.documentation import Parameter
from frame.paging import moment_of, one_of
from odavl.wire import limits
from odavl.wire.encoding import shortened

RowT = TypeVar("RowT", bound=Model)


@dataclass(frozen=True, slots=True)
class Criterion:
    """One query parameter and what it means; empty means any."""

    name: str
    description: str
    condition: Callable[[Mapping[str, str]], Q]
    """Raises :class:`~odavl.wire.errors.MalformedRequest` that points at the parameter."""
    schema: Mapping[str, Any]

    def parameter(self) -> Parameter:
        """As OpenAPI is told of it."""
        return Parameter(self.name, self.description, self.schema)


def choice(name: str, description: str, conditions: Mapping[str, Q]) -> Criterion:
    """One of the words that ``conditions`` has."""

    def condition(query: Mapping[str, str]) -> Q:
        word = one_of(query, name, conditions)
        return conditions[word] if word else Q()

    schema = {"type": "string", "enum": list(conditions)}
    return Criterion(name, description, condition, schema)


def text(
    name: str, description: str, lookup: str, *, most: int = limits.MAX_RUN_ID_LENGTH
) -> Criterion:
    """A text, taken literally, in the form in which a column of ``most`` characters holds it."""

    def condition(query: Mapping[str, str]) -> Q:
        wanted = shortened(query.get(name, ""), most)
        return Q(**{lookup: wanted}) if wanted else Q()

    return Criterion(name, description, condition, {"type": "string"})


def moment(name: str, description: str, lookup: str) -> Criterion:
    """A point in time."""

    def condition(query: Mapping[str, str]) -> Q:
        wanted = moment_of(query, name)
        return Q(**{lookup: wanted}) if wanted else Q()

    return Criterion(name, description, condition, {"type": "string", "format": "date-time"})


class Sort(NamedTuple):
    """``columns`` are never NULL and together tell every two rows apart."""

    label: Promise
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a query wants. ``words`` are its own, for a form to show again."""

    words: Mapping[str, str]
    condition: Q
    order: tuple[str, ...]

    @property
    def is_narrowed(self) -> bool:
        return bool(self.condition)

    def apply(self, rows: QuerySet[RowT]) -> QuerySet[RowT]:
        return rows.filter(self.condition)


@dataclass(frozen=True, slots=True)
class Filter:
    """The words of one list. The first of ``sorts`` is the order where none is asked for."""

    criteria: tuple[Criterion, ...]
    sorts: Mapping[str, Sort]

    def read(self, query: Mapping[str, str]) -> Wanted:
        """Raises :class:`~odavl.wire.errors.MalformedRequest` that points at the parameter."""
        condition = Q()
        for criterion in self.criteria:
            condition &= criterion.condition(query)
        sort = one_of(query, "sort", self.sorts) or next(iter(self.sorts))
        words = {each.name: query.get(each.name, "") for each in self.criteria}
        return Wanted(words | {"sort": sort}, condition, self.sorts[sort].columns)

    def parameters(self) -> tuple[Parameter, ...]:
        """As OpenAPI is told of them."""
        schema = {"type": "string", "enum": list(self.sorts), "default": next(iter(self.sorts))}
        criteria = (criterion.parameter() for criterion in self.criteria)
        return (*criteria, Parameter("sort", "The order.", schema))
