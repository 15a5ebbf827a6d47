"""Row 52 of what must go wrong without harm: two versions of the hub against one schema.

While a hub is deployed, the version before goes on writing after the migrations have run. What it
does not know must therefore have a default in the database, and nothing that it knows may go.
"""

from __future__ import annotations

import pytest
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import (
    AddField,
    AddIndex,
    AlterField,
    CreateModel,
    DeleteModel,
    RemoveField,
    RenameField,
    RenameModel,
)
from django.db.migrations.operations.base import Operation
from django.db.models import NOT_PROVIDED, Field, Index, ManyToManyField, TextField

from tests.rooms import ROOMS

LARGE = {("insight", "issue"), ("insight", "pastinterval"), ("jobs", "job")}
"""Tables that a plain CREATE INDEX would lock for longer than a deployment may take."""

FIRST = {("insight", "0002_initial")}
"""The second half of a first migration: there is no version before it."""


def migrations() -> list[tuple[str, str]]:
    found = MigrationLoader(None).disk_migrations
    later = [key for key in found if key[0] in ROOMS and not key[1].startswith("0001")]
    return sorted(set(later) - FIRST)


def fault_of(room: str, operation: Operation) -> str:
    """Why the version before cannot go on beside ``operation``; empty where it can."""
    if isinstance(operation, RemoveField | RenameField | DeleteModel | RenameModel):
        return "takes away what the version before uses"
    if isinstance(operation, AddField) and not _may_be_left_out(operation.field):
        return "adds a column that the version before does not fill in"
    if type(operation) is AddIndex and (room, operation.model_name_lower) in LARGE:
        return "locks a large table; use AddIndexConcurrently"
    return ""


def _may_be_left_out(field: Field[object, object]) -> bool:
    has_column = not isinstance(field, ManyToManyField)
    return not has_column or field.null or field.db_default is not NOT_PROVIDED


@pytest.mark.parametrize("key", migrations(), ids=".".join)
def test_row_52_the_version_before_works_against_the_schema(key: tuple[str, str]) -> None:
    migration = MigrationLoader(None).disk_migrations[key]
    made = {each.name_lower for each in migration.operations if isinstance(each, CreateModel)}
    faults = [
        f"{operation.describe()}: {fault}"
        for operation in migration.operations
        if getattr(operation, "model_name_lower", None) not in made
        and (fault := fault_of(key[0], operation))
    ]
    assert faults == []


@pytest.mark.parametrize(
    ("operation", "is_refused"),
    [
        (AddField("job", "note", TextField()), True),
        (AddField("job", "note", TextField(default="")), True),
        (AddField("job", "note", TextField(null=True)), False),
        (AddField("job", "note", TextField(db_default="")), False),
        (RemoveField("job", "project"), True),
        (RenameField("job", "project", "about"), True),
        (AlterField("job", "note", TextField(null=True)), False),
        (AddIndex("job", Index(fields=["type"], name="job_type")), True),
        (AddIndexConcurrently("job", Index(fields=["type"], name="job_type")), False),
    ],
)
def test_row_52_what_would_break_the_version_before_is_found(
    operation: Operation, is_refused: bool
) -> None:
    assert bool(fault_of("jobs", operation)) is is_refused
