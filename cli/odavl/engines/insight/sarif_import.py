"""SARIF 2.1.0 of any tool, read as an analysis.

Section numbers are those of the OASIS standard. What counts as a finding: results whose ``kind`` is
``fail`` (§3.27.9) and which the tool's own baseline does not call ``absent`` (§3.27.24). Results
that are suppressed come along, marked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import odavl
from odavl.engines.insight.fingerprints import assign_fingerprints
from odavl.engines.insight.sarif_paths import PROJECT_PATH, RunPaths
from odavl.engines.insight.severity import sarif_severity
from odavl.engines.insight.source_text import SourceFiles, strike_out_secrets, without_sources
from odavl.wire import limits
from odavl.wire.analysis import (
    AnalysisResults,
    DetectorReport,
    Diagnostic,
    GitState,
    Metrics,
    Scope,
    Severity,
    Tool,
)
from odavl.wire.encoding import visible
from odavl.wire.moments import FIRST_YEAR, LAST_YEAR
from odavl.wire.sarif import (
    Fix,
    Location,
    Message,
    Region,
    Result,
    RuleDescriptor,
    SarifLog,
    SarifRun,
    Suppression,
    ToolComponent,
    results_of,
)

FINGERPRINT_KEY = "odavl/v1"
"""Under this name in ``partialFingerprints`` our own SARIF carries our fingerprints."""

_NOT_IN_A_NAME = re.compile(r"[^a-z0-9._-]+")
_MAX_NAME_LENGTH = 64
_PLACEHOLDER = re.compile(r"\{(\d+)\}|\{\{|\}\}")
_LINK = re.compile(r"(?<!\\)\[((?:\\.|[^\]\\])+)\]\((?:\d+|sarif:[^)]*)\)")
_NO_RULE = RuleDescriptor()


def results_from_sarif(log: SarifLog, *, root: Path | None) -> AnalysisResults:
    """The findings of all runs of ``log``, with fingerprints.

    With ``root``, absolute paths below it become relative, and fingerprints and snippets are made
    from the files there; without, from what the log itself shows. Runs of the same tool are one
    detector. A run without ``results`` did not take place, one whose invocation was not successful
    failed: neither speaks for its findings.
    """
    diagnostics: dict[str, list[Diagnostic]] = {}
    reports: dict[str, DetectorReport] = {}
    for place, run in enumerate(log.runs):
        reader = _RunReader(run, root)
        count = reader.read_into(diagnostics, f"/runs/{place}")
        _merge_report(reports, reader.report(count))
    _complete(diagnostics, root)
    return AnalysisResults(
        diagnostics=diagnostics,
        tool=Tool(version=odavl.__version__),
        scope=Scope(detectors=list(reports.values())),
        git=_git_state(log.runs),
        metrics=Metrics(files_analyzed=_count_files(log.runs, diagnostics)),
        analysed_at=_time_of_analysis(log.runs),
    )


def detector_name(tool: str) -> str:
    """A tool's name as a detector's: lower case, with ``-`` for what is no letter or digit."""
    name = _NOT_IN_A_NAME.sub("-", tool.lower()).strip("-._")
    return name[:_MAX_NAME_LENGTH].rstrip("-._") or "sarif"


class _RunReader:
    """Reads one run. What belongs to a rule is looked up once for each rule, not each result."""

    def __init__(self, run: SarifRun, root: Path | None) -> None:
        self._run = run
        self._paths = RunPaths(run, root)
        self._components = (run.tool.driver, *run.tool.extensions)
        self._rules_by_id = _rules_by_id(self._components)
        self._severities: dict[tuple[str, int, str], Severity] = {}
        self._texts: dict[str, str] = {}
        self.name = detector_name(run.tool.driver.name)

    def report(self, count: int) -> DetectorReport:
        driver = self._run.tool.driver
        report = DetectorReport(
            name=self.name,
            version=(driver.semantic_version or driver.version or "")[: limits.MAX_NAME_LENGTH],
            findings=count,
        )
        if self._run.results is None:
            report.status, report.detail = "skipped", "The log holds no results of it."
        if not all(each.execution_successful for each in self._run.invocations):
            report.status, report.detail = "failed", "The log says that it did not run to its end."
        return report

    def read_into(self, diagnostics: dict[str, list[Diagnostic]], pointer: str) -> int:
        """Add the findings by path; how many there are. ``pointer`` is where the run stands."""
        count = 0
        for result in results_of(self._run, pointer):
            if result.kind != "fail" or result.baseline_state == "absent":
                continue
            place = result.locations[0].physical_location if result.locations else None
            path = self._paths.path_of(place.artifact_location) if place else PROJECT_PATH
            found = self._diagnostic(result, place.region if place else None)
            known = diagnostics.get(path)
            if known is None:
                diagnostics[path] = [found]
            else:
                known.append(found)
            count += 1
        return count

    def _diagnostic(self, result: Result, region: Region | None) -> Diagnostic:
        rule = self._rule_of(result)
        code = result.rule_id or (result.rule.id if result.rule else None) or rule.id
        found = Diagnostic(
            severity=self._severity_of(result, rule, code),
            message=self._shared(_message_text(result.message, rule) or _rule_text(rule, code)),
            source=self.name,
            code=self._shared(code[: limits.MAX_RULE_LENGTH]),
            url=(rule.help_uri or "")[: limits.MAX_URL_LENGTH],
        )
        if region is not None:
            found.line = region.start_line or 0
            found.column = region.start_column or 0
            found.end_line = region.end_line or None
            found.end_column = region.end_column or None
        if result.fixes:
            found.fix = self._shared(_fix_text(result.fixes))
        if result.suppressions:
            found.suppressed = _is_suppressed(result.suppressions)
        if result.partial_fingerprints:
            found.fingerprint = result.partial_fingerprints.get(FINGERPRINT_KEY, "")
        found.snippet = _snippet(region, result.locations)
        return found

    def _shared(self, text: str) -> str:
        """One object for equal texts: a log says the same thing thousands of times."""
        return self._texts.setdefault(text, text)

    def _rule_of(self, result: Result) -> RuleDescriptor:
        """By index (§3.27.6, §3.52) where its id agrees, else by id, else one that says nothing."""
        reference = result.rule
        rule_id = result.rule_id or (reference.id if reference else None)
        index, component = result.rule_index, 0
        if reference is not None:
            index = reference.index if reference.index >= 0 else index
            if reference.tool_component is not None:
                component = reference.tool_component.index + 1
        rules = self._components[component].rules if component < len(self._components) else []
        if 0 <= index < len(rules):
            rule = rules[index]
            if rule_id is None or rule_id == rule.id or rule_id.startswith(f"{rule.id}/"):
                return rule
        return self._rule_by_id(rule_id or "")

    def _rule_by_id(self, rule_id: str) -> RuleDescriptor:
        """§3.27.5: the rule of ``CA1000/2`` may be described as ``CA1000``."""
        while rule_id:
            rule = self._rules_by_id.get(rule_id)
            if rule is not None:
                return rule
            rule_id = rule_id.rpartition("/")[0]
        return _NO_RULE

    def _severity_of(self, result: Result, rule: RuleDescriptor, code: str) -> Severity:
        if result.properties:
            return self._work_out_severity(result, rule, code)
        key = (code, id(rule), result.level or "")
        severity = self._severities.get(key)
        if severity is None:
            severity = self._severities[key] = self._work_out_severity(result, rule, code)
        return severity

    def _work_out_severity(self, result: Result, rule: RuleDescriptor, code: str) -> Severity:
        default = rule.default_configuration.level if rule.default_configuration else None
        score = _security_severity(result.properties)
        return sarif_severity(
            self.name,
            code,
            result.level or default or "warning",
            _security_severity(rule.properties) if score is None else score,
            result.properties,
        )


def _rules_by_id(components: Iterable[ToolComponent]) -> dict[str, RuleDescriptor]:
    rules: dict[str, RuleDescriptor] = {}
    for component in components:
        for rule in component.rules:
            rules.setdefault(rule.id, rule)
    return rules


def _security_severity(properties: dict[str, object]) -> float | None:
    """GitHub's property: a CVSS score, as a text or a number."""
    value = properties.get("security-severity") if properties else None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _message_text(message: Message, rule: RuleDescriptor) -> str:
    """§3.11: the text, or the rule's text of that id, with its arguments put in."""
    text = message.text
    if text is None and message.id is not None and message.id in rule.message_strings:
        text = rule.message_strings[message.id].text
    text = text or message.markdown or ""
    if message.arguments:
        text = _PLACEHOLDER.sub(lambda match: _filled(match, message.arguments), text)
    if "](" in text:
        text = _LINK.sub(r"\1", text)
    return visible(text.strip())[: limits.MAX_MESSAGE_LENGTH]


