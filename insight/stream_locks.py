"""A run's place in its stream, and who may ingest runs: two locks, held apart.

The *place* is the stream's row, which counts its runs. It is counted up by the last statements of
the transaction that receives a run, so nobody who waits for it waits for more than a commit.

The *lock* is an advisory lock of the transaction, named by project and branch: whoever has it may
ingest runs into the stream. A worker may have it for minutes. Web threads only try for it: a run
that finds it taken is left to a job, as is one that is overtaken, which its place then shows.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from django.db import connection
from django.db.backends.utils import CursorWrapper

from accounts.models import Project
from frame.database.prepared import Statement
from insight.models import Run, Stream
from insight.progress import Watch
from odavl.wire.encoding import visible
from odavl.wire.errors import FieldError, InvalidPayload
from odavl.wire.limits import MAX_BRANCH_LENGTH

Unresolved = dict[str, int]
"""A stream's unresolved issues by severity, those outside of a run's scope too."""

_POLL_SECONDS = 0.2


class OvertakenError(Exception):
    """Another run got the place that this one was ingested for: nothing of it may stay."""


@dataclass(frozen=True, slots=True)
class StreamLock:
    """The right to ingest one run into ``stream``, until the end of the transaction."""

    stream: Stream
    """With the number of the last run before; not saved yet where there is none."""
    before: Unresolved | None
    """What that one left behind; None where it failed or there is none."""
    latest: datetime | None
    """The time of the latest analysis that was ingested; None where none has one."""

    def next_run(self) -> Run:
        """The run that may be ingested now. Its place is not taken yet."""
        return _run_in(self.stream, self.stream.last_sequence + 1)


# The second statement sees what was committed before the first one got the lock. Asked again, it
# answers whether the transaction has it.
_TRY = Statement(
    "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0));"
    " SELECT {columns}, pg_try_advisory_xact_lock(hashtextextended(%s, 0)),"
    " (SELECT open_by_severity FROM insight_run WHERE stream_id = insight_stream.id"
    "  AND sequence = insight_stream.last_sequence AND state = 'completed'),"
    " EXISTS (SELECT FROM insight_run WHERE stream_id = insight_stream.id AND state = 'queued'),"
    " (SELECT max(analysed_at) FROM insight_run"
    "  WHERE stream_id = insight_stream.id AND state = 'completed')"
    " FROM (SELECT) AS one LEFT JOIN insight_stream ON project_id = %s AND branch = %s",
    Stream,
)
_COUNT_UP = Statement(
    "UPDATE insight_stream SET last_sequence = last_sequence + 1, last_run_at = now()"
    " WHERE project_id = %s AND branch = %s RETURNING {columns}",
    Stream,
)
_TAKE_PLACE = (
    "UPDATE insight_stream SET last_sequence = last_sequence + 1, last_run_at = now()"
    " WHERE id = %s AND last_sequence = %s"
)
_BEGIN = (
    "INSERT INTO insight_stream"
    " (id, organization_id, project_id, branch, last_sequence, last_run_at)"
    " VALUES (%s, %s, %s, %s, 1, now()) ON CONFLICT DO NOTHING"
)


def branch_name(branch: str) -> str:
    """As it is kept. Raises :class:`InvalidPayload` for one that is too long."""
    if len(branch) > MAX_BRANCH_LENGTH:
        raise InvalidPayload(
            f"The branch has more than {MAX_BRANCH_LENGTH} characters.",
            errors=(FieldError("/git/branch", "too_long", "Too long."),),
        )
    return visible(branch)


def try_lock_next(project: Project, branch: str) -> StreamLock | None:
    """The lock for the next run of the branch, which may be its first.

    None while somebody else has it, and while earlier runs wait to be ingested.
    """
    name = _name(project.pk, branch)
    stream, ours, before, are_waiting, latest = _TRY.one([name, name, project.pk, branch])
    if not ours or are_waiting:
        return None
    if stream is None:
        stream = _new_stream(project, branch)
    stream.project = project
    return StreamLock(stream, None if before is None else _UNRESOLVED.decode(before), latest)


def take_place(run: Run) -> None:
    """Give ``run`` the place that it was ingested for. Raises :class:`OvertakenError`.

    The stream's row stays locked until the commit, so this belongs to its end.
    """
    stream = run.stream
    with connection.cursor() as cursor:
        # No row yet: it comes with its first run, and whoever makes it at the same time waits for
        # as little as one who counts up.
        if run.sequence == 1 and _is_begun(cursor, stream):
            return
        cursor.execute(_TAKE_PLACE, [stream.pk, run.sequence - 1])
        if not cursor.rowcount:
            raise OvertakenError


def is_overtaken(run: Run) -> bool:
    """Whether somebody else has taken the place of ``run``, which has none yet."""
    ahead = Stream.objects.belonging_to(project=run.stream.project)
    return ahead.filter(branch=run.stream.branch, last_sequence__gte=run.sequence).exists()


def queued_run(project: Project, branch: str) -> Run:
    """A run, not saved yet, in the next place of its stream, whose row is locked from here on."""
    # Of two first uploads that race one begins the stream, the other counts it up. It is deleted
    # only with its project, which we hold.
    while (stream := _counted_up(project, branch)) is None:
        new = _new_stream(project, branch)
        with connection.cursor() as cursor:
            if _is_begun(cursor, new):
                return _run_in(new, 1)
    stream.project = project
    return _run_in(stream, stream.last_sequence)


def try_lock(stream: Stream) -> bool:
    """Take the lock until the end of the transaction, if it is free. Needs its project loaded."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))",
            [_name(stream.project_id, stream.branch)],
        )
        (ours,) = cursor.fetchone()
    return bool(ours)


