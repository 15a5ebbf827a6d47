"""Small analysis documents, and the one way in which tests send them."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from odavl.wire.encoding import gzip_compress
from tests.cast import Api

Findings = dict[str, list[dict[str, Any]]]


def finding(name: str, *, line: int = 1, **fields: Any) -> dict[str, Any]:
    """A finding of ruff that is recognised by ``name``."""
    return {
        "severity": "medium",
        "message": f"about {name}",
        "line": line,
        "source": "ruff",
        "code": "F401",
        "fingerprint": name,
        **fields,
    }


def document(findings: Findings, **fields: Any) -> dict[str, Any]:
    """A run of ruff and bandit over the whole project, unless ``fields`` say otherwise."""
    detectors = [{"name": "ruff", "status": "ran"}, {"name": "bandit", "status": "ran"}]
    return {"version": 1, "scope": {"detectors": detectors}, "diagnostics": findings, **fields}


def scope(*detectors: str, files: list[str] | None = None) -> dict[str, Any]:
    return {"detectors": [{"name": name, "status": "ran"} for name in detectors], "files": files}


def envelope(payload: Any, upload_type: str = "analysis-results", **fields: Any) -> dict[str, Any]:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return {
        "type": upload_type,
        "data": b64encode(gzip_compress(body)).decode(),
        "compressed": True,
        **fields,
    }


def send(
    api: Api,
    payload: Any,
    upload_type: str = "analysis-results",
    *,
    headers: dict[str, str] | None = None,
    **metadata: Any,
) -> Any:
    """The answer to one upload into the project Website."""
    metadata.setdefault("projectName", "Website")
    body = envelope(payload, upload_type, metadata=metadata)
    return api.send("POST", "/upload/insight", body, **(headers or {}))


def run_of(answer: Any, api: Api) -> dict[str, Any]:
    """The run that an upload made."""
    assert answer.status_code == 201, answer.content
    found = api.send("GET", f"/insight/runs/{answer.json()['runId']}")
    assert found.status_code == 200, found.content
    return found.json()


def upload(api: Api, findings: Findings, *, branch: str | None = None, **fields: Any) -> Any:
    """Send findings and read the run they made."""
    metadata = {"branch": branch} if branch else {}
    return run_of(send(api, document(findings, **fields), **metadata), api)


def counts(run: dict[str, Any]) -> tuple[int, int, int, int]:
    """New, fixed, unchanged and reopened."""
    found = run["counts"]
    return found["new"], found["fixed"], found["unchanged"], found["reopened"]
