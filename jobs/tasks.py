"""The one Celery task: a message names a queue and a job of it, the rows say everything else."""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task

from jobs import execution, messages


@shared_task(name=messages.TASK, acks_late=False, ignore_result=True, bind=True)
def run(self: Task[Any, object], job_id: str) -> None:
    """Acknowledged at its start: if this worker dies, the lease ends and the relay sends anew."""
    arrived = self.request.delivery_info or {}
    execution.run_next(arrived.get("routing_key") or "", job_id)
