"""A ledger, and the one way in which tests send what belongs to Autopilot."""

from __future__ import annotations

from typing import Any

from tests.cast import Api
from tests.insight.documents import envelope

DIFF = "--- a/src/app.py\n+++ b/src/app.py\n@@ -1,2 +1 @@\n-import os\n import sys\n"


def edit(path: str = "src/app.py", **fields: Any) -> dict[str, Any]:
    return {
        "path": path,
        "recipe": "unused-import",
        "diff": DIFF,
        "findingsClosed": ["f1"],
        "verdict": "kept",
        **fields,
    }


def ledger(run_id: str = "run-1", **fields: Any) -> dict[str, Any]:
    """A run that kept one edit and reverted another."""
    phase = {"status": "completed", "durationMs": 120, "metrics": {"findings": 3}}
    reverted = edit("src/db.py", verdict="reverted", reason="Two tests failed.")
    return {
        "runId": run_id,
        "startedAt": "2026-01-02T03:04:05Z",
        "finishedAt": "2026-01-02T03:04:15Z",
        "phase": "completed",
        "phases": dict.fromkeys(("observe", "decide", "act", "verify", "learn"), phase),
        "edits": [edit(), reverted],
        "selectedRecipe": "unused-import",
        "filesModified": 1,
        "trustScore": 0.75,
        "qualityImproved": True,
        **fields,
    }


def send(api: Api, payload: Any, upload_type: str = "ledger", **metadata: Any) -> Any:
    """The answer to one upload into the project Website."""
    metadata.setdefault("projectName", "Website")
    body = envelope(payload, upload_type, metadata=metadata)
    return api.send("POST", "/upload/autopilot", body)


def run_of(answer: Any, api: Api) -> dict[str, Any]:
    """The run that an upload made."""
    assert answer.status_code == 201, answer.content
    found = api.send("GET", f"/autopilot/runs/{answer.json()['runId']}")
    assert found.status_code == 200, found.content
    return found.json()
