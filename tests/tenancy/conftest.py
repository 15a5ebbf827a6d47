"""Acme with two projects, and keys that are bound to one of them."""

from __future__ import annotations

import pytest

from accounts.services import create_project
from tests.cast import Person
from tests.tenancy.keys import Bound, bound_key


@pytest.fixture
def shop(alice: Person) -> Bound:
    return bound_key(alice, create_project(by=alice.principal, name="Shop"))


@pytest.fixture
def blog(alice: Person) -> Bound:
    return bound_key(alice, create_project(by=alice.principal, name="Blog"))
