"""Each table of an export, by itself: all rows of one's own, none of a namesake, nothing secret."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from accounts import exports
from accounts.services import create_project
from odavl.wire.encoding import sha256_hex
from tests.cast import PASSWORD, Person
from tests.tenancy.keys import Bound, bound_key
from tests.tenancy.test_not_found import one_of_everything

pytestmark = pytest.mark.django_db

FILLED = {
    "autopilot-runs", "files", "guardian-screenshots", "guardian-tests", "insight-issues",
    "insight-runs", "jobs", "projects", "uploads",
}  # fmt: skip
"""Where the makers of one of everything make something in their project."""
SECRET_NAMES = {"password", "digest", "secret", "token", "pepper", "session", "key"}


def rows(owner: Person, project: Any, table: exports.Table) -> list[str]:
    found = table.rows(owner.organization, project)
    return [msgspec.json.encode(table.show(row)).decode() for row in found]


@pytest.fixture
def namesakes(alice: Person, charlie: Person) -> tuple[Bound, Bound]:
    """The same slugs, names, run ids and contents in two organizations."""
    bounds = []
    for person in (alice, charlie):
        create_project(by=person.principal, name="Blog")
        bound = bound_key(person, create_project(by=person.principal, name="Shop"))
        one_of_everything(person, bound)
        bounds.append(bound)
    return bounds[0], bounds[1]


def test_every_table_holds_ones_own_rows_alone(
    alice: Person, charlie: Person, namesakes: tuple[Bound, Bound]
) -> None:
    for table in exports.tables(of_project=False):
        mine, theirs = (rows(person, None, table) for person in (alice, charlie))
        assert len(mine) == len(theirs), table.name
        assert mine or table.name not in FILLED | {"audit", "members"}, table.name
        assert not set(mine) & set(theirs) - {"{}"}, table.name
        everything = "\n".join(mine)
        for foreign in (charlie.organization.slug, charlie.user.email, str(charlie.key.pk)):
            assert foreign not in everything, table.name


def test_a_projects_tables_hold_its_rows_alone(
    alice: Person, namesakes: tuple[Bound, Bound]
) -> None:
    shop = namesakes[0].project
    blog = alice.organization.projects.get(slug="blog")
    names = {table.name for table in exports.tables(of_project=True)}
    assert names == {table.name for table in exports.tables(of_project=False)} - {
        "audit",
        "members",
    }
    for table in exports.tables(of_project=True):
        found = rows(alice, blog, table)
        # Files that the whole organization may read are nobody's project's.
        assert len(found) == (1 if table.name == "projects" else 0), table.name
        assert set(rows(alice, shop, table)) <= set(rows(alice, None, table)), table.name
        assert rows(alice, shop, table) or table.name not in FILLED, table.name


def test_no_table_shows_a_secret(alice: Person, namesakes: tuple[Bound, Bound]) -> None:
    secrets = [alice.token, alice.key.digest, alice.user.password, PASSWORD, namesakes[0].token]
    secrets.append(sha256_hex(alice.token.encode()))
    for table in exports.tables(of_project=False):
        for row in rows(alice, None, table):
            assert [each for each in secrets if each in row] == [], table.name
            names = re.findall(r'"(\w+)":', row)
            assert [name for name in names if name.lower() in SECRET_NAMES] == [], table.name


def test_rows_come_in_one_order(alice: Person, namesakes: tuple[Bound, Bound]) -> None:
    for table in exports.tables(of_project=False):
        assert rows(alice, None, table) == rows(alice, None, table), table.name
        assert table.rows(alice.organization, None).ordered, table.name
