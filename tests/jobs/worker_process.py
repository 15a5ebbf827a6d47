"""A real Celery worker with the job types of the tests: ``worker_process.py FOLDER [QUEUES]``.

Handlers leave files in FOLDER, which is how a test sees what they did.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

import django

django.setup()

from jobs import registry  # noqa: E402 - after django.setup()
from jobs.claims import Claim  # noqa: E402 - after django.setup()
from odavl_hub.supervisor import roles  # noqa: E402 - after django.setup()

FOLDER = Path(sys.argv[1])
QUEUES = sys.argv[2] if len(sys.argv) > 2 else "interactive,default,bulk"
BULK_SECONDS = 0.2


def touch(claim: Claim) -> None:
    (FOLDER / str(claim.job.id)).touch()


def kill_the_worker(claim: Claim) -> None:
    (FOLDER / f"{claim.job.id}.{claim.job.attempts}").touch()
    os.kill(os.getpid(), signal.SIGKILL)


def sleep_forever(claim: Claim) -> None:
    (FOLDER / f"{claim.job.id}.started").touch()
    signal.pause()


def hold(claim: Claim) -> None:
    """Keep the worker until the test lets go."""
    (FOLDER / f"{claim.job.id}.started").touch()
    while not (FOLDER / "go").exists():
        time.sleep(0.02)


def work_long(claim: Claim) -> None:
    time.sleep(BULK_SECONDS)


registry.register("test.touch", touch)
registry.register("test.hold", hold)
registry.register("test.bulk", work_long, queue="bulk")
registry.register("test.interactive", touch, queue="interactive")
registry.register("test.poison", kill_the_worker)
registry.register("test.sleep", sleep_forever, timeout=timedelta(seconds=1))
roles.worker(QUEUES.replace(",", "-"), QUEUES, 1)
