"""One attempt from claim to result, with its heartbeat."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from billiard.exceptions import SoftTimeLimitExceeded
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DurationField, Q, Value
from django.db.models.functions import Now
from psycopg2 import Error

from frame.database.retry import retry_database
from jobs import failure_hooks, services
from jobs.claims import HEARTBEAT, Claim, LeaseLostError, claim, claim_next
from jobs.deadlines import Deadline
from jobs.models import Awaited, Job, State
from jobs.outages import awaited_by
from jobs.registry import UNKNOWN_FOR, job_type_named, job_types
from odavl.wire.errors import (
    InternalError,
    OdavlError,
    RefusedError,
    RequestTimeout,
    ServerFault,
    ServiceUnavailable,
)

logger = logging.getLogger(__name__)

BACKOFF = timedelta(seconds=2)
WATCH = timedelta(seconds=1)
"""How often the thread beside a handler looks whether its job was paused, cancelled or lost."""
_TOLD = {
    Awaited.STORE: "The object store does not answer.",
    Awaited.ROOM: "There is no free disk space.",
    Awaited.DATABASE: "The database could not answer.",
    Awaited.TURN: "Another job is at work with the same rows.",
}


def run_next(queue: str, job_id: uuid.UUID | str) -> bool:
    """Try the job whose turn it is in ``queue``, where a message about ``job_id`` arrived.

    False when there was none. As many messages as waiting jobs lie in a queue, so each is good for
    any of them. What belongs to no organization has no turns: there the message's own is tried, as
    where it alone is due.
    """
    # Without the wait, a database that restarts would have every message thrown away that arrives.
    held = retry_database(lambda: claim_next(queue, _for_us()) or claim(job_id, _for_us()))
    return held is not None and _run(held)


def run(job_id: uuid.UUID | str) -> bool:
    """Try the job once; False when it was not ours to take."""
    held = retry_database(lambda: claim(job_id, _for_us()))
    return held is not None and _run(held)


def _run(held: Claim) -> bool:
    """One attempt.

    An error that another attempt may cure puts the job back, ``BACKOFF`` times attempt later, until
    its retries are spent. What is away, or another's turn, is waited for and spends none
    (:func:`~jobs.outages.awaited_by`). A :class:`RefusedError` is final: the same input will never
    be taken.
    """
    known = job_type_named(held.job.type)
    if known is None:
        error = InternalError(f"No handler is registered for {held.job.type!r}.")
        _fail(held, problem(error) | {"code": services.NO_HANDLER}, final=True)
        return True
    deadline = Deadline(held.job.timeout)
    try:
        with deadline, deadline, _heartbeat(held):
            known.handler(held)
        if not held.finished:
            held.complete()
    except LeaseLostError:
        logger.warning("job %s: the lease is gone, nothing was written", held.job)
    except SoftTimeLimitExceeded:
        _fail(held, problem(RequestTimeout(f"It took longer than {held.job.timeout}.")))
    except OdavlError as error:
        _end_failed(held, error)
    except Exception as error:
        if held.lost:  # its statement was cancelled for that
            logger.warning("job %s: stopped, nothing was written", held.job)
        elif awaited_by(error) is not None:
            _end_failed(held, error)
        else:
            # A defect in a handler must neither end the worker nor be shown to a stranger.
            logger.exception("job %s failed", held.job)
            _fail(held, problem(ServerFault("The job failed; the hub's log has the reason.")))
    if held.completed and held.job.waiting_for:
        wake(Awaited(held.job.waiting_for))
    return True


def _end_failed(held: Claim, error: Exception) -> None:
    awaited = awaited_by(error)
    if awaited is not None:
        _postpone(held, awaited, error)
    elif isinstance(error, OdavlError):
        _fail(held, problem(error), final=isinstance(error, RefusedError | InternalError))


def _postpone(held: Claim, awaited: Awaited, error: Exception) -> None:
    logger.warning("job %s waits for %s: %s", held.job, awaited.value, error)
    told = error if isinstance(error, OdavlError) else ServiceUnavailable(_TOLD[awaited])
    with suppress(LeaseLostError):
        retry_database(lambda: held.postpone(awaited, problem(told)))


def wake(awaited: Awaited) -> int:
    """One that waited for ``awaited`` came through: let the others try at once; how many."""
    waiting = Job.across_organizations.filter(
        state=State.DELAYED, waiting_for=awaited, run_at__gt=Now()
    )
    count: int = waiting.update(run_at=Now())
    return count


def _for_us() -> Q:
    """What this version can do, and what no version has known for so long that it is to fail.

    The rest is a newer version's, which is being deployed: the relay sends its message again.
    """
    known = Q(type__in=[each.name for each in job_types()])
    return known | Q(run_at__lt=Now() - Value(UNKNOWN_FOR, output_field=DurationField()))


def problem(error: OdavlError) -> dict[str, object]:
    """What the job's row keeps of an error: the fields of the API's problem documents."""
    return {
        "type": "about:blank",
        "title": error.title,
        "status": int(error.status),
        "detail": error.detail,
        "code": error.code,
        "retryable": error.retryable,
        "errors": [
            {"pointer": item.pointer, "code": item.code, "detail": item.detail}
            for item in error.errors
        ],
    }


def _fail(held: Claim, told: dict[str, object], *, final: bool = False) -> None:
    job = held.job
    final = final or job.attempts - job.losses > job.max_retries
    try:
        # Noted late is better than never: an attempt that nobody ended holds its job for a lease.
        retry_database(
            lambda: held.fail(told, retry_after=None if final else BACKOFF * job.attempts)
        )
    except LeaseLostError:
        logger.warning("job %s: the lease is gone, its failure was not noted", job)
        return
    if final:
        failure_hooks.publish_given_up(job.id, job.type)


@contextmanager
def _heartbeat(held: Claim) -> Iterator[None]:
    """Extend the lease from a thread while the handler works."""
    stopped = threading.Event()
    thread = threading.Thread(
        target=_beat,
        args=(held, stopped, connections[DEFAULT_DB_ALIAS]),
        name=f"heartbeat-{held.job.id}",
        daemon=True,
    )
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _beat(held: Claim, stopped: threading.Event, handlers_own: BaseDatabaseWrapper) -> None:
    beaten, shown = time.monotonic(), held.noted
    try:
        while not stopped.wait(WATCH.total_seconds()):
            due = time.monotonic() - beaten >= HEARTBEAT.total_seconds() or held.noted != shown
            if due:
                beaten, shown = time.monotonic(), held.noted
            try:
                held.lost = not (held.heartbeat() if due else held.is_ours())
            except (DatabaseError, InterfaceError):
                logger.warning("job %s: a heartbeat failed", held.job, exc_info=True)
                connection.close()
            if held.lost:
                _interrupt(handlers_own)
                return
    finally:
        connection.close()  # this thread's own


def _interrupt(handlers_own: BaseDatabaseWrapper) -> None:
    """End the statement that the handler may be waiting for: it would be rolled back anyway."""
    raw = handlers_own.connection
    if raw is not None:
        with suppress(Error):
            raw.cancel()
