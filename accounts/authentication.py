"""``Authorization: Bearer odavl_…``: one query finds the key, its organization and its project."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.models import ApiKey, Organization, Project
from accounts.principal import Principal, principal_of_key
from accounts.throttles import wrong_key
from frame.database.clock import database_now
from frame.database.prepared import Statement
from odavl.wire.api_keys import is_well_formed
from odavl.wire.errors import KeyExpired, KeyRevoked, NotAuthenticated, WrongScope

_LAST_USED_STEP = timedelta(minutes=1)
# The key says which organization it belongs to, so this one look-up cannot be scoped.
_KEY = Statement(
    "SELECT {columns} FROM accounts_apikey"
    " JOIN accounts_organization ON accounts_organization.id = accounts_apikey.organization_id"
    " LEFT JOIN accounts_project ON accounts_project.id = accounts_apikey.project_id"
    " WHERE accounts_apikey.digest = %s",
    ApiKey,
    Organization,
    Project,
)


def key_by_digest(digest: str) -> ApiKey | None:
    """The key, its related rows loaded, whether it is still good or not; None if unknown."""
    row = _KEY.first([digest])
    if row is None:
        return None
    key: ApiKey
    key, key.organization, project = row
    if project is not None:
        key.project = project
    return key


def digest_of_key(key: str) -> str:
    """The HMAC-SHA256 under which a key is found again, 64 hex digits."""
    return hmac.new(settings.API_KEY_PEPPER.encode(), key.encode(), hashlib.sha256).hexdigest()


class ApiKeyAuthentication(BaseAuthentication):
    """Sets ``request.user`` to a :class:`Principal` and ``request.auth`` to the :class:`ApiKey`."""

    def authenticate(self, request: Request) -> tuple[Principal, ApiKey] | None:
        """None without an ``Authorization`` header; raises for anything but a valid key."""
        header = request.META.get("HTTP_AUTHORIZATION")
        if header is None:
            return None
        try:
            key = _find(_bearer_token(header))
        except (KeyExpired, KeyRevoked):
            raise
        except NotAuthenticated:
            wrong_key(request)
            raise
        principal = principal_of_key(key, _project_meant(request, key))
        _record_use(key)
        request.organization = key.organization  # type: ignore[attr-defined]  # for pages and logs alike
        return principal, key

    def authenticate_header(self, _request: Request) -> str:
        return 'Bearer realm="odavl"'


def _bearer_token(header: str) -> str:
    kind, _, token = header.partition(" ")
    if kind.lower() != "bearer":
        raise NotAuthenticated("The Authorization header must read “Bearer <API key>”.")
    token = token.strip()
    if not is_well_formed(token):
        raise NotAuthenticated("That is no API key of ODAVL: mistyped or cut off.")
    return token


def _find(token: str) -> ApiKey:
    key = key_by_digest(digest_of_key(token))
    if key is None:
        raise NotAuthenticated("The API key is not known here.")
    if key.revoked_at is not None:
        raise KeyRevoked("The API key was revoked.")
    if key.expires_at is not None and key.expires_at <= database_now():
        raise KeyExpired("The API key has expired.")
    return key


def _project_meant(request: Request, key: ApiKey) -> Project | None:
    """The key's project, or the one that ``X-Project-Id`` narrows an organization's key to."""
    organization_id = request.META.get("HTTP_X_ORGANIZATION_ID")
    if organization_id and organization_id not in {str(key.organization_id), key.organization.slug}:
        raise WrongScope("X-Organization-Id names another organization than the key's.")
    project_id = request.META.get("HTTP_X_PROJECT_ID")
    if not project_id:
        return key.project
    if key.project is not None:
        if not names(project_id, key.project):
            raise WrongScope("X-Project-Id names another project than the key's.")
        return key.project
    found: Project | None = (
        Project.objects.for_organization(key.organization).filter(named(project_id)).first()
    )
    if found is None:
        raise WrongScope("X-Project-Id names no project of the key's organization.")
    return found


def named(id_or_slug: str) -> Q:
    """The condition that finds a project by its id or its slug."""
    try:
        return Q(pk=uuid.UUID(id_or_slug))
    except ValueError:
        # No slug has a NUL, and PostgreSQL takes none in a question either.
        return Q(slug=id_or_slug.replace("\x00", ""))


def names(id_or_slug: str, project: Project) -> bool:
    """Whether that is the id or the slug of ``project``, as :func:`named` asks the database."""
    try:
        return uuid.UUID(id_or_slug) == project.pk
    except ValueError:
        return id_or_slug == project.slug


def _record_use(key: ApiKey) -> None:
    # By this process's clock only to spare most requests the statement, which asks the database's.
    now = timezone.now()
    if key.last_used_at is not None and abs(now - key.last_used_at) < _LAST_USED_STEP:
        return
    # Conditional, so that many requests in the same moment write the row once.
    stale = Q(last_used_at=None) | Q(last_used_at__lt=Now() - _LAST_USED_STEP)
    rows = ApiKey.objects.for_organization(key.organization)
    rows.filter(stale, pk=key.pk).update(last_used_at=Now())
