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
from accounts.queries import project_named, projects_of
from autopilot import queries
from autopilot.filters import SORTS, CycleFilter
from autopilot.models import Cycle, Phase
from frame.listing import page_of
from storage.responses import stored_json

PAGE_SIZE = 50
_MOST_RECIPES = 20
_SORTS = {
    "-startedAt": gettext_lazy("Newest first"),
    "startedAt": gettext_lazy("Oldest first"),
    "-findingsClosed": gettext_lazy("Most findings closed"),
    "-filesModified": gettext_lazy("Most files changed"),
}
assert _SORTS.keys() == SORTS.keys()  # noqa: S101 - a sorting without a name must not start
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
    request.principal.require("autopilot:read")
    wanted = CycleFilter.from_query(request.GET)
    project = project_named(request.principal, request.GET.get("project"))
    rows = wanted.apply(queries.cycles_of(request.principal, project))
    trust = queries.trust_of(request.principal, project).order_by("-trust", "recipe", "id")
    context = {
        "organization": request.organization,
        "section": "autopilot",
        "filter": wanted,
        "project_chosen": project,
        "is_narrowed": wanted.is_narrowed or project is not None,
        "statistics": queries.statistics(rows),
        "page": page_of(
            rows,
            order=SORTS[wanted.sort],
            cursor=request.GET.get("cursor", ""),
            size=PAGE_SIZE,
        ),
        "trust": list(trust[:_MOST_RECIPES]),
        "project_choices": list(projects_of(request.principal).order_by("name", "pk")),
        "phase_choices": Phase.choices,
        "sort_choices": _SORTS.items(),
    }
    return render(request, "autopilot/cycles.html", context)


@require_safe
@member_page
def cycle(request: OrganizationRequest, cycle_id: uuid.UUID) -> HttpResponse:
    request.principal.require("autopilot:read")
    found = queries.cycle_of(request.principal, cycle_id)
    edits = queries.edits_of(found)
    context = {
        "organization": request.organization,
        "section": "autopilot",
        "cycle": found,
        "stored": found.upload.stored,
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
    request.principal.require("autopilot:read")
    found = queries.cycle_of(request.principal, cycle_id)
    response = stored_json(request, found.upload.stored)
    response["Content-Disposition"] = f'attachment; filename="ledger-{found.pk}.json"'
    return response


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
