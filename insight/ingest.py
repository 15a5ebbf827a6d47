"""From an upload to a run whose issues can be read.

A run gets its place in its stream when the hub receives it (:func:`receive_run`). Its findings are
taken in later, in that order whatever the order of the workers: whoever comes first takes in all
runs of the stream up to its own (:func:`ingest_through`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from django.db import IntegrityError, transaction
from django.db.models import Count
from django.utils import timezone

from accounts.models import Project
from accounts.statements import Statement
from insight.documents import opened_document, source_of
from insight.giving_up import CANCELLED
from insight.models import Issue, Run, RunState, Stream
from insight.order import LaterLooks, RemainingDocument, later_looks, time_of_analysis
from insight.payload import Document, Header, clean_path
from insight.rows import SEVERITY_OF_NAME, Tally
from insight.tracking import Difference, Reach, Tracker
from insight.watching import Watch, WatchedDocument
from jobs.models import Job
from jobs.models import State as JobState
from odavl.wire.analysis import SEVERITIES, DetectorReport, Scope
from odavl.wire.encoding import visible
from odavl.wire.envelope import detector_of_type
from odavl.wire.errors import FieldError, InvalidPayload, RefusedError
from odavl.wire.limits import MAX_BRANCH_LENGTH
from odavl.wire.problem import problem_of
from uploads.models import Upload, UploadState

Unresolved = dict[str, int]
"""A stream's unresolved issues by severity, those outside of a run's scope too."""


def receive_run(*, upload: Upload, branch: str | None) -> tuple[Run, Unresolved | None]:
    """A run, not saved yet, next in its stream; the stream's row stays locked until the commit.

    Also what the run before it left behind, where that is in; then every earlier one is, too, as
    runs are taken in by their order. None does not say that one is not.
    Without a ``branch`` the run belongs to the project's default one.
    """
    stream, before = _next_in_stream(upload.project, branch or upload.project.default_branch)
    run = Run(
        organization_id=upload.organization_id,
        stream=stream,
        upload=upload,
        sequence=stream.last_sequence,
    )
    return run, before


def is_next(run: Run) -> bool:
    """Whether every earlier run of the stream is in."""
    if run.sequence == 1:
        return True
    earlier = Run.objects.belonging_to(stream=run.stream).filter(
        sequence__lt=run.sequence, state=RunState.QUEUED
    )
    return not earlier.exists()


def ingest_through(run: Run, *, guard: Callable[[], None], watch: Watch) -> None:
    """Take in the queued runs of the stream up to and with ``run``, each in its own transaction.

    ``guard`` is called last in each, ``watch`` between the files (with the percent of ``run``
    alone): both raise where this worker may not write any more.
    A run that is refused is marked failed, with the reason; the ones behind it go on.
    """
    while True:
        with transaction.atomic():
            Stream.across_organizations.select_for_update().get(pk=run.stream_id)
            queued = (
                Run.across_organizations.select_related("upload__stored", "stream__project")
                .defer("upload__stored__inline")
                .filter(stream_id=run.stream_id, sequence__lte=run.sequence, state=RunState.QUEUED)
                .order_by("sequence")
                .first()
            )
            if queued is None:
                return
            wanted = queued.pk == run.pk
            _ingest_or_fail(queued, wanted=wanted, watch=watch if wanted else lambda _: watch(0))
            guard()


def _ingest_or_fail(run: Run, *, wanted: bool, watch: Watch) -> None:
    """Take in the run, or mark it failed with the reason.

    One that its own job has given up (``wanted`` is False for a run that is only in the way) is not
    tried again: what killed that worker would kill this one.
    """
    if not wanted and (error := _error_of_dead_job(run)) is not None:
        _fail(run, error)
        return
    try:
        with transaction.atomic(), opened_document(run.upload) as document:
            ingest(run, document, before=_left_behind(run), watch=watch)
    except RefusedError as error:
        _fail(run, msgspec.to_builtins(problem_of(error)))
    else:
        Upload.across_organizations.filter(pk=run.upload_id).update(
            state=UploadState.COMPLETED, finished_at=run.finished_at
        )


def _left_behind(run: Run) -> Unresolved | None:
    """By the run before ``run``, None where that is not in."""
    before = Run.objects.belonging_to(stream=run.stream).filter(
        sequence=run.sequence - 1, state=RunState.COMPLETED
    )
    left: Unresolved | None = before.values_list("open_by_severity", flat=True).first()
    return left


def _error_of_dead_job(run: Run) -> dict[str, Any] | None:
    dead = Job.across_organizations.filter(
        pk=run.upload.job_id, state__in=(JobState.FAILED, JobState.CANCELLED)
    )
    job = dead.first()
    return (job.error or CANCELLED) if job else None


def ingest(
    run: Run,
    document: Document,
    *,
    before: Unresolved | None = None,
    watch: Watch | None = None,
) -> None:
    """Take one run's findings into its stream, whose row the caller has locked.

    ``before`` is what the run before it left behind; None has the issues counted in any case.
    Raises a :class:`RefusedError` for a document that does not fit, and what ``watch`` raises.
    """
    upload = run.upload
    header = document.header
    source = source_of(upload.type, header)
    if watch is not None:
        walks = 1 if run.sequence == 1 else 2
        document = WatchedDocument(document, size=upload.stored.size, walks=walks, watch=watch)
    run.analysed_at = time_of_analysis(upload, header, arrival=run.created_at or timezone.now())
    looks = None if run.sequence == 1 else later_looks(run)
    if looks is not None:
        document = remaining = RemainingDocument(document, looks, source)
    tracker = Tracker(run, document, source)
    try:
        if run.sequence == 1:
            tally, difference = tracker.take_first()
            scope = _scope(upload, header, tally)
        else:
            tally = tracker.take_keys()
            scope = _scope(upload, header, tally)
            difference = tracker.take_difference(_reach(scope, looks))
    except IntegrityError as error:
        # Two files of one document whose findings were given identities that collide on purpose.
        raise InvalidPayload(
            "Two findings in different files share one identity.",
            errors=(FieldError("/diagnostics", "duplicate_identity", str(error.__cause__)[:200]),),
        ) from error
    _describe(run, header)
    if looks is not None:
        run.is_late, run.superseded_count = True, remaining.left_out
    unresolved = before if before is not None and not difference.is_any else _unresolved(run)
    _finish(run, scope, tally, difference, unresolved)


def _next_in_stream(project: Project, branch: str) -> tuple[Stream, Unresolved | None]:
    """The branch's stream with its row locked and one run more; see :func:`receive_run`."""
    if len(branch) > MAX_BRANCH_LENGTH:
        raise InvalidPayload(
            f"The branch has more than {MAX_BRANCH_LENGTH} characters.",
            errors=(FieldError("/git/branch", "too_long", "Too long."),),
        )
    found = _counted_up(project, visible(branch))
    if found is None:
        # Two first uploads of a branch may race: the constraint decides, both count up the winner.
        new = Stream(
            organization_id=project.organization_id, project=project, branch=visible(branch)
        )
        Stream.across_organizations.bulk_create([new], ignore_conflicts=True)
        found = _counted_up(project, visible(branch))
        assert found is not None  # noqa: S101 - streams are deleted only with their project, which we hold
    return found


