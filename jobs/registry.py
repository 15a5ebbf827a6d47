"""What types of jobs there are: who does them, how, and what people see of them.

Owners register in the ``ready`` of their ``apps.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.models import Priority, Queue

if TYPE_CHECKING:
    from django.utils.functional import Promise

    from jobs.claims import Claim
    from jobs.models import Job

DEFAULT_TIMEOUT = timedelta(minutes=5)
UNKNOWN_FOR = timedelta(hours=1)
"""How long a job of a type without a handler waits for a version of the hub that has one."""

Handler = Callable[["Claim"], None]
Hook = Callable[["Job"], None]
Page = Callable[["Job"], str]


@dataclass(frozen=True, slots=True)
class JobType:
    """``area`` is the one of the scopes that let a key see and change such jobs.

    It is None for the hub's own jobs, which no key and no page of an organization shows. ``label``
    is what people call such a job; ``page`` gives the path where a person sees its outcome, in the
    language of the request, and nothing while there is none.
    """

    name: str
    handler: Handler
    queue: Queue
    timeout: timedelta
    area: str | None
    label: str | Promise
    priority: Priority = Priority.NORMAL
    page: Page | None = None
    on_failure: Hook | None = None
    on_retry: Hook | None = None


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """Work for which the relay makes a system job every ``interval``, of the type ``name``."""

    name: str
    interval: timedelta
    label: str | Promise = ""
    """What operators call it."""


_job_types: dict[str, JobType] = {}
_periodic_tasks: dict[str, PeriodicTask] = {}


def register(
    job_type: str,
    handler: Handler,
    *,
    queue: str = Queue.DEFAULT,
    timeout: timedelta = DEFAULT_TIMEOUT,
    area: str = "projects",
    label: str | Promise = "",
    priority: Priority = Priority.NORMAL,
    page: Page | None = None,
    on_failure: Hook | None = None,
    on_retry: Hook | None = None,
) -> None:
    """Say who does ``job_type``; ``priority`` is that of a job whose maker names none.

    The handler must be idempotent: it may run again after it has done its work and before that
    was noted. What it writes, it writes in transactions that end with ``claim.guard()``, or with
    ``claim.complete()`` for exactly once. Raises :class:`ValueError` for a type with a handler.

    ``on_failure`` is told once a job will not be tried again: failed, poisonous, out of time or
    cancelled. It runs after that is committed, in a transaction of its own: whoever holds the
    owner's rows may be waiting for the job's. A crash in between loses it, so the owner looks
    itself from time to time. ``on_retry`` is told before a person's retry, in its transaction, and
    may raise :class:`~odavl.wire.errors.Conflict` against it.
    """
    add(
        JobType(
            name=job_type,
            handler=handler,
            queue=Queue(queue),
            timeout=timeout,
            area=area,
            label=label or job_type,
            priority=priority,
            page=page,
            on_failure=on_failure,
            on_retry=on_retry,
        )
    )


def unregister(job_type: str) -> None:
    del _job_types[job_type]
    _periodic_tasks.pop(job_type, None)


def job_type_named(name: str) -> JobType | None:
    return _job_types.get(name)


def name_of(job_type: str) -> str:
    """What people call jobs of that type; the type itself where no room has it any more."""
    known = _job_types.get(job_type)
    return str(known.label) if known else job_type


def job_types() -> tuple[JobType, ...]:
    return tuple(_job_types.values())


def longest_timeout(queue: str) -> timedelta:
    """Of all types of that queue."""
    return max(
        (each.timeout for each in _job_types.values() if each.queue == queue),
        default=DEFAULT_TIMEOUT,
    )


def register_periodic(
    name: str,
    run: Callable[[], object],
    *,
    every: timedelta,
    label: str | Promise = "",
    timeout: timedelta = DEFAULT_TIMEOUT,
) -> None:
    """Have ``run`` called about ``every`` so long, by a job of the type ``name``.

    It is a job like any other, of no organization: idempotent, tried again where it fails, and
    waiting where the store or the database is away. While one is unfinished there is no second.
    Raises :class:`ValueError` for a type with a handler.
    """

    def handler(_claim: Claim) -> None:
        run()

    add(JobType(name, handler, Queue.SYSTEM, timeout, area=None, label=label or name))
    _periodic_tasks[name] = PeriodicTask(name, every, label or name)


def periodic_tasks() -> tuple[PeriodicTask, ...]:
    return tuple(_periodic_tasks.values())


def add(job_type: JobType) -> None:
    """As :func:`register`, for a type that is put together already."""
    if job_type.name in _job_types:
        raise ValueError(f"The job type {job_type.name!r} has a handler.")
    _job_types[job_type.name] = job_type
