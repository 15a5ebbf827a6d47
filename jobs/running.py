"""One attempt from claim to result, with its heartbeat."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DurationField, Q, Value
from django.db.models.functions import Now
from psycopg2 import Error

from jobs import endings
from jobs.claims import HEARTBEAT, Claim, LeaseLostError, claim
from jobs.outages import is_passing, outlast
from jobs.registry import UNKNOWN_FOR, Handler, job_type_named, job_types, no_handler
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


def run(job_id: uuid.UUID | str) -> bool:
    """Try the job once; False when it was not ours to take.

    An error that another attempt may cure puts it back, ``BACKOFF`` times attempt later, until its
    retries are spent. A :class:`RefusedError` is final: the same input will never be taken.
    """
    # Without the wait, a database that restarts would have every message thrown away that arrives.
    held = outlast(lambda: claim(job_id, _for_us()))
    if held is None:
        return False
    try:
        handler = _handler(held.job.type)
        with _heartbeat(held):
            handler(held)
        if not held.finished:
            held.complete()
    except LeaseLostError:
        logger.warning("job %s: the lease is gone, nothing was written", held.job)
    except SoftTimeLimitExceeded:
        _fail(held, RequestTimeout(f"It took longer than {held.job.timeout}."))
    except OdavlError as error:
        _fail(held, error)
    except Exception as error:
        if held.lost:  # its statement was cancelled for that
            logger.warning("job %s: stopped, nothing was written", held.job)
            return True
        if is_passing(error):
            logger.warning("job %s: the database could not answer: %s", held.job, error)
            _fail(held, ServiceUnavailable("The database could not answer."))
            return True
        # A defect in a handler must neither end the worker nor be shown to a stranger.
        logger.exception("job %s failed", held.job)
        _fail(held, ServerFault("The job failed; the hub's log has the reason."))
    return True


def _for_us() -> Q:
    """What this version can do, and what no version has known for so long that it is to fail.

    The rest is a newer version's, which is being deployed: the relay sends its message again.
    """
    known = Q(type__in=[each.name for each in job_types()])
    return known | Q(run_at__lt=Now() - Value(UNKNOWN_FOR, output_field=DurationField()))


def _handler(job_type: str) -> Handler:
    known = job_type_named(job_type)
    if known is None:
        raise InternalError(no_handler(job_type))
    return known.handler


def problem(error: OdavlError) -> dict[str, Any]:
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


def _fail(held: Claim, error: OdavlError) -> None:
    job = held.job
    failures = job.attempts - job.losses
    final = isinstance(error, RefusedError | InternalError) or failures > job.max_retries
    try:
        # Noted late is better than never: an attempt that nobody ended holds its job for a lease.
        outlast(
            lambda: held.fail(problem(error), retry_after=None if final else BACKOFF * job.attempts)
        )
    except LeaseLostError:
        logger.warning("job %s: the lease is gone, its failure was not noted", job)
        return
    if final:
        endings.tell(job.id, job.type)


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