# Takes the lock, counts and reads. Where the lock was waited for, a run that was committed
# meanwhile is not seen: that only makes the answer's last column NULL.
_COUNT_UP = Statement(
    "UPDATE insight_stream SET last_sequence = last_sequence + 1"
    " WHERE project_id = %s AND branch = %s RETURNING {columns},"
    " (SELECT open_by_severity FROM insight_run WHERE stream_id = insight_stream.id"
    "  AND sequence = insight_stream.last_sequence - 1 AND state = 'completed')",
    Stream,
)


def _counted_up(project: Project, branch: str) -> tuple[Stream, Unresolved | None] | None:
    """None where there is no such stream yet."""
    row = _COUNT_UP.first([project.pk, branch])
    if row is None:
        return None
    stream, before = row
    stream.project = project
    return stream, None if before is None else _UNRESOLVED.decode(before)


def _scope(upload: Upload, header: Header, tally: Tally) -> Scope:
    """What the run speaks for, with the numbers that were really found."""
    named = detector_of_type(upload.type)
    scope = header.scope or Scope(
        detectors=[
            DetectorReport(name=name) for name in ([named] if named else sorted(tally.detectors))
        ]
    )
    if named:
        kept = [report for report in scope.detectors if report.name == named]
        scope = Scope(detectors=kept or [DetectorReport(name=named)], files=scope.files)
    for report in scope.detectors:
        report.findings = tally.detectors[report.name]
    files = None if scope.files is None else [clean_path(path) for path in scope.files]
    return Scope(detectors=scope.detectors, files=files)


def _reach(scope: Scope, looks: LaterLooks | None) -> Reach:
    # Only a detector that ran speaks for the absence of its findings.
    ran = [report.name for report in scope.detectors if report.status == "ran"]
    if looks is None:
        return Reach(detectors=ran, files=scope.files)
    heard = [name for name in ran if name not in looks.everywhere]
    return Reach(detectors=heard, files=scope.files, without=tuple(looks.pairs()))


def _describe(run: Run, header: Header) -> None:
    run.git_remote = (header.git.remote or "")[:500]
    run.git_commit = (header.git.commit or "")[:64]
    run.tool_name = header.tool.name[:100]
    run.tool_version = header.tool.version[:50]
    run.metrics = msgspec.to_builtins(header.metrics)


def _finish(
    run: Run, scope: Scope, tally: Tally, difference: Difference, unresolved: Unresolved
) -> None:
    run.state = RunState.COMPLETED
    run.finished_at = timezone.now()
    run.detectors = msgspec.to_builtins(scope.detectors)
    run.files = scope.files
    run.total = tally.findings - tally.suppressed
    run.suppressed_count = tally.suppressed
    run.trimmed_count = tally.trimmed
    run.new_count = difference.new
    run.fixed_count = difference.fixed
    run.reopened_count = difference.reopened
    run.unchanged_count = run.total - difference.new - difference.reopened
    run.by_severity = {name: tally.severities[name] for name in SEVERITIES}
    run.open_by_severity = unresolved
    run.open_total = sum(unresolved.values())
    run.save()


def _unresolved(run: Run) -> Unresolved:
    unresolved = Issue.objects.belonging_to(stream=run.stream).filter(resolved=None)
    counted = unresolved.filter(suppressed=False).order_by().values_list("severity")
    found = dict(counted.annotate(count=Count("pk")))
    return {name: found.get(SEVERITY_OF_NAME[name], 0) for name in SEVERITIES}


def _fail(run: Run, problem: dict[str, Any]) -> None:
    now = timezone.now()
    Run.across_organizations.filter(pk=run.pk).update(
        state=RunState.FAILED, problem=problem, finished_at=now
    )
    Upload.across_organizations.filter(pk=run.upload_id).update(
        state=UploadState.FAILED, problem=problem, finished_at=now
    )


_UNRESOLVED = msgspec.json.Decoder(Unresolved)
