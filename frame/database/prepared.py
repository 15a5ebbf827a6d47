"""Statements written by hand, answered with instances of the models.

For what every upload asks: building a statement from the models takes 0.3 ms, one that is written
down 0.02 ms. Each says for itself whose rows it reads; nothing here does.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from itertools import islice
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Model


class Statement:
    """A statement whose rows begin with those of ``models``, one after the other.

    They go where ``text`` says ``{columns}``. Fields named in ``without`` are loaded when they are
    read, as with ``QuerySet.defer``. Several statements in one ``text`` are one round trip, each
    sees what was committed before it began, and the last one answers.
    """

    def __init__(self, text: str, *models: type[Model], without: Collection[str] = ()) -> None:
        self._text = text
        self._models = models
        self._without = without

    def one(self, parameters: list[Any]) -> list[Any]:
        """As :meth:`first`, of a statement that always has a row. Raises :class:`LookupError`."""
        row = self.first(parameters)
        if row is None:
            raise LookupError("A statement that always has a row had none.")
        return row

    def first(self, parameters: list[Any]) -> list[Any] | None:
        """The first row: an instance of each model, then the other columns; None without a row.

        Where an outer join found nothing, None is in the instance's place.
        """
        with connection.cursor() as cursor:
            cursor.execute(self._statement, parameters)
            row = cursor.fetchone()
        if row is None:
            return None
        values = iter(row)
        found: list[object] = []
        for model, names in zip(self._models, self._names, strict=True):
            found.append(_instance(model, names, tuple(islice(values, len(names)))))
        return [*found, *values]

    @cached_property
    def _statement(self) -> str:
        columns = ", ".join(
            f'"{model._meta.db_table}"."{field.column}"'
            for model in self._models
            for field in self._fields(model)
        )
        return self._text.replace("{columns}", columns)

    @cached_property
    def _names(self) -> list[list[str]]:
        return [[field.attname for field in self._fields(model)] for model in self._models]

    def _fields(self, model: type[Model]) -> list[Any]:
        every: tuple[Any, ...] = model._meta.concrete_fields
        fields = [field for field in every if field.name not in self._without]
        if any(field.get_db_converters(connection) for field in fields):
            raise TypeError(f"{model.__name__} has columns that Django must convert.")
        return fields


def _instance(model: type[Model], names: list[str], values: tuple[object, ...]) -> Model | None:
    # Every model here has its key first.
    if values[0] is None:
        return None
    return model.from_db(DEFAULT_DB_ALIAS, names, values)
