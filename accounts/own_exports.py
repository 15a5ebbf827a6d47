"""What accounts give to an export: projects, people and the audit log, without any secret."""

from __future__ import annotations

from django.db.models import QuerySet

from accounts import exports
from accounts.models import AuditEvent, Membership, Organization, Project
from accounts.rendering import audit_entry, iso, project_summary


def register_all() -> None:
    exports.register("projects", _projects, project_summary)
    exports.register("members", _members, _member, of_projects=False)
    exports.register("audit", _audit, audit_entry, of_projects=False)


def _projects(organization: Organization, project: Project | None) -> QuerySet[Project]:
    rows = exports.in_project(Project, "pk")
    return rows(organization, project).select_related("organization")


def _members(organization: Organization, _project: Project | None) -> QuerySet[Membership]:
    rows: QuerySet[Membership] = Membership.objects.for_organization(organization)
    return rows.select_related("user").order_by("pk")


def _member(membership: Membership) -> dict[str, object]:
    return {
        "email": membership.user.email,
        "name": membership.user.name,
        "role": membership.role,
        "isActive": membership.user.is_active,
        "since": iso(membership.created_at),
    }


def _audit(organization: Organization, _project: Project | None) -> QuerySet[AuditEvent]:
    rows: QuerySet[AuditEvent] = AuditEvent.objects.for_organization(organization)
    return rows.select_related("actor", "actor_key").order_by("pk")
