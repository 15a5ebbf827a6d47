"""A job as a wire document."""

from __future__ import annotations

from datetime import datetime
from typing import cast

import msgspec
from msgspec import UNSET

from jobs.models import Job, Priority
from jobs.queries import Statistics
from odavl.wire import jobs as wire
from odavl.wire.problem import Problem


def job_summary(job: Job) -> wire.JobSummary:
    return wire.JobSummary(
        id=str(job.id),
        type=job.type,
        state=cast("wire.JobState", job.state),
        queue=cast("wire.JobQueue", job.queue),
        priority=msgspec.convert(Priority(job.priority).name.lower(), wire.JobPriority),
        progress=job.progress,
        attempts=job.attempts,
        max_retries=job.max_retries,
        created_at=job.created_at.isoformat(),
        run_at=job.run_at.isoformat(),
        project_id=str(job.project_id) if job.project_id else None,
        started_at=_time(job.started_at),
        finished_at=_time(job.finished_at),
        url=job.payload.get("url"),
        problem=problem_of_job(job),
        waiting_for=cast("wire.JobAwaited", job.waiting_for) if job.is_held_up else UNSET,
        waiting_since=_time(job.waiting_since) or UNSET if job.is_held_up else UNSET,
    )


def statistics(found: Statistics) -> wire.JobStatistics:
    return wire.JobStatistics(by_state=found.by_state, by_type=found.by_type)


def problem_of_job(job: Job) -> Problem | None:
    """Why its last attempt failed; None where it did not."""
    if job.error is None:
        return None
    return msgspec.convert(job.error, Problem)


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
