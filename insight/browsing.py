"""What Insight's pages read: streams, runs, the difference a run made, one issue's life.

Everything is found through the organization of the person who asks; what lies elsewhere is
answered as if it did not exist (:class:`django.http.Http404`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404

from accounts.models import Organization, Project, User
from insight.models import Issue, PastInterval, Run, RunState, Stream

RULE_PAGES: Mapping[str, str] = {
    "ruff": "https://docs.astral.sh/ruff/rules/{}/",
    "eslint": "https://eslint.org/docs/latest/rules/{}",
}
"""Where a detector explains its rules, for findings that bring no address themselves."""


def project_called(organization: Organization, slug: str) -> Project:
    projects = Project.objects.for_organization(organization).select_related("organization")
    project: Project = get_object_or_404(projects, slug=slug)
    return project


def streams_of(project: Project) -> list[Stream]:
    """By branch name, each knowing its project and organization."""
    rows = Stream.objects.for_organization(project.organization).filter(project=project)
    return list(rows.select_related("project", "organization").order_by("branch"))


def stream_shown(project: Project, streams: Iterable[Stream], branch: str) -> Stream | None:
    """``branch``, or the default branch, or the newest one, whichever there is first."""
    by_branch = {stream.branch: stream for stream in streams}
    for name in (branch, project.default_branch):
        if name in by_branch:
            return by_branch[name]
    return max(by_branch.values(), key=lambda stream: stream.pk, default=None)


def runs_of(stream: Stream) -> QuerySet[Run]:
    """Newest first."""
    rows: QuerySet[Run] = Run.objects.for_organization(stream.organization)
    return rows.filter(stream=stream).order_by("-sequence")


def last_completed(stream: Stream) -> Run | None:
    return runs_of(stream).filter(state=RunState.COMPLETED).first()


def trend_of(stream: Stream, *, runs: int) -> list[Run]:
    """The last ``runs`` completed runs, oldest first."""
    return list(reversed(runs_of(stream).filter(state=RunState.COMPLETED)[:runs]))


def run_called(organization: Organization, run_id: uuid.UUID) -> Run:
    """A run with its stream, project and stored payload."""
    rows = Run.objects.for_organization(organization)
    related = ("stream__project__organization", "stream__organization", "upload__stored")
    run: Run = get_object_or_404(rows.select_related(*related), pk=run_id)
    return run


def run_before(run: Run) -> Run | None:
    """The last completed run of the same stream that came earlier."""
    return runs_of(run.stream).filter(sequence__lt=run.sequence, state=RunState.COMPLETED).first()


def issues_of_run(run: Run, show: str) -> QuerySet[Issue]:
    """``new`` in it, ``fixed`` by it, or ``all`` that were there after it; suppressed left out.

    Earlier lives of issues that were fixed and came back count as well.
    """
    past = PastInterval.objects.for_organization(run.stream.organization).filter(stream=run.stream)
    at = run.sequence
    match show:
        case "new":
            now, then = Q(introduced=at), Q(introduced=at)
        case "fixed":
            now, then = Q(resolved=at), Q(resolved=at)
        case _:
            now = Q(introduced__lte=at) & (Q(resolved=None) | Q(resolved__gt=at))
            then = Q(introduced__lte=at, resolved__gt=at)
    rows: QuerySet[Issue] = Issue.objects.for_organization(run.stream.organization)
    lived = Q(pk__in=past.filter(then).values("issue"))
    return rows.filter(now | lived, stream=run.stream, suppressed=False)


def issue_called(organization: Organization, issue_id: int) -> Issue:
    rows = Issue.objects.for_organization(organization)
    related = ("stream__project__organization", "stream__organization")
    issue: Issue = get_object_or_404(rows.select_related(*related), pk=issue_id)
    return issue


@dataclass(frozen=True, slots=True)
class Event:
    """One point of an issue's life: introduced, resolved, reopened, triage or seen."""

    kind: str
    at: datetime | None
    run: Run | None = None
    label: str = ""
    reason: str = ""
    actor: User | None = None


def life_of(issue: Issue) -> list[Event]:
    """What happened to the issue, newest first."""
    lives = [(past.introduced, past.resolved) for past in _past(issue)]
    lives.append((issue.introduced, issue.resolved))
    stream = issue.stream
    seen = None if issue.resolved else last_completed(stream)
    sequences = {number for life in lives for number in life if number is not None}
    runs = {run.sequence: run for run in runs_of(stream).filter(sequence__in=sequences)}
    events = list(_of_lives(lives, runs))
    if seen is not None and seen.sequence != issue.introduced:
        events.append(Event("seen", seen.created_at, seen))
    events.extend(
        Event("triage", each.created_at, None, each.get_triage_display(), each.reason, each.actor)
        for each in issue.triage_events.select_related("actor")
    )
    return sorted(events, key=lambda event: (event.at is not None, event.at), reverse=True)


def _past(issue: Issue) -> QuerySet[PastInterval]:
    return issue.past_intervals.order_by("introduced")


def _of_lives(lives: Iterable[tuple[int, int | None]], runs: Mapping[int, Run]) -> Iterable[Event]:
    for number, (introduced, resolved) in enumerate(lives):
        begun = runs.get(introduced)
        yield Event("reopened" if number else "introduced", begun and begun.created_at, begun)
        if resolved is not None:
            ended = runs.get(resolved)
            yield Event("resolved", ended and ended.created_at, ended)


def runs_lived(issue: Issue) -> int:
    """In how many completed runs of its stream the issue was there."""
    covered = Q(sequence__gte=issue.introduced)
    if issue.resolved is not None:
        covered &= Q(sequence__lt=issue.resolved)
    for past in _past(issue):
        covered |= Q(sequence__gte=past.introduced, sequence__lt=past.resolved)
    return runs_of(issue.stream).filter(covered, state=RunState.COMPLETED).count()


def rule_page(issue: Issue) -> str:
    """An address that explains the rule: the finding's own, else the detector's; empty for none."""
    if issue.url.startswith(("https://", "http://")):
        return issue.url
    pattern = RULE_PAGES.get(issue.detector)
    return pattern.format(issue.rule) if pattern and issue.rule.isascii() else ""


def detector_names(run: Run | None) -> list[str]:
    reports: list[Any] = run.detectors if run else []
    return sorted({str(report["name"]) for report in reports})
