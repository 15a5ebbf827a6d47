"""Who is signed in, projects and API keys, as the hub tells them to the command line."""

from __future__ import annotations

import msgspec


class UserSummary(msgspec.Struct, kw_only=True, rename="camel"):
    id: str
    email: str
    name: str = ""


class OrganizationSummary(msgspec.Struct, kw_only=True, rename="camel"):
    id: str
    slug: str
    name: str


class KeySummary(msgspec.Struct, kw_only=True, rename="camel"):
    """An API key without its secret. Times are ISO 8601."""

    id: str
    name: str
    scopes: list[str]
    project_id: str | None = None
    expires_at: str | None = None
    created_at: str | None = None
    last_used_at: str | None = None
    revoked_at: str | None = None


class CreatedKey(KeySummary, kw_only=True):
    """201 of ``POST /api/v1/api-keys``: the one time that ``key`` is shown."""

    key: str


class WhoAmI(msgspec.Struct, kw_only=True, rename="camel"):
    """``GET /api/v1/auth/whoami``; ``user`` is None for a key that belongs to no person."""

    organization: OrganizationSummary
    user: UserSummary | None = None
    key: KeySummary | None = None


class ProjectSummary(msgspec.Struct, kw_only=True, rename="camel"):
    id: str
    slug: str
    name: str
    git_remote: str | None = None
    default_branch: str | None = None
    url: str = ""


class ProjectPage(msgspec.Struct, kw_only=True, rename="camel"):
    """``next`` is the address of the page that follows, or a cursor for it."""

    items: list[ProjectSummary]
    next: str | None = None


class KeyPage(msgspec.Struct, kw_only=True, rename="camel"):
    items: list[KeySummary]
    next: str | None = None
