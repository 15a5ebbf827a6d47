"""Autopilot's part of an export."""

from accounts import exports
from autopilot.cycles import CYCLES
from autopilot.models import RecipeTrust
from autopilot.rendering import cycle_summary, trust_item


def register_all() -> None:
    exports.register("autopilot-runs", CYCLES.exported, cycle_summary)
    exports.register("autopilot-trust", exports.in_project(RecipeTrust), trust_item)
