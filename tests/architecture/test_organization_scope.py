"""Where code may look across organizations, and why."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.rooms import ROOMS, ROOT

ALLOWED = {
    "accounts/idempotency.py": "old records are dropped whoever wrote them",
    "accounts/services/audit.py": "old events are dropped whosever they are",
    "accounts/scoping.py": "the definition",
    "autopilot/receiving.py": "inserts",
    "insight/retention.py": "old runs go whosever they are",
    "insight/failed_runs.py": "rows of one run whose job was given up, or is taken up again",
    "insight/ingest.py": "rows of one run, in a worker that was handed the run",
    "insight/receiving.py": "a worker that was handed the run",
    "insight/services.py": "issues that were found within their organization",
    "jobs": "workers and the relay serve every organization",
    "odavl_hub/launcher/first_start.py": "asks whether there is anything at all",
    "storage/collecting/cleaning.py": "expired files are dropped whosever they are",
    "storage/queries.py": "public files, and keys out of addresses that the hub signed",
    "storage/collecting/discarding.py": "what nothing refers to goes, whosever it is",
    "storage/collecting/expiring.py": "what was kept long enough goes, whosever it is",
    "uploads/retention.py": "payloads kept long enough go, whosever they are",
    "storage/keys.py": "which of many keys rows refer to, whosever they are",
    "storage/management/commands/storage_check.py": "the operator's look at all rows",
    "storage/collecting/sweeping.py": "what nothing refers to goes, whosever it is",
    "storage/presence.py": "some objects of whichever organization tell the store",
    "storage/collecting/verifying.py": "rows of every organization are compared with the store",
    "storage/joining.py": "inserts",
    "storage/services.py": "inserts, and chunks that are let go",
    "uploads/assembly.py": "a worker that was handed the transfer",
    "uploads/deferred.py": "a worker that was handed the upload",
    "uploads/transfers.py": "transfers found within their organization, and clean-up of all",
    "uploads/results/ingest.py": "inserts",
    "uploads/queries.py": "the job of an upload that was found within its organization",
    "uploads/services.py": "an upload that was found within its organization",
    "workspaces/services.py": "a workspace found within its organization, and clean-up of all",
}
NAMES = {"across_organizations", "_base_manager", "_default_manager"}


def test_only_the_listed_places_look_across_organizations():
    found = {place for room in ROOMS for place in _places(ROOT / room)}
    strangers = {
        place
        for place in found
        if not any(place == allowed or place.startswith(f"{allowed}/") for allowed in ALLOWED)
    }
    assert strangers == set()
    assert "accounts/idempotency.py" in found


def _places(folder: Path) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in folder.rglob("*.py")
        if "migrations" not in path.parts and _looks_across(path)
    }


def _looks_across(path: Path) -> bool:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in NAMES:
            return True
        # Also by name, in getattr and the like; texts that only mention it have spaces.
        if isinstance(node, ast.Constant) and node.value in NAMES:
            return True
    return False
