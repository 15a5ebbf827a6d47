"""Reading streams, runs and issues. Everything starts from an organization or from what it owns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet

from accounts.finding import found
from accounts.models import Organization, Project
from accounts.principal import Principal
from insight.filters import IssueFilter
from insight.models import Issue, PastInterval, Run, RunState, Stream
from odavl.wire.errors import NotFound

COUNT_LIMIT = 10_000
"""Counting stops here: "more than 10,000" helps a reader as much as the exact number."""


# ── Streams and runs ─────────────────────────────────────────────────────────


def streams_of(project: Project) -> QuerySet[Stream]:
    """All branches with runs, the default branch's first."""
    streams: QuerySet[Stream] = (
        Stream.objects.for_organization(project.organization)
        .filter(project=project)
        .annotate(is_default=Q(branch=project.default_branch), latest=Max("runs__created_at"))
        .order_by("-is_default", "-latest", "branch")
    )
    return streams


def stream_of(project: Project, branch: str | None = None) -> Stream | None:
    """The stream of ``branch``; without one, of the default branch, else of the latest run."""
    streams = streams_of(project)
    return (streams.filter(branch=branch) if branch else streams).first()


def runs_of(organization: Organization) -> QuerySet[Run]:
    """All runs, latest first."""
    return (
        Run.objects.for_organization(organization)
        .select_related("stream__project__organization")
        .defer("files")
        .order_by("-created_at", "-id")
    )


def run_of(principal: Principal, run_id: UUID) -> Run:
    """Raises :class:`NotFound` for a stranger's as for one that never was."""
    rows: QuerySet[Run] = Run.objects.for_organization(principal.organization).filter(pk=run_id)
    if principal.project is not None:
        rows = rows.filter(stream__project=principal.project)
    rows = rows.select_related("stream__project__organization", "upload__stored")
    return found(rows.defer("upload__stored__inline"), "run")


def latest_run(stream: Stream) -> Run | None:
    """The latest run of the stream whose findings are in."""
    return _completed(stream).order_by("-sequence").first()


def previous_run(run: Run) -> Run | None:
    """The run before it in its stream whose findings are in."""
    return _completed(run.stream).filter(sequence__lt=run.sequence).order_by("-sequence").first()


def latest_runs_by_project(projects: Sequence[Project]) -> dict[UUID, Run]:
    """For each project its default branch's latest completed run; one query for all."""
    if not projects:
        return {}
    wanted = Q()
    for project in projects:
        wanted |= Q(stream__project=project, stream__branch=project.default_branch)
    runs = (
        runs_of(projects[0].organization)
        .filter(wanted, state=RunState.COMPLETED)
        .order_by("stream_id", "-sequence")
        .distinct("stream_id")
    )
    return {run.stream.project_id: run for run in runs}


def trend(stream: Stream, *, limit: int = 60) -> list[Run]:
    """The last ``limit`` completed runs, oldest first, with their counts."""
    runs = _completed(stream).defer("files", "detectors", "metrics").order_by("-sequence")[:limit]
    return list(reversed(runs))


def _completed(stream: Stream) -> QuerySet[Run]:
    return Run.objects.belonging_to(stream=stream).filter(state=RunState.COMPLETED)


# ── Issues ───────────────────────────────────────────────────────────────────


def issue_of(principal: Principal, issue_id: int) -> Issue:
    """Raises :class:`NotFound` for a stranger's as for one that never was."""
    rows: QuerySet[Issue] = Issue.objects.for_organization(principal.organization)
    if principal.project is not None:
        rows = rows.filter(stream__project=principal.project)
    rows = rows.select_related("stream__project__organization")
    return found(rows.filter(pk=issue_id), "issue")


def issues_of(stream: Stream, issue_filter: IssueFilter) -> QuerySet[Issue]:
    """The stream's issues that the filter wants; the caller orders and cuts them."""
    issues = Issue.objects.belonging_to(stream=stream)
    latest = 0
    if issue_filter.only_new:
        latest = _completed(stream).aggregate(latest=Max("sequence"))["latest"] or 0
    return issue_filter.apply(issues, latest_sequence=latest)


