"""An analysis as SARIF 2.1.0, for tools that read nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

import msgspec

from odavl.engines.insight.sarif_import import FINGERPRINT_KEY
from odavl.engines.insight.sarif_paths import PROJECT_PATH
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

_LEVELS: dict[Severity, Level] = {
    "critical": "error",
    "high": "error",
    "medium": "warning",
    "low": "note",
    "info": "none",
}
_SCORES: dict[Severity, str] = {"critical": "9.5", "high": "8.0", "medium": "5.0", "low": "2.0"}


def sarif_from_results(results: AnalysisResults) -> SarifLog:
    """One run for each detector, and for each other source of findings.

    A detector that did not run has no ``results``, which in SARIF says just that. Fingerprints
    travel along, so that :func:`~.sarif_import.results_from_sarif` finds the same issues.
    """
    by_source: dict[str, list[tuple[str, Diagnostic]]] = {}
    for path, found in results.diagnostics.items():
        for each in found:
            by_source.setdefault(each.source, []).append((path, each))
    reports = list(results.scope.detectors) if results.scope else []
    known = {report.name for report in reports}
    reports += [DetectorReport(name=name) for name in sorted(by_source.keys() - known)]
    return SarifLog(
        version="2.1.0",
        runs=[_run(report, by_source.get(report.name, [])) for report in reports],
    )


def _run(report: DetectorReport, found: list[tuple[str, Diagnostic]]) -> SarifRun:
    has_run = report.status == "ran"
    return SarifRun(
        tool=SarifTool(
            driver=ToolComponent(
                name=report.name,
                version=report.version or None,
                rules=_rules(each for _, each in found),
            )
        ),
        invocations=[Invocation(execution_successful=has_run or report.status == "skipped")],
        results=(
            [msgspec.Raw(msgspec.json.encode(_result(path, each))) for path, each in found]
            if has_run or found
            else None
        ),
    )


def _rules(found: Iterable[Diagnostic]) -> list[RuleDescriptor]:
    rules: dict[str, RuleDescriptor] = {}
    for each in found:
        if each.code and each.code not in rules:
            rules[each.code] = RuleDescriptor(id=each.code, help_uri=each.url or None)
    return list(rules.values())


def _result(path: str, found: Diagnostic) -> Result:
    score = _SCORES.get(found.severity)
    return Result(
        rule_id=found.code or None,
        level=_LEVELS[found.severity],
        message=Message(text=found.message),
        locations=[] if path == PROJECT_PATH else [_location(path, found)],
        suppressions=[Suppression(kind="external")] if found.suppressed else [],
        partial_fingerprints={FINGERPRINT_KEY: found.fingerprint} if found.fingerprint else {},
        properties={"security-severity": score} if score else {},
    )


def _location(path: str, found: Diagnostic) -> Location:
    region = Region(
        start_line=found.line,
        start_column=found.column or None,
        end_line=found.end_line or None,
        end_column=found.end_column or None,
        snippet=ArtifactContent(text=found.snippet) if found.snippet else None,
    )
    return Location(
        physical_location=PhysicalLocation(
            artifact_location=ArtifactLocation(uri=quote(path), uri_base_id="%SRCROOT%"),
            region=region if found.line else None,
        )
    )
