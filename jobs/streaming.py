"""Server-sent events about one job, from threads that are few.

A WSGI thread that streams serves nobody else. So a process streams to at most
``settings.EVENT_STREAMS`` clients at once (half of its threads), each for at most
:data:`LONGEST` seconds; whoever comes beyond that gets the current state and the end of the
stream at once. Every client comes back by itself after :data:`RETRY` (that is how EventSource
works), so what it loses is promptness: events turn into polling, and never into a hub whose
threads are all taken.

An event's id stands for the state it shows. ``Last-Event-ID`` with the present state sends
nothing again, and with the state of a job that has ended, 204 tells the client to stop.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterator

import msgspec
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Exists, QuerySet
from django.db.models.functions import Now

from accounts.models import ApiKey
from jobs.models import FINISHED, Job
from jobs.rendering import job_summary

logger = logging.getLogger(__name__)

RETRY = 2.0
LOOK = 0.5
HEARTBEAT = 5.0
LONGEST = 25.0
"""Seconds, all of them."""

_slots = threading.BoundedSemaphore(max(settings.EVENT_STREAMS, 1))


def has_ended_at(job: Job, last_event_id: str | None) -> bool:
    """Whether the client has seen the end of the job."""
    return job.state in FINISHED and last_event_id == event_id(job)


def event_id(job: Job) -> str:
    return f"{job.fence}.{job.attempts}.{job.state}.{job.progress}"


def events(job: Job, last_event_id: str | None, *, key: ApiKey | None) -> Iterator[bytes]:
    """The stream: the present state unless it was seen, then every change of it.

    It ends when ``key``, for which it is, is revoked or expires.
    """
    yield f"retry: {int(RETRY * 1000)}\n\n".encode()
    # Taken here, not by the caller: a stream that nobody begins to read takes no place.
    if settings.EVENT_STREAMS < 1 or not _slots.acquire(blocking=False):
        if last_event_id != event_id(job):
            yield _event(job)
        return
    try:
        yield from _changes(job, last_event_id, key)
    finally:
        _slots.release()


def _changes(job: Job, seen: str | None, key: ApiKey | None) -> Iterator[bytes]:
    ends_at = time.monotonic() + LONGEST
    sent_at = time.monotonic()
    found: Job | None = job
    while found is not None:
        if event_id(found) != seen:
            seen = event_id(found)
            yield _event(found)
            sent_at = time.monotonic()
        if found.state in FINISHED or time.monotonic() >= ends_at:
            return
        if time.monotonic() - sent_at >= HEARTBEAT:
            # A client that is gone is noticed only by writing to it.
            yield b": alive\n\n"
            sent_at = time.monotonic()
        time.sleep(LOOK)
        found = _look(job.id, key)


def _look(job_id: uuid.UUID, key: ApiKey | None) -> Job | None:
    rows: QuerySet[Job] = Job.across_organizations.filter(id=job_id)
    if key is not None:
        valid = ApiKey.across_organizations.filter(pk=key.pk, revoked_at=None)
        rows = rows.filter(Exists(valid.exclude(expires_at__lte=Now())))
    try:
        found: Job | None = rows.first()
    except DatabaseError:
        logger.warning("the events of job %s end: the database is away", job_id)
        return None
    return found


def _event(job: Job) -> bytes:
    data = msgspec.json.encode(job_summary(job))
    return b"id: %s\nevent: job\ndata: %s\n\n" % (event_id(job).encode(), data)
