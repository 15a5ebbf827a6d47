"""The one Celery task: a message names a job, the row says everything else."""

from __future__ import annotations

from celery import shared_task

from jobs import messages, running


@shared_task(name=messages.TASK, acks_late=False, ignore_result=True)
def run(job_id: str) -> None:
    """Acknowledged at its start: if this worker dies, the lease ends and the relay sends anew."""
    running.run(job_id)
