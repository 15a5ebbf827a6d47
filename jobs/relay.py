"""Sends what was lost: the loop that makes Redis a mere messenger. It is the scheduler, too.

Two relays at once do no harm: every step is one conditional UPDATE, and a message sent twice
finds the job taken.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import DurationField, F, Q, QuerySet, Value
from django.db.models.functions import Now

from jobs import endings, messages
from jobs.claims import expired
from jobs.models import Job, PeriodicRun, Queue, State
from jobs.registry import PeriodicTask, periodic_tasks
from jobs.running import problem
from odavl.wire.errors import InternalError

logger = logging.getLogger(__name__)

INTERVAL = timedelta(seconds=2)
LOST_AFTER = timedelta(seconds=15)
"""A message older than this whose queue is emptier than its waiting jobs was lost."""
LOSSES_UNTIL_FAILED = 3
_BATCH = 500


def relay_once() -> int:
    """Do what is due now; how many messages were sent."""
    fail_poison()
    release_expired()
    wake_delayed()
    sent = sum(send_unsent(queue) for queue in Queue.values)
    for task in periodic_tasks():
        run_if_due(task)
    return sent


def fail_poison() -> int:
    """Jobs that took their worker with them three times are not tried again."""
    error = InternalError(
        f"Its worker died or hung {LOSSES_UNTIL_FAILED} times in the middle of this job."
    )
    failed = _change(
        expired() & Q(losses__gte=LOSSES_UNTIL_FAILED - 1),
        state=State.FAILED,
        losses=F("losses") + 1,
        error=problem(error) | {"code": "worker_lost"},
        finished_at=Now(),
    )
    for job_id, job_type in failed:
        endings.tell(job_id, job_type)
    return len(failed)


def release_expired() -> int:
    """Jobs whose worker is gone wait again, under a new fence."""
    return len(
        _change(
            expired(),
            state=State.WAITING,
            losses=F("losses") + 1,
            run_at=Now(),
            message_sent_at=None,
        )
    )


def wake_delayed() -> int:
    due = Q(state=State.DELAYED, run_at__lte=Now())
    return len(_change(due, state=State.WAITING, message_sent_at=None))


def send_unsent(queue: str) -> int:
    """Send the messages of waiting jobs that have none, most urgent first; how many."""
    waiting = Job.across_organizations.filter(state=State.WAITING, queue=queue)
    lost_before = Now() - Value(LOST_AFTER, output_field=DurationField())
    unsent, stale = Q(message_sent_at__isnull=True), Q(message_sent_at__lt=lost_before)
    if _lost(queue, waiting.filter(stale).count()):
        unsent |= stale
    sent = 0
    for job in waiting.filter(unsent).order_by("-priority", "run_at")[:_BATCH]:
        # Conditional, so that of two relays only one sends it.
        if not waiting.filter(unsent, id=job.id).update(message_sent_at=Now()):
            continue
        if not messages.send(job):
            break  # the broker is away; the next round tries again
        sent += 1
    return sent


def _lost(queue: str, waiting_long: int) -> bool:
    """Whether messages are missing: a long queue alone is no loss, and must not grow by us."""
    if not waiting_long:
        return False
    lying_there = messages.waiting_messages(queue)
    return lying_there is not None and lying_there < waiting_long


def run_if_due(task: PeriodicTask) -> bool:
    """Run ``task`` if its time has come and no other relay has taken this turn."""
    interval = Value(task.interval, output_field=DurationField())
    PeriodicRun.objects.get_or_create(name=task.name, defaults={"due_at": Now()})
    # The row is locked until our commit, and a second relay's condition is evaluated after it.
    won = PeriodicRun.objects.filter(name=task.name, due_at__lte=Now()).update(
        due_at=Now() + interval
    )
    if won:
        _safely(task.run, task.name)
    return bool(won)


def _change(condition: Q, **values: Any) -> list[tuple[uuid.UUID, str]]:
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


def _safely(run: Callable[[], object], name: str) -> None:
    try:
        run()
    except Exception:
        # One failing task must not keep jobs from being sent.
        logger.exception("the periodic task %s failed", name)
