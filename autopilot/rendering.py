"""Rows as wire documents."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from accounts.rendering import iso
from autopilot.cycles import CYCLES
from autopilot.models import Cycle, RecipeTrust, SideDocument
from odavl.wire import autopilot as wire
from uploads.results.addresses import stored_payload


def cycle_summary(cycle: Cycle) -> wire.CycleSummary:
    """Needs its organization loaded."""
    return wire.CycleSummary(**_cycle(cycle))


def cycle_detail(cycle: Cycle, edits: list[wire.ShownEdit]) -> wire.CycleDetail:
    """Needs ``upload__stored`` loaded as well."""
    return wire.CycleDetail(
        **_cycle(cycle),
        phases=msgspec.convert(cycle.phases, dict[str, wire.PhaseReport]),
        edits=edits,
        payload=stored_payload(cycle.upload.stored, "autopilot-run-payload", cycle.pk),
    )


def trust_item(row: RecipeTrust) -> wire.TrustItem:
    return wire.TrustItem(
        project_id=str(row.project_id),
        recipe=row.recipe,
        trust=row.trust,
        runs=row.runs,
        successes=row.successes,
        failures=row.failures,
        blocked=row.blocked,
        updated_at=str(iso(row.updated_at)),
    )


def kept_document(row: SideDocument) -> wire.KeptDocument:
    """Needs ``upload__stored`` loaded."""
    return wire.KeptDocument(
        type=cast("wire.DocumentType", row.type),
        project_id=str(row.project_id),
        run_id=row.run_id or None,
        updated_at=str(iso(row.as_of)),
        payload=stored_payload(
            row.upload.stored,
            "autopilot-document",
            row.type,
            query={"project": str(row.project_id)},
        ),
    )


def _cycle(cycle: Cycle) -> dict[str, Any]:
    return {
        "id": str(cycle.pk),
        "run_id": cycle.run_id,
        "project_id": str(cycle.project_id),
        "phase": cycle.phase,
        "started_at": iso(cycle.started_at),
        "finished_at": iso(cycle.finished_at),
        "selected_recipe": cycle.selected_recipe or None,
        "files_modified": cycle.files_modified,
        "edits_kept": cycle.edits_kept,
        "edits_reverted": cycle.edits_reverted,
        "findings_closed": cycle.findings_closed,
        "trust_score": cycle.trust_score,
        "quality_improved": cycle.quality_improved,
        "url": CYCLES.address(cycle),
        "created_at": iso(cycle.created_at),
    }
