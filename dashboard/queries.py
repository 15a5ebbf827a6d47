"""What the overview reads: the state of every project of an organization, in few queries."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import F, Q

from accounts.models import Organization, Project
from insight.addresses import run_page
from insight.models import Run, RunState, Stream
from insight.queries import latest_run_ids

_TREND_RUNS = 30


@dataclass(frozen=True, slots=True)
class ProjectState:
    project: Project
    stream: Stream | None
    run: Run | None
    """The last one that was read completely."""
    trend: list[int]
    """Open issues after each of the last runs, oldest first."""

    @property
    def run_url(self) -> str:
        return run_page(self.project.organization, self.run.pk) if self.run else ""


@dataclass(slots=True)
class Totals:
    """Over all projects, each on its default branch."""

    open: int = 0
    new: int = 0
    fixed: int = 0
    by_severity: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Overview:
    states: list[ProjectState]
    totals: Totals
    latest_runs: list[Run]


def organization_overview(organization: Organization, *, latest_runs: int) -> Overview:
    """Projects by name; a project without a run on its default branch shows its newest branch."""
    states = _states(organization)
    runs = Run.objects.for_organization(organization).select_related("stream__project")
    return Overview(states, _totals(states), list(runs.order_by("-created_at")[:latest_runs]))


def _states(organization: Organization) -> list[ProjectState]:
    projects = Project.objects.for_organization(organization).order_by("name", "pk")
    streams = _shown_streams(organization)
    last = _last_runs(organization, streams.values())
    trends = _trends(organization, streams.values())
    states = []
    for project in projects:
        project.organization = organization
        stream = streams.get(project.pk)
        run = last.get(stream.pk) if stream else None
        states.append(ProjectState(project, stream, run, trends[stream.pk] if stream else []))
    return states


def _shown_streams(organization: Organization) -> dict[object, Stream]:
    """By project: its default branch's stream, else the one made last."""
    streams = Stream.objects.for_organization(organization)
    is_default = Q(branch=F("project__default_branch"))
    shown = streams.annotate(is_default=is_default).order_by("project_id", "-is_default", "-pk")
    return {stream.project_id: stream for stream in shown.distinct("project_id")}


def _last_runs(organization: Organization, streams: Iterable[Stream]) -> dict[object, Run]:
    shown = Stream.objects.for_organization(organization).filter(
        pk__in=[stream.pk for stream in streams]
    )
    runs = Run.objects.for_organization(organization).filter(
        pk__in=latest_run_ids(organization, shown)
    )
    return {run.stream_id: run for run in runs}


def _trends(organization: Organization, streams: Iterable[Stream]) -> dict[object, list[int]]:
    recent = Run.objects.for_organization(organization).filter(
        stream__in=list(streams),
        state=RunState.COMPLETED,
        sequence__gt=F("stream__last_sequence") - _TREND_RUNS,
    )
    trends: dict[object, list[int]] = defaultdict(list)
    for stream_id, total in recent.order_by("sequence").values_list("stream_id", "open_total"):
        trends[stream_id].append(total)
    return trends


def _totals(states: Iterable[ProjectState]) -> Totals:
    totals = Totals()
    for state in states:
        if state.run is not None:
            totals.open += state.run.open_total
            totals.new += state.run.new_count
            totals.fixed += state.run.fixed_count
            totals.by_severity.update(state.run.open_by_severity)
    return totals
