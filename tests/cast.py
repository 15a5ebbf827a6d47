"""The cast of every test: Alice the owner, Bob the teammate, Charlie the stranger.

Alice owns the organization Acme, where Bob is a member; Charlie owns one of his own and must never
learn that Acme exists. Each has an API key with all that their role allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from accounts.models import ApiKey, Membership, Organization, Project, Role, User
from accounts.principal import Principal, principal_of_member
from accounts.services import add_member, create_api_key, create_owner, create_project, create_user

PASSWORD = "correct horse battery staple"


class Api(Client):
    """A client that speaks for one API key; failures come back as answers, as in production."""

    def __init__(self, token: str | None, **headers: str) -> None:
        if token is not None:
            headers = {"Authorization": f"Bearer {token}", **headers}
        super().__init__(headers=headers, raise_request_exception=False)

    def send(self, method: str, path: str, document: Any = None, **headers: str) -> Any:
        """``document`` as JSON to ``/api/v1`` + ``path``."""
        call = getattr(super(), method.lower())
        return call(f"/api/v1{path}", document, content_type="application/json", headers=headers)


@dataclass(frozen=True)
class Person:
    user: User
    membership: Membership
    organization: Organization
    principal: Principal
    key: ApiKey
    token: str

    @property
    def api(self) -> Api:
        """A fresh client with this person's key."""
        return Api(self.token)

    def page(self) -> Client:
        """A browser in which this person is signed in."""
        client = Client()
        client.force_login(self.user)
        return client


@pytest.fixture
def alice(db: None) -> Person:
    """The owner of Acme."""
    owner = create_owner(
        email="alice@example.com", password=PASSWORD, organization_name="Acme", name="Alice"
    )
    return _person(owner.membership, scopes=("all",))


@pytest.fixture
def bob(alice: Person) -> Person:
    """A member of Acme: reads and writes, administers nothing."""
    user = create_user(email="bob@example.com", password=PASSWORD, name="Bob")
    membership = add_member(user=user, role=Role.MEMBER, by=alice.membership)
    scopes = tuple(sorted(principal_of_member(membership).scopes))
    return _person(membership, scopes=scopes, maker=alice.principal)


@pytest.fixture
def charlie(db: None) -> Person:
    """A stranger: the owner of another organization."""
    owner = create_owner(
        email="charlie@example.com", password=PASSWORD, organization_name="Globex", name="Charlie"
    )
    return _person(owner.membership, scopes=("all",))


@pytest.fixture
def website(alice: Person) -> Project:
    """A project of Acme."""
    return create_project(by=alice.principal, name="Website")


@pytest.fixture
def anonymous(db: None) -> Api:
    """Nobody: a client without a key."""
    return Api(None)


def _person(
    membership: Membership, *, scopes: tuple[str, ...], maker: Principal | None = None
) -> Person:
    principal = principal_of_member(membership)
    if scopes == ("all",):
        scopes = tuple(sorted(principal.scopes))
    key, token = create_api_key(
        by=maker or principal, name=f"{membership.user.name}'s key", scopes=scopes
    )
    return Person(membership.user, membership, membership.organization, principal, key, token)
