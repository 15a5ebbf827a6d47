"""Who is asking: what authentication found out, in one object that everything else reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from accounts.roles import scopes_of_role
from odavl.wire.errors import MissingScope, NotAuthenticated, WrongScope
from odavl.wire.scopes import implied

if TYPE_CHECKING:
    from uuid import UUID

    from django.http import HttpRequest
    from rest_framework.request import Request

    from accounts.models import ApiKey, Membership, Organization, Project, User


@dataclass(frozen=True, slots=True)
class Principal:
    """An API key or a member, and the organization it acts in.

    ``project`` is the one project it is held to, None where it may see them all. ``scopes`` holds
    implied scopes too, so that membership in it is the whole test.
    """

    organization: Organization
    project: Project | None
    scopes: frozenset[str]
    key: ApiKey | None = None
    member: User | None = None
    """The person in the browser; a key's person is its maker."""

    @property
    def user(self) -> User | None:
        """The person behind it, None for a key whose maker is gone. For a key this is a query."""
        return self.member if self.key is None else self.key.created_by

    @property
    def user_id(self) -> int | None:
        """The id of :attr:`user`, without a query."""
        if self.key is not None:
            return self.key.created_by_id
        return self.member.pk if self.member else None

    @property
    def key_project(self) -> Project | None:
        """The project that the key itself is bound to; a header may narrow ``project`` further."""
        return self.key.project if self.key else None

    @property
    def is_authenticated(self) -> bool:
        """What Django REST framework asks of a user."""
        return True

    def may(self, scope: str) -> bool:
        return scope in self.scopes

    def require(self, scope: str) -> None:
        """Raise :class:`MissingScope` unless ``scope`` is granted."""
        if scope not in self.scopes:
            raise MissingScope(f"This needs the scope {scope}.")

    def require_project(self, project_id: UUID | None) -> None:
        """Raise :class:`WrongScope` where it is held to a project and that is another one.

        None stands for what belongs to no project, hence to the whole organization.
        """
        if self.project is not None and self.project.pk != project_id:
            raise WrongScope(f"The key is bound to the project {self.project.slug}.")


def principal_of_key(key: ApiKey, project: Project | None) -> Principal:
    """``key`` with its related rows loaded; ``project`` as narrowed by the request."""
    return Principal(
        organization=key.organization,
        project=project,
        scopes=implied(key.scopes),
        key=key,
    )


def principal_of_member(membership: Membership) -> Principal:
    """A person in the browser; the role says what they may do."""
    return Principal(
        organization=membership.organization,
        project=None,
        scopes=scopes_of_role(membership.role),
        member=membership.user,
    )


def principal_of(request: Request | HttpRequest) -> Principal:
    """The principal of an authenticated API request; :class:`NotAuthenticated` without one."""
    user = getattr(request, "user", None)
    if isinstance(user, Principal):
        return user
    raise NotAuthenticated("This needs an API key.")
