"""Rows of this room as the documents of :mod:`odavl.wire.account`."""

from __future__ import annotations

from datetime import datetime

from accounts import navigation
from accounts.models import ApiKey, AuditEvent, Project
from accounts.principal import Principal
from odavl.wire import account as wire


def who_am_i(principal: Principal) -> wire.WhoAmI:
    organization, user = principal.organization, principal.user
    return wire.WhoAmI(
        organization=wire.OrganizationSummary(
            id=str(organization.pk), slug=organization.slug, name=organization.name
        ),
        user=wire.UserSummary(id=str(user.pk), email=user.email, name=user.name) if user else None,
        key=key_summary(principal.key) if principal.key else None,
    )


def project_summary(project: Project) -> wire.ProjectSummary:
    """``project`` with its organization loaded."""
    return wire.ProjectSummary(
        id=str(project.pk),
        slug=project.slug,
        name=project.name,
        git_remote=project.git_remote or None,
        default_branch=project.default_branch,
        created_at=iso(project.created_at),
        url=project_url(project),
    )


def project_url(project: Project) -> str:
    """The absolute address of a project's page."""
    return navigation.address_of(navigation.PROJECT, project.organization, project)


def key_summary(key: ApiKey) -> wire.KeySummary:
    return wire.KeySummary(
        id=str(key.pk),
        name=key.name,
        scopes=list(key.scopes),
        hint=key.hint,
        project_id=str(key.project_id) if key.project_id else None,
        expires_at=iso(key.expires_at),
        created_at=iso(key.created_at),
        last_used_at=iso(key.last_used_at),
        revoked_at=iso(key.revoked_at),
    )


def created_key(key: ApiKey, token: str) -> wire.CreatedKey:
    """The only document with a key in it."""
    summary = key_summary(key)
    fields = {name: getattr(summary, name) for name in summary.__struct_fields__}
    return wire.CreatedKey(key=token, **fields)


def audit_entry(event: AuditEvent) -> wire.AuditEntry:
    return wire.AuditEntry(
        id=str(event.pk),
        action=event.action,
        target=event.target,
        actor=event.actor.email if event.actor else None,
        actor_key=event.actor_key.name if event.actor_key else None,
        details=event.details,
        ip_address=event.ip_address,
        request_id=event.request_id,
        created_at=_iso(event.created_at),
    )


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with a ``Z``; None stays None."""
    return _iso(moment) if moment else None


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
