"""SARIF 2.1.0 of any tool, read as an analysis.

Section numbers are those of the OASIS standard. What counts as a finding: results whose ``kind`` is
``fail`` or ``review`` (§3.27.9) and which the tool's own baseline does not call ``absent``
(§3.27.24). Results that are suppressed come along, marked. What is left out is counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

import odavl
from odavl.engines.insight.fingerprints import assign_fingerprints, vendor_fingerprint
from odavl.engines.insight.sarif_external import ExternalParts, ReadFile, WholeRun
from odavl.engines.insight.sarif_paths import PROJECT_PATH, RunPaths
from odavl.engines.insight.sarif_regions import Offsets, Place
from odavl.engines.insight.sarif_reports import DetectorReports
from odavl.engines.insight.sarif_rules import RunRules, described
from odavl.engines.insight.secret_text import (
    speaks_of_secrets,
    strike_out_secrets,
)
from odavl.engines.insight.severity import sarif_severity
from odavl.engines.insight.source_text import SourceFiles, without_sources
from odavl.wire import limits
from odavl.wire.analysis import (
    AnalysisResults,
    Diagnostic,
    GitState,
    Metrics,
    Scope,
    Severity,
    Tool,
)
from odavl.wire.encoding import visible
from odavl.wire.errors import RefusedError
from odavl.wire.moments import FIRST_YEAR, LAST_YEAR
from odavl.wire.sarif import (
    Fix,
    PhysicalLocation,
    Result,
    RuleDescriptor,
    SarifLog,
    SarifRun,
    Suppression,
    results_of,
)

FINGERPRINT_KEY = "odavl/v1"
"""Under this name in ``partialFingerprints`` our own SARIF carries our fingerprints."""

FIX_PROPERTY = "odavl/fix"
"""Under this name in ``properties`` it carries what to do about a finding."""

_FINDINGS = frozenset({"fail", "review"})
_MAX_FURTHER_PLACES = 5
_DIGEST_LENGTH = 8
_NOT_IN_A_NAME = re.compile(r"[^\w.-]+")
_MAX_NAME_LENGTH = 64
_MAX_CATEGORY_LENGTH = 1_000
_SHORTEST_IDENTITY = 4
_USER = re.compile(r"^(https?://)[^/?#]*@", re.IGNORECASE)


@dataclass(slots=True)
class LeftOut:
    """What a log holds and the analysis does not, by the standard's word for it."""

    results: Counter[str] = field(default_factory=Counter)
    """Results that are no findings: by ``kind``, and ``absent`` in the tool's baseline."""
    files: list[str] = field(default_factory=list)
    """Parts of the log that lie elsewhere and could not be had."""
    duplicates: int = 0
    """Findings that were told again, exactly the same: counted as occurrences of one."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The findings of a log, and what was left out."""

    results: AnalysisResults
    left_out: LeftOut


@dataclass(frozen=True, slots=True)
class Source:
    """One log; ``folder`` and ``read`` where parts of it may lie beside it.

    ``name`` tells it from others where it does not fit.
    """

    log: SarifLog
    name: str = ""
    folder: Path | None = None
    read: ReadFile | None = None


def results_from_sarif(log: SarifLog, *, root: Path | None) -> AnalysisResults:
    """The findings of one log alone, as :func:`read_sarif` gives them."""
    return read_sarif([Source(log)], root=root).results


def read_sarif(sources: Iterable[Source], *, root: Path | None) -> Imported:
    """The findings of all runs of all logs, with fingerprints.

    With ``root``, absolute paths below it become relative, offsets become lines, and fingerprints
    and snippets are made from the files there; without, from what the logs themselves show. Runs of
    the same tool and category are one detector. A run without ``results`` did not take place, one
    whose invocation was not successful failed: neither speaks for its findings. Secrets and
    credentials are struck out.
    """
    reading = _Reading(root)
    for source in sources:
        try:
            reading.add_log(source)
        except RefusedError as error:
            if source.name:
                raise error.of(source.name) from error
            raise
    return reading.imported()


