"""Reading streams, runs and issues. Everything starts from an organization or from what it owns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet, Subquery

from accounts.models import Organization, Project
from accounts.principal import Principal
from frame.finding import found
from insight.filters import IssueFilter
from insight.models import Forgotten, Issue, PastInterval, Run, RunState, Stream
from odavl.wire.errors import NotFound

COUNT_LIMIT = 10_000
"""Counting stops here: "more than 10,000" helps a reader as much as the exact number."""


# ── Streams and runs ─────────────────────────────────────────────────────────


def streams_of(project: Project) -> QuerySet[Stream]:
    """All branches with runs."""
    streams: QuerySet[Stream] = Stream.objects.for_organization(project.organization)
    return streams.filter(project=project)


def stream_of(project: Project, branch: str | None = None) -> Stream | None:
    """The stream of ``branch``; without one, of the default branch, else of the latest run."""
    streams = streams_of(project)
    if branch:
        return streams.filter(branch=branch).first()
    return streams.filter(branch=project.default_branch).first() or latest_streams(project).first()


def latest_streams(project: Project) -> QuerySet[Stream]:
    """The branches whose last runs came last, first."""
    return streams_of(project).order_by(F("last_run_at").desc(nulls_last=True), "-pk")


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


def deleted_through(stream: Stream) -> int:
    """The sequence of the last run that is not kept any more; 0 where all are."""
    rows = Forgotten.objects.belonging_to(stream=stream).values_list("through", flat=True)
    through: int | None = rows.first()
    return through or 0


def latest_runs_by_project(projects: Sequence[Project]) -> dict[UUID, Run]:
    """For each project its default branch's latest completed run; two queries for all."""
    if not projects:
        return {}
    wanted = Q()
    for project in projects:
        wanted |= Q(project=project, branch=project.default_branch)
    streams = Stream.objects.for_organization(projects[0].organization).filter(wanted)
    runs = runs_of(projects[0].organization).filter(
        pk__in=latest_run_ids(projects[0].organization, streams)
    )
    return {run.stream.project_id: run for run in runs}


def latest_run_ids(organization: Organization, streams: QuerySet[Stream]) -> list[UUID]:
    """Of each stream's latest completed run: found from the end of each, however many there are."""
    completed = Run.objects.for_organization(organization).filter(
        stream=OuterRef("pk"), state=RunState.COMPLETED
    )
    latest = completed.order_by("-sequence").values("pk")[:1]
    found = streams.annotate(latest_run=Subquery(latest)).values_list("latest_run", flat=True)
    return [run_id for run_id in found if run_id is not None]


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
    past = _past_at(run.stream, run.sequence).filter(issue_id=OuterRef("pk"))
    return _issues(run.stream).filter(_current_at(run.sequence) | Exists(past))


def count_in(run: Run) -> int:
    """How many :func:`issues_in` are.

    No issue lives twice at once, so what is counted apart adds up; and apart, each part is a range
    of an index or, for the many that are still there, a walk that reads an index alone.
    """
    sequence = run.sequence
    issues, past = _issues(run.stream), _past(run.stream)
    unresolved = issues.filter(resolved=None)
    return (
        unresolved.count()
        - unresolved.filter(introduced__gt=sequence).count()
        + issues.filter(resolved__gt=sequence, introduced__lte=sequence).count()
        + past.filter(resolved__gt=sequence, introduced__lte=sequence).count()
    )


@dataclass(frozen=True)
class RunDiff:
    """What changed from ``base`` to ``run``: two sets of issues and three numbers."""

    base: Run | None
    """None where it is not kept any more."""
    run: Run
    new: QuerySet[Issue]
    fixed: QuerySet[Issue]
    new_count: int
    fixed_count: int

    @cached_property
    def unchanged_count(self) -> int:
        return count_in(self.run) - self.new_count


def diff(run: Run, base: Run) -> RunDiff:
    """From ``base`` to ``run``, of one stream or of two streams of one project.

    Within a stream the intervals tell; across streams the identities are compared.
    Raises :class:`NotFound` when the runs belong to different projects.
    """
    if run.stream.project_id != base.stream.project_id:
        raise NotFound("The two runs belong to different projects.")
    if run.stream_id != base.stream_id:
        new = _only_in(run, base)
        new_count = new.count()
        fixed_count = count_in(base) - (count_in(run) - new_count)
        return RunDiff(base, run, new, _only_in(base, run), new_count, fixed_count)
    return _diff_within(run, base.sequence, base)


def diff_to_deleted(run: Run) -> RunDiff | None:
    """From the run before the first one that is kept; None where all of the stream are.

    Its issues can still be told: those that ended before it have gone, and no others.
    """
    through = deleted_through(run.stream)
    return _diff_within(run, through, None) if through else None


def _diff_within(run: Run, other: int, base: Run | None) -> RunDiff:
    earlier, later = sorted((run.sequence, other))
    changes = _came(run.stream, earlier, later), _went(run.stream, earlier, later)
    added, removed = changes if run.sequence >= other else reversed(changes)
    return RunDiff(base, run, added.issues, removed.issues, added.count, removed.count)