def _filled(match: re.Match[str], arguments: list[str]) -> str:
    """§3.11.5: ``{0}`` is the first argument, ``{{`` a brace."""
    if match[1] is None:
        return match[0][0]
    index = int(match[1]) if len(match[1]) <= len(str(len(arguments))) else len(arguments)
    return arguments[index] if index < len(arguments) else match[0]


def _rule_text(rule: RuleDescriptor, code: str) -> str:
    for described in (rule.short_description, rule.full_description):
        if described is not None and described.text:
            return visible(described.text.strip())[: limits.MAX_MESSAGE_LENGTH]
    return (rule.name or code or "(no message)")[: limits.MAX_MESSAGE_LENGTH]


def _is_suppressed(suppressions: list[Suppression]) -> bool:
    """§3.27.23: not while one of them is under review or was rejected."""
    return all(each.status not in {"underReview", "rejected"} for each in suppressions)


def _fix_text(fixes: list[Fix]) -> str:
    """What the first fix says of itself, else the text that it puts in."""
    first = fixes[0]
    if first.description is not None and first.description.text:
        return visible(first.description.text)[: limits.MAX_FIX_LENGTH]
    inserted = (
        replacement.inserted_content.text
        for change in first.artifact_changes
        for replacement in change.replacements
        if replacement.inserted_content is not None and replacement.inserted_content.text
    )
    return visible("\n".join(inserted))[: limits.MAX_FIX_LENGTH]


