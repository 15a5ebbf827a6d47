"""Sends what was lost: the loop that makes Redis a mere messenger. It is the scheduler, too.

It only dispatches: whatever takes time, periodic work included, is a job. So nothing keeps it from
taking a dead worker's job back in time.

Two relays at once do no harm: every step is one conditional UPDATE, and a message sent twice
finds the job taken.
"""

from __future__ import annotations

import logging
import uuid
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import DurationField, F, Q, QuerySet, Value
from django.db.models.functions import Greatest, Now

from frame.database.clock import database_now
from jobs import failure_hooks, messages, services
from jobs.claims import LEASE, expired, lease_end
from jobs.execution import problem
from jobs.models import Job, PeriodicRun, Queue, State
from jobs.registry import PeriodicTask, periodic_tasks
from odavl.wire.errors import InternalError

logger = logging.getLogger(__name__)

INTERVAL = timedelta(seconds=2)
LOST_AFTER = timedelta(seconds=15)
"""A message older than this whose queue is emptier than its waiting jobs was lost."""
PERIODIC = "periodic"
"""The deduplication key of every job that is made because its time has come."""
LOSSES_UNTIL_FAILED = 3
_BATCH = 500
_LOST_AFTER = Value(LOST_AFTER, output_field=DurationField())
# One from the future was noted before the database's clock was set back, or by a version before
# with a clock of its own; it would not age until then.
_STALE = Q(message_sent_at__lt=Now() - _LOST_AFTER) | Q(message_sent_at__gt=Now() + _LOST_AFTER)


class Presence:
    """Since when the database has been there, by its own clock.

    While it is away nobody can extend a lease. Workers that live do so once it is back and get a
    lease's time for it; what was lost in the meantime is charged to no job.
    """

    def __init__(self) -> None:
        self._since: datetime | None = None
        self._was_away = False

    def mark_absent(self) -> None:
        """It has not answered."""
        self._was_away = True

    def since(self) -> datetime:
        """The later of its start and its first answer behind an absence that this process saw."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_postmaster_start_time(), statement_timestamp()")
            row: tuple[datetime, datetime] = cursor.fetchone()
        started, now = row
        if self._was_away or self._since is None:
            self._since = now if self._was_away else started
            self._was_away = False
        return max(self._since, started)


database = Presence()


def relay_once() -> int:
    """Do what is due now; how many messages were sent."""
    there_since = database.since()
    cap_leases()
    refund_attempts(there_since)
    fail_poisoned(there_since)
    release_expired(there_since)
    wake_delayed()
    sent = sum(send_unsent(queue) for queue in Queue.values)
    for task in periodic_tasks():
        dispatch_if_due(task)
    return sent


def cap_leases() -> int:
    """Let leases that end later than any can (the clock was set back) end a lease from now."""
    held = Job.across_organizations.filter(
        state=State.ACTIVE, lease_expires_at__gt=Now() + Value(2 * LEASE, DurationField())
    )
    count: int = held.update(lease_expires_at=lease_end())
    return count


def refund_attempts(there_since: datetime) -> int:
    """Jobs whose lease ended because the database was away wait again; that was no attempt."""
    if database_now() < there_since + LEASE:
        return 0
    return len(
        _change(
            expired() & Q(lease_expires_at__lt=there_since),
            state=State.WAITING,
            attempts=Greatest(F("attempts") - 1, 0),
            run_at=Now(),
            message_sent_at=None,
        )
    )


def fail_poisoned(there_since: datetime | None = None) -> int:
    """Jobs that took their worker with them three times are not tried again."""
    error = InternalError(
        f"Its worker died or hung {LOSSES_UNTIL_FAILED} times in the middle of this job."
    )
    failed = _change(
        _lost_by_workers(there_since) & Q(losses__gte=LOSSES_UNTIL_FAILED - 1),
        state=State.FAILED,
        losses=F("losses") + 1,
        error=problem(error) | {"code": "worker_lost"},
        finished_at=Now(),
    )
    for job_id, job_type in failed:
        failure_hooks.publish_given_up(job_id, job_type)
    return len(failed)


def release_expired(there_since: datetime | None = None) -> int:
    """Jobs whose worker is gone wait again, under a new fence."""
    return len(
        _change(
            _lost_by_workers(there_since),
            state=State.WAITING,
            losses=F("losses") + 1,
            run_at=Now(),
            message_sent_at=None,
        )
    )


def _lost_by_workers(there_since: datetime | None) -> Q:
    """Their lease has ended, and could have been extended."""
    return expired() if there_since is None else expired() & Q(lease_expires_at__gte=there_since)


def wake_delayed() -> int:
    due = Q(state=State.DELAYED, run_at__lte=Now())
    return len(_change(due, state=State.WAITING, message_sent_at=None))


def send_unsent(queue: str) -> int:
    """Send the messages of waiting jobs that have none, most urgent first; how many."""
    waiting = Job.across_organizations.filter(state=State.WAITING, queue=queue)
    unsent, sent = Q(message_sent_at__isnull=True), 0
    for which, at_most in ((unsent, _BATCH), (_STALE, _missing(queue, waiting))):
        for job in waiting.filter(which).order_by("-priority", "run_at")[:at_most]:
            # Conditional, so that of two relays only one sends it.
            if not waiting.filter(which, id=job.id).update(message_sent_at=Now()):
                continue
            if not messages.send(job):
                return sent  # the broker is away; the next round tries again
            sent += 1
    return sent


def _missing(queue: str, waiting: QuerySet[Job]) -> int:
    """How many messages were lost: a long queue alone is no loss, and must not grow by us."""
    waiting_long = waiting.filter(_STALE).count()
    if not waiting_long:
        return 0
    lying_there = messages.waiting_messages(queue)
    return 0 if lying_there is None else min(max(waiting_long - lying_there, 0), _BATCH)


def dispatch_if_due(task: PeriodicTask) -> bool:
    """Make the job of ``task`` if its time has come and no other relay has taken this turn.

    Where its last job is unfinished, the turn passes.
    """
    interval = Value(task.interval, output_field=DurationField())
    PeriodicRun.objects.get_or_create(name=task.name, defaults={"due_at": Now()})
    with transaction.atomic():
        # The row is locked until our commit, and a second relay's condition is evaluated after it.
        is_due = Q(due_at__lte=Now()) | Q(due_at__gt=Now() + interval)
        won = PeriodicRun.objects.filter(is_due, name=task.name).update(due_at=Now() + interval)
        if won:
            services.enqueue(
                organization=None, job_type=task.name, payload={}, deduplication_key=PERIODIC
            )
    return bool(won)


def _change(condition: Q, **values: object) -> list[tuple[uuid.UUID, str]]:
    """Ids and types of the jobs that were changed."""
    # Rows locked by a handler's guard are about to be committed by their rightful holder.
    with transaction.atomic():
        rows: QuerySet[Job] = Job.across_organizations.filter(condition)
        taken = list(rows.select_for_update(skip_locked=True).values_list("id", "type")[:_BATCH])
        if taken:
            Job.across_organizations.filter(id__in=[job_id for job_id, _ in taken]).update(
                **values, fence=F("fence") + 1, lease_expires_at=None
            )
        return taken
