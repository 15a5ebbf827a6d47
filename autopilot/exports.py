"""Autopilot's part of an export."""

from __future__ import annotations

from django.db.models import QuerySet

from accounts import exports
from accounts.models import Organization, Project
from autopilot.models import Cycle, RecipeTrust
from autopilot.rendering import cycle_summary, trust_item


def register_all() -> None:
    exports.register("autopilot-runs", _cycles, cycle_summary)
    exports.register("autopilot-trust", exports.in_project(RecipeTrust), trust_item)


def _cycles(organization: Organization, project: Project | None) -> QuerySet[Cycle]:
    rows: QuerySet[Cycle] = exports.in_project(Cycle)(organization, project)
    return rows.select_related("organization")
