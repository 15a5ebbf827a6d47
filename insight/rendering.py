"""Models as wire documents."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from insight.addresses import issue_address, run_address
from insight.models import Issue, Run, Triage
from insight.queries import Interval
from insight.rows import NAME_OF_SEVERITY
from odavl.wire import insight as wire
from odavl.wire.analysis import DetectorReport, Metrics
from uploads.results.addresses import stored_payload


def run_summary(run: Run) -> wire.RunSummary:
    return wire.RunSummary(**_run(run))


def run_detail(run: Run) -> wire.RunDetail:
    """Needs ``upload__stored`` loaded."""
    return wire.RunDetail(
        **_run(run),
        detectors=msgspec.convert(run.detectors, list[DetectorReport]),
        files=run.files,
        metrics=msgspec.convert(run.metrics, Metrics),
        open_total=run.open_total,
        open_by_severity=_severities(run.open_by_severity),
        payload=stored_payload(run.upload.stored, "insight-run-payload", run.pk),
        problem=run.problem,
    )


def issue_summary(issue: Issue) -> wire.IssueSummary:
    """Needs its stream, project and organization loaded."""
    return wire.IssueSummary(**_issue(issue))


def issue_detail(issue: Issue, lives: list[Interval]) -> wire.IssueDetail:
    return wire.IssueDetail(
        **_issue(issue),
        project_id=str(issue.stream.project_id),
        branch=issue.stream.branch,
        snippet=issue.snippet,
        fix=issue.fix,
        rule_url=issue.url,
        lives=[_interval(life) for life in lives],
    )


def _run(run: Run) -> dict[str, Any]:
    return {
        "id": str(run.pk),
        "project_id": str(run.stream.project_id),
        "branch": run.stream.branch,
        "sequence": run.sequence,
        "state": run.state,
        "url": run_address(run),
        "created_at": run.created_at.isoformat(),
        "finished_at": _time(run.finished_at),
        "analysed_at": _time(run.analysed_at),
        "late": run.is_late,
        "git": wire.RunGit(remote=run.git_remote, commit=run.git_commit),
        "counts": wire.RunCounts(
            total=run.total,
            new=run.new_count,
            fixed=run.fixed_count,
            unchanged=run.unchanged_count,
            reopened=run.reopened_count,
            suppressed=run.suppressed_count,
            trimmed=run.trimmed_count,
            superseded=run.superseded_count,
        ),
        "by_severity": _severities(run.by_severity),
    }


def _issue(issue: Issue) -> dict[str, Any]:
    return {
        "id": issue.pk,
        "detector": issue.detector,
        "rule": issue.rule,
        "severity": NAME_OF_SEVERITY[issue.severity],
        "message": issue.message,
        "path": issue.path,
        "line": issue.line,
        "column": issue.column,
        "end_line": issue.end_line,
        "end_column": issue.end_column,
        "state": _state(issue),
        "triage": issue.triage,
        "suppressed": issue.suppressed,
        "introduced": issue.introduced,
        "resolved": issue.resolved,
        "fingerprint": issue.fingerprint.hex,
        "url": issue_address(issue),
    }


def _state(issue: Issue) -> str:
    if issue.resolved is not None:
        return "fixed"
    if issue.suppressed:
        return "suppressed"
    if issue.triage != Triage.OPEN:
        return str(issue.triage)
    return "reopened" if issue.reopenings else "open"


def _interval(life: Interval) -> wire.Life:
    first, last = life.introduced_by, life.resolved_by
    return wire.Life(
        introduced=life.introduced,
        introduced_by=str(first.pk) if first else None,
        introduced_at=first.created_at.isoformat() if first else None,
        resolved=life.resolved,
        resolved_by=str(last.pk) if last else None,
        resolved_at=last.created_at.isoformat() if last else None,
    )


def _severities(counts: dict[str, int]) -> wire.SeverityCounts:
    return wire.SeverityCounts(**counts)


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
