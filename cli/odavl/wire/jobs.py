"""Jobs of the hub: what they are, how far they are, and what may be done with them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from odavl.wire.account import Id, Time
from odavl.wire.problem import Problem

JobState = Literal["waiting", "active", "completed", "failed", "delayed", "paused", "cancelled"]
JobQueue = Literal["interactive", "default", "bulk"]
JobPriority = Literal["low", "normal", "high", "critical"]
JobAwaited = Literal["store", "room", "database", "turn"]
JobAction = Literal["retry", "cancel", "pause", "resume"]

STATES: tuple[JobState, ...] = (
    "waiting",
    "active",
    "delayed",
    "paused",
    "completed",
    "failed",
    "cancelled",
)
UNFINISHED: frozenset[str] = frozenset({"waiting", "active", "delayed", "paused"})


class JobSummary(msgspec.Struct, kw_only=True, rename="camel"):
    """One job. ``progress`` is in percent; ``url`` is where a person sees what comes of it."""

    id: Id
    type: str
    state: JobState
    queue: JobQueue
    priority: JobPriority
    progress: Annotated[int, Meta(ge=0, le=100)]
    attempts: int
    max_retries: int
    created_at: Time
    run_at: Time
    project_id: Id | None = None
    started_at: Time | None = None
    finished_at: Time | None = None
    url: str | None = None
    problem: Problem | None = None
    """Why the last attempt failed."""
    waiting_for: JobAwaited | UnsetType = UNSET
    """What it waits for since :attr:`waiting_since`, through no fault of its own."""
    waiting_since: Time | UnsetType = UNSET


class JobStatistics(msgspec.Struct, kw_only=True, rename="camel"):
    """How many jobs there are, by state, and by type and state; what does not occur is left out."""

    by_state: dict[str, int]
    by_type: dict[str, dict[str, int]]


class JobPage(msgspec.Struct, kw_only=True, rename="camel"):
    """``statistics`` are those of all jobs that may be seen, whatever the filter."""

    items: list[JobSummary]
    statistics: JobStatistics
    total: int = 0
    next: str | None = None


class JobCommand(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """``POST /api/v1/sync/jobs``."""

    action: JobAction
    job_id: Id


class JobsCleared(msgspec.Struct, kw_only=True, rename="camel"):
    """``DELETE /api/v1/sync/jobs``: how many finished jobs were removed."""

    deleted: int