def _snippet(region: Region | None, locations: list[Location]) -> str:
    """The region's own text; or its first line, out of the text around it."""
    if region is None:
        return ""
    if region.snippet is not None and region.snippet.text:
        return visible(region.snippet.text.rstrip())[: limits.MAX_SNIPPET_LENGTH]
    place = locations[0].physical_location
    around = place.context_region if place else None
    if around is None or around.snippet is None or not region.start_line:
        return ""
    lines = (around.snippet.text or "").split("\n")
    offset = region.start_line - (around.start_line or 0)
    text = lines[offset].rstrip() if around.start_line and 0 <= offset < len(lines) else ""
    return visible(text)[: limits.MAX_SNIPPET_LENGTH]


def _merge_report(reports: dict[str, DetectorReport], report: DetectorReport) -> None:
    """Several runs of one tool are one detector: failed if one failed, skipped if all were."""
    known = reports.get(report.name)
    if known is None:
        reports[report.name] = report
        return
    known.findings += report.findings
    known.version = report.version or known.version
    if known.status == "skipped" or report.status == "failed":
        known.status, known.detail = report.status, report.detail


def _complete(diagnostics: dict[str, list[Diagnostic]], root: Path | None) -> None:
    read_lines = SourceFiles(root.resolve()).lines if root is not None else without_sources
    assign_fingerprints(diagnostics, read_lines)
    strike_out_secrets(diagnostics, read_lines)


def _git_state(runs: list[SarifRun]) -> GitState:
    for run in runs:
        for each in run.version_control_provenance:
            return GitState(remote=each.repository_uri, branch=each.branch, commit=each.revision_id)
    return GitState()


def _time_of_analysis(runs: list[SarifRun]) -> datetime | None:
    """The latest time that an invocation of the log tells (§3.20.7, §3.20.8)."""
    told = (
        _moment(each.end_time_utc or each.start_time_utc)
        for run in runs
        for each in run.invocations
    )
    return max((moment for moment in told if moment is not None), default=None)


def _moment(text: str | None) -> datetime | None:
    """A time of the log; None for what is none, which is no reason to refuse the findings."""
    try:
        moment = datetime.fromisoformat(text or "")
        # All of them are in UTC (§3.9), some tools leave the mark out.
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return moment if FIRST_YEAR <= moment.year <= LAST_YEAR else None


def _count_files(runs: list[SarifRun], diagnostics: dict[str, list[Diagnostic]]) -> int:
    """What the tools list as looked at, and at least the files with findings."""
    listed = max((len(run.artifacts) for run in runs), default=0)
    return max(listed, len(diagnostics) - (PROJECT_PATH in diagnostics))
