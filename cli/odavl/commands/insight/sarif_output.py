"""Results as SARIF 2.1.0, for what reads that: editors, code hosts. One run for each detector."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from odavl.wire.analysis import AnalysisResults, DetectorReport, Diagnostic, Severity
from odavl.wire.sarif import (
    ArtifactContent,
    ArtifactLocation,
    Invocation,
    Level,
    Location,
    Message,
    PhysicalLocation,
    Region,
    Result,
    RuleDescriptor,
    SarifLog,
    SarifRun,
    SarifTool,
    Suppression,
    ToolComponent,
)

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT = "odavl/v1"
_LEVELS: dict[Severity, Level] = {
    "critical": "error",
    "high": "error",
    "medium": "warning",
    "low": "note",
    "info": "note",
}


def sarif_of(results: AnalysisResults) -> dict[str, Any]:
    """The log. A detector that was not there has no run; one that failed has one that says so."""
    runs = [_run(each, results) for each in _reports(results) if each.status in {"ran", "failed"}]
    log: dict[str, Any] = msgspec.to_builtins(SarifLog(version="2.1.0", runs=[]))
    return {"$schema": SCHEMA, **log, "runs": runs}


def _reports(results: AnalysisResults) -> list[DetectorReport]:
    if results.scope is not None:
        return results.scope.detectors
    names = {each.source for found in results.diagnostics.values() for each in found}
    return [DetectorReport(name=name) for name in sorted(names)]


def _run(detector: DetectorReport, results: AnalysisResults) -> dict[str, Any]:
    found = [
        (path, each)
        for path, diagnostics in sorted(results.diagnostics.items())
        for each in diagnostics
        if each.source == detector.name
    ]
    rules = {each.code: each.url for _, each in found if each.code}
    driver = ToolComponent(
        name=detector.name,
        version=detector.version or None,
        rules=[
            RuleDescriptor(id=code, help_uri=url or None) for code, url in sorted(rules.items())
        ],
    )
    run = SarifRun(
        tool=SarifTool(driver=driver),
        invocations=[Invocation(execution_successful=detector.status == "ran")],
    )
    document: dict[str, Any] = msgspec.to_builtins(run)
    # The wire's types leave out defaults; of an invocation the standard wants this one (§3.20.14).
    document["invocations"] = [{"executionSuccessful": detector.status == "ran"}]
    document["results"] = [_result(path, each) for path, each in found]
    return document


def _result(path: str, diagnostic: Diagnostic) -> dict[str, Any]:
    location = PhysicalLocation(
        artifact_location=ArtifactLocation(uri=quote(path)), region=_region(diagnostic)
    )
    result = Result(
        message=Message(text=diagnostic.message),
        rule_id=diagnostic.code or None,
        level=_LEVELS[diagnostic.severity],
        locations=[Location(physical_location=location)],
        suppressions=[Suppression(kind="external")] if diagnostic.suppressed else [],
        properties={"severity": diagnostic.severity},
    )
    document: dict[str, Any] = msgspec.to_builtins(result)
    if diagnostic.fingerprint:
        document["partialFingerprints"] = {FINGERPRINT: diagnostic.fingerprint}
    return document


def _region(diagnostic: Diagnostic) -> Region | None:
    if not diagnostic.line:
        return None
    return Region(
        start_line=diagnostic.line,
        start_column=diagnostic.column or None,
        end_line=diagnostic.end_line,
        end_column=diagnostic.end_column,
        snippet=ArtifactContent(text=diagnostic.snippet) if diagnostic.snippet else None,
    )
