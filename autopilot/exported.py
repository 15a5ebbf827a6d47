"""Autopilot's part of an export."""

from __future__ import annotations

from django.db.models import QuerySet

from accounts import exporting
from accounts.models import Organization, Project
from autopilot.models import Cycle, RecipeTrust
from autopilot.rendering import cycle_summary, trust_item


def register_all() -> None:
    exporting.register("autopilot-runs", _cycles, cycle_summary)
    exporting.register("autopilot-trust", exporting.in_project(RecipeTrust), trust_item)


def _cycles(organization: Organization, project: Project | None) -> QuerySet[Cycle]:
    rows: QuerySet[Cycle] = exporting.in_project(Cycle)(organization, project)
    return rows.select_related("organization")
