"""Autopilot in the browser: the runs, one run with its phases and edits, the trust in recipes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from accounts.page_access import OrganizationRequest, member_page
from autopilot import queries
from autopilot.cycles import CYCLES
from autopilot.models import Cycle, Phase
from uploads.results.lists import json_file, list_context, row_context

_MOST_RECIPES = 20
_STATUSES = {
    "completed": gettext_lazy("Completed"),
    "failed": gettext_lazy("Failed"),
    "skipped": gettext_lazy("Skipped"),
    "running": gettext_lazy("Running"),
}
_PHASES = (Phase.OBSERVE, Phase.DECIDE, Phase.ACT, Phase.VERIFY, Phase.LEARN)


@dataclass(frozen=True, slots=True)
class PhaseRow:
    """``status`` is empty for a phase that was not reached; ``label`` is the word shown for it."""

    name: str | Promise
    status: str
    label: str | Promise
    duration_ms: int
    metrics: dict[str, Any]


@require_safe
@member_page
def cycles(request: OrganizationRequest) -> HttpResponse:
    context = list_context(request, CYCLES)
    trust = queries.trust_of(request.principal, context["project_chosen"])
    context |= {
        "trust": list(trust.order_by("-trust", "recipe", "id")[:_MOST_RECIPES]),
        "phase_choices": Phase.choices,
    }
    return render(request, "autopilot/cycles.html", context)


@require_safe
@member_page
def cycle(request: OrganizationRequest, cycle_id: uuid.UUID) -> HttpResponse:
    found, context = row_context(request, CYCLES, cycle_id)
    edits = CYCLES.items_of(found)
    context |= {
        "phases": list(_phases(found)),
        "edits": edits,
        "more_edits": found.edits_kept + found.edits_reverted - len(edits),
        "duration_ms": _duration(found),
    }
    return render(request, "autopilot/cycle.html", context)


@require_safe
@member_page
def payload(request: OrganizationRequest, cycle_id: uuid.UUID) -> HttpResponseBase:
    """The run's ledger as it was sent."""
    found, _context = row_context(request, CYCLES, cycle_id)
    return json_file(request, found.upload.stored, f"ledger-{found.pk}")


def _phases(found: Cycle) -> Iterator[PhaseRow]:
    for phase in _PHASES:
        report = found.phases.get(phase.value, {})
        status = report.get("status", "")
        yield PhaseRow(
            name=phase.label,
            status=status,
            label=_STATUSES.get(status, status),
            duration_ms=report.get("durationMs", 0),
            metrics=report.get("metrics", {}),
        )


def _duration(found: Cycle) -> int:
    if found.finished_at is None:
        return 0
    return max(0, int((found.finished_at - found.started_at).total_seconds() * 1000))
