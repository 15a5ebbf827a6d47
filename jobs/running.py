"""One attempt from claim to result, with its heartbeat."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError, connection

from jobs.claims import HEARTBEAT, Claim, LeaseLostError, claim
from jobs.registry import Handler, job_type_named
from odavl.wire.errors import (
    InternalError,
    OdavlError,
    RefusedError,
    RequestTimeout,
    ServerFault,
)

logger = logging.getLogger(__name__)

BACKOFF = timedelta(seconds=2)


def run(job_id: uuid.UUID | str) -> bool:
    """Try the job once; False when it was not ours to take.

    An error that another attempt may cure puts it back, ``BACKOFF`` times attempt later, until its
    retries are spent. A :class:`RefusedError` is final: the same input will never be taken.
    """
    held = claim(job_id)
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
    except Exception:
        # A defect in a handler must neither end the worker nor be shown to a stranger.
        logger.exception("job %s failed", held.job)
        _fail(held, ServerFault("The job failed; the hub's log has the reason."))
    return True


def _handler(job_type: str) -> Handler:
    known = job_type_named(job_type)
    if known is None:
        raise InternalError(f"No handler is registered for {job_type!r}.")
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
    final = isinstance(error, RefusedError | InternalError) or job.attempts > job.max_retries
    try:
        held.fail(problem(error), retry_after=None if final else BACKOFF * job.attempts)
    except LeaseLostError:
        logger.warning("job %s: the lease is gone, its failure was not noted", job)


@contextmanager
def _heartbeat(held: Claim) -> Iterator[None]:
    """Extend the lease from a thread while the handler works."""
    stopped = threading.Event()
    thread = threading.Thread(
        target=_beat, args=(held, stopped), name=f"heartbeat-{held.job.id}", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _beat(held: Claim, stopped: threading.Event) -> None:
    try:
        while not stopped.wait(HEARTBEAT.total_seconds()):
            try:
                if not held.heartbeat():
                    return  # the next guarded write of the handler finds out, too
            except DatabaseError:
                logger.warning("job %s: a heartbeat failed", held.job, exc_info=True)
                connection.close()
    finally:
        connection.close()  # this thread's own
