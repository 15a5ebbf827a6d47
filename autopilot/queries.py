"""Reading the trust in recipes and the documents beside a run."""

from __future__ import annotations

from django.db.models import QuerySet

from accounts.models import Project
from accounts.principal import Principal
from autopilot.models import DocumentType, RecipeTrust, SideDocument
from frame.finding import no_such
from uploads.results.kinds import seen_by, with_stored


def trust_of(principal: Principal, project: Project | None = None) -> QuerySet[RecipeTrust]:
    """The trust in every recipe, of one project or of all; unordered."""
    return seen_by(RecipeTrust, principal, project).select_related("project")


def latest_documents(project: Project) -> list[SideDocument]:
    """The latest of each type that the project has."""
    rows = SideDocument.objects.for_organization(project.organization).filter(project=project)
    latest = rows.order_by("type", "-as_of", "-created_at").distinct("type")
    return list(with_stored(latest))


def latest_document(project: Project, document_type: str) -> SideDocument:
    """Raises :class:`NotFound` where the project has none of that type."""
    of_type = (each for each in latest_documents(project) if each.type == document_type)
    document = next(of_type, None) if document_type in DocumentType.values else None
    if document is None:
        raise no_such("document")
    return document