def bounded_count(issues: QuerySet[Issue]) -> int:
    """How many, at most :data:`COUNT_LIMIT` + 1 (meaning: more)."""
    return issues.order_by()[: COUNT_LIMIT + 1].count()


@dataclass(frozen=True, slots=True)
class RuleCount:
    detector: str
    rule: str
    count: int


def rules_of(issues: QuerySet[Issue], *, limit: int = 100) -> list[RuleCount]:
    """The rules of these issues, most frequent first."""
    counted = issues.order_by().values_list("detector", "rule").annotate(count=Count("pk"))
    return [RuleCount(*row) for row in counted.order_by("-count", "detector", "rule")[:limit]]


def issues_in(run: Run) -> QuerySet[Issue]:
    """The issues that lived at the run, those out of its scope included."""
    return Issue.objects.belonging_to(stream=run.stream).filter(_alive_at(run))


@dataclass(frozen=True, slots=True)
class RunDiff:
    """What changed from ``base`` to ``run``: two sets of issues and a number."""

    base: Run
    run: Run
    new: QuerySet[Issue]
    fixed: QuerySet[Issue]

    def unchanged_count(self) -> int:
        return issues_in(self.run).count() - self.new.count()


def diff(run: Run, base: Run) -> RunDiff:
    """From ``base`` to ``run``, of one stream or of two streams of one project.

    Within a stream the intervals tell; across streams the identities are compared.
    Raises :class:`NotFound` when the runs belong to different projects.
    """
    if run.stream_id == base.stream_id:
        return RunDiff(
            base,
            run,
            new=issues_in(run).exclude(_alive_at(base)),
            fixed=issues_in(base).exclude(_alive_at(run)),
        )
    if run.stream.project_id != base.stream.project_id:
        raise NotFound("The two runs belong to different projects.")
    return RunDiff(base, run, new=_only_in(run, base), fixed=_only_in(base, run))


def _only_in(run: Run, other: Run) -> QuerySet[Issue]:
    twin = issues_in(other).filter(identity=OuterRef("identity"))
    return issues_in(run).filter(~Exists(twin))


def _alive_at(run: Run) -> Q:
    """Issues whose current interval, or a past one, covers the run's sequence."""
    past = PastInterval.objects.belonging_to(stream=run.stream).filter(
        introduced__lte=run.sequence, resolved__gt=run.sequence
    )
    current = Q(introduced__lte=run.sequence) & (
        Q(resolved__isnull=True) | Q(resolved__gt=run.sequence)
    )
    return current | Q(pk__in=past.values("issue_id"))


@dataclass(frozen=True, slots=True)
class Life:
    """One interval of an issue; ``resolved`` is the first run without it, None so far."""

    introduced: Run
    resolved: Run | None
    runs: int
    """In how many runs of the stream it was there."""


def lives_of(issue: Issue) -> list[Life]:
    """The intervals of the issue, latest first."""
    past = PastInterval.objects.belonging_to(issue=issue).order_by("-introduced")
    intervals = [(issue.introduced, issue.resolved), *past.values_list("introduced", "resolved")]
    sequences = {sequence for interval in intervals for sequence in interval if sequence}
    runs = Run.objects.belonging_to(stream=issue.stream)
    by_sequence = {run.sequence: run for run in runs.filter(sequence__in=sequences).defer("files")}
    last = issue.stream.last_sequence + 1
    return [
        Life(
            introduced=by_sequence[introduced],
            resolved=by_sequence[resolved] if resolved else None,
            runs=(resolved or last) - introduced,
        )
        for introduced, resolved in intervals
    ]


def runs_with(issue: Issue) -> QuerySet[Run]:
    """The runs that the issue lived through, latest first."""
    past = PastInterval.objects.belonging_to(issue=issue)
    covered = _sequences(issue.introduced, issue.resolved)
    for introduced, resolved in past.values_list("introduced", "resolved"):
        covered |= _sequences(introduced, resolved)
    runs = Run.objects.belonging_to(stream=issue.stream).filter(covered)
    return runs.filter(state=RunState.COMPLETED).defer("files").order_by("-sequence")


def _sequences(introduced: int, resolved: int | None) -> Q:
    until = Q(sequence__lt=resolved) if resolved else Q()
    return Q(sequence__gte=introduced) & until
