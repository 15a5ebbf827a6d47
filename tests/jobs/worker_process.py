"""A real Celery worker with the job types of the tests: ``python worker_process.py FOLDER``.

Handlers leave files in FOLDER, which is how a test sees what they did.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import django

django.setup()

from jobs import registry  # noqa: E402 - after django.setup()
from jobs.claims import Claim  # noqa: E402 - after django.setup()
from odavl_hub.supervisor import roles  # noqa: E402 - after django.setup()

FOLDER = Path(sys.argv[1])


def touch(claim: Claim) -> None:
    (FOLDER / str(claim.job.id)).touch()


def kill_the_worker(claim: Claim) -> None:
    (FOLDER / f"{claim.job.id}.{claim.job.attempts}").touch()
    os.kill(os.getpid(), signal.SIGKILL)


def sleep_forever(claim: Claim) -> None:
    (FOLDER / f"{claim.job.id}.started").touch()
    signal.pause()


registry.register("test.touch", touch)
registry.register("test.poison", kill_the_worker)
registry.register("test.sleep", sleep_forever, timeout=timedelta(seconds=1))
roles.worker("test", "interactive,default,bulk", 1)
