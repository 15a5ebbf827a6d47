"""Server-sent events about one job.

A stream waits on the event loop and so takes no thread; what it looks at, twice a second, is
fetched by a thread that all streams of a process share. That one bounds how many there are: at
most ``settings.EVENT_STREAMS``, each for at most :data:`LONGEST` seconds. Whoever comes beyond
that gets the current state and the end of the stream at once. Every client comes back by itself
after :data:`RETRY` (that is how EventSource works), so what it loses is promptness: events turn
into polling.

An event's id stands for the state it shows. ``Last-Event-ID`` with the present state sends
nothing again, and with the state of a job that has ended, 204 tells the client to stop.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec
from django.conf import settings
from django.db import DatabaseError, close_old_connections
from django.db.models import Exists, QuerySet
from django.db.models.functions import Now

from accounts.models import ApiKey
from jobs.models import FINISHED, Job
from jobs.rendering import job_summary

logger = logging.getLogger(__name__)

RETRY = 2.0
POLL_SECONDS = 0.5
HEARTBEAT = 5.0
LONGEST = 25.0
"""Seconds, all of them."""

polling = ThreadPoolExecutor(1, thread_name_prefix="events")
_slots = threading.BoundedSemaphore(max(settings.EVENT_STREAMS, 1))


@dataclass(frozen=True, slots=True)
class _Shown:
    """A job as it stood at one moment."""

    id: str
    event: bytes
    has_ended: bool


def has_ended_at(job: Job, last_event_id: str | None) -> bool:
    """Whether the client has seen the end of the job."""
    return job.state in FINISHED and last_event_id == event_id(job)


def event_id(job: Job) -> str:
    return f"{job.fence}.{job.attempts}.{job.state}.{job.progress}"


def events(job: Job, last_event_id: str | None, *, key: ApiKey | None) -> AsyncIterator[bytes]:
    """The stream: the present state unless it was seen, then every change of it.

    It ends when ``key``, for which it is, is revoked or expires.
    """
    return _events(job.id, _shown(job), last_event_id, key)


async def _events(
    job_id: uuid.UUID, shown: _Shown, seen: str | None, key: ApiKey | None
) -> AsyncIterator[bytes]:
    yield f"retry: {int(RETRY * 1000)}\n\n".encode()
    # Taken here, not by the caller: a stream that nobody begins to read takes no place.
    if settings.EVENT_STREAMS < 1 or not _slots.acquire(blocking=False):
        if seen != shown.id:
            yield shown.event
        return
    try:
        async for event in _changes(job_id, shown, seen, key):
            yield event
    finally:
        _slots.release()


async def _changes(
    job_id: uuid.UUID, shown: _Shown, seen: str | None, key: ApiKey | None
) -> AsyncIterator[bytes]:
    ends_at = time.monotonic() + LONGEST
    sent_at = time.monotonic()
    found: _Shown | None = shown
    while found is not None:
        if found.id != seen:
            seen = found.id
            yield found.event
            sent_at = time.monotonic()
        if found.has_ended or time.monotonic() >= ends_at:
            return
        if time.monotonic() - sent_at >= HEARTBEAT:
            # A client that is gone is noticed only by writing to it.
            yield b": alive\n\n"
            sent_at = time.monotonic()
        await asyncio.sleep(POLL_SECONDS)
        found = await asyncio.get_running_loop().run_in_executor(polling, _poll, job_id, key)


def _poll(job_id: uuid.UUID, key: ApiKey | None) -> _Shown | None:
    rows: QuerySet[Job] = Job.across_organizations.filter(id=job_id)
    if key is not None:
        valid = ApiKey.across_organizations.filter(pk=key.pk, revoked_at=None)
        rows = rows.filter(Exists(valid.exclude(expires_at__lte=Now())))
    close_old_connections()
    try:
        found: Job | None = rows.first()
        return _shown(found) if found else None
    except DatabaseError:
        logger.warning("the events of job %s end: the database is away", job_id)
        return None


def _shown(job: Job) -> _Shown:
    data = msgspec.json.encode(job_summary(job))
    event = b"id: %s\nevent: job\ndata: %s\n\n" % (event_id(job).encode(), data)
    return _Shown(event_id(job), event, job.state in FINISHED)