def wait_for_lock(stream: Stream, watch: Watch) -> bool:
    """For workers: wait for the lock; False where the stream is not there any more.

    Between two looks ``watch`` may end the wait. In a transaction, whose end releases the lock.
    """
    while not try_lock(stream):
        watch(0)
        time.sleep(_POLL_SECONDS)
    with connection.cursor() as cursor:
        # Keeps the stream from being deleted, and the version before, whose ingest locks the row,
        # from ingesting runs at the same time. Nobody who counts up has to wait for it.
        cursor.execute("SELECT FROM insight_stream WHERE id = %s FOR KEY SHARE", [stream.pk])
        return bool(cursor.rowcount)


def try_lock_existing(stream: Stream) -> bool:
    """For retention: take the lock as :func:`wait_for_lock` does, without waiting for anybody.

    False where somebody has it, or the stream is not there any more.
    """
    if not try_lock(stream):
        return False
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM insight_stream WHERE id = %s FOR KEY SHARE SKIP LOCKED", [stream.pk]
        )
        return bool(cursor.rowcount)


def _run_in(stream: Stream, sequence: int) -> Run:
    return Run(organization_id=stream.organization_id, stream=stream, sequence=sequence)


def _counted_up(project: Project, branch: str) -> Stream | None:
    row = _COUNT_UP.first([project.pk, branch])
    return None if row is None else row[0]


def _new_stream(project: Project, branch: str) -> Stream:
    """Not saved, but with the number that its issues may refer to."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('insight_stream', 'id'))")
        (number,) = cursor.fetchone()
    return Stream(
        pk=number, organization_id=project.organization_id, project=project, branch=branch
    )


def _is_begun(cursor: CursorWrapper, stream: Stream) -> bool:
    """Insert it with its first run; False where it is there already."""
    values = (stream.pk, stream.organization_id, stream.project_id, stream.branch)
    cursor.execute(_BEGIN, values)
    return bool(cursor.rowcount)


def _name(project_id: UUID, branch: str) -> str:
    return f"insight.turn:{project_id}:{branch}"


_UNRESOLVED = msgspec.json.Decoder(Unresolved)
