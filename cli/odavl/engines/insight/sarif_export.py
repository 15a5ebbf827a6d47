"""An analysis as SARIF 2.1.0, for tools that read nothing else."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec

from odavl.engines.insight.sarif_import import FINGERPRINT_KEY, FIX_PROPERTY
from odavl.engines.insight.sarif_paths import LOGICAL, PARENT, PROJECT_PATH
from odavl.engines.insight.sarif_reports import NOT_INSTALLED, OWN_MARK
from odavl.engines.insight.sarif_rules import LINK
from odavl.engines.insight.severity import SEVERITY_PROPERTY
from odavl.wire.analysis import AnalysisResults, DetectorReport, Diagnostic, GitState, Severity
from odavl.wire.sarif import (
    ArtifactContent,
    ArtifactLocation,
    AutomationDetails,
    Invocation,
    Level,
    Location,
    LogicalLocation,
    Message,
    Notification,
    PhysicalLocation,
    Region,
    Result,
    RuleDescriptor,
    RuleReference,
    SarifLog,
    SarifRun,
    SarifTool,
    Suppression,
    ToolComponent,
    VersionControlDetails,
)

_LEVELS: dict[Severity, Level] = {
    "critical": "error",
    "high": "error",
    "medium": "warning",
    "low": "note",
    # Not "none", which says that nothing failed (§3.27.10).
    "info": "note",
}
_DRIVE = re.compile(r"\(([A-Z]):\)(?=/|$)")
_SCORES: dict[Severity, str] = {"critical": "9.5", "high": "8.0", "medium": "5.0", "low": "2.0"}


def sarif_from_results(results: AnalysisResults) -> SarifLog:
    """One run for each detector, and for each other source of findings.

    A detector that did not run has no ``results``, which in SARIF says just that. What SARIF has no
    place for (severities, fingerprints, fixes) travels in properties of ours, so that
    :func:`~.sarif_import.results_from_sarif` gives the same analysis again.
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
        runs=[_run(report, by_source.get(report.name, []), results) for report in reports],
    )


def _run(
    report: DetectorReport, found: list[tuple[str, Diagnostic]], results: AnalysisResults
) -> SarifRun:
    has_run = report.status == "ran"
    rules: dict[tuple[str, str], int] = {}
    encoded = [msgspec.json.encode(_result(path, each, rules)) for path, each in found]
    return SarifRun(
        tool=SarifTool(
            driver=ToolComponent(
                name=report.name.partition("/")[0],
                version=report.version or None,
                rules=[RuleDescriptor(id=code, help_uri=url or None) for code, url in rules],
            )
        ),
        automation_details=(
            AutomationDetails(id=f"{report.category}/") if report.category else None
        ),
        invocations=[
            Invocation(
                execution_successful=has_run or report.status == "skipped",
                tool_execution_notifications=_notifications(report),
                end_time_utc=_utc(results.analysed_at),
            )
        ],
        version_control_provenance=_provenance(results.git),
        results=[msgspec.Raw(each) for each in encoded] if has_run or found else None,
    )


def _notifications(report: DetectorReport) -> list[Notification]:
    """What the report says that SARIF has no other place for."""
    told = [
        Notification(
            level="error",
            message=Message(text=each.reason),
            locations=[_location(each.path)],
            descriptor=RuleReference(id=f"{OWN_MARK}unread"),
        )
        for each in report.unread_files
    ]
    if report.detail or report.status == NOT_INSTALLED:
        told.append(
            Notification(
                level="note",
                message=Message(text=report.detail),
                descriptor=RuleReference(id=f"{OWN_MARK}{report.status}"),
            )
        )
    return told


def _provenance(git: GitState) -> list[VersionControlDetails]:
    """§3.23.3: there is none without an address."""
    if git.remote is None:
        return []
    return [
        VersionControlDetails(repository_uri=git.remote, revision_id=git.commit, branch=git.branch)
    ]


def _utc(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _result(path: str, found: Diagnostic, rules: dict[tuple[str, str], int]) -> Result:
    """``rules`` are numbered as they come: two with one id and unlike addresses are two."""
    index = rules.setdefault((found.code, found.url), len(rules)) if found.code else -1
    properties: dict[str, object] = {SEVERITY_PROPERTY: found.severity}
    score = _SCORES.get(found.severity)
    if score:
        properties["security-severity"] = score
    if found.fix:
        properties[FIX_PROPERTY] = found.fix
    return Result(
        rule_id=found.code or None,
        rule_index=index,
        level=_LEVELS[found.severity],
        message=_message(found.message),
        locations=[] if path == PROJECT_PATH else [_location(path, found)],
        occurrence_count=found.occurrences if found.occurrences > 1 else None,
        suppressions=[Suppression(kind="external")] if found.suppressed else [],
        partial_fingerprints={FINGERPRINT_KEY: found.fingerprint} if found.fingerprint else {},
        properties=properties,
    )


def _message(text: str) -> Message:
    """What would read as a link to another place of the log is an argument, where none is."""
    return Message(text="{0}", arguments=[text]) if LINK.search(text) else Message(text=text)


def _location(path: str, found: Diagnostic | None = None) -> Location:
    if path.startswith(LOGICAL):
        name = path.removeprefix(LOGICAL)
        return Location(logical_locations=[LogicalLocation(fully_qualified_name=name)])
    return Location(
        physical_location=PhysicalLocation(
            artifact_location=_artifact(path),
            region=_region(found) if found is not None and found.line else None,
        )
    )


def _artifact(path: str) -> ArtifactLocation:
    """The URI of a path, the marks of what lies elsewhere put back into what they stand for."""
    drive = _DRIVE.match(path)
    if drive is not None:
        return ArtifactLocation(uri=f"file:///{drive[1]}:{quote(path[drive.end() :])}")
    steps = path.split("/")
    outside = next((at for at, step in enumerate(steps) if step != PARENT), len(steps))
    uri = "/".join([*[".."] * outside, *map(quote, steps[outside:])])
    return ArtifactLocation(uri=uri, uri_base_id="%SRCROOT%")


def _region(found: Diagnostic) -> Region:
    return Region(
        start_line=found.line,
        start_column=found.column or None,
        end_line=found.end_line or None,
        end_column=found.end_column or None,
        snippet=ArtifactContent(text=found.snippet) if found.snippet else None,
    )
