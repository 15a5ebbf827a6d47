"""What accounts read, always as somebody: nothing of another organization can be found here."""

from __future__ import annotations

import uuid

from django.db.models import QuerySet

from accounts.authentication import named
from accounts.models import ApiKey, AuditEvent, Membership, Organization, Project, User
from accounts.principal import Principal
from frame.database.prepared import Statement
from frame.finding import found
from odavl.wire.errors import WrongScope


def projects_of(principal: Principal) -> QuerySet[Project]:
    """The projects that ``principal`` sees: its own one, or its organization's."""
    rows: QuerySet[Project] = Project.objects.for_organization(principal.organization)
    if principal.project is not None:
        rows = rows.filter(pk=principal.project.pk)
    return rows.select_related("organization")


def project_of(principal: Principal, id_or_slug: str) -> Project:
    """One project; :class:`NotFound` for what is not there or not theirs to see."""
    return found(projects_of(principal).filter(named(id_or_slug)), "project")


def project_named(principal: Principal, id_or_slug: str | None) -> Project | None:
    """As :func:`project_of`; without a name the one that ``principal`` is held to, else None."""
    return project_of(principal, id_or_slug) if id_or_slug else principal.project


_BY_SLUG = Statement(
    "SELECT {columns} FROM accounts_project WHERE organization_id = %s AND slug = %s", Project
)


def project_by_slug(organization: Organization, slug: str) -> Project | None:
    """What almost every upload asks; ``slug`` is one that :func:`slug_of` made."""
    row = _BY_SLUG.first([organization.pk, slug])
    if row is None:
        return None
    project: Project = row[0]
    project.organization = organization
    return project


def api_keys_of(principal: Principal) -> QuerySet[ApiKey]:
    """The organization's keys; only those of the same project for a key that is bound to one."""
    rows: QuerySet[ApiKey] = ApiKey.objects.for_organization(principal.organization)
    if principal.project is not None:
        rows = rows.filter(project=principal.project)
    return rows


def api_key_of(principal: Principal, key_id: uuid.UUID) -> ApiKey:
    """One key; :class:`NotFound` for a stranger's."""
    return found(api_keys_of(principal).filter(pk=key_id), "API key")


def audit_of(principal: Principal) -> QuerySet[AuditEvent]:
    """The organization's audit log, which a key that is bound to one project does not see."""
    if principal.project is not None:
        raise WrongScope("The audit log belongs to the whole organization.")
    rows: QuerySet[AuditEvent] = AuditEvent.objects.for_organization(principal.organization)
    return rows.select_related("actor", "actor_key")


def membership_in(user: User, organization_slug: str) -> Membership | None:
    """The membership through which ``user`` sees an organization, organization loaded."""
    rows = user.memberships.select_related("organization", "user")
    membership: Membership | None = rows.filter(organization__slug=organization_slug).first()
    return membership


def first_organization_of(user: User) -> Organization | None:
    """The organization that ``user`` joined first, where they land after signing in."""
    membership = user.memberships.select_related("organization").order_by("created_at").first()
    return membership.organization if membership else None
