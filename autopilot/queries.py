"""Reading runs, trust and the documents beside them, always as somebody."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum

from accounts.models import Project
from accounts.principal import Principal
from autopilot.ledgers import LEDGER, shown_edit
from autopilot.models import Cycle, DocumentType, Phase, RecipeTrust, SideDocument
from frame.finding import found, no_such
from odavl.wire import limits
from odavl.wire.autopilot import ShownEdit
from storage import services as storage


@dataclass(frozen=True, slots=True)
class Statistics:
    runs: int
    completed: int
    rolled_back: int
    failed: int
    edits_kept: int
    edits_reverted: int
    findings_closed: int

    @property
    def success_rate(self) -> float | None:
        """Completed runs among those that ended, from 0 to 1; None where none did."""
        ended = self.completed + self.rolled_back + self.failed
        return self.completed / ended if ended else None


def cycles_of(principal: Principal, project: Project | None = None) -> QuerySet[Cycle]:
    """The runs that ``principal`` sees, of one project or of all; unordered."""
    rows: QuerySet[Cycle] = Cycle.objects.for_organization(principal.organization)
    if wanted := project or principal.project:
        rows = rows.filter(project=wanted)
    return rows.select_related("project", "organization")


def cycle_of(principal: Principal, cycle_id: UUID) -> Cycle:
    """Raises :class:`NotFound` for a stranger's as for one that never was."""
    rows = cycles_of(principal).select_related("project", "organization", "upload__stored")
    return found(rows.defer("upload__stored__inline").filter(pk=cycle_id), "run")


def edits_of(cycle: Cycle) -> list[ShownEdit]:
    """The first edits of the run, out of its ledger."""
    pieces = storage.pieces_of(cycle.upload.stored)
    return [shown_edit(edit) for edit in LEDGER.first(pieces, limits.MAX_SHOWN)]


def statistics(cycles: QuerySet[Cycle]) -> Statistics:
    """One query over ``cycles``."""
    found = cycles.order_by().aggregate(
        runs=Count("pk"),
        completed=Count("pk", filter=Q(phase=Phase.COMPLETED)),
        rolled_back=Count("pk", filter=Q(phase=Phase.ROLLED_BACK)),
        failed=Count("pk", filter=Q(phase=Phase.FAILED)),
        kept=Sum("edits_kept", default=0),
        reverted=Sum("edits_reverted", default=0),
        closed=Sum("findings_closed", default=0),
    )
    return Statistics(
        runs=found["runs"],
        completed=found["completed"],
        rolled_back=found["rolled_back"],
        failed=found["failed"],
        edits_kept=found["kept"],
        edits_reverted=found["reverted"],
        findings_closed=found["closed"],
    )


def trust_of(principal: Principal, project: Project | None = None) -> QuerySet[RecipeTrust]:
    """The trust in every recipe, of one project or of all; unordered."""
    rows: QuerySet[RecipeTrust] = RecipeTrust.objects.for_organization(principal.organization)
    if wanted := project or principal.project:
        rows = rows.filter(project=wanted)
    return rows.select_related("project")


def latest_documents(project: Project) -> list[SideDocument]:
    """The latest of each type that the project has."""
    rows = SideDocument.objects.for_organization(project.organization).filter(project=project)
    latest = rows.order_by("type", "-as_of", "-created_at").distinct("type")
    return list(latest.select_related("upload__stored").defer("upload__stored__inline"))


def latest_document(project: Project, document_type: str) -> SideDocument:
    """Raises :class:`NotFound` where the project has none of that type."""
    of_type = (each for each in latest_documents(project) if each.type == document_type)
    document = next(of_type, None) if document_type in DocumentType.values else None
    if document is None:
        raise no_such("document")
    return document
