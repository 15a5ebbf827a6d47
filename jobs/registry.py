"""Which handler runs which type of job. Owners register in the ``ready`` of their ``apps.py``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.models import Queue

if TYPE_CHECKING:
    from jobs.claims import Claim

DEFAULT_TIMEOUT = timedelta(minutes=5)
Handler = Callable[["Claim"], None]


@dataclass(frozen=True, slots=True)
class JobType:
    """``queue`` and ``timeout`` hold where ``enqueue`` does not say otherwise."""

    name: str
    handler: Handler
    queue: Queue
    timeout: timedelta


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    name: str
    interval: timedelta
    run: Callable[[], object]


_job_types: dict[str, JobType] = {}
_periodic_tasks: dict[str, PeriodicTask] = {}


def register(
    job_type: str,
    handler: Handler,
    *,
    queue: str = Queue.DEFAULT,
    timeout: timedelta = DEFAULT_TIMEOUT,
) -> None:
    """Say who does ``job_type``.

    The handler must be idempotent: it may run again after it has done its work and before that
    was noted. What it writes, it writes in transactions that end with ``claim.guard()``, or with
    ``claim.complete()`` for exactly once. Raises :class:`ValueError` for a type with a handler.
    """
    if job_type in _job_types:
        raise ValueError(f"The job type {job_type!r} has a handler.")
    _job_types[job_type] = JobType(job_type, handler, Queue(queue), timeout)


def unregister(job_type: str) -> None:
    del _job_types[job_type]


def job_type_named(name: str) -> JobType | None:
    return _job_types.get(name)


def register_periodic(name: str, run: Callable[[], object], *, every: timedelta) -> None:
    """Have the relay call ``run`` about ``every`` so long: short, idempotent work."""
    _periodic_tasks[name] = PeriodicTask(name, every, run)


def periodic_tasks() -> tuple[PeriodicTask, ...]:
    return tuple(_periodic_tasks.values())
