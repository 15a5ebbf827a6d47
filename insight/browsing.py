"""What Insight's pages show beyond the queries: an issue's life, where rules are explained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from accounts.models import User
from insight.models import Issue, Run
from insight.queries import latest_run, lives_of

RULE_PAGES: Mapping[str, str] = {
    "ruff": "https://docs.astral.sh/ruff/rules/{}/",
    "eslint": "https://eslint.org/docs/latest/rules/{}",
}
"""Where a detector explains its rules, for findings that bring no address themselves."""


@dataclass(frozen=True, slots=True)
class Event:
    """One point of an issue's life: introduced, reopened, resolved, seen, or a triage."""

    kind: str
    at: datetime
    run: Run | None = None
    label: str = ""
    reason: str = ""
    actor: User | None = None


def life_of(issue: Issue) -> list[Event]:
    """What happened to the issue, newest first."""
    triages = (
        Event("triage", each.created_at, None, each.get_triage_display(), each.reason, each.actor)
        for each in issue.triage_events.select_related("actor")
    )
    return sorted([*triages, *_of_runs(issue)], key=lambda event: event.at, reverse=True)


def _of_runs(issue: Issue) -> Iterator[Event]:
    lives = lives_of(issue)
    first = lives[-1]
    for life in lives:
        if life.resolved is not None:
            yield Event("resolved", life.resolved.created_at, life.resolved)
        kind = "introduced" if life is first else "reopened"
        yield Event(kind, life.introduced.created_at, life.introduced)
    seen = None if issue.resolved else latest_run(issue.stream)
    if seen is not None and seen.sequence > issue.introduced:
        yield Event("seen", seen.created_at, seen)


def rule_page(issue: Issue) -> str:
    """An address that explains the rule: the finding's own, else the detector's; empty for none."""
    if issue.url.startswith(("https://", "http://")):
        return issue.url
    pattern = RULE_PAGES.get(issue.detector)
    return pattern.format(issue.rule) if pattern and issue.rule.isascii() else ""


def detector_names(run: Run | None) -> list[str]:
    return sorted({str(report["name"]) for report in run.detectors}) if run else []
