"""Statements written by hand give what the models would."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEvent, Organization, Project
from accounts.queries import project_by_slug
from frame.database.prepared import Statement
from tests.cast import Person


def test_a_project_is_found_by_its_slug_in_its_organization(
    alice: Person, charlie: Person, website: Project
) -> None:
    found = project_by_slug(alice.organization, "website")
    assert found == website
    for field in Project._meta.concrete_fields:
        assert getattr(found, field.attname) == getattr(website, field.attname)
    assert not found._state.adding
    assert project_by_slug(charlie.organization, "website") is None
    assert project_by_slug(alice.organization, "another") is None


def test_an_outer_join_that_finds_nothing_gives_none_and_other_columns_follow(
    alice: Person,
) -> None:
    row = Statement(
        "SELECT {columns}, 1 + 1, 'more' FROM accounts_organization"
        " LEFT JOIN accounts_project ON accounts_project.organization_id = accounts_organization.id"
        " WHERE accounts_organization.id = %s",
        Organization,
        Project,
    ).first([alice.organization.pk])
    assert row == [alice.organization, None, 2, "more"]


def test_what_is_left_out_is_read_when_it_is_asked_for(website: Project) -> None:
    statement = Statement("SELECT {columns} FROM accounts_project", Project, without={"name"})
    (found,) = statement.first([])
    assert found.get_deferred_fields() == {"name"}
    with CaptureQueriesContext(connection) as queries:
        assert found.slug == "website"
        assert found.name == website.name
    assert len(queries) == 1


def test_the_last_of_several_statements_answers(website: Project) -> None:
    statement = Statement(
        "UPDATE accounts_project SET name = %s; SELECT {columns} FROM accounts_project", Project
    )
    (found,) = statement.first(["Shop"])
    assert found.name == "Shop"


def test_columns_that_need_djangos_help_are_refused(db: None) -> None:
    with pytest.raises(TypeError, match="AuditEvent"):
        Statement("SELECT {columns} FROM accounts_auditevent", AuditEvent).first([])
