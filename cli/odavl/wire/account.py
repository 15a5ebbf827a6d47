"""Who is signed in, projects, API keys and the audit log: what both sides say about them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from odavl.wire import limits

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""ISO 8601 with its zone."""

Id = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]

Name = Annotated[
    str, Meta(min_length=1, max_length=limits.MAX_NAME_LENGTH, pattern=r"^[^\x00-\x1f\x7f]*$")
]
"""One line of text."""

GitRemote = Annotated[str, Meta(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
Branch = Annotated[
    str, Meta(min_length=1, max_length=limits.MAX_BRANCH_LENGTH, pattern=r"^[^\x00-\x20\x7f]*$")
]


class UserSummary(msgspec.Struct, kw_only=True, rename="camel"):
    id: str
    email: str
    name: str = ""


class OrganizationSummary(msgspec.Struct, kw_only=True, rename="camel"):
    id: Id
    slug: str
    name: str


class KeySummary(msgspec.Struct, kw_only=True, rename="camel"):
    """An API key without its secret; ``hint`` is the end of it."""

    id: Id
    name: str
    scopes: list[str]
    hint: str = ""
    project_id: Id | None = None
    expires_at: Time | None = None
    created_at: Time | None = None
    last_used_at: Time | None = None
    revoked_at: Time | None = None


class CreatedKey(KeySummary, kw_only=True):
    """201 of ``POST /api/v1/api-keys``: the one time that ``key`` is shown."""

    key: str


class NewKey(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """``POST /api/v1/api-keys``: either ``scopes`` or a ``preset``."""

    name: Name
    scopes: Annotated[list[str], Meta(max_length=64)] | None = None
    preset: Literal["all", "ci", "read-only"] | None = None
    project_id: str | None = None
    """The one project that the key is bound to: its id or slug."""
    expires_at: Time | None = None


class WhoAmI(msgspec.Struct, kw_only=True, rename="camel"):
    """``GET /api/v1/auth/whoami``; ``user`` is None for a key that belongs to no person."""

    organization: OrganizationSummary
    user: UserSummary | None = None
    key: KeySummary | None = None


class ProjectSummary(msgspec.Struct, kw_only=True, rename="camel"):
    id: Id
    slug: str
    name: str
    git_remote: str | None = None
    default_branch: str | None = None
    created_at: Time | None = None
    url: str = ""


class NewProject(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """``POST /api/v1/projects``; the slug is made from the name."""

    name: Name
    git_remote: GitRemote = ""
    default_branch: Branch = "main"


class ProjectChange(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """``PATCH /api/v1/projects/{id}``: what is left out stays as it is."""

    name: Name | UnsetType = UNSET
    git_remote: GitRemote | UnsetType = UNSET
    default_branch: Branch | UnsetType = UNSET


class AuditEntry(msgspec.Struct, kw_only=True, rename="camel"):
    """Who did what to which thing; ``actor`` is an e-mail address, ``actor_key`` a key's name."""

    id: str
    action: str
    target: str
    actor: str | None
    actor_key: str | None
    details: dict[str, Any]
    ip_address: str | None
    request_id: str
    created_at: Time


class ProjectPage(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """``next`` is a cursor for the page that follows."""

    items: list[ProjectSummary]
    total: int | None = None
    next: str | None = None


class KeyPage(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    items: list[KeySummary]
    total: int | None = None
    next: str | None = None


class AuditPage(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    items: list[AuditEntry]
    total: int | None = None
    next: str | None = None
