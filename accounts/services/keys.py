"""API keys: made, shown once, revoked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models.functions import Now

from accounts.authentication import digest_of_key
from accounts.models import ApiKey, Project
from accounts.principal import Principal
from accounts.services.audit import record
from frame.database.clock import database_now
from odavl.wire import scopes as known
from odavl.wire.api_keys import new_api_key
from odavl.wire.errors import FieldError, InvalidPayload, MissingScope, WrongScope

_HINT_LENGTH = 4


@transaction.atomic
def create_api_key(
    *,
    by: Principal,
    name: str,
    scopes: Sequence[str],
    project: Project | None = None,
    expires_at: datetime | None = None,
    kind: str = "key",
) -> tuple[ApiKey, str]:
    """A key's record and the key itself, which nobody can show again.

    No key may do more than its maker: not in scopes, not outside of the maker's project, not for
    longer. Raises :class:`InvalidPayload`, :class:`MissingScope`, :class:`WrongScope`.
    """
    by.require("projects:admin")
    token = new_api_key(kind)
    key = ApiKey.objects.for_organization(by.organization).create(
        organization=by.organization,
        project=_project_allowed(by, project),
        name=name.strip() or kind,
        kind=kind,
        digest=digest_of_key(token),
        hint=token[-_HINT_LENGTH:],
        scopes=_scopes_allowed(by, scopes),
        created_by_id=by.user_id,
        expires_at=_expiry_allowed(by, expires_at),
    )
    details = {"scopes": key.scopes, "id": str(key.pk)}
    record(
        organization=by.organization,
        action="api_key.created",
        target=key.name,
        by=by,
        details=details,
    )
    return key, token


@transaction.atomic
def revoke_api_key(*, by: Principal, key: ApiKey) -> ApiKey:
    """Close ``key`` for good, at once. A second time changes nothing."""
    by.require("projects:admin")
    rows = ApiKey.objects.for_organization(by.organization).filter(pk=key.pk, revoked_at=None)
    # Conditional, so that the time of the first revocation stays, and one event tells of it.
    if rows.update(revoked_at=Now()):
        record(
            organization=by.organization,
            action="api_key.revoked",
            target=key.name,
            by=by,
            details={"id": str(key.pk)},
        )
    key.refresh_from_db(fields=["revoked_at"])
    return key


def scopes_from(*, scopes: Sequence[str] | None, preset: str | None) -> tuple[str, ...]:
    """What was asked for: exactly one of a list of scopes and a preset's name."""
    if (scopes is None) == (preset is None):
        raise _misfit("/scopes", "give either scopes or a preset")
    if preset is None:
        return tuple(scopes or ())
    if preset not in known.PRESETS:
        raise _misfit("/preset", f"is none of {', '.join(known.PRESETS)}")
    return known.PRESETS[preset]


def _scopes_allowed(by: Principal, scopes: Sequence[str]) -> list[str]:
    if not scopes:
        raise _misfit("/scopes", "must name at least one scope")
    for index, scope in enumerate(scopes):
        if scope not in known.ALL_SCOPES:
            raise _misfit(f"/scopes/{index}", "is no scope")
    missing = [scope for scope in scopes if not by.may(scope)]
    if missing:
        raise MissingScope(f"A key cannot grant what its maker lacks: {', '.join(missing)}.")
    return sorted(set(scopes))


def _project_allowed(by: Principal, project: Project | None) -> Project | None:
    if by.key_project is None:
        return project
    if project is not None and project.pk != by.key_project.pk:
        raise WrongScope(f"The key is bound to the project {by.key_project.slug}.")
    return by.key_project


def _expiry_allowed(by: Principal, expires_at: datetime | None) -> datetime | None:
    if expires_at is not None and expires_at <= database_now():
        raise _misfit("/expiresAt", "is in the past")
    latest = by.key.expires_at if by.key else None
    if latest is None or expires_at is None:
        return expires_at or latest
    if expires_at > latest:
        raise _misfit("/expiresAt", "is later than that of the key that makes it")
    return expires_at


def _misfit(pointer: str, detail: str) -> InvalidPayload:
    field = pointer.split("/")[1]
    return InvalidPayload(f"{field} {detail}.", errors=(FieldError(pointer, "invalid", detail),))
