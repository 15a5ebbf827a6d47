"""From an upload to a run whose issues can be read.

A run gets its place in its stream when the hub receives it. Its findings are ingested at once where
nothing is in the way (:func:`ingest_now`), else later (:func:`queue_run`), in that order whatever
the order of the workers: whoever comes first ingests all runs of the stream up to its own
(:func:`ingest_through`). Who may write when, :mod:`insight.stream_locks` says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime

import msgspec
from django.db import IntegrityError, transaction
from django.db.models import Count
from django.utils import timezone

from frame.database.errors import violates
from insight.documents import opened_document, source_of
from insight.failed_runs import CANCELLED
from insight.models import ISSUE_IDENTITY, Issue, Run, RunState
from insight.order import LaterCoverage, RemainingDocument, later_coverage, time_of_analysis
from insight.payload import Document, Header, clean_path
from insight.progress import Watch, WatchedDocument
from insight.rows import SEVERITY_OF_NAME, Tally
from insight.stream_locks import (
    OvertakenError,
    Unresolved,
    branch_name,
    is_overtaken,
    queued_run,
    take_place,
    try_lock_next,
    wait_for_lock,
)
from insight.tracking import Difference, Reach, Tracker
from jobs.models import Job
from jobs.models import State as JobState
from odavl.wire.analysis import SEVERITIES, DetectorReport, Scope
from odavl.wire.envelope import detector_of_type
from odavl.wire.errors import FieldError, InvalidPayload, RefusedError
from odavl.wire.limits import MAX_UNREAD_FILES
from odavl.wire.problem import problem_of
from uploads.models import Upload, UploadState


def ingest_now(upload: Upload, document: Document, branch: str | None) -> Run | None:
    """Take a run in within the request that brought it; None where a job has to.

    That is where another run of the branch is being ingested or waits to be, or got ahead of this
    one in between; then nothing of it is left. Without a ``branch`` it is the project's default
    one. Raises what :func:`ingest` does.
    """
    lock = try_lock_next(upload.project, _branch(upload, branch))
    if lock is None:
        return None
    run = lock.next_run()
    run.upload = upload
    run.created_at = timezone.now()
    try:
        # Written for the place that it will have if nobody comes in between.
        with ExitStack() as savepoint:
            ingest(
                run,
                document,
                before=lock.before,
                latest=lock.latest,
                writing=lambda: savepoint.enter_context(transaction.atomic()),
                place=take_place,
            )
    except OvertakenError:
        return None
    except InvalidPayload:
        # The version before takes no locks: what it wrote meanwhile may have been in the way.
        if is_overtaken(run):
            return None
        raise
    return run


def queue_run(upload: Upload, branch: str | None) -> Run:
    """Save a run that a job is to ingest, in the next place of its stream.

    To be called last: whoever comes next waits for the commit.
    """
    run = queued_run(upload.project, _branch(upload, branch))
    run.upload = upload
    run.save(force_insert=True)
    return run


def _branch(upload: Upload, branch: str | None) -> str:
    return branch_name(branch or upload.project.default_branch)


def ingest_through(run: Run, *, guard: Callable[[], None], watch: Watch) -> None:
    """Ingest the queued runs of the stream up to and with ``run``, each in its own transaction.

    ``guard`` is called last in each, ``watch`` between the files (with the percent of ``run``
    alone): both raise where this worker may not write any more.
    A run that is refused is marked failed, with the reason; the ones behind it go on.
    """
    while True:
        with transaction.atomic():
            if not wait_for_lock(run.stream, watch):
                return
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
    """Ingest the run, or mark it failed with the reason.

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


def _error_of_dead_job(run: Run) -> dict[str, object] | None:
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
    latest: datetime | None = None,
    writing: Callable[[], None] | None = None,
    place: Callable[[Run], None] | None = None,
    watch: Watch | None = None,
) -> None:
    """Ingest one run's findings into its stream, whose lock the caller has.

    ``before`` is what the run before it left behind; None has the issues counted in any case.
    ``latest`` is the time of the latest analysis that is in; None has it looked up.
    ``writing`` is called before any issue is written, ``place`` before the run itself is, for one
    that has no place yet.
    Raises a :class:`RefusedError` for a document that does not fit, and what ``watch`` raises.
    """
    upload = run.upload
    header = document.header
    source = source_of(upload.type, header)
    if watch is not None:
        passes = 1 if run.sequence == 1 else 2
        document = WatchedDocument(document, size=upload.stored.size, passes=passes, watch=watch)
    run.analysed_at = time_of_analysis(upload, header, arrival=run.created_at)
    coverage = later_coverage(run, latest)
    if coverage is not None:
        document = remaining = RemainingDocument(document, coverage, source)
    tracker = Tracker(run, document, source, writing=writing)
    if run.sequence == 1:
        before = {}
    try:
        if run.sequence == 1:
            tally, difference = tracker.take_first()
            scope = _scope(upload, header, tally)
        else:
            tally = tracker.take_keys()
            scope = _scope(upload, header, tally)
            difference = tracker.take_difference(_reach(scope, coverage))
    except IntegrityError as error:
        if not violates(error, ISSUE_IDENTITY):
            raise
        # Two files of one document whose findings were given identities that collide on purpose.
        raise InvalidPayload(
            "Two findings in different files share one identity.",
            errors=(FieldError("/diagnostics", "duplicate_identity", str(error.__cause__)[:200]),),
        ) from error
    _describe(run, header)
    if coverage is not None:
        run.is_late, run.superseded_count = True, remaining.left_out.total()
        for report in scope.detectors:
            report.findings += remaining.left_out[report.name]
    unresolved = _unresolved(run) if before is None else changed(before, difference.change)
    if place is not None:
        place(run)
    _finish(run, scope, tally, difference, unresolved)


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
        del report.unread_files[MAX_UNREAD_FILES:]
    files = None if scope.files is None else [clean_path(path) for path in scope.files]
    return Scope(detectors=scope.detectors, files=files)


def _reach(scope: Scope, coverage: LaterCoverage | None) -> Reach:
    # Only a detector that ran speaks for the absence of its findings.
    ran = [report.name for report in scope.detectors if report.status == "ran"]
    if coverage is None:
        return Reach(detectors=ran, files=scope.files)
    heard = [name for name in ran if name not in coverage.everywhere]
    return Reach(detectors=heard, files=scope.files, without=tuple(coverage.pairs()))


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


def changed(before: Unresolved, change: Mapping[str, int]) -> Unresolved:
    """What is unresolved after ``change``."""
    return {name: before.get(name, 0) + change.get(name, 0) for name in SEVERITIES}


def _unresolved(run: Run) -> Unresolved:
    unresolved = Issue.objects.belonging_to(stream=run.stream).filter(resolved=None)
    counted = unresolved.filter(suppressed=False).order_by().values_list("severity")
    found = dict(counted.annotate(count=Count("pk")))
    return {name: found.get(SEVERITY_OF_NAME[name], 0) for name in SEVERITIES}


def _fail(run: Run, problem: dict[str, object]) -> None:
    now = timezone.now()
    Run.across_organizations.filter(pk=run.pk).update(
        state=RunState.FAILED, problem=problem, finished_at=now
    )
    Upload.across_organizations.filter(pk=run.upload_id).update(
        state=UploadState.FAILED, problem=problem, finished_at=now
    )
