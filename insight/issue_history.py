"""What Insight's pages show beyond the queries: an issue's history, where rules are explained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from accounts.models import User
from insight.models import Issue, Run
from insight.queries import intervals_of, latest_run
from uploads.closings import Closed, Closing, closing_of

RULE_PAGES: Mapping[str, str] = {
    "ruff": "https://docs.astral.sh/ruff/rules/{}/",
    "eslint": "https://eslint.org/docs/latest/rules/{}",
}
"""Where a detector explains its rules, for findings that bring no address themselves."""

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Event:
    """One point of an issue's history: introduced, reopened, resolved, seen, or a triage."""

    kind: str
    at: datetime | None
    """None where the hub does not keep the run any more."""
    run: Run | None = None
    sequence: int = 0
    """Of the run, which may not be kept any more; 0 for a triage."""
    label: str = ""
    reason: str = ""
    actor: User | None = None
    closing: Closing | None = None
    """What closed a resolved one, where somebody knows."""


def history_of(issue: Issue) -> list[Event]:
    """What happened to the issue, newest first."""
    triages = (
        Event(
            "triage",
            each.created_at,
            label=each.get_triage_display(),
            reason=each.reason,
            actor=each.actor,
        )
        for each in issue.triage_events.select_related("actor")
    )
    dated: list[Event] = []
    others: list[Event] = []
    for event in (*triages, *_of_runs(issue)):
        (dated if event.at else others).append(event)
    # Runs that have gone are older than those that are kept.
    return sorted(dated, key=lambda event: event.at or _NEVER, reverse=True) + others


def _of_runs(issue: Issue) -> Iterator[Event]:
    intervals = intervals_of(issue)
    # Earlier intervals may have been deleted.
    first = intervals[-1] if issue.reopenings < len(intervals) else None
    for interval in intervals:
        if interval.resolved is not None:
            resolved = _event("resolved", interval.resolved, interval.resolved_by)
            yield replace(resolved, closing=_closing(issue, resolved.at))
        kind = "introduced" if interval is first else "reopened"
        yield _event(kind, interval.introduced, interval.introduced_by)
    seen = None if issue.resolved else latest_run(issue.stream)
    if seen is not None and seen.sequence > issue.introduced:
        yield _event("seen", seen.sequence, seen)


def _closing(issue: Issue, at: datetime | None) -> Closing | None:
    return closing_of(
        Closed(
            project=issue.stream.project,
            fingerprint=issue.fingerprint.hex,
            path=issue.path,
            at=at,
        )
    )


def _event(kind: str, sequence: int, run: Run | None) -> Event:
    return Event(kind, run.created_at if run else None, run, sequence)


def rule_page(issue: Issue) -> str:
    """An address that explains the rule: the finding's own, else the detector's; empty for none."""
    if issue.url.startswith(("https://", "http://")):
        return issue.url
    pattern = RULE_PAGES.get(issue.detector)
    return pattern.format(issue.rule) if pattern and issue.rule.isascii() else ""


def detector_names(run: Run | None) -> list[str]:
    return sorted({str(report["name"]) for report in run.detectors}) if run else []
