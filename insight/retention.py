"""Letting go of old runs, and of what only they tell of.

What goes is always the beginning of a stream. Its latest run stays, as does its latest analysis and
the run before one that waits: so no later run is ingested differently. When the runs that have gone
looked where, that a late run may need to be told, is kept in few words (:class:`Forgotten`).

Everything is done in short transactions under the stream's lock. Nobody is waited for: a stream
whose lock somebody has is left to the next round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from itertools import takewhile
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import Organization
from accounts.services.audit import record
from insight.models import (
    Forgotten,
    Issue,
    PastInterval,
    Run,
    RunState,
    Stream,
    Triage,
    TriageEvent,
)
from insight.stream_locks import try_lock_existing
from storage import services as storage
from uploads.models import Upload

_AT_ONCE = 100
"""Runs of one transaction: while it has the lock, what arrives is left to a job."""

Coverage = dict[str, dict[str, str]]
"""As :attr:`Forgotten.looks`."""

# Each part is a probe of an index. What has to stay is the last that counted, the last that looked,
# and what the first one that waits goes on from.
_FIRST_KEPT = """
WITH old AS (
SELECT stream.id, oldest.sequence AS oldest, least(
    newest.sequence,
    (SELECT sequence FROM insight_run WHERE stream_id = stream.id AND state = 'completed'
     AND analysed_at IS NOT NULL ORDER BY analysed_at DESC LIMIT 1),
    (SELECT min(sequence) - 1 FROM insight_run WHERE stream_id = stream.id AND state = 'queued')
) AS first_kept
FROM insight_stream AS stream
CROSS JOIN LATERAL (SELECT sequence, created_at FROM insight_run WHERE stream_id = stream.id
                    ORDER BY sequence LIMIT 1) AS oldest
CROSS JOIN LATERAL (SELECT sequence FROM insight_run WHERE stream_id = stream.id
                    AND state = 'completed' ORDER BY sequence DESC LIMIT 1) AS newest
WHERE oldest.created_at < %(older_than)s AND (%(stream)s::bigint IS NULL OR stream.id = %(stream)s)
) SELECT id, first_kept FROM old WHERE oldest < first_kept LIMIT %(at_most)s
"""


def delete_old_runs(*, older_than: datetime, at_most: int) -> int:
    """Remove runs that came before ``older_than``, their uploads and documents; how many runs."""
    gone: Counter[UUID] = Counter()
    try:
        for stream in _streams_with_old_runs(older_than, at_most):
            while (left := at_most - gone.total()) > 0:
                wanted = min(left, _AT_ONCE)
                count = _delete_oldest(stream, older_than, at_most=wanted)
                gone[stream.organization_id] += count
                if count < wanted:
                    break
    finally:
        _audit(gone)
    return gone.total()


def delete_old_intervals(*, older_than: datetime, at_most: int) -> int:
    """Remove intervals that ended before the first kept run of their stream; how many rows.

    An issue whose last one that is goes as a whole, unless somebody decided about it.
    """
    del older_than  # what is past its stream's first run goes, however old
    count = 0
    for stream in _streams_with_old_intervals(at_most):
        while (left := at_most - count) > 0:
            wanted = min(left, _AT_ONCE)
            went = _delete_intervals(stream, at_most=wanted)
            count += went
            if went < wanted:
                break
    return count


def _streams_with_old_runs(older_than: datetime, at_most: int) -> list[Stream]:
    found = [pk for pk, _ in _first_kept(older_than, at_most=at_most)]
    return list(Stream.across_organizations.filter(pk__in=found).order_by("pk"))


def _first_kept(
    older_than: datetime, *, stream: Stream | None = None, at_most: int = 1
) -> list[tuple[int, int]]:
    """Streams of which runs may go, each with the sequence of the first one that has to stay."""
    values = {
        "older_than": older_than,
        "stream": stream.pk if stream else None,
        "at_most": at_most,
    }
    with connection.cursor() as cursor:
        cursor.execute(_FIRST_KEPT, values)
        found: list[tuple[int, int]] = cursor.fetchall()
    return found


@transaction.atomic
def _delete_oldest(stream: Stream, older_than: datetime, *, at_most: int) -> int:
    """Remove the first runs of the stream; how many. None where somebody has its lock."""
    if not try_lock_existing(stream):
        return 0
    runs = Run.objects.belonging_to(stream=stream)
    for _, first_kept in _first_kept(older_than, stream=stream):
        before = runs.filter(sequence__lt=first_kept).order_by("sequence")
        shown = before.only("sequence", "created_at", "upload_id")[:at_most]
        going = list(takewhile(lambda run: run.created_at < older_than, shown))
        _record_coverage(stream, through=going[-1].sequence)
        uploads = Upload.across_organizations.filter(pk__in=[run.upload_id for run in going])
        storage.release(set(uploads.values_list("stored_id", flat=True)))
        runs.filter(pk__in=[run.pk for run in going]).delete()
        uploads.delete()
        return len(going)
    return 0


def _record_coverage(stream: Stream, *, through: int) -> None:
    """Note that the runs ``through`` that sequence go, and what they looked at last."""
    forgotten = Forgotten.objects.belonging_to(stream=stream).first() or Forgotten(stream=stream)
    completed = Run.objects.belonging_to(stream=stream).filter(
        state=RunState.COMPLETED, analysed_at__isnull=False
    )
    coverage: Coverage = forgotten.looks
    going = completed.filter(sequence__lte=through).order_by()
    for detectors, files, moment in _coverage_of(going).iterator(chunk_size=10):
        for name in _ran(detectors):
            for path in [""] if files is None else files:
                _cover(coverage.setdefault(name, {}), path, moment)
    for name, times in coverage.items():
        if "" in times:
            coverage[name] = _after(times, datetime.fromisoformat(times[""])) | {"": times[""]}
    kept = completed.filter(sequence__gt=through, files__isnull=True).order_by("-analysed_at")
    for detectors, _, moment in _coverage_of(kept)[:1]:
        for name in _ran(detectors):
            # Whoever looks up this one's looks is told as much, and more.
            coverage[name] = _after(coverage.get(name, {}), moment)
    forgotten.looks = {name: times for name, times in coverage.items() if times}
    forgotten.through = through
    forgotten.save()


def _coverage_of(runs: QuerySet[Run]) -> QuerySet[Run, tuple[Any, Any, Any]]:
    return runs.values_list("detectors", "files", "analysed_at")


def _ran(detectors: Iterable[dict[str, Any]]) -> list[str]:
    return [report["name"] for report in detectors if report["status"] == "ran"]


def _cover(times: dict[str, str], path: str, moment: datetime) -> None:
    known = times.get(path)
    if known is None or datetime.fromisoformat(known) < moment:
        times[path] = moment.isoformat()


def _after(times: dict[str, str], moment: datetime) -> dict[str, str]:
    return {path: time for path, time in times.items() if datetime.fromisoformat(time) > moment}


def _streams_with_old_intervals(at_most: int) -> list[Forgotten]:
    past = PastInterval.across_organizations.filter(
        stream=OuterRef("stream"), resolved__lte=OuterRef("through")
    )
    issues = _undecided(Issue.across_organizations.all()).filter(
        stream=OuterRef("stream"), resolved__lte=OuterRef("through")
    )
    rows = Forgotten.across_organizations.filter(Exists(past) | Exists(issues))
    return list(rows.select_related("stream").order_by("pk")[:at_most])


@transaction.atomic
def _delete_intervals(forgotten: Forgotten, *, at_most: int) -> int:
    """Remove past intervals and then issues of the stream; how many rows."""
    stream = forgotten.stream
    if not try_lock_existing(stream):
        return 0
    past = PastInterval.objects.belonging_to(stream=stream)
    ended = past.filter(resolved__lte=forgotten.through).order_by("resolved")
    going = list(ended.values_list("pk", flat=True)[:at_most])
    past.filter(pk__in=going).delete()
    if len(going) == at_most:
        return at_most
    return len(going) + _delete_issues(forgotten, at_most=at_most - len(going))


def _delete_issues(forgotten: Forgotten, *, at_most: int) -> int:
    issues = _undecided(Issue.objects.belonging_to(stream=forgotten.stream))
    ended = issues.filter(resolved__lte=forgotten.through).order_by("resolved")
    # Somebody may be deciding about one: those are locked by then, and asked about once more.
    free = ended.select_for_update(skip_locked=True, of=("self",))
    locked = list(free.values_list("pk", flat=True)[:at_most])
    going = list(issues.filter(pk__in=locked).values_list("pk", flat=True))
    Issue.across_organizations.filter(pk__in=going).delete()
    return len(going)


def _undecided(issues: QuerySet[Issue]) -> QuerySet[Issue]:
    decisions = TriageEvent.across_organizations.filter(issue=OuterRef("pk"))
    return issues.filter(~Exists(decisions), triage=Triage.OPEN)


def _audit(gone: Counter[UUID]) -> None:
    for organization in Organization.objects.filter(pk__in=list(gone)):
        if runs := gone[organization.pk]:
            record(organization=organization, action="run.forgotten", details={"runs": runs})
