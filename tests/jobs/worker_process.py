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
from odavl_hub.launcher import roles  # noqa: E402 - after django.setup()

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


def wait_at_the_gate(claim: Claim) -> None:
    """Until somebody opens the FIFO ``gate`` for writing."""
    (FOLDER / f"{claim.job.id}.started").touch()
    (FOLDER / "gate").read_bytes()


def note_the_turn(claim: Claim) -> None:
    with (FOLDER / "turns").open("a") as file:
        file.write(f"{claim.job.id}\n")


def hear_nothing(claim: Claim) -> None:
    """As a library that waits in C does: the signal that the time is over is not taken."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    (FOLDER / f"{claim.job.id}.started").touch()
    while True:
        signal.pause()


def work_long(claim: Claim) -> None:
    time.sleep(BULK_SECONDS)


registry.register("test.touch", touch)
registry.register("test.bulk", work_long, queue="bulk")
registry.register("test.interactive", touch, queue="interactive")
registry.register("test.deaf", hear_nothing, timeout=timedelta(seconds=1))
registry.register("test.gate", wait_at_the_gate)
registry.register("test.turn", note_the_turn)
registry.register("test.poison", kill_the_worker)
registry.register("test.sleep", sleep_forever, timeout=timedelta(seconds=1))
roles.worker(QUEUES.replace(",", "-"), QUEUES, 1)
