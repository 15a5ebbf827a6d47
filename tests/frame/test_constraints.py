"""What the database refuses is told as what it is, and as nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import Organization, Role
from accounts.services import (
    add_member,
    create_organization,
    create_project,
    create_user,
    find_or_create_project,
)
from frame.database.errors import violates
from odavl.wire.errors import Duplicate
from tests.cast import PASSWORD, Person

Work = Callable[[Person], Any]

WORKS: dict[str, tuple[str, str, Work]] = {
    "user": (
        "accounts_user",
        "email NOT LIKE 'odd%'",
        lambda _: create_user(email="odd@example.com", password=PASSWORD),
    ),
    "member": (
        "accounts_membership",
        "role <> 'viewer'",
        lambda alice: add_member(
            user=create_user(email="odd@example.com", password=PASSWORD),
            role=Role.VIEWER,
            by=alice.membership,
        ),
    ),
    "organization": (
        "accounts_organization",
        "name <> 'Odd'",
        lambda alice: create_organization(name="Odd", owner=alice.user),
    ),
    "project": (
        "accounts_project",
        "name <> 'Odd'",
        lambda alice: create_project(by=alice.principal, name="Odd"),
    ),
    "project of an upload": (
        "accounts_project",
        "name <> 'Odd'",
        lambda alice: find_or_create_project(alice.principal, project_name="Odd"),
    ),
}


@pytest.mark.parametrize("name", WORKS)
def test_another_rule_of_the_database_travels_up(alice: Person, name: str) -> None:
    """A rule that a later version, or an operator, may have added."""
    table, rule, work = WORKS[name]
    with connection.cursor() as cursor:
        # What is deferred to the end of the transaction stands against a change of the table.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT odd CHECK ({rule})")
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        work(alice)
    assert violates(refused.value, "odd")
    assert not violates(refused.value, "user_email_unique", "project_slug_unique")


def test_what_is_taken_is_told_so(alice: Person, bob: Person) -> None:
    create_project(by=alice.principal, name="Taken")
    for work in (
        lambda: create_project(by=alice.principal, name="taken"),
        lambda: create_user(email="Alice@example.com", password=PASSWORD),
        lambda: add_member(user=bob.user, role=Role.MEMBER, by=alice.membership),
    ):
        with pytest.raises(Duplicate):
            work()


def test_the_name_that_an_address_is_known_by(alice: Person) -> None:
    """Two take the same address at once; the second gets the next number."""
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        Organization.objects.create(slug="acme", name="Acme")
    assert violates(refused.value, "accounts_organization_slug_key")
    assert create_organization(name="Acme", owner=alice.user).slug == "acme-2"