def detector_name(tool: str, category: str = "") -> str:
    """A tool's name as a detector's: lower case, ``-`` for what is no letter or digit.

    Behind a ``/`` stands the category, so that two of them never speak for one another.
    """
    name = _NOT_IN_A_NAME.sub("-", tool.lower()).strip("-._")
    name = name[:_MAX_NAME_LENGTH].rstrip("-._") or "sarif"
    kind = "-".join(visible(category).split()).strip("/")
    if not kind:
        return name
    whole = f"{name}/{kind}"
    if len(whole) <= limits.MAX_DETECTOR_LENGTH:
        return whole
    digest = blake2b(whole.encode("utf-8", "replace"), digest_size=_DIGEST_LENGTH // 2).hexdigest()
    return f"{whole[: limits.MAX_DETECTOR_LENGTH - _DIGEST_LENGTH - 1]}~{digest}"


def category_of(run: SarifRun) -> str:
    """§3.17.3: the run's ``id`` up to its last ``/``; what follows names this one run."""
    details = run.automation_details
    if details is None or details.id is None:
        return ""
    return visible(details.id.rpartition("/")[0])[:_MAX_CATEGORY_LENGTH]


class _Reading:
    """What was read of all runs so far."""

    def __init__(self, root: Path | None) -> None:
        self.root = root.resolve() if root is not None else None
        self.offsets = Offsets(self.root)
        self.diagnostics: dict[str, list[Diagnostic]] = {}
        self.known: dict[str, dict[tuple[object, ...], Diagnostic]] = {}
        """By path and all that is told of them; findings that are equal in it are one."""
        self.vendor: dict[int, str] = {}
        """What the tool itself recognises a finding by, for the object's id."""
        self.further: dict[int, str] = {}
        """Where else the tool sees it, to be said once fingerprints are made."""
        self.secret_rules: set[tuple[str, str]] = set()
        self.left_out = LeftOut()
        self._reports = DetectorReports()
        self._runs: list[SarifRun] = []

    def add_log(self, source: Source) -> None:
        parts = ExternalParts(source.log, source.folder, source.read)
        for place, run in enumerate(source.log.runs):
            self.add(parts.whole(run), f"/runs/{place}")

    def add(self, whole: WholeRun, pointer: str) -> None:
        reader = _RunReader(whole.run, self)
        reader.read(pointer)
        self.left_out.files += whole.missing
        self.left_out.results += reader.left_out
        self.left_out.duplicates += reader.duplicates
        self._reports.add(
            whole,
            name=reader.name,
            category=category_of(whole.run),
            findings=reader.count,
            undecided=reader.undecided,
            paths=reader.paths,
            left_out=reader.left_out,
        )
        # Its results are read, and may be many.
        self._runs.append(_without_results(whole.run))

    def imported(self) -> Imported:
        self._complete()
        results = AnalysisResults(
            diagnostics=self.diagnostics,
            tool=Tool(version=odavl.__version__),
            scope=Scope(detectors=self._reports.all()),
            git=_git_state(self._runs),
            metrics=Metrics(files_analyzed=_count_files(self._runs, self.diagnostics)),
            analysed_at=_time_of_analysis(self._runs),
        )
        return Imported(results, self.left_out)

    def _complete(self) -> None:
        read_lines = SourceFiles(self.root).lines if self.root is not None else without_sources
        if self.vendor:
            for path, found in self.diagnostics.items():
                told = [each for each in found if id(each) in self.vendor]
                lines = read_lines(path) if told else None
                for each in told:
                    if not lines or not 0 < each.line <= len(lines):
                        each.fingerprint = vendor_fingerprint(each, self.vendor[id(each)])
        assign_fingerprints(self.diagnostics, read_lines)
        strike_out_secrets(self.diagnostics, read_lines, self.secret_rules)
        for found in self.diagnostics.values() if self.further else ():
            for each in found:
                places = self.further.get(id(each))
                if places and len(each.message) + len(places) + 3 <= limits.MAX_MESSAGE_LENGTH:
                    each.message = f"{each.message} ({places})"


class _RunReader:
    """Reads one run. What belongs to a rule is looked up once for each rule, not each result."""

    def __init__(self, run: SarifRun, reading: _Reading) -> None:
        self._run = run
        self._reading = reading
        self._rules = RunRules(run)
        self._severities: dict[tuple[str, int, str], Severity] = {}
        self._texts: dict[str, str] = {}
        self._seen_rules: set[tuple[str, int]] = set()
        self._tool = detector_name(run.tool.driver.name)
        self.paths = RunPaths(run, reading.root)
        self.name = detector_name(run.tool.driver.name, category_of(run))
        self.left_out: Counter[str] = Counter()
        self.undecided: Counter[str] = Counter()
        """Results of kind ``open`` by path: what is there, the tool cannot say."""
        self.count = 0
        self.duplicates = 0

    def read(self, pointer: str) -> None:
        """Add the findings by path. ``pointer`` is where the run stands."""
        for result in results_of(self._run, pointer):
            if result.kind in _FINDINGS and result.baseline_state != "absent":
                self._add(result)
                continue
            reason = result.kind if result.kind not in _FINDINGS else "absent"
            self.left_out[reason] += 1
            if reason == "open":
                self.undecided[self._place_of(result)[0]] += 1

    def _add(self, result: Result) -> None:
        path, place = self._place_of(result)
        found = self._diagnostic(result, path, place)
        known = self._reading.known.setdefault(path, {})
        key = _all_of(found)
        vendor = _vendor_text(result) if not found.fingerprint else ""
        same = known.setdefault((*key, vendor) if vendor else key, found)
        if same is not found:
            same.occurrences += found.occurrences
            self.duplicates += 1
            return
        self.count += 1
        self._reading.diagnostics.setdefault(path, []).append(found)
        if vendor:
            self._reading.vendor[id(found)] = vendor
        if len(result.locations) > 1:
            self._note_further_places(result, found, path)

    def _place_of(self, result: Result) -> tuple[str, PhysicalLocation | None]:
        """The first location that names one (§3.27.12), else the file the tool was given."""
        place: PhysicalLocation | None = None
        for location in result.locations:
            path, place = self.paths.place_of(location)
            if path != PROJECT_PATH:
                return path, place
        if result.analysis_target is not None:
            return self.paths.path_of(result.analysis_target), None
        return PROJECT_PATH, place

    def _note_further_places(self, result: Result, found: Diagnostic, path: str) -> None:
        places: dict[str, None] = {}
        for location in result.locations:
            other, physical = self.paths.place_of(location)
            line = (physical.region.start_line if physical and physical.region else 0) or 0
            if other != PROJECT_PATH and (other, line) != (path, found.line):
                places[f"{other}:{line}" if line else other] = None
        if places:
            more = len(places) - _MAX_FURTHER_PLACES
            told = list(places)[:_MAX_FURTHER_PLACES] + ([f"{more} more"] if more > 0 else [])
            self._reading.further[id(found)] = f"also at {', '.join(told)}"

    def _diagnostic(
        self, result: Result, path: str, physical: PhysicalLocation | None
    ) -> Diagnostic:
        rule = self._rules.rule_of(result)
        code = result.rule_id or (result.rule.id if result.rule else None) or rule.id
        self._note_rule(rule, code)
        text = self._rules.text_of(result.message, rule) or described(rule, code)
        found = Diagnostic(
            severity=self._severity_of(result, rule, code),
            message=self._shared(text),
            source=self.name,
            code=self._shared(code[: limits.MAX_RULE_LENGTH]),
            url=(rule.help_uri or "")[: limits.MAX_URL_LENGTH],
        )
        region = physical.region if physical is not None else None
        if region is not None:
            place: Place = self._reading.offsets.place_of(region, path)
            found.line, found.column, found.end_line, found.end_column = place
        if result.fixes:
            found.fix = self._shared(_fix_text(result.fixes))
        if result.suppressions:
            found.suppressed = _is_suppressed(result.suppressions)
        if result.partial_fingerprints:
            found.fingerprint = result.partial_fingerprints.get(FINGERPRINT_KEY, "")
        if result.occurrence_count is not None:
            found.occurrences = max(result.occurrence_count, 1)
        own_fix = result.properties.get(FIX_PROPERTY)
        if isinstance(own_fix, str):
            found.fix = visible(own_fix)[: limits.MAX_FIX_LENGTH]
        if physical is not None:
            found.snippet = _snippet(physical, found.line)
        return found

    def _note_rule(self, rule: RuleDescriptor, code: str) -> None:
        """Remember whether the rule is about secrets, so that they are struck out."""
        key = (code, id(rule))
        if key in self._seen_rules:
            return
        self._seen_rules.add(key)
        texts = [rule.short_description, rule.full_description]
        tags = rule.properties.get("tags")
        words = [f"{tag}" for tag in tags] if isinstance(tags, list) else []
        told = (code, rule.name, *(text.text for text in texts if text is not None), *words)
        if speaks_of_secrets(*told):
            self._reading.secret_rules.add((self.name, code[: limits.MAX_RULE_LENGTH]))

    def _shared(self, text: str) -> str:
        """One object for equal texts: a log says the same thing thousands of times."""
        return self._texts.setdefault(text, text)

    def _severity_of(self, result: Result, rule: RuleDescriptor, code: str) -> Severity:
        level = self._rules.level_of(result, rule)
        if result.properties:
            return self._work_out_severity(result, rule, code, level)
        key = (code, id(rule), level)
        severity = self._severities.get(key)
        if severity is None:
            severity = self._work_out_severity(result, rule, code, level)
            self._severities[key] = severity
        return severity

    def _work_out_severity(
        self, result: Result, rule: RuleDescriptor, code: str, level: str
    ) -> Severity:
        score = _security_severity(result.properties)
        score = _security_severity(rule.properties) if score is None else score
        return sarif_severity(self._tool, code, level, score, result.properties)


def _all_of(found: Diagnostic) -> tuple[object, ...]:
    """All that is told of a finding but how often."""
    return (
        found.line,
        found.column,
        found.end_line,
        found.end_column,
        found.code,
        found.message,
        found.source,
        found.severity,
        found.snippet,
        found.suppressed,
        found.fingerprint,
        found.fix,
        found.url,
    )


def _without_results(run: SarifRun) -> SarifRun:
    return SarifRun(
        tool=run.tool,
        artifacts=run.artifacts,
        invocations=run.invocations,
        version_control_provenance=run.version_control_provenance,
    )


def _vendor_text(result: Result) -> str:
    """What the tool recognises the result by (§3.27.16, §3.27.17), as one text.

    Values with white space are sentences in place of one (``requires login``); a column says only
    where in its line it stands.
    """
    if not result.fingerprints and not result.partial_fingerprints:
        return ""
    given = result.fingerprints or result.partial_fingerprints
    told = [
        f"{name}={value}"
        for name, value in sorted(given.items())
        if len(value) >= _SHORTEST_IDENTITY
        and not any(map(str.isspace, value))
        and "column" not in name.lower()
    ]
    return "\0".join(told)


def _security_severity(properties: dict[str, object]) -> float | None:
    """GitHub's property: a CVSS score, as a text or a number."""
    value = properties.get("security-severity") if properties else None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return float(value)
    except ValueError:
        return None


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


def _snippet(place: PhysicalLocation, line: int) -> str:
    """The region's own text; or its first line, out of the text around it."""
    region, around = place.region, place.context_region
    if region is None:
        return ""
    if region.snippet is not None and region.snippet.text:
        return visible(region.snippet.text.rstrip())[: limits.MAX_SNIPPET_LENGTH]
    if around is None or around.snippet is None or not line:
        return ""
    lines = (around.snippet.text or "").split("\n")
    offset = line - (around.start_line or 0)
    text = lines[offset].rstrip() if around.start_line and 0 <= offset < len(lines) else ""
    return visible(text)[: limits.MAX_SNIPPET_LENGTH]


def _git_state(runs: list[SarifRun]) -> GitState:
    for run in runs:
        for each in run.version_control_provenance:
            remote = each.repository_uri
            return GitState(
                remote=_without_user(remote) if remote else remote,
                branch=each.branch,
                commit=each.revision_id,
            )
    return GitState()


def _without_user(remote: str) -> str:
    """An address without the name and password in it, which are nobody's business."""
    return _USER.sub(r"\1", remote)


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