@dataclass(frozen=True)
class _Change:
    """Issues of a stream that a life of theirs puts here: the current one, or else a past one."""

    stream: Stream
    current: Q
    past: QuerySet[PastInterval]
    stayed: QuerySet[PastInterval]
    """Past intervals of issues that ``current`` has and that do not belong here all the same."""

    @cached_property
    def count(self) -> int:
        if (few := self._few) is not None:
            return len(few)
        current = _issues(self.stream).filter(self.current)
        return current.count() - self.stayed.count() + self.past.count()

    @cached_property
    def issues(self) -> QuerySet[Issue]:
        if (few := self._few) is not None:
            return _issues(self.stream).filter(pk__in=few)
        # So many that a walk in the order of the list soon has a page of them.
        found = _issues(self.stream).filter(
            self.current | Exists(self.past.filter(issue_id=OuterRef("pk")))
        )
        return found.exclude(Exists(self.stayed.filter(issue_id=OuterRef("pk"))))

    @cached_property
    def _few(self) -> list[int] | None:
        """Their numbers, found once for counting and listing; None where they are many."""
        current = _issues(self.stream).filter(self.current).values_list("pk", flat=True)
        found = set(current[: COUNT_LIMIT + 1])
        if len(found) > COUNT_LIMIT:
            return None
        found -= set(self.stayed.filter(issue_id__in=found).values_list("issue_id", flat=True))
        found |= set(self.past.values_list("issue_id", flat=True)[: COUNT_LIMIT + 1])
        return list(found) if len(found) <= COUNT_LIMIT else None


def _came(stream: Stream, earlier: int, later: int) -> _Change:
    """The issues that live at ``later`` and did not at ``earlier``.

    The life at ``later`` began in between, so only one before it can have been there at
    ``earlier``: a past one.
    """
    began = Q(introduced__gt=earlier, introduced__lte=later)
    before = _past_at(stream, earlier)
    past = _past(stream).filter(began, resolved__gt=later)
    return _Change(
        stream,
        current=began & (Q(resolved=None) | Q(resolved__gt=later)),
        past=past.exclude(Exists(before.filter(issue_id=OuterRef("issue_id")))),
        stayed=_with_current(before, later),
    )


def _went(stream: Stream, earlier: int, later: int) -> _Change:
    """The issues that lived at ``earlier`` and do not at ``later``.

    The life at ``earlier`` ended in between. Behind a current one there is no other; behind a past
    one there may be one that ``later`` falls into.
    """
    ended = Q(introduced__lte=earlier, resolved__gt=earlier, resolved__lte=later)
    past = _past(stream).filter(ended)
    after = _past_at(stream, later).filter(issue_id=OuterRef("issue_id"))
    again = _issues(stream).filter(_current_at(later), pk=OuterRef("issue_id"))
    return _Change(
        stream,
        current=ended,
        past=past.exclude(Exists(after)).exclude(Exists(again)),
        stayed=_past(stream).none(),
    )


def _with_current(past: QuerySet[PastInterval], sequence: int) -> QuerySet[PastInterval]:
    """Those whose issue is in its current interval at that run."""
    until = Q(issue__resolved=None) | Q(issue__resolved__gt=sequence)
    return past.filter(until, issue__introduced__lte=sequence)


def _only_in(run: Run, other: Run) -> QuerySet[Issue]:
    twin = issues_in(other).filter(identity=OuterRef("identity"))
    return issues_in(run).filter(~Exists(twin))


def _issues(stream: Stream) -> QuerySet[Issue]:
    return Issue.objects.belonging_to(stream=stream)


def _past(stream: Stream) -> QuerySet[PastInterval]:
    return PastInterval.objects.belonging_to(stream=stream)


def _current_at(sequence: int) -> Q:
    """Issues whose current life covers that run."""
    return Q(introduced__lte=sequence) & (Q(resolved=None) | Q(resolved__gt=sequence))


def _past_at(stream: Stream, sequence: int) -> QuerySet[PastInterval]:
    """The past intervals that cover that run."""
    return _past(stream).filter(introduced__lte=sequence, resolved__gt=sequence)


@dataclass(frozen=True, slots=True)
class Interval:
    """One interval of an issue: ``[introduced, resolved)``, None while it is there."""

    introduced: int
    introduced_by: Run | None
    """None where that run is not kept any more."""
    resolved: int | None
    resolved_by: Run | None


def intervals_of(issue: Issue) -> list[Interval]:
    """The intervals of the issue, latest first; those before the first kept run may be gone."""
    past = PastInterval.objects.belonging_to(issue=issue).order_by("-introduced")
    intervals = [(issue.introduced, issue.resolved), *past.values_list("introduced", "resolved")]
    sequences = {sequence for interval in intervals for sequence in interval if sequence}
    runs = Run.objects.belonging_to(stream=issue.stream)
    by_sequence = {run.sequence: run for run in runs.filter(sequence__in=sequences).defer("files")}
    return [
        Interval(
            introduced=introduced,
            introduced_by=by_sequence.get(introduced),
            resolved=resolved,
            resolved_by=by_sequence.get(resolved) if resolved else None,
        )
        for introduced, resolved in intervals
    ]


def runs_with(issue: Issue) -> QuerySet[Run]:
    """The runs that are kept and that the issue lived through, latest first."""
    past = PastInterval.objects.belonging_to(issue=issue)
    covered = _sequences(issue.introduced, issue.resolved)
    for introduced, resolved in past.values_list("introduced", "resolved"):
        covered |= _sequences(introduced, resolved)
    runs = Run.objects.belonging_to(stream=issue.stream).filter(covered)
    return runs.filter(state=RunState.COMPLETED).defer("files").order_by("-sequence")


def _sequences(introduced: int, resolved: int | None) -> Q:
    until = Q(sequence__lt=resolved) if resolved else Q()
    return Q(sequence__gte=introduced) & until
