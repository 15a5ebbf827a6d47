"""Telling the owner of a job's type that a job has ended without success."""

from __future__ import annotations

import logging
import uuid
from functools import partial

from django.db import transaction

from jobs.models import Job, State
from jobs.registry import Hook, job_type_named

logger = logging.getLogger(__name__)


def run_hook(job_id: uuid.UUID, job_type: str) -> None:
    """Call the type's ``on_failure``, once the change that gave the job up is committed."""
    known = job_type_named(job_type)
    if known is not None and known.on_failure is not None:
        transaction.on_commit(partial(_call, known.on_failure, job_id), robust=True)


def _call(hook: Hook, job_id: uuid.UUID) -> None:
    given_up = Job.across_organizations.filter(id=job_id, state__in=(State.FAILED, State.CANCELLED))
    job = given_up.first()
    if job is None:
        return  # somebody has it run again already
    try:
        with transaction.atomic():
            hook(job)
    except Exception:
        # The job is given up all the same; its owner looks from time to time.
        logger.exception("job %s: its owner could not be told", job)
